package courier_test

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"kuryr/internal/courier"
)

// smallPool is quick enough to be watched.
var smallPool = courier.PortPool{Min: 2, Max: 6, Batch: 2, CoolDown: 20 * time.Millisecond, Idle: time.Hour}

// pooledWorld has port pools, and a dual-stack network whose pool is full.
func pooledWorld(t *testing.T, pool courier.PortPool) (*world, *engine, *engineNetwork) {
	t.Helper()
	w := newWorld(t)
	w.change = func(o *courier.Options) { o.PortPool = pool }
	w.restart()
	e := &engine{w: w}
	n, err := e.networkCreate(t.Context(), "pppppppppppppppp", dual(61)...)
	if err != nil {
		t.Fatal(err)
	}
	first, err := e.start(t.Context(), n, "first", "") // it makes demand
	if err != nil {
		t.Fatal(err)
	}
	e.stop(t.Context(), first)
	w.awaitPool(n.id, func(s courier.PoolStats) bool { return s.Ready >= pool.Min })
	return w, e, n
}

// awaitPool waits until a network's pool is as told.
func (w *world) awaitPool(id courier.EngineNetworkID, is func(courier.PoolStats) bool) courier.PoolStats {
	w.t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		s := w.pool(id)
		if is(s) {
			return s
		}
		if time.Now().After(deadline) {
			w.t.Fatalf("the pool is %+v after 10 s", s)
		}
	}
}

func (w *world) pool(id courier.EngineNetworkID) courier.PoolStats {
	all := w.c.Status().PortPools
	if i := slices.IndexFunc(all, func(s courier.PoolStats) bool { return s.Network == id }); i >= 0 {
		return all[i]
	}
	return courier.PoolStats{Network: id}
}

// readyIn returns a port that a network's pool has ready.
func (w *world) readyIn(id courier.EngineNetworkID) courier.AttachmentInfo {
	w.t.Helper()
	all := w.pool(id).Ports
	i := slices.IndexFunc(all, func(a courier.AttachmentInfo) bool { return a.State == "pooled" })
	if i < 0 {
		w.t.Fatalf("no port is ready: %+v", all)
	}
	return all[i]
}

// described returns what an endpoint has.
func (w *world) described(k *container) courier.AttachmentInfo {
	w.t.Helper()
	a, err := w.c.Describe(w.t.Context(), k.network.id, k.endpoint)
	if err != nil {
		w.t.Fatal(err)
	}
	return a
}

// awaitDevice waits until Neutron says whose the port is.
func (w *world) awaitDevice(id courier.PortID, device courier.EndpointID) {
	w.t.Helper()
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		found, err := w.neutron.FindPorts(w.t.Context(), courier.PortQuery{ID: id})
		if err != nil || len(found) != 1 {
			w.t.Fatalf("port %s: %v, %v", id, found, err)
		}
		if found[0].DeviceID == string(device) {
			return
		}
		if time.Now().After(deadline) {
			w.t.Fatalf("port %s has device_id %q, not %q", id, found[0].DeviceID, device)
		}
	}
}

// A start from the pool waits for no call to Neutron, and is as complete as another.
func TestPooledStart(t *testing.T) {
	w, e, n := pooledWorld(t, smallPool)
	ctx := t.Context()
	w.breaker.mu.Lock()
	w.breaker.away = true // whatever is asked of Neutron fails
	w.breaker.mu.Unlock()
	k, err := e.start(ctx, n, "warm", "")
	if err != nil {
		t.Fatalf("a start from the pool asked Neutron: %v", err)
	}
	a := w.described(k)
	if len(a.Addresses) != 2 || !slices.Equal(a.Addresses, k.held) || a.MAC != k.mac || k.joined.Link != courier.ContainerEnd(a.Port) {
		t.Errorf("the attachment is %+v, the engine was told %+v", a, k)
	}
	if len(k.joined.Gateways) != 2 || !w.kernel.isUp(a.Link) {
		t.Errorf("gateways %v; link up: %v", k.joined.Gateways, w.kernel.isUp(a.Link))
	}
	w.breaker.mu.Lock()
	w.breaker.away = false
	w.breaker.mu.Unlock()
	w.c.Resume()
	w.awaitDevice(a.Port, "warm")
	if s := w.pool(n.id); s.Hits != 1 || s.Misses != 1 {
		t.Errorf("hits and misses: %+v", s)
	}
	e.stop(ctx, k)
	e.networkRemove(ctx, n)
	w.mustEmpty()
}

// Neutron is told of a container that stays, and costs nothing for one that is gone
// before it is; what a restart left untold is told after it.
func TestNeutronIsToldOfWhatStays(t *testing.T) {
	pool := smallPool
	pool.TellAfter = 200 * time.Millisecond
	w, e, n := pooledWorld(t, pool)
	ctx := t.Context()
	time.Sleep(2 * pool.TellAfter) // the first is forgotten, too
	w.breaker.arm(0, breakage{})
	e.stop(ctx, mustStart(t, e, n, "brief", ""))
	time.Sleep(2 * pool.TellAfter)
	if _, byName := w.calledNeutron(); byName["update port"] > 0 {
		t.Errorf("Neutron was told of a container that was gone: %v", byName)
	}
	k := mustStart(t, e, n, "stays", "")
	port := w.described(k).Port
	found, err := w.neutron.FindPorts(ctx, courier.PortQuery{ID: port})
	if err != nil || len(found) != 1 || found[0].DeviceID == "stays" {
		t.Errorf("right after the start: %+v, %v", found, err)
	}
	w.restart()
	w.awaitDevice(port, "stays")
	e.stop(ctx, k)
	e.networkRemove(ctx, n)
	w.mustEmpty()
}

// The port that a container leaves rests, and is another's later, with a link
// that no container has had. No more ports rest than the pool may have.
func TestPortIsUsedAgain(t *testing.T) {
	w, e, n := pooledWorld(t, courier.PortPool{Min: 1, Max: 4, Batch: 1, CoolDown: 500 * time.Millisecond, Idle: time.Hour})
	ctx := t.Context()
	k, err := e.start(ctx, n, "one", "")
	if err != nil {
		t.Fatal(err)
	}
	was := w.described(k)
	before := w.kernel.times(was.Link)
	w.awaitPool(n.id, func(s courier.PoolStats) bool { return s.Ready >= 1 })
	e.stop(ctx, k)
	if s := w.pool(n.id); s.Resting < 1 && s.Ready+s.Resting < 2 {
		t.Errorf("right after the stop: %+v", s)
	}
	var all []*container
	for i, found := 0, false; !found; i++ {
		if i == 6 {
			t.Fatalf("of %d containers none has got the port that had rested: %+v", i, was)
		}
		w.awaitPool(n.id, func(s courier.PoolStats) bool { return s.Ready >= 1 && s.Resting == 0 })
		next, err := e.start(ctx, n, fmt.Sprintf("next%d", i), "")
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, next)
		got := w.described(next)
		if found = got.Port == was.Port; found {
			w.awaitDevice(was.Port, next.endpoint)
			if got.MAC != was.MAC || !slices.Equal(got.Addresses, was.Addresses) {
				t.Errorf("the port was %+v, is %+v", was, got)
			}
		}
	}
	if made := w.kernel.times(was.Link) - before; made != 1 {
		t.Errorf("%d links were made for the second container that had the port", made)
	}
	for _, x := range all {
		e.stop(ctx, x)
	}
	if s := w.pool(n.id); s.Ready+s.Resting > 4 {
		t.Errorf("a pool of 4 at most has %+v", s)
	}
	e.networkRemove(ctx, n)
	w.mustEmpty()
}

// A wished address that rests, or is ready, in the pool takes that port; another
// one takes the direct way.
func TestWishedAddressInPool(t *testing.T) {
	pool := smallPool
	pool.CoolDown = time.Hour
	w, e, n := pooledWorld(t, pool)
	ctx := t.Context()
	k, err := e.start(ctx, n, "one", "")
	if err != nil {
		t.Fatal(err)
	}
	was := w.described(k)
	e.stop(ctx, k)
	w.breaker.arm(0, breakage{})
	again, err := e.start(ctx, n, "two", "", k.held[0].String(), k.held[1].String())
	if err != nil {
		t.Fatal(err)
	}
	if got := w.described(again); got.Port != was.Port {
		t.Errorf("the addresses are on port %s, not on %s", got.Port, was.Port)
	}
	ready := w.readyIn(n.id)
	third, err := e.start(ctx, n, "three", "", ready.Addresses[0].String())
	if err != nil {
		t.Fatal(err)
	}
	if got := w.described(third); got.Port != ready.Port {
		t.Errorf("the address is on port %s, not on %s", got.Port, ready.Port)
	}
	fourth, err := e.start(ctx, n, "four", "", "10.61.0.77")
	if err != nil {
		t.Fatal(err)
	}
	if n := slices.Index(w.breaker.neutronCalls(), "create port"); n < 0 {
		t.Error("an address that no pooled port has takes a new port")
	}
	for _, x := range []*container{again, third, fourth} {
		e.stop(ctx, x)
	}
	e.networkRemove(ctx, n)
	w.mustEmpty()
}

// A MAC address, or settings of its own, are not what a pooled port has.
func TestPooledStartWithWishes(t *testing.T) {
	w, e, n := pooledWorld(t, smallPool)
	ctx := t.Context()
	k, err := e.start(ctx, n, "mac", "02:00:00:00:61:01")
	if err != nil {
		t.Fatal(err)
	}
	if a := w.described(k); a.MAC.String() != "02:00:00:00:61:01" || !w.kernel.isUp(a.Link) {
		t.Errorf("the attachment is %+v", a)
	}
	w.awaitPool(n.id, func(s courier.PoolStats) bool { return s.Ready >= 1 })
	open := false
	special, err := e.startWith(ctx, n, "special", "", courier.PortWish{PortSecurity: &open})
	if err != nil {
		t.Fatal(err)
	}
	a := w.described(special)
	s, err := w.neutron.PortSecurity(ctx, a.Port)
	if err != nil || s.Enabled {
		t.Errorf("port security: %+v, %v", s, err)
	}
	e.stop(ctx, special)
	e.stop(ctx, k)
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		left, err := w.neutron.FindPorts(ctx, courier.PortQuery{ID: a.Port})
		if err != nil {
			t.Fatal(err)
		}
		if len(left) == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("a port with settings of its own went back to the pool")
		}
	}
	e.networkRemove(ctx, n)
	w.mustEmpty()
}

// Pools survive a restart: nothing is made again, and Neutron is not asked what there is.
func TestPoolSurvives(t *testing.T) {
	w, e, n := pooledWorld(t, smallPool)
	ctx := t.Context()
	w.awaitPool(n.id, func(s courier.PoolStats) bool { return s.Resting == 0 })
	k, err := e.start(ctx, n, "early", "")
	if err != nil {
		t.Fatal(err)
	}
	w.awaitPool(n.id, func(s courier.PoolStats) bool { return s.Ready >= 1 && s.Resting == 0 })
	port := w.described(k).Port
	w.breaker.open() // a crash before Neutron is told, perhaps
	w.halt()
	w.breaker.mend()
	w.breaker.arm(0, breakage{})
	w.kernel.away[courier.HostEnd(port)] = true
	w.start()
	late, err := e.start(ctx, n, "late", "")
	if err != nil {
		t.Fatal(err)
	}
	for _, call := range w.breaker.neutronCalls() {
		if call == "create port" || call == "list ports" {
			t.Errorf("after a restart Neutron is asked to %s", call)
		}
	}
	w.awaitDevice(port, "early")
	w.awaitDevice(w.described(late).Port, "late")
	e.stop(ctx, k)
	e.stop(ctx, late)
	e.networkRemove(ctx, n)
	w.mustEmpty()
}

// A link that somebody removed is made anew before a container gets it.
func TestPooledLinkIsGone(t *testing.T) {
	w, e, n := pooledWorld(t, smallPool)
	ctx := t.Context()
	w.awaitPool(n.id, func(s courier.PoolStats) bool { return s.Resting == 0 })
	w.kernel.mu.Lock()
	clear(w.kernel.links)
	clear(w.kernel.up)
	clear(w.kernel.bound)
	w.kernel.mu.Unlock()
	w.c.LookAtKernelAt(time.Now())
	s := w.awaitPool(n.id, func(s courier.PoolStats) bool { return s.Resting == 0 && s.Ready >= 2 })
	if got := len(w.kernel.left()); got != 2*s.Ready {
		t.Errorf("%d pooled ports have %d things in the kernel: %v", s.Ready, got, w.kernel.left())
	}
	k, err := e.start(ctx, n, "one", "")
	if err != nil {
		t.Fatal(err)
	}
	e.stop(ctx, k)
	e.networkRemove(ctx, n)
	w.mustEmpty()
}

// Many starts at once get a port of their own each, with both its addresses.
func TestPooledStartsAtOnce(t *testing.T) {
	pool := courier.PortPool{Min: 8, Max: 30, Batch: 5, CoolDown: 10 * time.Millisecond, Idle: time.Hour}
	w, e, n := pooledWorld(t, pool)
	ctx := t.Context()
	const rounds, many = 5, 16
	for round := range rounds {
		var turn sync.Mutex // Docker's, from the first RequestAddress to CreateEndpoint
		var all sync.WaitGroup
		var mu sync.Mutex
		var running []*container
		seen := map[netip.Addr]bool{}
		for i := range many {
			all.Go(func() {
				turn.Lock()
				k, err := e.start(ctx, n, fmt.Sprintf("e%d-%d", round, i), "")
				turn.Unlock()
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				defer mu.Unlock()
				running = append(running, k)
				for _, a := range k.held {
					if seen[a] {
						t.Errorf("address %s was given twice", a)
					}
					seen[a] = true
				}
			})
		}
		all.Wait()
		for _, k := range running {
			if a := w.described(k); !slices.Equal(a.Addresses, k.held) {
				t.Errorf("endpoint %s has %v, was told %v", k.endpoint, a.Addresses, k.held)
			}
			all.Go(func() { e.stop(ctx, k) })
		}
		all.Wait()
	}
	e.networkRemove(ctx, n)
	w.mustEmpty()
}

// A drained host's pools are empty, and so are those of a network that is removed.
func TestPoolIsEmptied(t *testing.T) {
	w, e, n := pooledWorld(t, smallPool)
	var drained atomic.Bool
	w.change = func(o *courier.Options) { o.PortPool, o.Drained = smallPool, drained.Load }
	w.restart()
	drained.Store(true)
	w.awaitPool(n.id, func(s courier.PoolStats) bool { return s.Ready+s.Resting == 0 })
	for deadline := time.Now().Add(5 * time.Second); w.c.Status().Pending > 0 || len(w.kernel.left()) > 0; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("a drained host still has %v", w.left())
		}
	}
	drained.Store(false)
	e.networkRemove(t.Context(), n)
	w.mustEmpty()
}

// A pool that Neutron refuses to fill leaves what there is to others.
func TestPoolIsRefused(t *testing.T) {
	w := newWorld(t)
	w.change = func(o *courier.Options) {
		o.PortPool = courier.PortPool{Min: 8, Max: 8, Batch: 8, CoolDown: time.Hour, Idle: time.Hour}
	}
	w.restart()
	e, ctx := &engine{w: w}, t.Context()
	small, err := e.networkCreate(ctx, "small", poolSpec{cidr: "10.62.0.0/27"}) // 29 addresses: an eighth, and one less, is 3
	if err != nil {
		t.Fatal(err)
	}
	k, err := e.start(ctx, small, "one", "")
	if err != nil {
		t.Fatal(err)
	}
	if s := w.awaitPool(small.id, func(s courier.PoolStats) bool { return s.Ready == 3 }); s.Target != 3 {
		t.Errorf("the pool of a small subnet: %+v", s)
	}
	full := []*container{k}
	for i := range 28 { // what is ready, and what is being made, goes too
		x, err := e.start(ctx, small, fmt.Sprintf("s%d", i), "")
		if err != nil {
			t.Fatalf("container %d of 29: %v", i+2, err)
		}
		full = append(full, x)
	}
	for _, x := range full[1:] {
		e.stop(ctx, x)
	}
	narrow, err := e.networkCreate(ctx, "narrow", poolSpec{cidr: "10.63.0.0/16", ipRange: "10.63.0.0/29"}) // 6 addresses
	if err != nil {
		t.Fatal(err)
	}
	var all []*container
	for i := range 6 {
		x, err := e.start(ctx, narrow, fmt.Sprintf("n%d", i), "")
		if err != nil {
			t.Fatalf("container %d of 6: %v", i+1, err)
		}
		all = append(all, x)
	}
	for _, x := range append(all, k) {
		e.stop(ctx, x)
	}
	e.networkRemove(ctx, small)
	e.networkRemove(ctx, narrow)
	w.mustEmpty()
}

// TestEveryCallOfPoolsMayFail breaks every call of a story with pools, in all
// the ways: nothing is left.
func TestEveryCallOfPoolsMayFail(t *testing.T) { everyCallMayFail(t, 3, 60, pooledStory) }

// pooledStory runs enough containers for ports to be made ahead, taken, left and
// taken again.
func pooledStory(w *world) func(context.Context, *engine) error {
	w.change = func(o *courier.Options) { o.PortPool = smallPool }
	w.restart()
	return func(ctx context.Context, e *engine) error {
		n, err := e.networkCreate(ctx, "qqqqqqqqqqqqqqqq", dual(64)...)
		if err != nil {
			return err
		}
		var failed error
		for i := range 6 {
			k, err := e.start(ctx, n, fmt.Sprintf("q%d", i), "")
			if err != nil && failed == nil {
				failed = err
			}
			time.Sleep(10 * time.Millisecond)
			if i%2 == 0 {
				e.expose(ctx, k, web)
			}
			e.stop(ctx, k)
			time.Sleep(30 * time.Millisecond)
		}
		e.networkRemove(ctx, n)
		return failed
	}
}

// A Neutron that has no time for many ports at once is asked for fewer, and then
// for more again.
func TestPoolOfASlowCloud(t *testing.T) {
	w := newWorld(t)
	w.change = func(o *courier.Options) {
		o.PortPool = courier.PortPool{Min: 8, Max: 8, Batch: 8, CoolDown: time.Hour, Idle: time.Hour}
	}
	w.restart()
	e, ctx := &engine{w: w}, t.Context()
	n := mustNetwork(t, e, "slow", poolSpec{cidr: "10.67.0.0/24"})
	w.breaker.mu.Lock()
	w.breaker.refuse = map[string]int{"create ports": 1}
	w.breaker.mu.Unlock()
	k := mustStart(t, e, n, "one", "")
	settled(t, func() string {
		if w.breaker.calledFor("create ports") == 0 {
			return "Neutron has not been asked"
		}
		return ""
	})
	time.Sleep(50 * time.Millisecond)
	if got := w.breaker.calledFor("create ports"); got != 1 {
		t.Errorf("Neutron was asked %d times at once after it had refused", got)
	}
	w.c.TendPoolsAt(time.Now().Add(11 * time.Second))
	s := w.awaitPool(n.id, func(s courier.PoolStats) bool { return s.Ready >= 4 })
	if s.Ready > 4 && w.breaker.calledFor("create ports") < 3 {
		t.Errorf("after a refusal of 8, as many were asked for again: %+v", s)
	}
	w.awaitPool(n.id, func(s courier.PoolStats) bool { return s.Ready == 8 })
	e.stop(ctx, k)
	e.networkRemove(ctx, n)
	w.mustEmpty()
}

// busyAgent is a Neutron whose agent has set up every port.
type busyAgent struct {
	courier.Neutron
	mu    sync.Mutex
	asked map[courier.PortID]int // how often for its status
}

func (b *busyAgent) PortStatuses(_ context.Context, ids []courier.PortID) (map[courier.PortID]string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := map[courier.PortID]string{}
	for _, id := range ids {
		b.asked[id]++
		all[id] = "ACTIVE"
	}
	return all, nil
}

func (b *busyAgent) counts() map[courier.PortID]int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return maps.Clone(b.asked)
}

// A pooled port has been ACTIVE since its link was made: nobody asks again when a
// container gets it, be it for the first time or after another.
func TestPooledPortIsActive(t *testing.T) {
	w, e, ctx := storyWorld(t)
	agent := &busyAgent{Neutron: w.neutron, asked: map[courier.PortID]int{}}
	w.neutron, w.kernel.open = agent, true
	w.change = func(o *courier.Options) { o.PortPool, o.VIFPluggingIsFatal = smallPool, true }
	w.restart()
	n := mustNetwork(t, e, "active", poolSpec{cidr: "10.68.0.0/24"})
	e.stop(ctx, mustStart(t, e, n, "first", ""))
	for i := range 4 {
		w.awaitPool(n.id, func(s courier.PoolStats) bool { return s.Ready >= 2 && s.Resting == 0 })
		before := agent.counts()
		k := mustStart(t, e, n, fmt.Sprintf("next%d", i), "")
		a := w.described(k)
		if !w.kernel.isUp(a.Link) {
			t.Errorf("the link of port %s is down", a.Port)
		}
		if asked := agent.counts()[a.Port]; asked != before[a.Port] || asked == 0 {
			t.Errorf("start %d: the port was asked for %d times before, and %d in all", i, before[a.Port], asked)
		}
		e.stop(ctx, k)
	}
	e.networkRemove(ctx, n)
	w.mustEmpty()
}
