package courier_test

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"kuryr/internal/courier"
)

func mustNetwork(t *testing.T, e *engine, id string, specs ...poolSpec) *engineNetwork {
	t.Helper()
	n, err := e.networkCreate(t.Context(), id, specs...)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func mustStart(t *testing.T, e *engine, n *engineNetwork, endpoint, mac string, wishes ...string) *container {
	t.Helper()
	k, err := e.start(t.Context(), n, endpoint, mac, wishes...)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func wantKind(t *testing.T, err error, k courier.Kind) {
	t.Helper()
	if err == nil || courier.KindOf(err) != k {
		t.Fatalf("want an error of kind %v, got %v (%v)", k, err, courier.KindOf(err))
	}
}

func TestDualStackIsOnePort(t *testing.T) {
	w, e, ctx := storyWorld(t)
	n := mustNetwork(t, e, "n1", dual(50)...)
	k := mustStart(t, e, n, "e1", "")
	s := w.c.Status()
	if len(s.Attachments) != 1 {
		t.Fatalf("%d attachments: %+v", len(s.Attachments), s.Attachments)
	}
	a := s.Attachments[0]
	slices.SortFunc(k.held, netip.Addr.Compare)
	slices.SortFunc(a.Addresses, netip.Addr.Compare)
	if !slices.Equal(a.Addresses, k.held) || a.MAC != k.mac || a.State != "attached" {
		t.Errorf("the port has %+v, the engine %v %v", a, k.held, k.mac)
	}
	e.stop(ctx, k)
	e.networkRemove(ctx, n)
	w.mustEmpty()
}

func TestJoin(t *testing.T) {
	w, e, ctx := storyWorld(t)
	n := mustNetwork(t, e, "n1", dual(51)...)
	k := mustStart(t, e, n, "e1", "")
	want := []netip.Addr{netip.MustParseAddr("10.51.0.1"), netip.MustParseAddr("fd00:51::1")}
	slices.SortFunc(k.joined.Gateways, netip.Addr.Compare)
	if !slices.Equal(k.joined.Gateways, want) {
		t.Errorf("gateways %v, want %v", k.joined.Gateways, want)
	}
	if got := k.joined.Link; got[:3] != "t_c" {
		t.Errorf("link %q", got)
	}
	_, err := w.c.Join(ctx, n.id, "nobody")
	wantKind(t, err, courier.NotFound)
}

func TestInternalNetworkHasNoGateway(t *testing.T) {
	w, e, ctx := storyWorld(t)
	p, err := w.c.RequestPool(ctx, courier.PoolRequest{Family: 4, CIDR: netip.MustParsePrefix("10.52.0.0/24")})
	if err != nil {
		t.Fatal(err)
	}
	gw, err := w.c.RequestAddress(ctx, courier.AddressRequest{Pool: p.ID, Gateway: true})
	if err != nil {
		t.Fatal(err)
	}
	r := courier.NetworkRequest{ID: "n1", Internal: true, Pools: []courier.NetworkPool{{CIDR: p.CIDR, Gateway: gw.Addr()}}}
	if err := w.c.CreateNetwork(ctx, r); err != nil {
		t.Fatal(err)
	}
	n := &engineNetwork{id: "n1", pools: []enginePool{{id: p.ID, cidr: p.CIDR, gateway: gw.Addr()}}}
	if k := mustStart(t, e, n, "e1", ""); len(k.joined.Gateways) != 0 {
		t.Errorf("gateways %v on an internal network", k.joined.Gateways)
	}
}

func TestAuxiliaryAddressesAndGatewayAreReserved(t *testing.T) {
	_, e, ctx := storyWorld(t)
	n := mustNetwork(t, e, "n1", poolSpec{cidr: "10.53.0.0/24", gateway: "10.53.0.254", aux: map[string]string{"a": "10.53.0.7"}})
	for _, wish := range []string{"10.53.0.7", "10.53.0.254"} {
		_, err := e.start(ctx, n, "e-"+wish, "", wish)
		wantKind(t, err, courier.Conflict)
	}
	for _, wish := range []string{"10.53.0.0", "10.53.0.255", "10.54.0.1"} {
		_, err := e.start(ctx, n, "e-"+wish, "", wish)
		wantKind(t, err, courier.Invalid)
	}
}

func TestRangeNarrowsWhatIsHandedOut(t *testing.T) {
	_, e, ctx := storyWorld(t)
	n := mustNetwork(t, e, "n1", poolSpec{cidr: "10.55.0.0/24", ipRange: "10.55.0.128/30", gateway: "10.55.0.129"})
	part := netip.MustParsePrefix("10.55.0.128/30")
	for i := range 3 {
		k := mustStart(t, e, n, fmt.Sprint("e", i), "")
		if !part.Contains(k.held[0]) || k.held[0] == netip.MustParseAddr("10.55.0.129") {
			t.Errorf("%v is not in the range, or the gateway", k.held[0])
		}
	}
	_, err := e.start(ctx, n, "one too many", "")
	wantKind(t, err, courier.Exhausted)
	if k := mustStart(t, e, n, "wished", "", "10.55.0.9"); k.held[0].String() != "10.55.0.9" {
		t.Errorf("a wish outside of the range: %v", k.held)
	}
}

func TestSameCIDROnTwoNetworks(t *testing.T) {
	w, e, ctx := storyWorld(t)
	one := mustNetwork(t, e, "n1", poolSpec{cidr: "10.56.0.0/24"})
	two := mustNetwork(t, e, "n2", poolSpec{cidr: "10.56.0.0/24"})
	if one.pools[0].id == two.pools[0].id {
		t.Fatal("two networks share a pool")
	}
	a := mustStart(t, e, one, "e1", "", "10.56.0.5")
	b := mustStart(t, e, two, "e2", "", "10.56.0.5")
	e.networkRemove(ctx, &engineNetwork{id: "n3"})
	e.stop(ctx, a)
	e.networkRemove(ctx, one)
	if got, err := w.c.Describe(ctx, two.id, b.endpoint); err != nil || got.State != "attached" {
		t.Fatalf("the other network's container: %+v, %v", got, err)
	}
	mustStart(t, e, two, "e3", "")
}

// TestSameCIDRAtOnce creates networks of one CIDR concurrently: each must
// find its own pool though CreateNetwork does not name it.
func TestSameCIDRAtOnce(t *testing.T) {
	w, e, ctx := storyWorld(t)
	var wg sync.WaitGroup
	nets := make([]*engineNetwork, 8)
	for i := range nets {
		wg.Go(func() {
			mine := &engine{w: w}
			n, err := mine.networkCreate(ctx, fmt.Sprintf("net%d", i), poolSpec{cidr: "10.57.0.0/24"})
			if err != nil {
				t.Error(err)
			}
			nets[i] = n
		})
	}
	wg.Wait()
	of := map[courier.PoolID]courier.EngineNetworkID{}
	for _, p := range w.c.Status().Pools {
		of[p.ID] = p.Network
	}
	for _, n := range nets {
		if n != nil && of[n.pools[0].id] != n.id {
			t.Errorf("network %s has the pool of %s", n.id, of[n.pools[0].id])
		}
		e.networkRemove(ctx, n)
	}
	w.mustEmpty()
}

func TestCutPoolsDiffer(t *testing.T) {
	w, _, ctx := storyWorld(t)
	var mu sync.Mutex
	seen := map[netip.Prefix]bool{}
	var ids []courier.PoolID
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			p, err := w.c.RequestPool(ctx, courier.PoolRequest{Family: []courier.Family{4, 6}[i%2]})
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			if seen[p.CIDR] {
				t.Errorf("%s was cut twice", p.CIDR)
			}
			seen[p.CIDR] = true
			ids = append(ids, p.ID)
		})
	}
	wg.Wait()
	for _, id := range ids {
		w.c.ReleasePool(ctx, id)
	}
	w.mustEmpty()
}

func TestMACWishRecreatesThePort(t *testing.T) {
	w, e, ctx := storyWorld(t)
	n := mustNetwork(t, e, "n1", dual(58)...)
	k := mustStart(t, e, n, "e1", "02:11:22:33:44:55")
	if k.mac.String() != "02:11:22:33:44:55" {
		t.Errorf("mac %v", k.mac)
	}
	a := w.c.Status().Attachments
	if len(a) != 1 || len(a[0].Addresses) != 2 {
		t.Errorf("attachments %+v", a)
	}
	_, err := e.start(ctx, n, "e2", "02:11:22:33:44:55")
	wantKind(t, err, courier.Conflict)
}

func TestWishedAddressJustReleased(t *testing.T) {
	_, e, ctx := storyWorld(t)
	n := mustNetwork(t, e, "n1", dual(59)...)
	for i := range 20 {
		k := mustStart(t, e, n, fmt.Sprint("e", i), "02:00:00:00:59:01", "10.59.0.20", "fd00:59::20")
		e.stop(ctx, k)
	}
}

// special makes a port that nobody takes over: it has settings of its own.
var special = courier.PortWish{SecurityGroups: []courier.Reference{}}

// TestWishGoneBeforeTheRefusalArrives: Neutron refuses an address while its
// last holder is there, and the holder is gone when the refusal arrives.
func TestWishGoneBeforeTheRefusalArrives(t *testing.T) {
	w, e, ctx := storyWorld(t)
	for _, spec := range []struct {
		cidr, wish string
	}{{"10.73.0.0/24", "10.73.0.9"}, {"10.74.0.0/30", ""}} {
		n := mustNetwork(t, e, "n"+spec.cidr, poolSpec{cidr: spec.cidr})
		k, err := e.startWith(ctx, n, "e1"+spec.cidr, "", special, spec.wish)
		if err != nil {
			t.Fatal(err)
		}
		w.breaker.mu.Lock()
		w.breaker.hold = map[string]time.Duration{"delete port": 50 * time.Millisecond}
		w.breaker.mull = map[string]time.Duration{"create port": 300 * time.Millisecond}
		w.breaker.mu.Unlock()
		e.stop(ctx, k)
		again := mustStart(t, e, n, "e2"+spec.cidr, "", spec.wish)
		e.stop(ctx, again)
	}
}

// TestWishedAddressLeavesSlowly: a busy cloud takes longer for a removal than
// for all the rest. It is waited for as far as the call's own time goes.
func TestWishedAddressLeavesSlowly(t *testing.T) {
	t.Parallel()
	const slow = 6 * time.Second
	w, e, ctx := storyWorld(t)
	n := mustNetwork(t, e, "n1", poolSpec{cidr: "10.76.0.0/24"})
	k, err := e.startWith(ctx, n, "e1", "", special, "10.76.0.9")
	if err != nil {
		t.Fatal(err)
	}
	w.breaker.mu.Lock()
	w.breaker.hold = map[string]time.Duration{"delete port": slow}
	w.breaker.mu.Unlock()
	e.stop(ctx, k)
	for _, x := range []struct {
		time time.Duration // that the call has
		ok   bool
	}{{time.Second, false}, {3 * slow, true}} {
		call, cancel := context.WithTimeout(ctx, x.time)
		began := time.Now()
		_, err := e.start(call, n, "e2", "", "10.76.0.9")
		cancel()
		if x.ok != (err == nil) || !x.ok && time.Since(began) > x.time*3/4 {
			t.Errorf("with %s: %v, after %s", x.time, err, time.Since(began))
		}
	}
}

func TestSmallSubnetFullOfTheLeaving(t *testing.T) {
	_, e, ctx := storyWorld(t)
	n := mustNetwork(t, e, "n1", poolSpec{cidr: "10.60.0.0/30"})
	for i := range 10 {
		k := mustStart(t, e, n, fmt.Sprint("e", i), "")
		e.stop(ctx, k)
	}
}

func TestSeveralSubnetsOfOneFamily(t *testing.T) {
	_, e, _ := storyWorld(t)
	n := mustNetwork(t, e, "n1", poolSpec{cidr: "10.61.0.0/30"}, poolSpec{cidr: "10.62.0.0/24"})
	first := *n
	first.pools = n.pools[:1] // Docker asks the first pool only, unless an address is wished
	a := mustStart(t, e, &first, "e1", "")
	b := mustStart(t, e, &first, "e2", "")
	if !n.pools[0].cidr.Contains(a.held[0]) || !n.pools[1].cidr.Contains(b.held[0]) {
		t.Errorf("addresses %v, %v", a.held, b.held)
	}
}

func TestForeignIPAM(t *testing.T) {
	w, _, ctx := storyWorld(t)
	r := courier.NetworkRequest{ID: "n1", Pools: []courier.NetworkPool{{AddressSpace: "LocalDefault",
		CIDR: netip.MustParsePrefix("172.20.0.0/16"), Gateway: netip.MustParseAddr("172.20.0.1")}}}
	if err := w.c.CreateNetwork(ctx, r); err != nil {
		t.Fatal(err)
	}
	got, err := w.c.Attach(ctx, courier.AttachRequest{Network: "n1", Endpoint: "e1", Addresses: []netip.Addr{netip.MustParseAddr("172.20.0.2")}})
	if err != nil || len(got.Addresses) != 1 || got.Addresses[0].String() != "172.20.0.2/16" {
		t.Fatalf("%+v, %v", got, err)
	}
	got, err = w.c.Attach(ctx, courier.AttachRequest{Network: "n1", Endpoint: "e2"})
	if err != nil || len(got.Addresses) != 1 {
		t.Fatalf("without an address: %+v, %v", got, err)
	}
	w.c.DeleteNetwork(ctx, "n1")
	w.mustEmpty()
}

func TestReleaseNeverCutsARunningContainerOff(t *testing.T) {
	w, e, ctx := storyWorld(t)
	n := mustNetwork(t, e, "n1", poolSpec{cidr: "10.63.0.0/24"})
	k := mustStart(t, e, n, "e1", "")
	if err := w.c.ReleaseAddress(ctx, n.pools[0].id, k.held[0]); err != nil {
		t.Fatal(err)
	}
	if got, err := w.c.Describe(ctx, n.id, k.endpoint); err != nil || got.State != "attached" {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestDetachWhileTheNetworkGoes: Docker counts an endpoint as gone before it
// sends DeleteEndpoint, so that DeleteNetwork may overtake it.
func TestDetachWhileTheNetworkGoes(t *testing.T) {
	w, e, ctx := storyWorld(t)
	for i := range 20 {
		n := mustNetwork(t, e, fmt.Sprint("n", i), poolSpec{cidr: "10.65.0.0/24"})
		k := mustStart(t, e, n, fmt.Sprint("e", i), "")
		var wg sync.WaitGroup
		wg.Go(func() { e.stop(ctx, k) })
		wg.Go(func() { e.networkRemove(ctx, n) })
		wg.Go(func() { w.c.ExpireAt(time.Now().Add(time.Hour)) })
		wg.Wait()
		w.mustEmpty()
	}
}

// TestSameAddressForTwoEndpoints: another IPAM driver's mistake, or a repeated
// call, names an address that an endpoint is just getting. One of the two
// has it, the other an error, and the courier goes on.
func TestSameAddressForTwoEndpoints(t *testing.T) {
	w, e, ctx := storyWorld(t)
	n := mustNetwork(t, e, "n1", poolSpec{cidr: "10.71.0.0/24"})
	want := []netip.Addr{netip.MustParseAddr("10.71.0.9")}
	for round := range 30 {
		var wg sync.WaitGroup
		errs := make([]error, 4)
		for i := range errs {
			wg.Go(func() {
				defer func() {
					if p := recover(); p != nil {
						errs[i] = fmt.Errorf("panic: %v", p)
						t.Error(errs[i])
					}
				}()
				id := courier.EndpointID(fmt.Sprint("e", round, "-", i))
				_, errs[i] = w.c.Attach(ctx, courier.AttachRequest{Network: n.id, Endpoint: id, Addresses: want})
			})
		}
		wg.Wait()
		if t.Failed() {
			t.FailNow() // the mutex may be held
		}
		attached := 0
		for i, err := range errs {
			if err == nil {
				attached++
				w.c.Detach(ctx, n.id, courier.EndpointID(fmt.Sprint("e", round, "-", i)))
			}
		}
		if attached > 1 {
			t.Fatalf("%d endpoints have the address", attached)
		}
	}
	e.networkRemove(ctx, n)
	w.mustEmpty()
}

// TestLateReleaseAddress: an address is given to the next container before
// the first one's ReleaseAddress arrives.
func TestLateReleaseAddress(t *testing.T) {
	w, e, ctx := storyWorld(t)
	n := mustNetwork(t, e, "n1", poolSpec{cidr: "10.66.0.0/24"})
	k := mustStart(t, e, n, "e1", "", "10.66.0.9")
	w.c.Leave(ctx, n.id, k.endpoint)
	w.c.Detach(ctx, n.id, k.endpoint)
	next, err := w.c.RequestAddress(ctx, courier.AddressRequest{Pool: n.pools[0].id, Address: k.held[0]})
	if err != nil {
		t.Fatal(err)
	}
	r := courier.AttachRequest{Network: n.id, Endpoint: "e2", Addresses: []netip.Addr{next.Addr()}}
	if _, err := w.c.Attach(ctx, r); err != nil {
		t.Fatal(err)
	}
	e.releaseAddresses(ctx, k)
	if _, err := w.c.Join(ctx, n.id, "e2"); err != nil {
		t.Errorf("the next container lost its address: %v", err)
	}
}

// TestRefusedFamilyFreesTheOther: Docker forgets the IPv4 address when IPv6 is refused.
func TestRefusedFamilyFreesTheOther(t *testing.T) {
	_, e, ctx := storyWorld(t)
	n := mustNetwork(t, e, "n1", dual(67)...)
	for _, wrong := range []string{"fd00:67::1", "fd00:68::9"} {
		if _, err := e.start(ctx, n, "e1", "", "10.67.0.80", wrong); err == nil {
			t.Fatalf("%s was given", wrong)
		}
		k := mustStart(t, e, n, "e2-"+wrong, "", "10.67.0.80", "fd00:67::80")
		e.stop(ctx, k)
	}
}

func TestRangeOfTheGatewayAlone(t *testing.T) {
	w, e, ctx := storyWorld(t)
	_, err := e.networkCreate(ctx, "n1", poolSpec{cidr: "10.68.0.0/24", ipRange: "10.68.0.0/31"})
	wantKind(t, err, courier.Invalid)
	w.mustEmpty()
}

func TestUnknownThings(t *testing.T) {
	w, _, ctx := storyWorld(t)
	_, err := w.c.RequestAddress(ctx, courier.AddressRequest{Pool: "nonesuch"})
	wantKind(t, err, courier.NotFound)
	_, err = w.c.Attach(ctx, courier.AttachRequest{Network: "nonesuch", Endpoint: "e"})
	wantKind(t, err, courier.NotFound)
	for _, err := range []error{
		w.c.ReleasePool(ctx, "nonesuch"), w.c.ReleaseAddress(ctx, "nonesuch", netip.MustParseAddr("10.0.0.1")),
		w.c.DeleteNetwork(ctx, "nonesuch"), w.c.Detach(ctx, "nonesuch", "e"), w.c.Leave(ctx, "nonesuch", "e"),
	} {
		if err != nil {
			t.Errorf("giving up what is unknown: %v", err)
		}
	}
	w.mustEmpty()
}

// TestManyAtOnce starts and stops containers on one network concurrently, as
// Docker's network lock orders them: the requests of one endpoint together.
func TestManyAtOnce(t *testing.T) {
	w, e, ctx := storyWorld(t)
	n := mustNetwork(t, e, "n1", dual(64)...)
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			k, err := e.start(ctx, n, fmt.Sprint("e", i), "")
			if err != nil {
				t.Error(err)
				return
			}
			e.stop(ctx, k)
		})
	}
	wg.Wait()
	e.networkRemove(ctx, n)
	w.mustEmpty()
}
