package courier_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"kuryr/internal/courier"
)

// knownAway makes Neutron answer nothing, which is known to be so; or again.
func (w *world) knownAway(away bool) {
	w.breaker.mu.Lock()
	defer w.breaker.mu.Unlock()
	w.breaker.away, w.breaker.known = away, away
}

// crowd counts how many deletions of ports there are at once.
type crowd struct {
	courier.Neutron
	mu        sync.Mutex
	now, most int
}

func (x *crowd) DeletePort(ctx context.Context, id courier.PortID) error {
	x.mu.Lock()
	x.now++
	x.most = max(x.most, x.now)
	x.mu.Unlock()
	time.Sleep(5 * time.Millisecond)
	defer func() { x.mu.Lock(); x.now--; x.mu.Unlock() }()
	return x.Neutron.DeletePort(ctx, id)
}

// TestRemovalsWaitForTheCloud: what is removed while the cloud is away is so
// at once for the engine, is tried once, and is carried out when the cloud is
// back: soon, and never more than a few at a time.
func TestRemovalsWaitForTheCloud(t *testing.T) {
	w := newWorld(t)
	e, ctx := &engine{w: w}, t.Context()
	n := mustNetwork(t, e, "n1", poolSpec{cidr: "10.61.0.0/24"})
	const many = 100
	var all []*container
	for i := range many {
		all = append(all, mustStart(t, e, n, fmt.Sprint("e", i), ""))
	}
	counted := &crowd{Neutron: w.neutron}
	w.neutron = counted
	w.restart()
	w.knownAway(true)
	w.breaker.arm(0, breakage{})
	began := time.Now()
	for _, k := range all {
		e.stop(ctx, k)
	}
	e.networkRemove(ctx, n)
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("the engine waited %v", took)
	}
	time.Sleep(time.Second)
	if tries := len(w.breaker.neutronCalls()); tries > many+10 {
		t.Errorf("%d requests while the cloud was away", tries)
	}
	if left := w.kernel.left(); len(left) > 0 {
		t.Errorf("links wait for the cloud: %v", left)
	}
	w.knownAway(false)
	w.c.Resume()
	w.mustEmpty()
	if counted.most > 16 || counted.most < 2 {
		t.Errorf("%d deletions at once, want a few", counted.most)
	}
}
