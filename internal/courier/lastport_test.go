package courier_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"kuryr/internal/courier"
)

// The last address of a subnet is a pool's, which gives it up while a container
// that Neutron has refused waits for it: the container gets the address.
func TestLastPortIsGivenUp(t *testing.T) {
	for name, g := range map[string]givingUp{
		"before it was ready":         {broken: true},
		"slowly, before it was ready": {broken: true, slow: 300 * time.Millisecond},
		"when it was ready":           {},
		"slowly, when it was ready":   {slow: 300 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) { lastPortIsGivenUp(t, g) })
	}
}

// givingUp is how a pool's port goes.
type givingUp struct {
	broken bool          // its link can't be made; else the host is drained
	slow   time.Duration // what Neutron takes to delete it
}

// lastPortIsGivenUp has a pool's port take the last address, and its link take as
// long as a container needs to be refused and to wait.
func lastPortIsGivenUp(t *testing.T, g givingUp) {
	var drained atomic.Bool
	w := newWorld(t)
	w.change = func(o *courier.Options) {
		o.PortPool, o.Drained = courier.PortPool{Min: 1, Max: 1, Batch: 1, CoolDown: time.Hour, Idle: time.Hour}, drained.Load
	}
	w.restart()
	e, ctx := &engine{w: w}, t.Context()
	n := mustNetwork(t, e, "last", poolSpec{cidr: "10.69.0.0/28"}) // 13 addresses, of which a pool may have one
	all := []*container{mustStart(t, e, n, "first", "")}
	w.awaitPool(n.id, func(s courier.PoolStats) bool { return s.Ready == 1 })
	others := w.takeAll(ctx)
	if err := w.neutron.DeletePort(ctx, others[0]); err != nil { // the pool's next
		t.Fatal(err)
	}
	b := w.breaker
	b.set(func() {
		b.hold = map[string]time.Duration{"create link": 250 * time.Millisecond, "delete port": g.slow}
		if g.broken {
			b.refuse = map[string]int{"create link": 1}
		}
	})
	links, posts := b.calledFor("create link"), b.calledFor("create port")
	all = append(all, mustStart(t, e, n, "second", "")) // it has what was ready
	settled(t, func() string { return until(b, "create link", links+1) })
	started := make(chan error, 1)
	go func() {
		k, err := e.start(ctx, n, "third", "")
		all = append(all, k)
		started <- err
	}()
	settled(t, func() string { return until(b, "create port", posts+1) })
	drained.Store(!g.broken)
	if err := <-started; err != nil {
		t.Fatalf("the pool had the last address: %v", err)
	}
	for _, k := range all {
		e.stop(ctx, k)
	}
	for _, id := range others[1:] {
		if err := w.neutron.DeletePort(ctx, id); err != nil {
			t.Fatal(err)
		}
	}
	e.networkRemove(ctx, n)
	w.mustEmpty()
}

// set changes what the breaker does.
func (b *breaker) set(f func()) { b.mu.Lock(); defer b.mu.Unlock(); f() }

// until says what is missing until there were so many calls of a name.
func until(b *breaker, what string, calls int) string {
	if got := b.calledFor(what); got < calls {
		return fmt.Sprintf("%d calls of %s, not %d", got, what, calls)
	}
	return ""
}

// takeAll gives an operator all the addresses that the only network has left.
func (w *world) takeAll(ctx context.Context) (ids []courier.PortID) {
	w.t.Helper()
	for {
		p, err := w.neutron.CreatePort(ctx, courier.PortSpec{Network: w.c.Status().Networks[0].Neutron, Name: "an operator's"})
		if courier.KindOf(err) == courier.Exhausted && len(ids) > 0 {
			return ids
		}
		if err != nil {
			w.t.Fatal(err)
		}
		ids = append(ids, p.ID)
	}
}

// A container that gets a port of those that are made in one request does not
// wait for the others.
func TestPortOfManyIsReadyAlone(t *testing.T) {
	w := newWorld(t)
	w.change = func(o *courier.Options) {
		o.PortPool = courier.PortPool{Min: 4, Max: 4, Batch: 4, CoolDown: time.Hour, Idle: time.Hour}
	}
	w.restart()
	e, ctx := &engine{w: w}, t.Context()
	n := mustNetwork(t, e, "many", poolSpec{cidr: "10.70.0.0/24"})
	first := &stuck{freed: make(chan struct{})}
	var links atomic.Int32
	first.calls = func(what string) bool { return what == "create link" && links.Add(1) == 1 }
	w.breaker.set(func() { w.breaker.stuck = first })
	address, err := w.c.RequestAddress(ctx, courier.AddressRequest{Pool: n.pools[0].id}) // only pooled ports get links
	if err != nil {
		t.Fatal(err)
	}
	w.awaitPool(n.id, func(s courier.PoolStats) bool { return s.Ready == 3 })
	hasty, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	k, err := e.start(hasty, n, "one", "")
	close(first.freed)
	if err != nil {
		t.Fatalf("while the first link of four was not made: %v", err)
	}
	e.stop(ctx, k)
	if err := w.c.ReleaseAddress(ctx, n.pools[0].id, address.Addr()); err != nil {
		t.Fatal(err)
	}
	e.networkRemove(ctx, n)
	w.mustEmpty()
}
