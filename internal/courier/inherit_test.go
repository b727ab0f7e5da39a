package courier_test

import (
	"net/netip"
	"strings"
	"testing"

	"kuryr/internal/courier"
)

// IDs as Docker has them, and what the Python Kuryr calls their halves.
var (
	pyNet  = "4aa1af9a53593ab942557f2832e5a18d08c77a58b7468061441e1b13f2985514"
	pyNet2 = "5bb2be0b64604bca53668a3943f6b29e19d88b69c857917255252c24a3096625"
	pyEP   = "250bdf5ab09911f678ed956eed50f46ce6f8f83f67d07256de35ceab117f4255"
	pyEP2  = "361ceb6bc1aa2207890fea67fe61a57d17a9a940a78e18367ef46dfbc228a366"
)

func halves(id string) []string {
	return []string{"kuryr.net.uuid.lh:" + id[:32], "kuryr.net.uuid.uh:" + id[32:]}
}

// python does what the Python Kuryr does for a Docker network and its
// containers: the same requests to Neutron, the same names and tags, the same links.
type python struct {
	operator
	pool   courier.SubnetPool
	net    courier.Network
	subnet courier.Subnet
}

func (p *python) tag(kind courier.ResourceKind, id string, tags ...string) {
	p.w.t.Helper()
	for _, t := range tags {
		p.check(p.w.neutron.Tag(p.w.t.Context(), courier.Resource{Kind: kind, ID: id}, t))
	}
}

func (p *python) requestPool(cidr string) {
	p.w.t.Helper()
	var err error
	p.pool, err = p.w.neutron.CreateSubnetPool(p.w.t.Context(), courier.SubnetPoolSpec{
		Name: "kuryrPool-" + cidr, Prefixes: []netip.Prefix{prefixOf(cidr)}, DefaultPrefixLen: prefixOf(cidr).Bits()})
	p.check(err)
}

func (p *python) createNetwork(id, cidr string) {
	p.w.t.Helper()
	p.requestPool(cidr)
	p.net = p.network("kuryr-net-" + id[:8])
	p.tag(courier.NetworkResource, string(p.net.ID), halves(id)...)
	var err error
	p.subnet, err = p.w.neutron.CreateSubnet(p.w.t.Context(), courier.SubnetSpec{Network: p.net.ID, Name: "kuryr-subnet-" + cidr,
		CIDR: prefixOf(cidr), Gateway: prefixOf(cidr).Addr().Next(), Pool: p.pool.ID})
	p.check(err)
	p.tag(courier.SubnetResource, string(p.subnet.ID), string(p.pool.ID))
}

// adoptNetwork is -o neutron.net.uuid.
func (p *python) adoptNetwork(id string, n courier.Network, s courier.Subnet) {
	p.w.t.Helper()
	p.requestPool(s.CIDR.String())
	p.net, p.subnet = n, s
	p.tag(courier.NetworkResource, string(n.ID), append(halves(id), "kuryr.net.existing:"+id[:12])...)
	p.tag(courier.SubnetResource, string(s.ID), string(p.pool.ID))
}

// start is RequestAddress and CreateEndpoint: the port, its tags, and the link.
func (p *python) start(endpoint string, tagged bool) courier.Port {
	p.w.t.Helper()
	port := p.port(courier.PortSpec{Network: p.net.ID, Name: "kuryr-unbound-port", FixedIPs: []courier.FixedIP{{Subnet: p.subnet.ID}},
		DeviceID: endpoint, DeviceOwner: "compute:kuryr", Host: testHost})
	if tagged {
		p.tag(courier.PortResource, string(port.ID), append(halves(endpoint), "compute:kuryr")...)
	}
	p.link(port.ID)
	return port
}

func (p *python) link(id courier.PortID) {
	p.w.kernel.links[courier.HostEnd(id)] = courier.LinkSpec{HostEnd: courier.HostEnd(id)}
	p.w.kernel.bound[courier.HostEnd(id)] = courier.Plug{Network: p.net.ID}
	p.w.kernel.bridges[p.net.ID] = true
}

// engineNetwork is what Docker knows of it.
func (p *python) engineNetwork(id string) *engineNetwork {
	return &engineNetwork{id: courier.EngineNetworkID(id), pools: []enginePool{{id: courier.PoolID(p.pool.ID), cidr: p.subnet.CIDR, gateway: p.subnet.Gateway}}}
}

func (p *python) container(n *engineNetwork, endpoint string, port courier.Port) *container {
	return &container{network: n, endpoint: courier.EndpointID(endpoint), held: []netip.Addr{port.FixedIPs[0].Address}}
}

// TestSwitchOver: a host as the Python Kuryr leaves it is taken over with its
// containers, and cleaned up to nothing.
func TestSwitchOver(t *testing.T) {
	for _, x := range []struct {
		name string
		then func(*world, *engine, *engineNetwork, *container) // before all is removed
	}{
		{"stop and remove", func(*world, *engine, *engineNetwork, *container) {}},
		{"the container is looked at", func(w *world, _ *engine, n *engineNetwork, k *container) {
			info, err := w.c.Describe(t.Context(), n.id, k.endpoint)
			if err != nil || info.State != "attached" || info.Addresses[0] != k.held[0] {
				t.Errorf("%+v, %v", info, err)
			}
			joined, err := w.c.Join(t.Context(), n.id, k.endpoint)
			if err != nil || len(joined.Gateways) != 1 || joined.Gateways[0] != n.pools[0].gateway {
				t.Errorf("%+v, %v", joined, err)
			}
			w.restart()
		}},
		{"a new container beside it", func(w *world, e *engine, n *engineNetwork, k *container) {
			fresh := mustStart(t, e, n, "new", "")
			if fresh.held[0] == k.held[0] || !n.pools[0].cidr.Contains(fresh.held[0]) || fresh.joined.Gateways[0] != n.pools[0].gateway {
				t.Errorf("%+v beside %+v", fresh, k)
			}
			w.restart()
			e.stop(t.Context(), fresh)
		}},
		{"a restart between", func(w *world, e *engine, n *engineNetwork, k *container) {
			e.stop(t.Context(), k)
			w.restart()
		}},
	} {
		t.Run(x.name, func(t *testing.T) {
			w, e, ctx := storyWorld(t)
			p := &python{operator: operator{w}}
			p.createNetwork(pyNet, "10.140.0.0/24")
			n := p.engineNetwork(pyNet)
			k, untagged := p.container(n, pyEP, p.start(pyEP, true)), p.container(n, pyEP2, p.start(pyEP2, false))
			x.then(w, e, n, k)
			e.stop(ctx, k)
			e.stop(ctx, untagged)
			e.networkRemove(ctx, n)
			w.mustEmpty()
		})
	}
}

// TestSwitchOverWhileNeutronIsAway: each delete is sent once, and Neutron
// answers none of them.
func TestSwitchOverWhileNeutronIsAway(t *testing.T) {
	w, e, ctx := storyWorld(t)
	p := &python{operator: operator{w}}
	p.createNetwork(pyNet, "10.140.0.0/24")
	n := p.engineNetwork(pyNet)
	k := p.container(n, pyEP, p.start(pyEP, true))
	w.neutronAway(true)
	w.c.Leave(ctx, n.id, k.endpoint)
	for what, err := range map[string]error{"DeleteEndpoint": w.c.Detach(ctx, n.id, k.endpoint), "ReleasePool": w.c.ReleasePool(ctx, n.pools[0].id), "DeleteNetwork": w.c.DeleteNetwork(ctx, n.id)} {
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	_ = e
	w.neutronAway(false)
	w.restart()
	settled(t, func() string { return strings.Join(w.left(), " ") })
}

// TestSwitchOverOfWhatWasThereBefore: the Python Kuryr's tags go, and nothing else.
func TestSwitchOverOfWhatWasThereBefore(t *testing.T) {
	w, e, ctx := storyWorld(t)
	p := &python{operator: operator{w}}
	net := p.network("tenant")
	sub := p.operator.subnet(net, "10.141.0.0/24", "10.141.0.254")
	mine := p.port(courier.PortSpec{Network: net.ID, Name: "mine", FixedIPs: []courier.FixedIP{{Subnet: sub.ID, Address: addrOf("10.141.0.7")}}})
	before := p.show()
	p.adoptNetwork(pyNet, net, sub)
	n := p.engineNetwork(pyNet)
	host, owner := testHost, "compute:kuryr"
	_, err := w.neutron.UpdatePort(ctx, mine.ID, courier.PortUpdate{Host: &host, DeviceOwner: &owner, DeviceID: &pyEP})
	p.check(err)
	p.tag(courier.PortResource, string(mine.ID), append(halves(pyEP), "kuryr.port.existing")...)
	p.link(mine.ID)
	own := p.container(n, pyEP2, p.start(pyEP2, true))
	e.stop(ctx, p.container(n, pyEP, mine))
	e.stop(ctx, own)
	e.networkRemove(ctx, n)
	settled(t, func() string { return pendingOf(w) })
	if now := p.show(); unrevised(now) != unrevised(before) {
		t.Errorf("before:\n%s\nnow:\n%s", before, now)
	}
	p.returned(mine)
	w.mustHaveNothing()
}

// TestSwitchOverOfOneNetworkOnManyHosts: the network's tags name other hosts'
// Docker networks too, which stay.
func TestSwitchOverOfOneNetworkOnManyHosts(t *testing.T) {
	w, e, ctx := storyWorld(t)
	p, other := &python{operator: operator{w}}, &python{operator: operator{w}}
	net := p.network("tenant")
	sub := p.operator.subnet(net, "10.142.0.0/24", "10.142.0.1")
	other.adoptNetwork(pyNet2, net, sub)
	elsewhere := other.start(pyEP2, true)
	delete(w.kernel.links, courier.HostEnd(elsewhere.ID)) // its link is on its own host
	delete(w.kernel.bound, courier.HostEnd(elsewhere.ID))
	before := p.show()
	p.adoptNetwork(pyNet, net, sub)
	n := p.engineNetwork(pyNet)
	e.stop(ctx, p.container(n, pyEP, p.start(pyEP, true)))
	e.networkRemove(ctx, n)
	settled(t, func() string { return pendingOf(w) })
	if now := p.show(); unrevised(now) != unrevised(before) {
		t.Errorf("before:\n%s\nnow:\n%s", before, now)
	}
	w.mustHaveNothing()
}

// TestInheritedReservation: what RequestAddress of the Python Kuryr left.
func TestInheritedReservation(t *testing.T) {
	w, e, ctx := storyWorld(t)
	p := &python{operator: operator{w}}
	p.createNetwork(pyNet, "10.143.0.0/24")
	n := p.engineNetwork(pyNet)
	port := p.port(courier.PortSpec{Network: p.net.ID, Name: "kuryr-unbound-port", FixedIPs: []courier.FixedIP{{Subnet: p.subnet.ID}}})
	p.tag(courier.PortResource, string(port.ID), "compute:kuryr")
	vm := p.port(courier.PortSpec{Network: p.net.ID, Name: "vm", FixedIPs: []courier.FixedIP{{Subnet: p.subnet.ID}}})
	running := p.start(pyEP, true)
	for _, a := range []courier.Port{port, vm, running} {
		p.check(w.c.ReleaseAddress(ctx, n.pools[0].id, a.FixedIPs[0].Address))
	}
	settled(t, func() string { return pendingOf(w) })
	for name, x := range map[string]struct {
		id   courier.PortID
		left int
	}{"the reservation": {port.ID, 0}, "another's port": {vm.ID, 1}, "a running container's": {running.ID, 1}} {
		if found, err := w.neutron.FindPorts(ctx, courier.PortQuery{ID: x.id}); err != nil || len(found) != x.left {
			t.Errorf("%s: %v, %v", name, found, err)
		}
	}
	p.check(w.neutron.DeletePort(ctx, vm.ID))
	e.stop(ctx, p.container(n, pyEP, running))
	e.networkRemove(ctx, n)
	w.mustEmpty()
}

// TestNothingIsInheritedUnasked: what no call names stays, whatever it is called.
func TestNothingIsInheritedUnasked(t *testing.T) {
	w, e, ctx := storyWorld(t)
	p := &python{operator: operator{w}}
	p.createNetwork(pyNet, "10.144.0.0/24")
	p.start(pyEP, true)
	before := p.show()
	n := mustNetwork(t, e, "n1", poolSpec{cidr: "10.144.0.0/24"})
	k := mustStart(t, e, n, "e1", "")
	e.stop(ctx, k)
	e.networkRemove(ctx, n)
	w.c.Detach(ctx, courier.EngineNetworkID(pyNet2), courier.EndpointID(pyEP2))
	w.c.DeleteNetwork(ctx, courier.EngineNetworkID(pyNet2))
	w.c.ReleasePool(ctx, "01234567-89ab-4def-8123-456789abcdef")
	w.restart()
	w.c.ExpireAt(farFuture())
	settled(t, func() string { return pendingOf(w) })
	p.same(before)
	if len(w.kernel.left()) != 3 {
		t.Errorf("in the kernel: %v", w.kernel.left())
	}
	w.mustHoldNothing()
}

// TestCompatTags: with them the Python Kuryr finds what its engine's calls name
// (its own look-ups, by name and tag), and so does a Kuryr that knows nothing.
func TestCompatTags(t *testing.T) {
	w, e, ctx := storyWorld(t)
	w.options.CompatTags = true
	w.restart()
	o := operator{w}
	net := o.network("tenant")
	o.subnet(net, "10.146.0.0/24", "10.146.0.1")
	mine := o.port(courier.PortSpec{Network: net.ID, Name: "mine", FixedIPs: []courier.FixedIP{{Subnet: o.subnet(net, "10.147.0.0/24", "").ID, Address: addrOf("10.147.0.7")}}})
	before := o.show()
	own, err := e.networkCreate(ctx, pyNet, poolSpec{cidr: "10.145.0.0/24"})
	o.check(err)
	shared, err := e.networkWith(ctx, pyNet2, network(courier.Reference{ID: string(net.ID)}), poolSpec{cidr: "10.147.0.0/24"})
	o.check(err)
	w.breaker.arm(0, breakage{})
	k := mustStart(t, e, own, pyEP, "")
	if got, want := strings.Join(w.breaker.neutronCalls(), ", "), "create port, update port, set tags of ports, list subnets"; got != want {
		t.Errorf("calls %s, want %s", got, want)
	}
	k2 := mustStart(t, e, shared, pyEP2, "", "10.147.0.7")
	for path, want := range map[string]int{
		"networks?tags=" + strings.Join(halves(pyNet), ","):                                             1,
		"networks?tags=" + strings.Join(append(halves(pyNet), "kuryr.net.existing:"+pyNet[:12]), ","):   0,
		"networks?tags=" + strings.Join(append(halves(pyNet2), "kuryr.net.existing:"+pyNet2[:12]), ","): 1,
		"ports?tags=" + strings.Join(halves(pyEP), ","):                                                 1,
		"ports?tags=compute:kuryr&fixed_ips=ip_address%3D" + k.held[0].String():                         1,
		"ports?tags=" + strings.Join(append(halves(pyEP2), "kuryr.port.existing"), ","):                 1,
		"subnets?subnetpool_id=" + string(own.pools[0].id) + "&tags=" + string(own.pools[0].id):         1,
		"subnetpools?id=" + string(own.pools[0].id) + "&name=kuryrPool-10.145.0.0/24":                   1,
		"subnets?cidr=10.147.0.0/24&tags=" + string(shared.pools[0].id):                                 1,
		"subnetpools?id=" + string(shared.pools[0].id):                                                  1,
	} {
		if got := strings.Count(request(t, w.server, "GET", "/v2.0/"+strings.ReplaceAll(path, "/24", "%2F24"), ""), `"id":`); got != want {
			t.Errorf("GET %s: %d, want %d", path, got, want)
		}
	}
	fresh := &world{t: t, dir: t.TempDir(), kernel: w.kernel, breaker: w.breaker, server: w.server, neutron: w.neutron, options: w.options}
	fresh.start()
	t.Cleanup(fresh.halt)
	e2 := &engine{w: fresh}
	for _, x := range []*container{k, k2} {
		e2.stop(ctx, x)
	}
	e2.networkRemove(ctx, own)
	e2.networkRemove(ctx, shared)
	settled(t, func() string { return pendingOf(fresh) })
	if now := o.show(); unrevised(now) != unrevised(before) {
		t.Errorf("before:\n%s\nnow:\n%s", before, now)
	}
	o.returned(mine)
	fresh.mustHaveNothing()
}

// TestCompatTagsGo: whoever wrote them takes them away.
func TestCompatTagsGo(t *testing.T) {
	w, e, ctx := storyWorld(t)
	w.options.CompatTags = true
	w.restart()
	story := reuseStory(w)
	if err := story(ctx, e); err != nil {
		t.Fatal(err)
	}
	w.mustEmpty()
}

// neutronAway makes Neutron answer nothing, or again.
func (w *world) neutronAway(away bool) {
	w.breaker.mu.Lock()
	defer w.breaker.mu.Unlock()
	w.breaker.away = away
}

func (w *world) mustHoldNothing() {
	w.t.Helper()
	if s := w.c.Status(); len(s.Networks)+len(s.Pools)+len(s.Attachments) > 0 {
		w.t.Errorf("still held: %+v", s)
	}
}
