package neutrontest

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"github.com/google/uuid"

	"kuryr/internal/courier"
)

func (s *suite) port() {
	n := s.makeNetwork()
	sub := s.makeSubnet(n.ID, "10.206.0.0/24")
	m := s.mark()
	p := s.makePort(courier.PortSpec{Network: n.ID, Name: "a port", DeviceID: "device", DeviceOwner: "kuryr:container", Mark: m})
	s.equal("network", p.Network, n.ID)
	if p.MAC.IsZero() {
		s.Error("it has no MAC address")
	}
	if len(p.FixedIPs) != 1 || p.FixedIPs[0].Subnet != sub.ID || !sub.CIDR.Contains(p.FixedIPs[0].Address) ||
		p.FixedIPs[0].Address == sub.Gateway || p.FixedIPs[0].Address == sub.CIDR.Addr() {
		s.Errorf("addresses: %v", p.FixedIPs)
	}
	s.equal("vif_type", p.Binding.VIFType, "unbound")
	s.equal("status", p.Status, "DOWN")
	found, err := s.n.PortsByMark(s.ctx(), m)
	s.check(err)
	s.equal("by mark", found, []courier.Port{p})
	s.check(s.n.DeletePort(s.ctx(), p.ID))
	found, err = s.n.PortsByMark(s.ctx(), m)
	s.check(err)
	s.equal("by mark after its deletion", len(found), 0)
}

// More ports than go into one request are looked up; one that is gone is left out.
func (s *suite) statuses() {
	n := s.makeNetwork()
	s.makeSubnet(n.ID, "10.219.0.0/24")
	p, gone := s.makePort(courier.PortSpec{Network: n.ID}), s.makePort(courier.PortSpec{Network: n.ID})
	s.check(s.n.DeletePort(s.ctx(), gone.ID))
	ids := []courier.PortID{gone.ID}
	for range 120 {
		ids = append(ids, courier.PortID(uuid.NewString()))
	}
	got, err := s.n.PortStatuses(s.ctx(), append(ids, p.ID))
	s.check(err)
	s.equal("statuses", got, map[courier.PortID]string{p.ID: "DOWN"})
	got, err = s.n.PortStatuses(s.ctx(), nil)
	s.check(err)
	s.equal("statuses of nothing", len(got), 0)
	_, err = s.n.PortStatuses(s.ctx(), []courier.PortID{"x&id=y"})
	s.want(courier.Invalid, err)
}

// The host that binds ports has a live agent; an unknown one has none.
func (s *suite) agents() {
	all, err := s.n.AgentsOfHost(s.ctx(), s.o.Host)
	s.check(err)
	alive := false
	for _, a := range all {
		alive = alive || a.Alive && a.Type != "" && !a.Heartbeat.IsZero()
	}
	if !alive {
		s.Errorf("agents of %s: %+v", s.o.Host, all)
	}
	all, err = s.n.AgentsOfHost(s.ctx(), "neutrontest&host="+s.o.Host)
	s.check(err)
	s.equal("agents of a host that nobody knows", len(all), 0)
}

func (s *suite) dualStack() {
	n := s.makeNetwork()
	four, six := s.makeSubnet(n.ID, "10.207.0.0/24"), s.makeSubnet(n.ID, "fd00:207::/64")
	p := s.makePort(courier.PortSpec{Network: n.ID})
	families := map[courier.SubnetID]int{}
	for _, ip := range p.FixedIPs {
		families[ip.Subnet]++
	}
	if len(p.FixedIPs) != 2 || families[four.ID] != 1 || families[six.ID] != 1 {
		s.Errorf("addresses: %v", p.FixedIPs)
	}
	only := s.makePort(courier.PortSpec{Network: n.ID, FixedIPs: []courier.FixedIP{{Subnet: six.ID}}})
	if len(only.FixedIPs) != 1 || !six.CIDR.Contains(only.FixedIPs[0].Address) {
		s.Errorf("addresses on the IPv6 subnet alone: %v", only.FixedIPs)
	}
}

func (s *suite) wishes() {
	n := s.makeNetwork()
	sub := s.makeSubnet(n.ID, "10.208.0.0/24")
	mac := courier.MAC{0x02, 0x42, 0x0a, 0xd0, 0x00, 0x07}
	p := s.makePort(courier.PortSpec{Network: n.ID, MAC: mac, FixedIPs: at(sub, "10.208.0.7")})
	s.equal("MAC", p.MAC, mac)
	s.equal("addresses", addresses(p), "10.208.0.7")
	s.equal("gateway's address", addresses(s.makePort(courier.PortSpec{Network: n.ID, FixedIPs: at(sub, "10.208.0.1")})), "10.208.0.1")
	// By address alone, Neutron finds the subnet.
	free := s.makePort(courier.PortSpec{Network: n.ID, FixedIPs: []courier.FixedIP{{Address: addr("10.208.0.9")}}})
	s.equal("by address alone", free.FixedIPs, at(sub, "10.208.0.9"))
	s.check(s.n.DeletePort(s.ctx(), p.ID))
	again := s.makePort(courier.PortSpec{Network: n.ID, MAC: mac, FixedIPs: at(sub, "10.208.0.7")})
	s.equal("what was released", addresses(again)+" "+again.MAC.String(), "10.208.0.7 "+mac.String())
}

func (s *suite) portConflicts() {
	n := s.makeNetwork()
	sub := s.makeSubnet(n.ID, "10.209.0.0/24")
	first := s.makePort(courier.PortSpec{Network: n.ID, FixedIPs: at(sub, "10.209.0.7")})
	for _, tt := range []struct {
		name string
		spec courier.PortSpec
		kind courier.Kind
	}{
		{"address taken", courier.PortSpec{FixedIPs: at(sub, "10.209.0.7")}, courier.Conflict},
		{"address taken, no subnet", courier.PortSpec{FixedIPs: []courier.FixedIP{{Address: addr("10.209.0.7")}}}, courier.Conflict},
		{"MAC taken", courier.PortSpec{MAC: first.MAC}, courier.Conflict},
		{"address outside", courier.PortSpec{FixedIPs: at(sub, "10.210.0.7")}, courier.Invalid},
		{"address outside, no subnet", courier.PortSpec{FixedIPs: []courier.FixedIP{{Address: addr("10.210.0.7")}}}, courier.Invalid},
		{"no such network", courier.PortSpec{Network: missing[courier.NetworkID]()}, courier.NotFound},
	} {
		if tt.spec.Network == "" {
			tt.spec.Network = n.ID
		}
		tt.spec.Mark = s.mark()
		s.Log(tt.name)
		_, err := s.tryPort(tt.spec)
		s.want(tt.kind, err)
		left, err := s.n.PortsByMark(s.ctx(), tt.spec.Mark)
		s.check(err)
		s.equal("ports left by the refusal", len(left), 0)
	}
	other := s.makeNetwork()
	s.makeSubnet(other.ID, "10.209.0.0/24")
	s.makePort(courier.PortSpec{Network: other.ID, MAC: first.MAC})
}

func (s *suite) exhausted() {
	n := s.makeNetwork()
	s.makeSubnet(n.ID, "10.211.0.0/29")
	seen := map[string]bool{}
	var last courier.Port
	for range 5 { // 8, less the network's, the gateway's and the broadcast address
		last = s.makePort(courier.PortSpec{Network: n.ID})
		seen[addresses(last)] = true
	}
	s.equal("different addresses", len(seen), 5)
	_, err := s.tryPort(courier.PortSpec{Network: n.ID})
	s.want(courier.Exhausted, err)
	s.check(s.n.DeletePort(s.ctx(), last.ID))
	s.equal("the address that came back", addresses(s.makePort(courier.PortSpec{Network: n.ID})), addresses(last))
}

func (s *suite) binding() {
	n := s.makeNetwork()
	s.makeSubnet(n.ID, "10.212.0.0/24")
	here := s.makePort(courier.PortSpec{Network: n.ID, Host: s.o.Host, DeviceOwner: "kuryr:container"})
	s.equal("host", here.Binding.Host, s.o.Host)
	switch here.Binding.VIFType {
	case "", "unbound", "binding_failed":
		s.Errorf("a port on this host has vif_type %q", here.Binding.VIFType)
	}
	// Neutron says so in a good answer.
	there := s.makePort(courier.PortSpec{Network: n.ID, Host: "no-such-host", DeviceOwner: "kuryr:container"})
	s.equal("vif_type on an unknown host", there.Binding.VIFType, "binding_failed")
}

func (s *suite) bulk() {
	n := s.makeNetwork()
	sub := s.makeSubnet(n.ID, "10.213.0.0/24")
	specs := []courier.PortSpec{
		{Network: n.ID, Name: "first", Mark: s.mark(), FixedIPs: at(sub, "10.213.0.9")},
		{Network: n.ID, Name: "second", Mark: s.mark(), MAC: courier.MAC{0x02, 0x42, 0x0a, 0xd5, 0x00, 0x07}},
		{Network: n.ID, Name: "third", Mark: s.mark(), Host: s.o.Host},
	}
	made, err := s.n.CreatePorts(s.ctx(), specs)
	s.check(err)
	for _, p := range made {
		s.removePort(p.ID)
	}
	s.equal("ports", len(made), 3)
	s.equal("addresses of the first", addresses(made[0]), "10.213.0.9")
	s.equal("MAC of the second", made[1].MAC, specs[1].MAC)
	s.equal("host of the third", made[2].Binding.Host, s.o.Host)
	for i, spec := range specs {
		found, err := s.n.PortsByMark(s.ctx(), spec.Mark)
		s.check(err)
		if len(found) != 1 || found[0].ID != made[i].ID {
			s.Errorf("by the mark of %s: %v", spec.Name, found)
		}
	}
	none, err := s.n.CreatePorts(s.ctx(), nil)
	s.check(err)
	s.equal("ports for no specs", len(none), 0)
}

func (s *suite) bulkAllOrNothing() {
	n := s.makeNetwork()
	sub := s.makeSubnet(n.ID, "10.214.0.0/29")
	s.makePort(courier.PortSpec{Network: n.ID, FixedIPs: at(sub, "10.214.0.5")})
	m := s.mark()
	one := courier.PortSpec{Network: n.ID, Mark: m}
	taken := one
	taken.FixedIPs = at(sub, "10.214.0.5")
	for _, tt := range []struct {
		specs []courier.PortSpec
		kind  courier.Kind
	}{
		{[]courier.PortSpec{one, one, taken}, courier.Conflict},
		{[]courier.PortSpec{one, one, one, one, one}, courier.Exhausted},
	} {
		_, err := s.n.CreatePorts(s.ctx(), tt.specs)
		s.want(tt.kind, err)
		left, err := s.n.PortsByMark(s.ctx(), m)
		s.check(err)
		s.equal("ports left", len(left), 0)
	}
	if s.o.KeepsAddresses {
		return
	}
	for range 4 { // every address is free again
		s.makePort(courier.PortSpec{Network: n.ID})
	}
}

func (s *suite) portUpdate() {
	n := s.makeNetwork()
	sub := s.makeSubnet(n.ID, "10.215.0.0/24")
	p := s.makePort(courier.PortSpec{Network: n.ID, FixedIPs: at(sub, "10.215.0.5")})
	taken := s.makePort(courier.PortSpec{Network: n.ID, FixedIPs: at(sub, "10.215.0.9")})
	name, device := "renamed", "other device"
	named, err := s.n.UpdatePort(s.ctx(), p.ID, courier.PortUpdate{Name: &name, DeviceID: &device})
	s.check(err)
	s.equal("name", named.Name+" "+named.DeviceID, name+" "+device)
	named.Name, named.DeviceID, named.Revision = p.Name, p.DeviceID, p.Revision
	s.equal("port after a new name", named, p)
	moved, err := s.n.UpdatePort(s.ctx(), p.ID, courier.PortUpdate{FixedIPs: at(sub, "10.215.0.6")})
	s.check(err)
	s.equal("addresses after the move", addresses(moved), "10.215.0.6")
	s.makePort(courier.PortSpec{Network: n.ID, FixedIPs: at(sub, "10.215.0.5")})
	_, err = s.n.UpdatePort(s.ctx(), p.ID, courier.PortUpdate{FixedIPs: at(sub, addresses(taken))})
	s.want(courier.Conflict, err)
	none, err := s.n.UpdatePort(s.ctx(), p.ID, courier.PortUpdate{FixedIPs: []courier.FixedIP{}})
	s.check(err)
	s.equal("addresses after giving them up", addresses(none), "")
	s.makePort(courier.PortSpec{Network: n.ID, FixedIPs: at(sub, "10.215.0.6")})
}

func (s *suite) portsAtOnce() {
	n := s.makeNetwork()
	s.makeSubnet(n.ID, "10.216.0.0/24")
	const count = 16
	made := make([]courier.Port, count)
	errs := make([]error, count)
	var wg sync.WaitGroup
	for i := range count {
		wg.Go(func() { made[i], errs[i] = s.tryPort(courier.PortSpec{Network: n.ID}) })
	}
	wg.Wait()
	ips, macs := map[netip.Addr]bool{}, map[courier.MAC]bool{}
	for i, p := range made {
		s.check(errs[i])
		ips[p.FixedIPs[0].Address], macs[p.MAC] = true, true
	}
	s.equal("different addresses", len(ips), count)
	s.equal("different MAC addresses", len(macs), count)
}

func (s *suite) oneAddressForMany() {
	n := s.makeNetwork()
	sub := s.makeSubnet(n.ID, "10.217.0.0/24")
	const count = 8
	errs := make([]error, count)
	var wg sync.WaitGroup
	for i := range count {
		wg.Go(func() { _, errs[i] = s.tryPort(courier.PortSpec{Network: n.ID, FixedIPs: at(sub, "10.217.0.7")}) })
	}
	wg.Wait()
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
			continue
		}
		s.want(courier.Conflict, err)
	}
	s.equal("ports that got the address", won, 1)
}

// deadline: a request whose time is up has no known outcome.
func (s *suite) deadline() {
	ctx, cancel := context.WithDeadline(s.Context(), time.Now().Add(-time.Second))
	defer cancel()
	_, err := s.n.CreateNetwork(ctx, courier.NetworkSpec{Name: "neutrontest", Mark: s.mark()})
	s.want(courier.Unavailable, err)
	_, err = s.n.NetworksByMark(ctx, s.mark())
	s.want(courier.Unavailable, err)
}
