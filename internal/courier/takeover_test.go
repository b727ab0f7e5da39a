package courier_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"kuryr/internal/courier"
)

// fixedWorld has a container with addresses of its own that is stopped while
// Neutron is away.
func fixedWorld(t *testing.T) (w *world, e *engine, n *engineNetwork, was courier.AttachmentInfo) {
	w = newWorld(t)
	e = &engine{w: w}
	n = mustNetwork(t, e, "ffffffffffffffff", dual(71)...)
	k, err := e.start(t.Context(), n, "old", "", "10.71.0.50", "fd00:71::50")
	if err != nil {
		t.Fatal(err)
	}
	was = w.described(k)
	w.breaker.mu.Lock()
	w.breaker.away, w.breaker.known = true, true
	w.breaker.mu.Unlock()
	e.stop(t.Context(), k)
	settled(t, func() string {
		if left := w.kernel.left(); len(left) > 0 {
			return left[0]
		}
		return ""
	})
	return w, e, n, was
}

func (w *world) back() {
	w.breaker.mu.Lock()
	w.breaker.away = false
	w.breaker.mu.Unlock()
}

// Who wishes for an address whose old port is still to be deleted gets that port.
func TestWishTakesOldPort(t *testing.T) {
	w, e, n, was := fixedWorld(t)
	ctx := t.Context()
	w.back() // and the removal has not noticed
	w.breaker.arm(0, breakage{})
	k, err := e.start(ctx, n, "new", "", "10.71.0.50", "fd00:71::50")
	if err != nil {
		t.Fatal(err)
	}
	got := w.described(k)
	if got.Port != was.Port || got.MAC != was.MAC || !slices.Equal(got.Addresses, was.Addresses) || !w.kernel.isUp(got.Link) {
		t.Errorf("the port was %+v, is %+v", was, got)
	}
	for _, call := range w.breaker.neutronCalls() {
		if call == "create port" || call == "delete port" || call == "list ports" {
			t.Errorf("Neutron was asked to %s", call)
		}
	}
	w.awaitDevice(was.Port, "new")
	w.c.Resume()
	w.restart() // the old one does not come back
	w.kernel.away[got.Link] = true
	if again := w.described(k); again.Port != was.Port || again.State != "attached" {
		t.Errorf("after a restart: %+v", again)
	}
	e.stop(ctx, k)
	e.networkRemove(ctx, n)
	w.mustEmpty()
}

// Another address, or another MAC, leaves the old port to its removal.
func TestOtherWishLeavesOldPort(t *testing.T) {
	w, e, n, was := fixedWorld(t)
	ctx := t.Context()
	w.back()
	other, err := e.start(ctx, n, "other", "", "10.71.0.51")
	if err != nil {
		t.Fatal(err)
	}
	if got := w.described(other); got.Port == was.Port {
		t.Error("another address has the old port")
	}
	w.c.Resume()
	settled(t, func() string {
		found, err := w.neutron.FindPorts(ctx, courier.PortQuery{ID: was.Port})
		if err != nil || len(found) > 0 {
			return "the old port is there"
		}
		return ""
	})
	e.stop(ctx, other)
	e.networkRemove(ctx, n)
	w.mustEmpty()
}

// A port of which Neutron has been told that it goes is not taken over when it
// is gone: the address is free then.
func TestOldPortIsGone(t *testing.T) {
	w := newWorld(t)
	e, ctx := &engine{w: w}, t.Context()
	n := mustNetwork(t, e, "gggggggggggggggg", dual(72)...)
	k, err := e.start(ctx, n, "old", "", "10.72.0.50", "fd00:72::50")
	if err != nil {
		t.Fatal(err)
	}
	was := w.described(k)
	w.breaker.mu.Lock()
	w.breaker.mull = map[string]time.Duration{"delete port": 300 * time.Millisecond}
	w.breaker.mu.Unlock()
	e.stop(ctx, k)
	again, err := e.start(ctx, n, "new", "", "10.72.0.50", "fd00:72::50")
	if err != nil {
		t.Fatal(err)
	}
	got := w.described(again)
	if found, err := w.neutron.FindPorts(ctx, courier.PortQuery{ID: got.Port}); err != nil || len(found) != 1 {
		t.Errorf("the container has a port that does not exist: %+v, was %+v", got, was)
	}
	e.stop(ctx, again)
	e.networkRemove(ctx, n)
	w.mustEmpty()
}

// TestEveryCallOfATakeOverMayFail breaks each call of a container's restarts at
// its own address, in all the ways.
func TestEveryCallOfATakeOverMayFail(t *testing.T) { everyCallMayFail(t, 2, 25, restartStory) }

func restartStory(*world) func(context.Context, *engine) error {
	return func(ctx context.Context, e *engine) error {
		n, err := e.networkCreate(ctx, "rrrrrrrrrrrrrrrr", dual(73)...)
		if err != nil {
			return err
		}
		var failed error
		for _, id := range []string{"r1", "r2", "r3"} {
			k, err := e.start(ctx, n, id, "", "10.73.0.50", "fd00:73::50")
			if err != nil && failed == nil {
				failed = err
			}
			e.stop(ctx, k)
		}
		e.networkRemove(ctx, n)
		return failed
	}
}
