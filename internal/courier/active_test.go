package courier_test

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"kuryr/internal/courier"
)

// slowAgent is a Neutron whose agent has yet to set ports up.
type slowAgent struct {
	courier.Neutron

	mu       sync.Mutex
	status   map[courier.PortID]string // other than DOWN
	requests int
	largest  int
}

func (s *slowAgent) PortStatuses(ctx context.Context, ids []courier.PortID) (map[courier.PortID]string, error) {
	all, err := s.Neutron.PortStatuses(ctx, ids)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests++
	s.largest = max(s.largest, len(ids))
	for id, status := range s.status {
		if _, exists := all[id]; exists {
			all[id] = status
		}
	}
	return all, err
}

func (s *slowAgent) report(status string, ids ...courier.PortID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status = maps.Clone(s.status)
	if s.status == nil {
		s.status = map[courier.PortID]string{}
	}
	for _, id := range ids {
		s.status[id] = status
	}
}

// slowWorld is a world whose layer 2 fails open, and whose agent is slow.
func slowWorld(t *testing.T, change func(*courier.Options)) (*world, *engine, *slowAgent, context.Context) {
	w, e, ctx := storyWorld(t)
	agent := &slowAgent{Neutron: w.neutron}
	w.neutron, w.change, w.kernel.open = agent, change, true
	w.restart()
	return w, e, agent, ctx
}

// portIDs waits until there are n attachments in a state, and returns their ports.
func (w *world) portIDs(n int, state string) (ids []courier.PortID) {
	w.t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		ids = ids[:0]
		for _, a := range w.c.Status().Attachments {
			if a.State == state {
				ids = append(ids, a.Port)
			}
		}
		if len(ids) == n {
			return ids
		}
		if time.Now().After(deadline) {
			w.t.Fatalf("%d attachments are %s, want %d", len(ids), state, n)
		}
	}
}

// eventually waits for something to come about.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within 10 s", what)
		}
	}
}

// Containers wait for their ports together, with one request at a time for
// all of them, and none is open before.
func TestManyWaitForActive(t *testing.T) {
	const n = 20
	w, e, agent, ctx := slowWorld(t, nil)
	net := mustNetwork(t, e, "n1", dual(60)...)
	var all sync.WaitGroup
	started := make([]*container, n)
	for i := range n {
		all.Go(func() {
			var err error
			if started[i], err = e.start(ctx, net, fmt.Sprintf("e%d", i), ""); err != nil {
				t.Error(err)
			}
		})
	}
	ids := w.portIDs(n, "attached")
	began := time.Now()
	time.Sleep(time.Second)
	for _, id := range ids {
		if w.kernel.isUp(courier.HostEnd(id)) {
			t.Errorf("port %s is open, and not ACTIVE", id)
		}
	}
	agent.report("ACTIVE", ids...)
	all.Wait()
	for _, id := range ids {
		if !w.kernel.isUp(courier.HostEnd(id)) {
			t.Errorf("port %s is ACTIVE, and closed", id)
		}
	}
	agent.mu.Lock()
	requests, largest := agent.requests, agent.largest
	agent.mu.Unlock()
	t.Logf("%d ports were waited for %s, with %d requests", n, time.Since(began).Round(time.Millisecond), requests)
	if largest != n || requests > 12 {
		t.Errorf("%d requests, the largest for %d ports; want few, for all %d", requests, largest, n)
	}
	for _, k := range started {
		e.stop(ctx, k)
	}
	e.networkRemove(ctx, net)
	w.mustEmpty()
}

// A container whose port takes too long starts closed, and is opened later,
// over a restart as well.
func TestTooSlowIsOpenedLater(t *testing.T) {
	w, e, agent, ctx := slowWorld(t, func(o *courier.Options) { o.VIFPluggingTimeout = 300 * time.Millisecond })
	net := mustNetwork(t, e, "n1", dual(61)...)
	one, two := mustStart(t, e, net, "e1", ""), mustStart(t, e, net, "e2", "")
	ids := w.portIDs(2, "attached")
	for _, id := range ids {
		if w.kernel.isUp(courier.HostEnd(id)) {
			t.Fatal("it is open, and not ACTIVE")
		}
	}
	agent.report("ACTIVE", ids[0])
	eventually(t, "the first is opened", func() bool { return w.kernel.isUp(courier.HostEnd(ids[0])) })
	w.restart()
	time.Sleep(400 * time.Millisecond)
	if w.kernel.isUp(courier.HostEnd(ids[1])) {
		t.Fatal("the restart opened it")
	}
	agent.report("ACTIVE", ids[1])
	eventually(t, "the second is opened after the restart", func() bool { return w.kernel.isUp(courier.HostEnd(ids[1])) })
	e.stop(ctx, one)
	e.stop(ctx, two)
	e.networkRemove(ctx, net)
	w.mustEmpty()
}

// A container that goes before its port is ACTIVE leaves nothing.
func TestGoneBeforeActive(t *testing.T) {
	w, e, _, ctx := slowWorld(t, func(o *courier.Options) { o.VIFPluggingTimeout = 100 * time.Millisecond })
	net := mustNetwork(t, e, "n1", dual(62)...)
	e.stop(ctx, mustStart(t, e, net, "e1", ""))
	e.networkRemove(ctx, net)
	w.mustEmpty()
}

func TestPluggingIsFatal(t *testing.T) {
	w, e, agent, ctx := slowWorld(t, func(o *courier.Options) {
		o.VIFPluggingIsFatal, o.VIFPluggingTimeout = true, 300*time.Millisecond
	})
	net := mustNetwork(t, e, "n1", dual(63)...)
	_, err := e.start(ctx, net, "e1", "")
	wantKind(t, err, courier.Unavailable)
	if !strings.HasPrefix(err.Error(), "cannot join endpoint e1 to network ") || !strings.Contains(err.Error(), "ACTIVE in 0.3 s") ||
		!strings.Contains(courier.HintOf(err), "vif_plugging_timeout") {
		t.Errorf("%v (hint: %s)", err, courier.HintOf(err))
	}
	w.portIDs(0, "attached")

	// Where the layer 2 fails closed, the link is open meanwhile.
	w.kernel.mu.Lock()
	w.kernel.open = false
	w.kernel.mu.Unlock()
	for status, kind := range map[string]courier.Kind{"DOWN": courier.Unavailable, "ERROR": courier.Conflict} {
		failed := make(chan error)
		go func() {
			_, err := e.start(ctx, net, "e-"+status, "")
			failed <- err
		}()
		id := w.portIDs(1, "attached")[0]
		if !w.kernel.isUp(courier.HostEnd(id)) {
			t.Error("it is closed")
		}
		agent.report(status, id)
		wantKind(t, <-failed, kind)
		w.portIDs(0, "attached")
	}
	e.networkRemove(ctx, net)
	w.mustEmpty()
}

// The message of a failed binding tells what Neutron knows of this host.
func TestBindingFailed(t *testing.T) {
	for name, test := range map[string]struct {
		agents []courier.Agent
		err    error
		want   string
		hint   string
	}{
		"none":    {nil, nil, ": it shows no agent of a layer 2 on a host of that name", `set [DEFAULT] host to the name under which this machine's agent (or OVN chassis) is listed by `},
		"service": {[]courier.Agent{{Type: "DHCP agent", Alive: true}}, nil, ": it shows no agent of a layer 2 on a host of that name", `it is "host-1" now`},
		"dead": {
			[]courier.Agent{{Type: "Open vSwitch agent", Heartbeat: time.Date(2026, 11, 23, 1, 45, 12, 0, time.UTC)}}, nil,
			": its Open vSwitch agent there has not been heard of since 2026-11-23 01:45:12 UTC", "start the agent",
		},
		"alive": {[]courier.Agent{{Type: "OVN Controller agent", Alive: true}}, nil, ": its OVN Controller agent there is alive, but can't serve the network", "bridge mappings"},
		"forbidden": {
			nil, &courier.Error{Kind: courier.Unauthorized, Op: "look up agents", Public: "policy"}, "", "the binder's",
		},
	} {
		t.Run(name, func(t *testing.T) {
			w, e, ctx := storyWorld(t)
			w.neutron = &failedBinding{w.neutron, test.agents, test.err}
			w.restart()
			net := mustNetwork(t, e, "n1", dual(64)...)
			_, err := e.start(ctx, net, "e1", "")
			wantKind(t, err, courier.Conflict)
			if !strings.HasSuffix(err.Error(), ": failed to bind"+test.want) || !strings.Contains(courier.HintOf(err), test.hint) {
				t.Errorf("%v (hint: %s)", err, courier.HintOf(err))
			}
			e.networkRemove(ctx, net)
			w.mustEmpty()
		})
	}
}

// failedBinding is a Neutron that can't bind ports to this host.
type failedBinding struct {
	courier.Neutron
	agents []courier.Agent
	err    error
}

func (f *failedBinding) CreatePort(ctx context.Context, s courier.PortSpec) (courier.Port, error) {
	p, err := f.Neutron.CreatePort(ctx, s)
	p.Binding = courier.Binding{Host: s.Host, VIFType: "binding_failed"}
	return p, err
}

func (f *failedBinding) AgentsOfHost(context.Context, string) ([]courier.Agent, error) {
	return f.agents, f.err
}
