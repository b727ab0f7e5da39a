package courier_test

import (
	"strings"
	"sync/atomic"
	"testing"

	"kuryr/internal/courier"
)

// A drained host refuses who would get an address, and nobody else: who has one,
// of either family, gets its endpoint.
func TestDrained(t *testing.T) {
	w := newWorld(t)
	var drained atomic.Bool
	w.change = func(o *courier.Options) { o.Drained = drained.Load }
	w.restart()
	e, ctx := &engine{w: w}, t.Context()
	n, err := e.networkCreate(ctx, "net", poolSpec{cidr: "10.10.0.0/24"}, poolSpec{cidr: "fd10::/64"})
	if err != nil {
		t.Fatal(err)
	}
	running, err := e.start(ctx, n, "running", "")
	if err != nil {
		t.Fatal(err)
	}
	half := &container{network: n, endpoint: "half"}
	for i, p := range n.pools {
		a, err := w.c.RequestAddress(ctx, courier.AddressRequest{Pool: p.id})
		if err != nil {
			t.Fatalf("pool %d: %v", i, err)
		}
		half.held = append(half.held, a.Addr())
		drained.Store(true)
	}
	if _, err := w.c.Attach(ctx, courier.AttachRequest{Network: n.id, Endpoint: half.endpoint, Addresses: half.held}); err != nil {
		t.Errorf("what has its addresses: %v", err)
	}
	_, err = e.start(ctx, n, "late", "")
	if courier.KindOf(err) != courier.Unavailable || !strings.Contains(err.Error(), "this host is being drained") || courier.HintOf(err) == "" {
		t.Errorf("a start on a drained host: %v", err)
	}
	e.stop(ctx, running)
	e.stop(ctx, half)
	drained.Store(false)
	again, err := e.start(ctx, n, "again", "")
	if err != nil {
		t.Fatal(err)
	}
	e.stop(ctx, again)
	e.networkRemove(ctx, n)
	w.mustEmpty()
}
