package courier_test

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"kuryr/internal/courier"
)

// operator makes what is in a cloud before Kuryr comes.
type operator struct {
	w *world
}

func (o operator) network(name string) courier.Network {
	o.w.t.Helper()
	n, err := o.w.neutron.CreateNetwork(o.w.t.Context(), courier.NetworkSpec{Name: name})
	o.check(err)
	return n
}

func (o operator) subnet(n courier.Network, cidr, gateway string) courier.Subnet {
	o.w.t.Helper()
	s, err := o.w.neutron.CreateSubnet(o.w.t.Context(), courier.SubnetSpec{Network: n.ID, Name: "subnet " + cidr, CIDR: prefixOf(cidr), Gateway: addrOf(gateway)})
	o.check(err)
	return s
}

func (o operator) port(s courier.PortSpec) courier.Port {
	o.w.t.Helper()
	p, err := o.w.neutron.CreatePort(o.w.t.Context(), s)
	o.check(err)
	return p
}

func (o operator) check(err error) {
	o.w.t.Helper()
	if err != nil {
		o.w.t.Fatal(err)
	}
}

// show returns all that is in Neutron, with tags and revisions: what must be
// the same afterwards.
func (o operator) show() string {
	return strings.Join(neutronState(o.w.t, o.w.server), "\n")
}

// same waits until Neutron is again as it was.
func (o operator) same(before string) {
	o.w.t.Helper()
	settled(o.w.t, func() string {
		if now := o.show(); now != before {
			return "before:\n" + before + "\nnow:\n" + now
		}
		return ""
	})
}

func network(r courier.Reference) func(*courier.NetworkRequest) {
	return func(q *courier.NetworkRequest) { q.Network = r }
}

// TestAdoptedNetworkStaysAsItWas: a network and subnets that were there are
// used, by ID and by name, and neither changed nor deleted.
func TestAdoptedNetworkStaysAsItWas(t *testing.T) {
	w, e, ctx := storyWorld(t)
	o := operator{w}
	net := o.network("tenant")
	o.subnet(net, "10.80.0.0/24", "10.80.0.254")
	o.subnet(net, "fd00:80::/64", "")
	o.subnet(net, "10.81.0.0/24", "10.81.0.1")
	o.port(courier.PortSpec{Network: net.ID, Name: "vm", DeviceID: "vm", DeviceOwner: "compute:nova"})
	before := o.show()
	for _, r := range []courier.Reference{{ID: string(net.ID)}, {Name: "tenant"}} {
		n, err := e.networkWith(ctx, "n1", network(r), poolSpec{cidr: "10.80.0.0/24"}, poolSpec{cidr: "fd00:80::/64"})
		o.check(err)
		if s := w.c.Status().Networks[0]; s.Neutron != net.ID || s.Origin != "adopted" || s.Name != "tenant" {
			t.Errorf("status: %+v", s)
		}
		k := mustStart(t, e, n, "e1", "")
		if want := []netip.Addr{addrOf("10.80.0.254")}; !slices.Equal(k.joined.Gateways, want) {
			t.Errorf("gateways %v, want the subnets' own, %v", k.joined.Gateways, want)
		}
		w.restart()
		e.stop(ctx, k)
		e.networkRemove(ctx, n)
		o.same(before)
	}
	w.c.ExpireAt(farFuture())
	if left := w.kernel.left(); len(left) > 0 {
		t.Errorf("left in the kernel: %v", left)
	}
}

// TestNewSubnetOnAdoptedNetwork: a CIDR that the network does not have is made
// on it, and goes again.
func TestNewSubnetOnAdoptedNetwork(t *testing.T) {
	w, e, ctx := storyWorld(t)
	o := operator{w}
	net := o.network("tenant")
	o.subnet(net, "10.80.0.0/24", "10.80.0.1")
	before := o.show()
	n, err := e.networkWith(ctx, "n1", network(courier.Reference{ID: string(net.ID)}), poolSpec{cidr: "10.82.0.0/24"})
	o.check(err)
	k := mustStart(t, e, n, "e1", "")
	if !netip.MustParsePrefix("10.82.0.0/24").Contains(k.held[0]) {
		t.Errorf("address %v", k.held)
	}
	e.stop(ctx, k)
	e.networkRemove(ctx, n)
	settled(t, func() string { return pendingOf(w) })
	if now := o.show(); unrevised(now) != unrevised(before) { // the network's counts its subnets' changes
		t.Errorf("before:\n%s\nnow:\n%s", before, now)
	}
}

func unrevised(state string) string { return regexp.MustCompile(`rev \d+`).ReplaceAllString(state, "") }

// TestAmbiguousNames: an error lists the candidates, and nothing is changed.
func TestAmbiguousNames(t *testing.T) {
	w, e, ctx := storyWorld(t)
	o := operator{w}
	a, b := o.network("twin"), o.network("twin")
	o.subnet(a, "10.83.0.0/24", "")
	o.subnet(b, "10.83.0.0/24", "")
	before := o.show()
	for _, x := range []struct {
		name string
		edit func(*courier.NetworkRequest)
		spec poolSpec
		kind courier.Kind
		want []string
	}{
		{"network by name", network(courier.Reference{Name: "twin"}), poolSpec{cidr: "10.83.0.0/24"}, courier.Conflict, []string{string(a.ID), string(b.ID)}},
		{"no such network", network(courier.Reference{Name: "triplet"}), poolSpec{cidr: "10.83.0.0/24"}, courier.NotFound, []string{`network "triplet"`}},
		{"subnet by name", nil, poolSpec{family: 4, subnet: courier.Reference{Name: "subnet 10.83.0.0/24"}}, courier.Conflict, []string{"is one of 2", string(a.ID)[:12], string(b.ID)[:12]}},
		{"no such subnetpool", nil, poolSpec{cidr: "10.83.0.0/24", subnetPool: courier.Reference{Name: "no"}}, courier.NotFound, []string{`subnetpool "no"`}},
		{"subnet of the other family", nil, poolSpec{family: 6, subnet: courier.Reference{Name: "subnet 10.83.0.0/24"}}, courier.NotFound, []string{"IPv6 subnet"}},
		{"security group", func(r *courier.NetworkRequest) { r.Ports.SecurityGroups = []courier.Reference{{Name: "no"}} }, poolSpec{cidr: "10.83.0.0/24"}, courier.NotFound, []string{`security group "no"`}},
		{"QoS policy", func(r *courier.NetworkRequest) { r.QoSPolicy = courier.Reference{Name: "no"} }, poolSpec{cidr: "10.83.0.0/24"}, courier.NotFound, []string{`QoS policy "no"`}},
	} {
		_, err := e.networkWith(ctx, "n1", x.edit, x.spec)
		wantKind(t, err, x.kind)
		for _, word := range x.want {
			if !strings.Contains(err.Error(), word) {
				t.Errorf("%s: %v does not say %s", x.name, err, word)
			}
		}
		o.same(before)
	}
}

// TestExistingNetworkMustAgree: what is asked for and what is there.
func TestExistingNetworkMustAgree(t *testing.T) {
	w, e, ctx := storyWorld(t)
	o := operator{w}
	net, other := o.network("tenant"), o.network("other")
	sub := o.subnet(net, "10.84.0.0/24", "10.84.0.1")
	elsewhere := o.subnet(other, "10.84.0.0/24", "")
	before := o.show()
	yes := true
	on := network(courier.Reference{ID: string(net.ID)})
	for name, x := range map[string]struct {
		edit func(*courier.NetworkRequest)
		spec poolSpec
		kind courier.Kind
	}{
		"shared":  {func(r *courier.NetworkRequest) { on(r); r.Shared = &yes }, poolSpec{cidr: "10.84.0.0/24"}, courier.Conflict},
		"MTU":     {func(r *courier.NetworkRequest) { on(r); r.MTU = 9000 }, poolSpec{cidr: "10.84.0.0/24"}, courier.Conflict},
		"gateway": {on, poolSpec{cidr: "10.84.0.0/24", gateway: "10.84.0.7"}, courier.Conflict},
		"range":   {on, poolSpec{cidr: "10.84.0.0/24", ipRange: "10.84.0.128/25"}, courier.Unsupported},
		"overlap": {on, poolSpec{cidr: "10.84.0.0/25"}, courier.Conflict},
		"subnet of another network": {func(r *courier.NetworkRequest) {
			on(r)
			r.Subnets = map[courier.Family]courier.Reference{4: {ID: string(elsewhere.ID)}}
		}, poolSpec{cidr: "10.84.0.0/24"}, courier.Conflict},
		"subnet of another CIDR": {func(r *courier.NetworkRequest) {
			r.Subnets = map[courier.Family]courier.Reference{4: {ID: string(sub.ID)}}
		}, poolSpec{cidr: "10.85.0.0/24"}, courier.Invalid},
		"subnet as pool, other CIDR": {nil, poolSpec{cidr: "10.85.0.0/24", subnet: courier.Reference{ID: string(sub.ID)}}, courier.Conflict},
		"subnet as pool, gateway":    {nil, poolSpec{family: 4, gateway: "10.84.0.9", subnet: courier.Reference{ID: string(sub.ID)}}, courier.Conflict},
	} {
		_, err := e.networkWith(ctx, "n1", x.edit, x.spec)
		if err == nil || courier.KindOf(err) != x.kind {
			t.Errorf("%s: %v", name, err)
			continue
		}
		t.Logf("%s: %v (%s)", name, err, courier.HintOf(err))
		o.same(before)
	}
}

// TestSubnetAsPool: --ipam-opt neutron.subnet.uuid brings CIDR, gateway and network.
func TestSubnetAsPool(t *testing.T) {
	w, e, ctx := storyWorld(t)
	o := operator{w}
	net := o.network("tenant")
	four, six := o.subnet(net, "10.86.0.0/24", "10.86.0.254"), o.subnet(net, "fd00:86::/64", "fd00:86::fe")
	before := o.show()
	for _, noGateway := range []bool{false, true} {
		n, err := e.networkCreate(ctx, "n1", poolSpec{family: 4, noGateway: noGateway, subnet: courier.Reference{ID: string(four.ID)}},
			poolSpec{family: 6, noGateway: noGateway, subnet: courier.Reference{Name: "subnet fd00:86::/64"}})
		o.check(err)
		if !noGateway && n.pools[0].gateway != four.Gateway || n.pools[1].cidr != six.CIDR {
			t.Errorf("pools: %+v", n.pools)
		}
		w.restart()
		k := mustStart(t, e, n, "e1", "")
		if len(k.joined.Gateways) != 2 || !four.CIDR.Contains(k.held[0]) || !six.CIDR.Contains(k.held[1]) {
			t.Errorf("container: %+v", k)
		}
		e.stop(ctx, k)
		e.networkRemove(ctx, n)
		o.same(before)
	}
}

// TestRefusedSubnetIsNotOfferedForEver: Docker asks again while what it gets
// overlaps what it has.
func TestRefusedSubnetIsNotOfferedForEver(t *testing.T) {
	w, _, ctx := storyWorld(t)
	o := operator{w}
	sub := o.subnet(o.network("tenant"), "10.87.0.0/24", "")
	r := courier.PoolRequest{Family: 4, Subnet: courier.Reference{ID: string(sub.ID)}}
	p, err := w.c.RequestPool(ctx, r)
	o.check(err)
	_, err = w.c.RequestPool(ctx, r)
	wantKind(t, err, courier.Conflict)
	w.c.ReleasePool(ctx, p.ID)
	p, err = w.c.RequestPool(ctx, r)
	o.check(err)
	w.c.ReleasePool(ctx, p.ID)
}

// TestNamedSubnetPool: subnets are cut from it, a free CIDR or a wished one.
func TestNamedSubnetPool(t *testing.T) {
	w, e, ctx := storyWorld(t)
	sp, err := w.neutron.CreateSubnetPool(ctx, courier.SubnetPoolSpec{Name: "mine", Prefixes: []netip.Prefix{prefixOf("10.200.0.0/16")}, DefaultPrefixLen: 24})
	operator{w}.check(err)
	named := courier.Reference{Name: "mine"}
	before := operator{w}.show()
	free, err := e.networkCreate(ctx, "n1", poolSpec{family: 4, subnetPool: named})
	operator{w}.check(err)
	wished, err := e.networkCreate(ctx, "n2", poolSpec{cidr: "10.200.7.0/24", ipRange: "10.200.7.128/25", subnetPool: courier.Reference{ID: string(sp.ID)}})
	operator{w}.check(err)
	later, err := e.networkWith(ctx, "n3", func(r *courier.NetworkRequest) { r.SubnetPools = map[courier.Family]courier.Reference{4: named} }, poolSpec{cidr: "10.200.8.0/24"})
	operator{w}.check(err)
	cut, err := w.neutron.SubnetsOfPool(ctx, sp.ID)
	operator{w}.check(err)
	var cidrs []string
	for _, s := range cut {
		cidrs = append(cidrs, s.CIDR.String())
	}
	slices.Sort(cidrs)
	if got, want := strings.Join(cidrs, " "), "10.200.0.0/24 10.200.7.0/24 10.200.8.0/24"; got != want {
		t.Errorf("cut from the subnetpool: %s, want %s", got, want)
	}
	_, err = e.networkCreate(ctx, "n4", poolSpec{cidr: "10.201.0.0/24", subnetPool: named})
	wantKind(t, err, courier.Invalid)
	for _, n := range []*engineNetwork{free, wished, later} {
		e.networkRemove(ctx, n)
	}
	settled(t, func() string { return strings.Join(neutronObjects(t, w.server)[1:], " ") })
	now := operator{w}.show()
	if strings.Count(now, "\n") != strings.Count(before, "\n") || strings.Contains(now, "tags [") && !strings.Contains(before, "tags [") {
		t.Errorf("left:\n%s", now)
	}
}

// TestNeutronsDefaultSubnetPool serves where the configured name is absent.
func TestNeutronsDefaultSubnetPool(t *testing.T) {
	w, _, ctx := storyWorld(t)
	w.options.DefaultPoolV4 = "absent"
	w.restart()
	_, err := w.c.RequestPool(ctx, courier.PoolRequest{Family: 4})
	wantKind(t, err, courier.NotFound)
	request(t, w.server, "POST", "/v2.0/subnetpools", `{"subnetpool":{"name":"cloud","prefixes":["10.99.0.0/16"],"default_prefixlen":24,"is_default":true}}`)
	p, err := w.c.RequestPool(ctx, courier.PoolRequest{Family: 4})
	operator{w}.check(err)
	if p.CIDR.String() != "10.99.0.0/24" {
		t.Errorf("cut %s", p.CIDR)
	}
	w.c.ReleasePool(ctx, p.ID)
}

// TestExistingPort is found by its address, or its MAC, and given back as it was.
func TestExistingPort(t *testing.T) {
	w, e, ctx := storyWorld(t)
	o := operator{w}
	net := o.network("tenant")
	sub := o.subnet(net, "10.88.0.0/24", "10.88.0.1")
	six := o.subnet(net, "fd00:88::/64", "fd00:88::1")
	port := o.port(courier.PortSpec{Network: net.ID, Name: "mine", FixedIPs: []courier.FixedIP{
		{Subnet: sub.ID, Address: addrOf("10.88.0.77")}, {Subnet: six.ID, Address: addrOf("fd00:88::77")}}})
	n, err := e.networkWith(ctx, "n1", network(courier.Reference{ID: string(net.ID)}), poolSpec{cidr: "10.88.0.0/24"}, poolSpec{cidr: "fd00:88::/64"})
	o.check(err)
	for name, wish := range map[string][]string{"both": {"10.88.0.77", "fd00:88::77"}, "the other is the port's": {"10.88.0.77"}} {
		k := mustStart(t, e, n, "e1", "", wish...)
		if a := w.c.Status().Attachments; len(a) != 1 || a[0].Port != port.ID || k.mac != port.MAC || k.held[1] != addrOf("fd00:88::77") {
			t.Errorf("%s: %+v, %+v", name, a, k)
		}
		w.restart()
		e.stop(ctx, k)
		o.returned(port)
	}
	// By MAC, as with requires_mac_address.
	a, err := w.c.RequestAddress(ctx, courier.AddressRequest{Pool: n.pools[0].id, MAC: port.MAC})
	o.check(err)
	if a.Addr() != addrOf("10.88.0.77") {
		t.Errorf("by MAC: %s", a)
	}
	w.c.ReleaseAddress(ctx, n.pools[0].id, a.Addr())
	o.returned(port)

	for name, f := range map[string]func() error{
		"another MAC": func() error {
			_, err := e.start(ctx, n, "e2", "02:00:00:00:00:88", "10.88.0.77", "fd00:88::77")
			return err
		},
		"another address": func() error { _, err := e.start(ctx, n, "e3", "", "10.88.0.77", "fd00:88::78"); return err },
		"options of a port": func() error {
			off := false
			_, err := e.startWith(ctx, n, "e4", "", courier.PortWish{PortSecurity: &off}, "10.88.0.77", "fd00:88::77")
			return err
		},
	} {
		err := f()
		if courier.KindOf(err) != courier.Conflict || !strings.Contains(err.Error(), string(port.ID)) {
			t.Errorf("%s: %v", name, err)
		}
		o.returned(port)
	}
	e.networkRemove(ctx, n)
	settled(t, func() string { return w.c.Status().LastError })
}

// returned waits until a port is as it was, but for its revision.
func (o operator) returned(p courier.Port) {
	o.w.t.Helper()
	settled(o.w.t, func() string {
		found, err := o.w.neutron.FindPorts(o.w.t.Context(), courier.PortQuery{ID: p.ID})
		o.check(err)
		if len(found) != 1 {
			return "the port is gone"
		}
		found[0].Revision = p.Revision
		if got, want := fmt.Sprint(found[0]), fmt.Sprint(p); got != want {
			return got + ", want " + want
		}
		return ""
	})
}

// TestPortInUseIsNeverTaken: bound elsewhere, somebody's, or taken by two at once.
func TestPortInUseIsNeverTaken(t *testing.T) {
	w, e, ctx := storyWorld(t)
	o := operator{w}
	net := o.network("tenant")
	sub := o.subnet(net, "10.89.0.0/24", "10.89.0.1")
	at := func(a string) []courier.FixedIP { return []courier.FixedIP{{Subnet: sub.ID, Address: addrOf(a)}} }
	used := map[string]courier.Port{
		"10.89.0.5": o.port(courier.PortSpec{Network: net.ID, FixedIPs: at("10.89.0.5"), Host: "elsewhere"}),
		"10.89.0.6": o.port(courier.PortSpec{Network: net.ID, FixedIPs: at("10.89.0.6"), DeviceID: "vm-1", DeviceOwner: "compute:nova"}),
		"10.89.0.7": o.port(courier.PortSpec{Network: net.ID, FixedIPs: at("10.89.0.7"), DeviceOwner: "network:router_interface"}),
	}
	edit := network(courier.Reference{ID: string(net.ID)})
	n, err := e.networkWith(ctx, "n1", edit, poolSpec{cidr: "10.89.0.0/24"})
	o.check(err)
	for a, p := range used {
		_, err := e.start(ctx, n, "e"+a, "", a)
		if courier.KindOf(err) != courier.Conflict || !strings.Contains(err.Error(), string(p.ID)) {
			t.Errorf("%s: %v", a, err)
		}
		o.returned(p)
	}
	free := o.port(courier.PortSpec{Network: net.ID, FixedIPs: at("10.89.0.9")})
	other := &engine{w: w.another("host-2")}
	m, err := other.networkWith(ctx, "n1", edit, poolSpec{cidr: "10.89.0.0/24"})
	o.check(err)
	for range 10 {
		var got [2]*container
		var wg sync.WaitGroup
		for i, x := range []struct {
			e *engine
			n *engineNetwork
		}{{e, n}, {other, m}} {
			wg.Go(func() { got[i], _ = x.e.start(ctx, x.n, "both", "", "10.89.0.9") })
		}
		wg.Wait()
		if (got[0] == nil) == (got[1] == nil) {
			t.Fatalf("one of two should have the port: %v", got)
		}
		e.stop(ctx, got[0])
		other.stop(ctx, got[1])
		o.returned(free)
	}
}

// TestEndpointsCostTheSameOnAdoptedNetworks counts the calls of the hot path.
func TestEndpointsCostTheSameOnAdoptedNetworks(t *testing.T) {
	w, e, ctx := storyWorld(t)
	o := operator{w}
	net := o.network("tenant")
	o.subnet(net, "10.90.0.0/24", "10.90.0.1")
	group := courier.PortWish{SecurityGroups: []courier.Reference{{Name: "default"}}}
	own := mustNetwork(t, e, "n1", poolSpec{cidr: "10.91.0.0/24"})
	shared, err := e.networkWith(ctx, "n2", func(r *courier.NetworkRequest) { r.Network.ID, r.Ports = string(net.ID), group }, poolSpec{cidr: "10.90.0.0/24"})
	o.check(err)
	for name, x := range map[string]struct {
		n    *engineNetwork
		port courier.PortWish
		want string
	}{
		"created":              {own, courier.PortWish{}, "create port, update port, list subnets"},
		"adopted, with groups": {shared, courier.PortWish{}, "create port, update port, list subnets"},
		"groups of its own":    {own, group, "create port, find security groups, update port, list subnets"},
	} {
		w.breaker.arm(0, breakage{})
		k, err := e.startWith(ctx, x.n, "e "+name, "", x.port)
		o.check(err)
		if got := strings.Join(w.breaker.neutronCalls(), ", "); got != x.want {
			t.Errorf("%s: %s, want %s", name, got, x.want)
		}
		e.stop(ctx, k)
		settled(t, func() string { return pendingOf(w) })
		if got := w.breaker.neutronCalls(); got[len(got)-1] != "delete port" || len(got) != strings.Count(x.want, ",")+2 {
			t.Errorf("%s: in all %v", name, got)
		}
	}
}
