package courier_test

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"kuryr/internal/courier"
)

const floatingIP = courier.FloatingIPID("1d0a109e-9e52-4917-b7e6-b75983f89737")

var floating = netip.MustParseAddr("203.0.113.68")

// routed is the embedded Neutron with the port forwardings of a floating IP
// beside it: it has no routers itself.
type routed struct {
	courier.Neutron
	mu  sync.Mutex
	all map[courier.PortForwardingID]forwarding
	n   int
}

type forwarding struct {
	courier.PortForwarding
	port courier.PortID
	to   netip.Addr
}

func (r *routed) FloatingIPsByAddress(_ context.Context, a netip.Addr) ([]courier.FloatingIPID, error) {
	if a != floating {
		return nil, nil
	}
	return []courier.FloatingIPID{floatingIP}, nil
}

func (r *routed) PortForwardingsOf(_ context.Context, id courier.FloatingIPID, p courier.PortID) (out []courier.PortForwarding, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, f := range r.all {
		if id == floatingIP && f.port == p {
			out = append(out, f.PortForwarding)
		}
	}
	return out, nil
}

// CreatePortForwarding refuses as Neutron does: a collision is a 400.
func (r *routed) CreatePortForwarding(ctx context.Context, _ courier.FloatingIPID, s courier.PortForwardingSpec) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, err := r.PortSecurity(ctx, s.Port); err != nil { // the port is gone
		return err
	}
	for _, f := range r.all {
		if f.Forwarding.Protocol == s.Forwarding.Protocol && f.Forwarding.External == s.Forwarding.External {
			return &courier.Error{Kind: courier.Invalid, Op: "forward port", Public: "There is a port collision"}
		}
	}
	r.n++
	id := courier.PortForwardingID(fmt.Sprintf("00000000-0000-4000-8000-%012d", r.n))
	r.all[id] = forwarding{courier.PortForwarding{ID: id, Description: s.Mark.String(), Forwarding: s.Forwarding}, s.Port, s.Address}
	return nil
}

func (r *routed) DeletePortForwarding(_ context.Context, _ courier.FloatingIPID, id courier.PortForwardingID) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.all, id)
	return nil
}

// DeletePort takes the port's forwardings along, as Neutron does.
func (r *routed) DeletePort(ctx context.Context, p courier.PortID) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.Neutron.DeletePort(ctx, p); err != nil {
		return err
	}
	for id, f := range r.all {
		if f.port == p {
			delete(r.all, id)
		}
	}
	return nil
}

func (r *routed) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []string
	for _, f := range r.all {
		all = append(all, fmt.Sprintf("%s/%d to %s:%d", f.Forwarding.Protocol, f.Forwarding.External, f.to, f.Forwarding.Internal))
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

// routedWorld is a world whose courier forwards from a floating IP.
func routedWorld(t *testing.T, from netip.Addr) (*world, *engine, *routed) {
	w := newWorld(t)
	w.halt()
	r := &routed{Neutron: w.neutron, all: map[courier.PortForwardingID]forwarding{}}
	w.neutron, w.forwardFrom = r, from
	w.start()
	return w, &engine{w: w}, r
}

var (
	toWeb = courier.Forwarding{Protocol: courier.TCP, External: 8080, Internal: 80}
	toDNS = courier.Forwarding{Protocol: courier.UDP, External: 53, Internal: 53}
)

func mustForward(t *testing.T, e *engine, k *container, all ...courier.Forwarding) {
	t.Helper()
	n, err := e.w.c.Expose(t.Context(), k.network.id, k.endpoint, courier.Exposure{Forward: all})
	if err != nil || n != len(all) {
		t.Fatalf("%d of %d forwarded, %v", n, len(all), err)
	}
}

func TestForwarding(t *testing.T) {
	w, e, r := routedWorld(t, floating)
	n := mustNetwork(t, e, "n1", dual(80)...)
	k := mustStart(t, e, n, "e1", "", "10.80.0.10")
	mustForward(t, e, k, toWeb, toDNS)
	w.settled()
	const both = "tcp/8080 to 10.80.0.10:80, udp/53 to 10.80.0.10:53"
	if got := r.String(); got != both {
		t.Errorf("forwarded: %s, want %s", got, both)
	}
	if got := w.c.Status().Attachments[0].Forwarded; got != 2 {
		t.Errorf("the status tells of %d forwarded ports", got)
	}
	// An operator's own to the same port is kept.
	id := courier.PortForwardingID("6f0b0d7e-4a39-4f5c-9d5e-0d2c2c3b3333")
	r.mu.Lock()
	r.all[id] = forwarding{courier.PortForwarding{ID: id, Forwarding: courier.Forwarding{Protocol: courier.TCP, External: 22, Internal: 22}}, w.portOf(k), k.held[0]}
	r.mu.Unlock()
	mustForward(t, e, k, toWeb)
	w.settled()
	if got := r.String(); got != "tcp/22 to 10.80.0.10:22, tcp/8080 to 10.80.0.10:80" {
		t.Errorf("after a change: %s", got)
	}
	if err := w.c.Conceal(t.Context(), n.id, k.endpoint); err != nil {
		t.Fatal(err)
	}
	w.restart()
	w.settled()
	if got := r.String(); got != "tcp/22 to 10.80.0.10:22" {
		t.Errorf("after Conceal: %s", got)
	}
	e.stop(t.Context(), k)
	e.networkRemove(t.Context(), n)
	w.mustEmpty()
	if got := r.String(); got != "" {
		t.Errorf("left: %s", got)
	}
}

// A port of the floating IP that is taken, or an address that is none, is a
// notice. What can be done besides is done.
func TestForwardingRefused(t *testing.T) {
	for from, want := range map[netip.Addr]string{
		floating:                           "cannot forward published ports from floating IP 203.0.113.68: There is a port collision",
		netip.MustParseAddr("203.0.113.1"): "cannot forward published ports from floating IP 203.0.113.1: there are 0 floating IPs of this address",
	} {
		w, e, _ := routedWorld(t, from)
		n := mustNetwork(t, e, "n1", dual(81)...)
		a, b := mustStart(t, e, n, "e1", ""), mustStart(t, e, n, "e2", "")
		mustForward(t, e, a, toWeb)
		for deadline := time.Now().Add(2 * time.Second); w.c.Exposing() > 0 && w.c.Status().Unexposed == 0 && time.Now().Before(deadline); {
			time.Sleep(time.Millisecond)
		}
		if _, err := w.c.Expose(t.Context(), n.id, b.endpoint, courier.Exposure{Ports: courier.NewPortSet(web), Forward: []courier.Forwarding{toWeb}}); err != nil {
			t.Fatal(err)
		}
		for deadline := time.Now().Add(5 * time.Second); w.portGroups()[w.portOf(b)] != "default, kuryr-exposed tcp/80" || w.c.Status().ExposeError != want; time.Sleep(5 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("the status tells %q, want %q; groups %v", w.c.Status().ExposeError, want, w.portGroups())
			}
		}
		e.stop(t.Context(), a)
		e.stop(t.Context(), b)
		e.networkRemove(t.Context(), n)
		w.mustEmpty()
	}
}

// TestForwardingSurvivesCrashes is TestExposingSurvivesCrashes for forwardings.
func TestForwardingSurvivesCrashes(t *testing.T) {
	forward := func(t *testing.T, m breakage, nth int) (calls int) {
		w, e, r := routedWorld(t, floating)
		ctx := t.Context()
		n := mustNetwork(t, e, "n1", dual(82)...)
		k := mustStart(t, e, n, "e1", "", "10.82.0.10")
		w.breaker.arm(nth, m)
		_, err := w.c.Expose(ctx, n.id, k.endpoint, courier.Exposure{Forward: []courier.Forwarding{toWeb, toDNS}})
		for deadline := time.Now().Add(5 * time.Second); w.c.Exposing() > 0 && !w.breaker.broken() && time.Now().Before(deadline); {
			time.Sleep(time.Millisecond)
		}
		calls = w.breaker.count()
		w.restart()
		if err == nil {
			w.settled()
			if got := r.String(); got != "tcp/8080 to 10.82.0.10:80, udp/53 to 10.82.0.10:53" {
				t.Errorf("after the crash: %s", got)
			}
		}
		e.stop(ctx, k)
		e.networkRemove(ctx, n)
		w.mustEmpty()
		if got := r.String(); got != "" {
			t.Errorf("left: %s", got)
		}
		return calls
	}
	calls := forward(t, breakage{}, 0)
	if calls < 6 {
		t.Fatalf("forwarding makes %d calls only", calls)
	}
	for _, m := range []breakage{
		{name: "before", stay: true, kind: courier.Unavailable},
		{name: "after", after: true, stay: true, kind: courier.Unavailable},
		{name: "late", late: true, stay: true, kind: courier.Unavailable},
	} {
		for n := 1; n <= calls; n++ {
			t.Run(fmt.Sprintf("%s/%d", m.name, n), func(t *testing.T) {
				t.Parallel()
				forward(t, m, n)
			})
		}
	}
}
