package courier_test

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"kuryr/internal/courier"
)

// lossy is a Neutron that loses the answer to the first request of each kind
// that makes something.
type lossy struct {
	courier.Neutron
	how string // "after the effect", "before it", "late", or "too late": that of each request, which takes effect when the test says so
	of  string // loses answers of this kind only; "": of all

	mu   sync.Mutex
	lost map[string]int
	held []func()
}

func lose[T any](x *lossy, what string, f func() (T, error)) (T, error) {
	x.mu.Lock()
	x.lost[what]++
	first := x.lost[what] == 1
	if x.how == "too late" && x.of == what {
		x.held = append(x.held, func() { f() })
	}
	x.mu.Unlock()
	if !first && x.how != "too late" || x.of != "" && x.of != what {
		return f()
	}
	var none T
	switch x.how {
	case "after the effect":
		if _, err := f(); err != nil {
			return none, err
		}
	case "late":
		time.AfterFunc(300*time.Millisecond, func() { f() })
	}
	return none, &courier.Error{Kind: courier.Unavailable, Op: what, Public: "the answer was lost"}
}

func (x *lossy) CreateNetwork(ctx context.Context, s courier.NetworkSpec) (courier.Network, error) {
	return lose(x, "create network", func() (courier.Network, error) { return x.Neutron.CreateNetwork(context.WithoutCancel(ctx), s) })
}

func (x *lossy) CreateSubnet(ctx context.Context, s courier.SubnetSpec) (courier.Subnet, error) {
	return lose(x, "create subnet", func() (courier.Subnet, error) { return x.Neutron.CreateSubnet(context.WithoutCancel(ctx), s) })
}

func (x *lossy) CreateSubnetPool(ctx context.Context, s courier.SubnetPoolSpec) (courier.SubnetPool, error) {
	return lose(x, "create subnetpool", func() (courier.SubnetPool, error) { return x.Neutron.CreateSubnetPool(context.WithoutCancel(ctx), s) })
}

func (x *lossy) CreatePort(ctx context.Context, s courier.PortSpec) (courier.Port, error) {
	return lose(x, "create port", func() (courier.Port, error) { return x.Neutron.CreatePort(context.WithoutCancel(ctx), s) })
}

func (x *lossy) CreatePorts(ctx context.Context, s []courier.PortSpec) ([]courier.Port, error) {
	return lose(x, "create ports", func() ([]courier.Port, error) { return x.Neutron.CreatePorts(context.WithoutCancel(ctx), s) })
}

// TestLostAnswerIsLookedUp: where an answer is lost the call finds what was
// made and succeeds; what could be made twice is not asked for twice; and in
// the end nothing is left.
func TestLostAnswerIsLookedUp(t *testing.T) {
	for _, how := range []string{"after the effect", "late", "before it"} {
		for _, wish := range []string{"", "10.62.0.50"} {
			t.Run(fmt.Sprintf("%s, wish %q", how, wish), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t)
				x := &lossy{Neutron: w.neutron, how: how, lost: map[string]int{}}
				w.neutron = x
				w.restart()
				e := &engine{w: w}
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				defer cancel()
				spec := poolSpec{cidr: "10.62.0.0/24", aux: map[string]string{"router": "10.62.0.9"}}
				n, err := e.networkCreate(ctx, "n1", spec)
				for i := 2; how == "before it" && err != nil && i < 4; i++ { // the user repeats the command
					wantKind(t, err, courier.Unavailable)
					n, err = e.networkCreate(ctx, fmt.Sprint("n", i), spec)
				}
				if err != nil {
					t.Fatal(err)
				}
				k, err := e.start(ctx, n, "e1", "", wish)
				switch {
				case how == "before it" && wish == "":
					wantKind(t, err, courier.Unavailable)
					k = mustStart(t, e, n, "e2", "")
				case err != nil:
					t.Fatal(err)
				}
				want := map[string]int{"create network": 1, "create subnet": 1, "create subnetpool": 1, "create port": 1, "create ports": 1}
				if how == "before it" { // sent again, or by the user's next try
					for what := range want {
						want[what] = 2
					}
					want["create subnetpool"] = 3 // one more for the network that failed
				}
				x.mu.Lock()
				for what, times := range want {
					if x.lost[what] != times {
						t.Errorf("%s was sent %d times, want %d", what, x.lost[what], times)
					}
				}
				x.mu.Unlock()
				e.stop(ctx, k)
				e.networkRemove(ctx, n)
				w.neutron = x.Neutron
				w.mustEmpty()
			})
		}
	}
}

// TestTooLateIsCollected: what a request makes after Kuryr has stopped looking
// for it is nobody's, and goes with the next comparison.
func TestTooLateIsCollected(t *testing.T) {
	create := func(ctx context.Context, e *engine, _ *engineNetwork, _ courier.NetworkID) error {
		_, err := e.networkCreate(ctx, "n2", poolSpec{cidr: "10.93.0.0/24"})
		return err
	}
	// What is on a network of a tenant's can come when Kuryr's is gone.
	createOn := func(s poolSpec) func(context.Context, *engine, *engineNetwork, courier.NetworkID) error {
		return func(ctx context.Context, e *engine, _ *engineNetwork, tenant courier.NetworkID) error {
			_, err := e.networkWith(ctx, "n2", func(r *courier.NetworkRequest) { r.Network = courier.Reference{ID: string(tenant)} }, s)
			return err
		}
	}
	start := func(ctx context.Context, e *engine, n *engineNetwork, _ courier.NetworkID) error {
		_, err := e.start(ctx, n, "e1", "")
		return err
	}
	for _, x := range []struct {
		of, makes string
		do        func(context.Context, *engine, *engineNetwork, courier.NetworkID) error
	}{
		{"create subnetpool", "subnetpool", create},
		{"create network", "network", create},
		{"create subnet", "subnet", createOn(poolSpec{cidr: "10.93.0.0/24"})},
		{"create ports", "port", createOn(poolSpec{cidr: "10.94.0.0/24", aux: map[string]string{"router": "10.94.0.9"}})},
		{"create port", "port", start},
	} {
		t.Run(x.of, func(t *testing.T) {
			t.Parallel()
			w, e, ctx := storyWorld(t)
			tenant, err := w.neutron.CreateNetwork(ctx, courier.NetworkSpec{Name: "tenant"})
			if err != nil {
				t.Fatal(err)
			}
			if _, err = w.neutron.CreateSubnet(ctx, courier.SubnetSpec{Network: tenant.ID, CIDR: netip.MustParsePrefix("10.94.0.0/24")}); err != nil {
				t.Fatal(err)
			}
			n := mustNetwork(t, e, "n1", poolSpec{cidr: "10.92.0.0/24"})
			before := neutronObjects(t, w.server)
			loser := &lossy{Neutron: w.neutron, how: "too late", of: x.of, lost: map[string]int{}}
			w.neutron = loser
			w.restart()
			wantKind(t, x.do(ctx, e, n, tenant.ID), courier.Unavailable)
			settled(t, func() string { return pendingOf(w) })
			for _, late := range loser.held {
				late()
			}
			found := w.reconcile(act)
			if len(found) == 0 {
				t.Error("nothing is found")
			}
			for _, f := range found {
				if !strings.HasPrefix(f, x.makes+" ") || !strings.HasSuffix(f, "this journal made it, and has no record of it any more: delete") {
					t.Error(f)
				}
			}
			if d := gocmp.Diff(before, neutronObjects(t, w.server)); d != "" {
				t.Errorf("Neutron (-before +now):\n%s", d)
			}
			e.networkRemove(ctx, n)
		})
	}
}

// TestUnsentIsNotLookedFor: of a request that was never sent nothing is left to
// look for, and whoever asked is told at once.
func TestUnsentIsNotLookedFor(t *testing.T) {
	w := newWorld(t)
	e, ctx := &engine{w: w}, t.Context()
	n := mustNetwork(t, e, "n1", poolSpec{cidr: "10.63.0.0/24"})
	w.knownAway(true)
	w.breaker.arm(0, breakage{})
	start := time.Now()
	_, err := e.start(ctx, n, "e1", "", "10.63.0.7")
	wantKind(t, err, courier.Unavailable)
	if calls := w.breaker.neutronCalls(); len(calls) > 1 || time.Since(start) > time.Second {
		t.Errorf("%v in %v", calls, time.Since(start))
	}
	if s := w.c.Status(); s.Pending+len(s.Attachments) > 0 {
		t.Errorf("%+v", s)
	}
}

// A port with a wished MAC is asked for twice when the first answer is lost. If
// both requests are late, the second makes another port as soon as the first one's
// is deleted.
func TestBothRequestsAreLate(t *testing.T) {
	w := newWorld(t)
	e, ctx := &engine{w: w}, t.Context()
	n := mustNetwork(t, e, "twice", poolSpec{cidr: "10.79.0.0/24"})
	w.breaker.mu.Lock()
	w.breaker.away = true
	w.breaker.mu.Unlock()
	if _, err := e.start(ctx, n, "one", "02:00:00:00:79:01"); courier.KindOf(err) != courier.Unavailable {
		t.Fatalf("a start with Neutron away: %v", err)
	}
	w.breaker.mu.Lock()
	w.breaker.away = false
	w.breaker.mu.Unlock()
	entries, err := w.journal.Load(ctx)
	if err != nil {
		t.Fatal(err)
	}
	mark := courier.Mark{Host: testHost}
	for _, x := range entries {
		if x.Kind == "attachment" {
			mark.Intent = x.ID
		}
	}
	late := func() courier.PortID {
		p, err := w.neutron.CreatePort(ctx, courier.PortSpec{Network: w.c.Status().Networks[0].Neutron, Mark: mark, Host: testHost})
		if err != nil {
			t.Fatal(err)
		}
		return p.ID
	}
	for range 2 {
		id := late()
		w.c.Resume()
		settled(t, func() string {
			found, err := w.neutron.FindPorts(ctx, courier.PortQuery{ID: id})
			if err != nil || len(found) > 0 {
				return "the port that came late is there"
			}
			return ""
		})
	}
	e.networkRemove(ctx, n)
	w.mustEmpty()
}
