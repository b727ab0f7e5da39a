package courier_test

import (
	"context"
	"fmt"
	"testing"

	"kuryr/internal/courier"
)

func TestStory(t *testing.T) {
	w, e, ctx := storyWorld(t)
	if err := story(ctx, e); err != nil {
		t.Fatal(err)
	}
	w.mustEmpty()
}

// TestEveryCallMayFail runs the story once for each call that leaves the
// courier and each way in which it can fail. Docker sees errors; nothing may
// be left in Neutron, in the kernel or in the journal.
func TestEveryCallMayFail(t *testing.T) {
	everyCallMayFail(t, 1, 40, func(*world) func(context.Context, *engine) error { return story })
}

// TestEveryCallOfReuseMayFail does the same with networks, subnets and ports
// that were there before, which must be as they were afterwards.
func TestEveryCallOfReuseMayFail(t *testing.T) { everyCallMayFail(t, 7, 100, reuseStory) }

// TestEveryCallOfASwitchOverMayFail does the same with what the Python Kuryr left.
func TestEveryCallOfASwitchOverMayFail(t *testing.T) { everyCallMayFail(t, 2, 40, switchStory) }

// everyCallMayFail breaks every step-th call of a story, which has so many at least.
func everyCallMayFail(t *testing.T, step, least int, tell func(*world) func(context.Context, *engine) error) {
	modes := []breakage{
		{name: "refused", kind: courier.Conflict},
		{name: "unanswered", kind: courier.Unavailable},
		{name: "answer lost", after: true, kind: courier.Unavailable},
		{name: "late", late: true, kind: courier.Unavailable},
		{name: "crash before", stay: true, kind: courier.Unavailable},
		{name: "crash after", after: true, stay: true, kind: courier.Unavailable},
		{name: "crash, late", late: true, stay: true, kind: courier.Unavailable},
	}
	w, e, ctx := storyWorld(t)
	story := tell(w)
	w.breaker.arm(0, breakage{})
	if err := story(ctx, e); err != nil {
		t.Fatal(err)
	}
	w.mustEmpty()
	calls := w.breaker.count()
	if calls < least {
		t.Fatalf("the story makes %d calls only", calls)
	}
	if testing.Short() {
		step *= 7
	}
	for _, m := range modes {
		for n := 1; n <= calls; n += step {
			t.Run(fmt.Sprintf("%s/%d", m.name, n), func(t *testing.T) {
				t.Parallel()
				w, e, ctx := storyWorld(t)
				story := tell(w)
				w.breaker.arm(n, m)
				err := story(ctx, e)
				w.breaker.mend()
				if m.stay {
					w.restart()
				}
				w.mustEmpty()
				if err != nil && courier.KindOf(err) == courier.Internal {
					t.Errorf("an error without a kind: %v", err)
				}
			})
		}
	}
}

// TestCrashBetweenCalls restarts the courier between any two of the engine's
// calls: everything goes on, and later removals leave nothing.
func TestCrashBetweenCalls(t *testing.T) {
	w, e, ctx := storyWorld(t)
	n, err := e.networkCreate(ctx, "cccccccccccccccc", dual(41)...)
	if err != nil {
		t.Fatal(err)
	}
	w.restart()
	k, err := e.start(ctx, n, "e1", "")
	if err != nil {
		t.Fatal(err)
	}
	w.restart()
	var held []courier.AddressRequest
	for _, p := range n.pools {
		a, err := w.c.RequestAddress(ctx, courier.AddressRequest{Pool: p.id})
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, courier.AddressRequest{Pool: p.id, Address: a.Addr()})
		w.restart()
	}
	r := courier.AttachRequest{Network: n.id, Endpoint: "e2"}
	for _, h := range held {
		r.Addresses = append(r.Addresses, h.Address)
	}
	first, err := w.c.Attach(ctx, r)
	if err != nil {
		t.Fatal(err)
	}
	w.restart()
	again, err := w.c.Attach(ctx, r)
	if err != nil || again.MAC != first.MAC {
		t.Fatalf("a repeated call: %+v, %v; the first: %+v", again, err, first)
	}
	if _, err := w.c.Join(ctx, n.id, "e2"); err != nil {
		t.Fatal(err)
	}
	w.restart()
	if got := len(w.kernel.left()); got != 4 {
		t.Fatalf("two attachments should have four entries in the kernel, have %d", got)
	}
	e.stop(ctx, k)
	w.restart()
	w.c.Detach(ctx, n.id, "e2")
	w.restart()
	for _, h := range held {
		w.c.ReleaseAddress(ctx, h.Pool, h.Address)
		w.restart()
	}
	e.releasePools(ctx, n)
	w.restart()
	w.c.DeleteNetwork(ctx, n.id)
	w.restart()
	w.mustEmpty()
}
