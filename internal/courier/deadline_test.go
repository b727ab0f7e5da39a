package courier_test

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"kuryr/internal/courier"
)

// stuck are calls that end with their context only.
type stuck struct {
	calls func(what string) bool
	after bool          // they have taken effect; only the answer never comes
	freed chan struct{} // closed when calls end again
}

// wait returns nil when the call is still to take effect.
func (s *stuck) wait(ctx context.Context, effect func() error) error {
	if s.after {
		if err := effect(); err != nil {
			return err
		}
	}
	select {
	case <-s.freed:
		if !s.after {
			return nil
		}
		return &courier.Error{Kind: courier.Unavailable, Op: "wait", Public: "the connection broke"}
	case <-ctx.Done():
		return ctx.Err()
	}
}

// hang is something that does not end.
type hang struct {
	name  string
	calls func(what string) bool // nil: the turns of all that there is are taken
	after bool
	crash bool // after the call's end the courier dies; else what hangs goes on
}

var hangs = []hang{
	{name: "Neutron does not take requests", calls: isNeutronOnly},
	{name: "Neutron does not answer", calls: isNeutronOnly, after: true, crash: true},
	{name: "the kernel does not begin", calls: isKernel, crash: true},
	{name: "the kernel does not end", calls: isKernel, after: true},
	{name: "others do not end"},
	{name: "others do not end, then a crash", crash: true},
}

func isKernel(what string) bool {
	switch what {
	case "create link", "set link up", "adopt link", "delete link", "list links", "bind", "unbind", "dissolve", "look for unbound links", "list bound links":
		return true
	}
	return false
}

func isNeutronOnly(what string) bool {
	return !isKernel(what) && what != "journal" && what != "journal note"
}

// set has it begin. end is what comes after the call.
func (h hang) set(w *world) (end func()) {
	if h.calls == nil {
		release := w.c.HoldTurns()
		return func() {
			release()
			if h.crash {
				w.restart()
			}
		}
	}
	s := &stuck{calls: h.calls, after: h.after, freed: make(chan struct{})}
	w.breaker.mu.Lock()
	w.breaker.stuck = s
	w.breaker.mu.Unlock()
	return func() {
		if h.crash {
			w.restart()
			return
		}
		w.breaker.mend()
		close(s.freed)
	}
}

// scene is what there is before a call of the engine's: a network with a
// container, an endpoint that has not joined yet, addresses that no endpoint
// has yet, and a pool of no network.
type scene struct {
	*world
	e        *engine
	n        *engineNetwork
	k        *container
	attached *container // not joined
	held     *container // reserved, not attached
	half     *container // one family's address reserved
	spare    courier.PoolID
}

// prompt is a Neutron whose agent has each port ACTIVE at once.
type prompt struct{ courier.Neutron }

func (p prompt) PortStatuses(_ context.Context, ids []courier.PortID) (map[courier.PortID]string, error) {
	all := map[courier.PortID]string{}
	for _, id := range ids {
		all[id] = "ACTIVE"
	}
	return all, nil
}

func newScene(t *testing.T) *scene {
	w := newWorld(t)
	w.change = func(o *courier.Options) { o.LostFor = 200 * time.Millisecond }
	w.neutron, w.kernel.open = prompt{w.neutron}, true // so that Join has a link to open
	w.restart()
	s := &scene{world: w, e: &engine{w: w}}
	ctx := t.Context()
	s.n = mustNetwork(t, s.e, "nnnnnnnnnnnnnnnn", dual(91)...)
	s.k = mustStart(t, s.e, s.n, "running", "")
	s.attached, s.held, s.half = s.reserve("attached", s.n.pools...), s.reserve("held", s.n.pools...), s.reserve("half", s.n.pools[0])
	if _, err := w.c.Attach(ctx, s.attach(s.attached, "", s.attached.held...)); err != nil {
		t.Fatal(err)
	}
	p, err := w.c.RequestPool(ctx, courier.PoolRequest{Family: courier.IPv4, CIDR: prefixOf("10.92.0.0/24")})
	if err != nil {
		t.Fatal(err)
	}
	s.spare = p.ID
	return s
}

// reserve gets a container its addresses of some pools.
func (s *scene) reserve(endpoint courier.EndpointID, pools ...enginePool) *container {
	s.t.Helper()
	k := &container{network: s.n, endpoint: endpoint}
	for _, p := range pools {
		a, err := s.c.RequestAddress(s.t.Context(), courier.AddressRequest{Pool: p.id})
		if err != nil {
			s.t.Fatal(err)
		}
		k.held = append(k.held, a.Addr())
	}
	return k
}

// strike is what the engine does in the end: it releases all that it knows of.
func (s *scene) strike(ctx context.Context) {
	for _, k := range []*container{s.k, s.attached, s.held, s.half} {
		s.e.stop(ctx, k)
	}
	s.e.networkRemove(ctx, s.n)
	s.c.ReleasePool(ctx, s.spare)
	s.c.DeleteNetwork(ctx, "mmmmmmmmmmmmmmmm")
}

func (s *scene) attach(k *container, mac string, addresses ...netip.Addr) courier.AttachRequest {
	r := courier.AttachRequest{Network: s.n.id, Endpoint: k.endpoint, Addresses: addresses}
	if mac != "" {
		r.MAC, _ = courier.ParseMAC(mac)
	}
	return r
}

// northbound are the engine's calls, and what each is given. Those with noWait
// succeed whatever hangs: they take away, or tell, and wait for nothing outside.
var northbound = []struct {
	name  string
	limit time.Duration
	call  func(context.Context, *scene) error
}{
	{"RequestPool", callTimeout, func(ctx context.Context, s *scene) error {
		return second(s.c.RequestPool(ctx, courier.PoolRequest{Family: courier.IPv4, CIDR: prefixOf("10.93.0.0/24")}))
	}},
	{"RequestPool without a CIDR", callTimeout, func(ctx context.Context, s *scene) error {
		return second(s.c.RequestPool(ctx, courier.PoolRequest{Family: courier.IPv4}))
	}},
	{"ReleasePool", noWait, func(ctx context.Context, s *scene) error { return s.c.ReleasePool(ctx, s.spare) }},
	{"ReleasePool of a network's", noWait, func(ctx context.Context, s *scene) error { return s.c.ReleasePool(ctx, s.n.pools[0].id) }},
	{"RequestAddress", callTimeout, func(ctx context.Context, s *scene) error {
		return second(s.c.RequestAddress(ctx, courier.AddressRequest{Pool: s.n.pools[0].id}))
	}},
	{"RequestAddress of a gateway", callTimeout, func(ctx context.Context, s *scene) error {
		return second(s.c.RequestAddress(ctx, courier.AddressRequest{Pool: s.spare, Gateway: true}))
	}},
	{"RequestAddress that a container is leaving", callTimeout, func(ctx context.Context, s *scene) error {
		s.e.stop(ctx, s.k)
		return second(s.c.RequestAddress(ctx, courier.AddressRequest{Pool: s.n.pools[0].id, Address: s.k.held[0]}))
	}},
	{"RequestAddress of both families", callTimeout, func(ctx context.Context, s *scene) error {
		if _, err := s.c.RequestAddress(ctx, courier.AddressRequest{Pool: s.n.pools[0].id}); err != nil {
			return err
		}
		return second(s.c.RequestAddress(ctx, courier.AddressRequest{Pool: s.n.pools[1].id, Address: addrOf("fd00:91::77")}))
	}},
	{"RequestAddress of the second family", callTimeout, func(ctx context.Context, s *scene) error {
		return second(s.c.RequestAddress(ctx, courier.AddressRequest{Pool: s.n.pools[1].id, Address: addrOf("fd00:91::78")}))
	}},
	{"ReleaseAddress", noWait, func(ctx context.Context, s *scene) error {
		return s.c.ReleaseAddress(ctx, s.n.pools[0].id, s.held.held[0])
	}},
	{"CreateNetwork", callTimeout, func(ctx context.Context, s *scene) error {
		return s.c.CreateNetwork(ctx, courier.NetworkRequest{ID: "mmmmmmmmmmmmmmmm", Pools: []courier.NetworkPool{{CIDR: prefixOf("10.92.0.0/24"), Gateway: addrOf("10.92.0.1")}}})
	}},
	{"DeleteNetwork", noWait, func(ctx context.Context, s *scene) error { return s.c.DeleteNetwork(ctx, s.n.id) }},
	{"Attach", callTimeout, func(ctx context.Context, s *scene) error {
		return second(s.c.Attach(ctx, s.attach(s.held, "", s.held.held...)))
	}},
	{"Attach with a MAC", callTimeout, func(ctx context.Context, s *scene) error {
		return second(s.c.Attach(ctx, s.attach(s.held, "02:00:00:00:00:33", s.held.held...)))
	}},
	{"Attach with a part of what is reserved", callTimeout, func(ctx context.Context, s *scene) error {
		return second(s.c.Attach(ctx, s.attach(s.held, "", s.held.held[0])))
	}},
	{"Attach with an address nobody asked for", callTimeout, func(ctx context.Context, s *scene) error {
		return second(s.c.Attach(ctx, s.attach(s.held, "", addrOf("10.91.0.99"))))
	}},
	{"Join", joinTimeout, func(ctx context.Context, s *scene) error {
		return second(s.c.Join(ctx, s.n.id, s.attached.endpoint))
	}},
	{"Describe", noWait, func(ctx context.Context, s *scene) error { return second(s.c.Describe(ctx, s.n.id, s.k.endpoint)) }},
	{"Expose", noWait, func(ctx context.Context, s *scene) error {
		return second(s.c.Expose(ctx, s.n.id, s.k.endpoint, courier.Exposure{Ports: courier.NewPortSet(web)}))
	}},
	{"Conceal", noWait, func(ctx context.Context, s *scene) error { return s.c.Conceal(ctx, s.n.id, s.k.endpoint) }},
	{"Leave", noWait, func(ctx context.Context, s *scene) error { return s.c.Leave(ctx, s.n.id, s.k.endpoint) }},
	{"Detach", noWait, func(ctx context.Context, s *scene) error { return s.c.Detach(ctx, s.n.id, s.k.endpoint) }},
	{"Leave of who is unknown", noWait, func(ctx context.Context, s *scene) error { return s.c.Leave(ctx, "unknown", "unknown") }},
	{"Detach of who is unknown", noWait, func(ctx context.Context, s *scene) error { return s.c.Detach(ctx, "unknown", "unknown") }},
	{"ReleaseAddress of an unknown pool", noWait, func(ctx context.Context, s *scene) error {
		return s.c.ReleaseAddress(ctx, "unknown", addrOf("10.91.0.98"))
	}},
	{"ReleasePool that is unknown", noWait, func(ctx context.Context, s *scene) error { return s.c.ReleasePool(ctx, "unknown") }},
	{"DeleteNetwork that is unknown", noWait, func(ctx context.Context, s *scene) error { return s.c.DeleteNetwork(ctx, "unknown") }},
}

func second[T any](_ T, err error) error { return err }

// What a call is given, and how much more a busy machine may take. What hangs
// in these tests does so for ever. What takes away waits for no more than what
// it does not know to be looked up.
const (
	callTimeout = 300 * time.Millisecond
	joinTimeout = callTimeout + time.Second // which it keeps for what comes after its wait
	noWait      = 0
	callSlack   = 4 * time.Second
)

// TestEveryCallEnds: whatever hangs, each of the engine's calls ends at its
// deadline with an error that says so, or before it; what takes away does not wait.
// Then nothing is left of it, whether what hung goes on or the courier dies.
func TestEveryCallEnds(t *testing.T) {
	for _, m := range northbound {
		for _, h := range hangs {
			t.Run(m.name+"/"+h.name, func(t *testing.T) {
				t.Parallel()
				s := newScene(t)
				end := h.set(s.world)
				limit, most := m.limit, m.limit+callSlack
				if m.limit == noWait {
					limit = time.Minute
				}
				ctx, cancel := context.WithTimeout(t.Context(), limit)
				defer cancel()
				began, done := time.Now(), make(chan error, 1)
				go func() { done <- m.call(ctx, s) }()
				var err error
				select {
				case err = <-done:
				case <-time.After(most):
					t.Errorf("it has not ended after %v", most)
					cancel()
					end()
					<-done
					return
				}
				took := time.Since(began)
				end()
				if err != nil && (m.limit == noWait || courier.KindOf(err) != courier.Unavailable && courier.KindOf(err) != courier.Conflict) {
					t.Errorf("after %v: %v (%v)", took, err, courier.KindOf(err))
				}
				s.strike(t.Context())
				s.mustEmpty()
			})
		}
	}
}

// TestCoolingAddressInTime: who wants an address whose last link does not go is
// told so in time, and its port goes when the link does.
func TestCoolingAddressInTime(t *testing.T) {
	w, e, n := pooledWorld(t, smallPool)
	k := mustStart(t, e, n, "e1", "")
	end := hang{calls: isKernel}.set(w)
	e.stop(t.Context(), k)
	ctx, cancel := context.WithTimeout(t.Context(), callTimeout)
	defer cancel()
	began := time.Now()
	_, err := w.c.RequestAddress(ctx, courier.AddressRequest{Pool: n.pools[0].id, Address: k.held[0]})
	if took := time.Since(began); took > callTimeout+callSlack {
		t.Errorf("it took %v", took)
	}
	wantKind(t, err, courier.Unavailable)
	end()
	e.networkRemove(t.Context(), n)
	w.mustEmpty()
}
