package courier_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"kuryr/internal/courier"
)

// calledNeutron counts the calls that Neutron has had since arm, by name.
func (w *world) calledNeutron() (all int, byName map[string]int) {
	byName = map[string]int{}
	for _, call := range w.breaker.neutronCalls() {
		all++
		byName[call]++
	}
	return all, byName
}

// Containers that follow each other cost one call to Neutron each, which tells
// whose the port is, and few others together, also while their ports still rest
// and the pool has to grow.
func TestFewCallsForAContainer(t *testing.T) {
	w := newWorld(t)
	w.change = func(o *courier.Options) {
		o.PortPool = courier.PortPool{Min: 3, Max: 200, Batch: 10, CoolDown: time.Hour, Idle: time.Hour}
	}
	w.restart()
	e := &engine{w: w}
	n := mustNetwork(t, e, "wide", poolSpec{cidr: "10.69.0.0/20"})
	e.stop(t.Context(), mustStart(t, e, n, "first", ""))
	w.awaitPool(n.id, func(s courier.PoolStats) bool { return s.Ready >= 3 })
	const containers = 40
	w.breaker.arm(0, breakage{})
	for i := range containers {
		w.awaitPool(n.id, func(s courier.PoolStats) bool { return s.Ready >= 1 })
		k := mustStart(t, e, n, fmt.Sprintf("c%d", i), "")
		w.awaitDevice(w.described(k).Port, k.endpoint)
		e.stop(t.Context(), k)
	}
	all, byName := w.calledNeutron()
	all -= byName["list ports"] // by which this test looks
	if most := containers * 12 / 10; all > most {
		t.Errorf("%d containers took %d calls to Neutron, more than %d: %v", containers, all, most, byName)
	}
	if told := byName["update port"]; told != containers {
		t.Errorf("Neutron was told %d times whose a port is, not %d", told, containers)
	}
	e.networkRemove(t.Context(), n)
	w.mustEmpty()
}

// A burst that takes all that a pool may have is not made up for while its
// endpoints are known to stay for a short time: what they bring back would have no room.
func TestBurstsComeBack(t *testing.T) {
	for _, pool := range []courier.PortPool{
		{Min: 1, Max: 8, Batch: 8, CoolDown: 10 * time.Millisecond, Idle: time.Hour},
		{Min: 24, Max: 24, Batch: 8, CoolDown: 10 * time.Millisecond, Idle: time.Hour},
	} {
		t.Run(fmt.Sprintf("min=%d,max=%d", pool.Min, pool.Max), func(t *testing.T) { burstsComeBack(t, pool) })
	}
}

func burstsComeBack(t *testing.T, pool courier.PortPool) {
	w, e, n := pooledWorld(t, pool)
	ctx := t.Context()
	burst := func(name string) (all []*container) {
		for i := range pool.Max {
			w.awaitPool(n.id, func(s courier.PoolStats) bool { return s.Ready >= 1 })
			all = append(all, mustStart(t, e, n, fmt.Sprintf("%s%d", name, i), ""))
		}
		return all
	}
	few := min(pool.Min, 5) // are kept all the same
	over := func(all []*container) {
		w.awaitPool(n.id, func(s courier.PoolStats) bool { return s.Ready >= few })
		for _, k := range all {
			e.stop(ctx, k)
		}
		w.awaitPool(n.id, func(s courier.PoolStats) bool { return s.Ready >= pool.Max-1 && s.Resting == 0 })
	}
	over(burst("learn"))
	w.breaker.arm(0, breakage{})
	const bursts = 4
	for round := range bursts {
		over(burst(fmt.Sprintf("r%d-", round)))
	}
	_, byName := w.calledNeutron()
	if deleted, most := byName["delete port"], bursts*(2*few-1); deleted > most {
		t.Errorf("%d bursts of %d: %d ports were deleted, more than %d: %v", bursts, pool.Max, deleted, most, byName)
	}
	e.networkRemove(ctx, n)
	w.mustEmpty()
}

// What many containers take from a large pool is made up for by requests that are
// worth it, once they have it; the little that few take, when nobody has asked for long.
func TestLargePoolIsFilledInFewRequests(t *testing.T) {
	pool := courier.PortPool{Min: 40, Max: 40, Batch: 10, CoolDown: time.Hour, Idle: time.Hour}
	w := newWorld(t)
	w.change = func(o *courier.Options) { o.PortPool = pool }
	w.restart()
	e := &engine{w: w}
	n := mustNetwork(t, e, "large", poolSpec{cidr: "10.66.0.0/16"})
	var all []*container
	start := func(containers int) {
		for range containers {
			all = append(all, mustStart(t, e, n, fmt.Sprintf("c%d", len(all)), ""))
		}
	}
	full := func(s courier.PoolStats) bool { return s.Ready == pool.Min }
	asked := func() int { return w.breaker.calledFor("create ports") }
	start(1)
	w.awaitPool(n.id, full)
	for _, x := range []struct{ containers, most int }{{20, 2}, {34, 5}} {
		before := asked()
		start(x.containers)
		time.Sleep(100 * time.Millisecond)
		if left := pool.Min - x.containers; left >= 2*pool.Batch && asked() != before {
			t.Errorf("ports are made beside %d containers that start, with %d ready", x.containers, left)
		}
		w.awaitPool(n.id, full)
		if got := asked() - before; got > x.most {
			t.Errorf("%d containers took %d requests for ports, more than %d", x.containers, got, x.most)
		}
	}
	before := asked()
	start(3)
	w.c.TendPoolsAt(time.Now().Add(19 * time.Second))
	time.Sleep(100 * time.Millisecond)
	if s := w.pool(n.id); full(s) || asked() != before {
		t.Errorf("3 missing ports are made up for while more may be asked for: %d are ready", s.Ready)
	}
	w.awaitPool(n.id, func(s courier.PoolStats) bool {
		w.c.TendPoolsAt(time.Now().Add(21 * time.Second))
		return full(s)
	})
	if got := asked() - before; got != 1 {
		t.Errorf("3 ports were made in %d requests", got)
	}
	for _, k := range all {
		e.stop(t.Context(), k)
	}
	e.networkRemove(t.Context(), n)
	w.mustEmpty()
}

// While nothing says that endpoints stay for a short time only, all that they take is made up for.
func TestBurstsThatStay(t *testing.T) {
	pool := courier.PortPool{Min: 1, Max: 8, Batch: 8, CoolDown: 10 * time.Millisecond, Idle: time.Hour}
	w := newWorld(t)
	w.change = func(o *courier.Options) { o.PortPool = pool }
	w.restart()
	e := &engine{w: w}
	n := mustNetwork(t, e, "stay", dual(65)...)
	all := []*container{mustStart(t, e, n, "first", "")}
	for i := range pool.Max {
		w.awaitPool(n.id, func(s courier.PoolStats) bool { return s.Ready >= 1 })
		all = append(all, mustStart(t, e, n, fmt.Sprintf("c%d", i), ""))
	}
	w.awaitPool(n.id, func(s courier.PoolStats) bool { return s.Ready >= 3 })
	for _, k := range all {
		e.stop(t.Context(), k)
	}
	e.networkRemove(t.Context(), n)
	w.mustEmpty()
}

// The minimum is kept ready beside what rests, however long that rests.
func TestMinimumBesideWhatRests(t *testing.T) {
	pool := courier.PortPool{Min: 2, Max: 30, Batch: 1, CoolDown: time.Hour, Idle: time.Hour}
	w, e, n := pooledWorld(t, pool)
	for i := range 8 {
		w.awaitPool(n.id, func(s courier.PoolStats) bool { return s.Ready >= pool.Min })
		e.stop(t.Context(), mustStart(t, e, n, fmt.Sprintf("c%d", i), ""))
	}
	w.c.TendPoolsAt(time.Now().Add(21 * time.Second)) // who asked for those is forgotten
	for i := range 4 {
		w.awaitPool(n.id, func(s courier.PoolStats) bool { return s.Ready >= pool.Min && s.Resting > 6 })
		e.stop(t.Context(), mustStart(t, e, n, fmt.Sprintf("d%d", i), ""))
	}
	e.networkRemove(t.Context(), n)
	w.mustEmpty()
}

// What Join tells of subnets is asked for the more often the more containers start.
func TestSubnetsAreAskedForSeldom(t *testing.T) {
	w, e, n := pooledWorld(t, smallPool)
	asked := func() int { return w.breaker.calledFor("list subnets of networks") }
	now, before := time.Now(), asked()
	w.c.RefreshSubnetsAt(now.Add(10 * time.Second))
	w.c.RefreshSubnetsAt(now.Add(20 * time.Second))
	if got := asked() - before; got != 0 {
		t.Errorf("after one start Neutron was asked %d times within 20 s", got)
	}
	now = now.Add(31 * time.Second)
	w.c.RefreshSubnetsAt(now)
	if got := asked() - before; got != 1 {
		t.Errorf("Neutron was asked %d times in 31 s, not once", got)
	}
	for i := range 20 {
		e.stop(t.Context(), mustStart(t, e, n, fmt.Sprintf("c%d", i), ""))
	}
	w.c.RefreshSubnetsAt(now.Add(10 * time.Second))
	if got := asked() - before; got != 2 {
		t.Errorf("after twenty starts Neutron was asked %d times, not twice", got)
	}
	e.networkRemove(t.Context(), n)
	w.mustEmpty()
}

// heldBulk is a Neutron that answers no request for many ports before it is released.
type heldBulk struct {
	courier.Neutron
	under    atomic.Int32 // requests under way
	released chan struct{}
}

func (h *heldBulk) CreatePorts(ctx context.Context, specs []courier.PortSpec) ([]courier.Port, error) {
	h.under.Add(1)
	defer h.under.Add(-1)
	select {
	case <-h.released:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return h.Neutron.CreatePorts(ctx, specs)
}

// Many pools that are to be filled at the same time take turns, so that Neutron has
// time for what somebody waits for; each has its turn.
func TestPoolsTakeTurns(t *testing.T) {
	w, e, ctx := storyWorld(t)
	held := &heldBulk{Neutron: w.neutron, released: make(chan struct{})}
	w.neutron = held
	w.change = func(o *courier.Options) { o.PortPool = smallPool }
	w.restart()
	var networks []*engineNetwork
	for i := range 8 {
		n := mustNetwork(t, e, fmt.Sprintf("turn%d", i), poolSpec{cidr: fmt.Sprintf("10.%d.0.0/24", 70+i)})
		e.stop(ctx, mustStart(t, e, n, fmt.Sprintf("t%d", i), ""))
		networks = append(networks, n)
	}
	settled(t, func() string {
		if n := held.under.Load(); n < 2 {
			return fmt.Sprintf("Neutron has %d requests for pools", n)
		}
		return ""
	})
	time.Sleep(100 * time.Millisecond)
	if n := held.under.Load(); n != 2 {
		t.Errorf("Neutron has %d requests for pools at the same time, not 2", n)
	}
	close(held.released)
	for _, n := range networks {
		w.awaitPool(n.id, func(s courier.PoolStats) bool { return s.Ready >= smallPool.Min })
		e.networkRemove(ctx, n)
	}
	w.mustEmpty()
}
