package neutrontest

import (
	"context"
	"net/netip"

	"kuryr/internal/courier"
)

func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }
func addr(s string) netip.Addr     { return netip.MustParseAddr(s) }

func (s *suite) subnetPool() {
	m := s.mark()
	name := "neutrontest-" + m.Intent
	spec := courier.SubnetPoolSpec{Name: name, Prefixes: []netip.Prefix{prefix("10.192.0.0/16"), prefix("10.200.0.0/16")}, DefaultPrefixLen: 24, Mark: m}
	made, err := s.n.CreateSubnetPool(s.ctx(), spec)
	s.check(err)
	s.remove(func(ctx context.Context) error { return s.n.DeleteSubnetPool(ctx, made.ID) })
	s.equal("prefixes", made.Prefixes, spec.Prefixes)
	s.equal("default prefix length", made.DefaultPrefixLen, 24)
	byMark, err := s.n.SubnetPoolsByMark(s.ctx(), m)
	s.check(err)
	s.equal("by mark", byMark, []courier.SubnetPool{made})
	byName, err := s.n.FindSubnetPools(s.ctx(), courier.Reference{Name: name})
	s.check(err)
	s.equal("by name", byName, []courier.SubnetPool{made})
	none, err := s.n.FindSubnetPools(s.ctx(), courier.Reference{Name: name[:len(name)-1]})
	s.check(err)
	s.equal("by part of its name", len(none), 0)
	s.check(s.n.DeleteSubnetPool(s.ctx(), made.ID))
	s.want(courier.NotFound, s.n.DeleteSubnetPool(s.ctx(), made.ID))
}

func (s *suite) subnetPoolInUse() {
	pool, n := s.makePool("10.193.0.0/16", 24), s.makeNetwork()
	taken := courier.SubnetSpec{Network: n.ID, CIDR: prefix("10.193.4.0/24"), Gateway: addr("10.193.4.1"), Pool: pool.ID, Mark: s.mark()}
	made, err := s.n.CreateSubnet(s.ctx(), taken)
	s.check(err)
	of, err := s.n.SubnetsOfPool(s.ctx(), pool.ID)
	s.check(err)
	s.equal("subnets of the pool", of, []courier.Subnet{made})
	s.want(courier.Conflict, s.n.DeleteSubnetPool(s.ctx(), pool.ID))

	other := s.makeNetwork()
	taken.Network, taken.Mark = other.ID, s.mark()
	_, err = s.n.CreateSubnet(s.ctx(), taken)
	s.want(courier.Conflict, err)
	taken.CIDR, taken.Gateway = prefix("10.194.4.0/24"), netip.Addr{}
	_, err = s.n.CreateSubnet(s.ctx(), taken)
	s.want(courier.Conflict, err)

	s.check(s.n.DeleteNetwork(s.ctx(), n.ID, courier.AnyRevision))
	s.check(s.n.DeleteSubnetPool(s.ctx(), pool.ID))
}

// shortPrefixes: a pool for one large IPv6 subnet, below Neutron's own minimum.
func (s *suite) shortPrefixes() {
	pool, n := s.makePool("fd00:195::/48", 48), s.makeNetwork()
	made, err := s.n.CreateSubnet(s.ctx(), courier.SubnetSpec{
		Network: n.ID, CIDR: prefix("fd00:195::/48"), Gateway: addr("fd00:195::1"), Pool: pool.ID, Mark: s.mark()})
	s.check(err)
	s.equal("CIDR", made.CIDR, "fd00:195::/48")
}

func (s *suite) tags() {
	pool := s.makePool("10.195.0.0/16", 24)
	tag := s.mark().Intent
	s.check(s.n.Tag(s.ctx(), poolOf(pool.ID), tag))
	s.check(s.n.Tag(s.ctx(), poolOf(pool.ID), tag))
	s.check(s.n.Tag(s.ctx(), poolOf(pool.ID), "another one"))
	s.check(s.n.Untag(s.ctx(), poolOf(pool.ID), tag))
	s.want(courier.NotFound, s.n.Untag(s.ctx(), poolOf(pool.ID), tag))
	s.check(s.n.Untag(s.ctx(), poolOf(pool.ID), "another one"))
}

func (s *suite) subnet() {
	n := s.makeNetwork()
	made := s.makeSubnet(n.ID, "10.196.0.0/24")
	s.equal("CIDR", made.CIDR, "10.196.0.0/24")
	s.equal("gateway", made.Gateway, "10.196.0.1")
	s.equal("network", made.Network, n.ID)
	s.equal("host routes", len(made.HostRoutes), 0)
	second := s.makeSubnet(n.ID, "10.197.0.0/24")
	of, err := s.n.SubnetsOfNetwork(s.ctx(), n.ID)
	s.check(err)
	if len(of) != 2 || of[0].ID == of[1].ID {
		s.Errorf("subnets of the network: %v, want %s and %s", of, made.ID, second.ID)
	}
	other := s.makeNetwork()
	none, err := s.n.SubnetsOfNetwork(s.ctx(), other.ID)
	s.check(err)
	s.equal("subnets of another network", len(none), 0)
	s.makeSubnet(other.ID, "10.196.0.0/24")
	both, err := s.n.SubnetsOfNetworks(s.ctx(), []courier.NetworkID{n.ID, other.ID})
	s.check(err)
	s.equal("subnets of both networks", len(both), 3)
}

// noGateway: the address that would be the gateway's is one like the others.
func (s *suite) noGateway() {
	n := s.makeNetwork()
	made, err := s.n.CreateSubnet(s.ctx(), courier.SubnetSpec{Network: n.ID, CIDR: prefix("10.198.0.0/24"), Mark: s.mark()})
	s.check(err)
	s.equal("gateway", made.Gateway, netip.Addr{})
	p := s.makePort(courier.PortSpec{Network: n.ID, FixedIPs: at(made, "10.198.0.1")})
	s.equal("addresses", addresses(p), "10.198.0.1")
}

// allocationPools bound what Neutron chooses, not what may be wished.
func (s *suite) allocationPools() {
	n := s.makeNetwork()
	sub, err := s.n.CreateSubnet(s.ctx(), courier.SubnetSpec{
		Network: n.ID, CIDR: prefix("10.199.0.0/24"), Gateway: addr("10.199.0.1"), Mark: s.mark(),
		AllocationPools: []courier.AddressRange{
			{First: addr("10.199.0.10"), Last: addr("10.199.0.10")}, {First: addr("10.199.0.20"), Last: addr("10.199.0.21")}}})
	s.check(err)
	got := map[string]bool{}
	for range 3 {
		got[addresses(s.makePort(courier.PortSpec{Network: n.ID}))] = true
	}
	for _, want := range []string{"10.199.0.10", "10.199.0.20", "10.199.0.21"} {
		if !got[want] {
			s.Errorf("%s was not handed out: %v", want, got)
		}
	}
	_, err = s.tryPort(courier.PortSpec{Network: n.ID})
	s.want(courier.Exhausted, err)
	s.equal("wished", addresses(s.makePort(courier.PortSpec{Network: n.ID, FixedIPs: at(sub, "10.199.0.99")})), "10.199.0.99")
}

func (s *suite) ipv6() {
	n := s.makeNetwork()
	sub := s.makeSubnet(n.ID, "fd00:199::/64")
	s.equal("gateway", sub.Gateway, "fd00:199::1")
	p := s.makePort(courier.PortSpec{Network: n.ID})
	if len(p.FixedIPs) != 1 || !sub.CIDR.Contains(p.FixedIPs[0].Address) || p.FixedIPs[0].Address == sub.Gateway {
		s.Errorf("addresses: %v", p.FixedIPs)
	}
	wished := s.makePort(courier.PortSpec{Network: n.ID, FixedIPs: at(sub, "fd00:199::abcd")})
	s.equal("wished", addresses(wished), "fd00:199::abcd")
}

// sameCIDRTwice: two networks may have one CIDR, each from a pool of its own.
func (s *suite) sameCIDRTwice() {
	for range 2 {
		pool, n := s.makePool("10.202.0.0/24", 24), s.makeNetwork()
		sub, err := s.n.CreateSubnet(s.ctx(), courier.SubnetSpec{
			Network: n.ID, CIDR: prefix("10.202.0.0/24"), Gateway: addr("10.202.0.1"), Pool: pool.ID, Mark: s.mark()})
		s.check(err)
		p := s.makePort(courier.PortSpec{Network: n.ID, FixedIPs: at(sub, "10.202.0.7")})
		s.equal("addresses", addresses(p), "10.202.0.7")
	}
}

func (s *suite) refusedSubnets() {
	n := s.makeNetwork()
	s.makeSubnet(n.ID, "10.203.0.0/24")
	base := courier.SubnetSpec{Network: n.ID, CIDR: prefix("10.204.0.0/24"), Gateway: addr("10.204.0.1")}
	for _, tt := range []struct {
		name   string
		change func(*courier.SubnetSpec)
		kind   courier.Kind
	}{
		{"overlapping", func(x *courier.SubnetSpec) { x.CIDR, x.Gateway = prefix("10.203.0.0/16"), addr("10.203.9.1") }, courier.Conflict},
		{"gateway is the network address", func(x *courier.SubnetSpec) { x.Gateway = addr("10.204.0.0") }, courier.Invalid},
		{"allocation pool outside", func(x *courier.SubnetSpec) {
			x.AllocationPools = []courier.AddressRange{{First: addr("10.205.0.2"), Last: addr("10.205.0.9")}}
		}, courier.Invalid},
		{"gateway in an allocation pool", func(x *courier.SubnetSpec) {
			x.AllocationPools = []courier.AddressRange{{First: addr("10.204.0.1"), Last: addr("10.204.0.9")}}
		}, courier.Conflict},
		{"no CIDR", func(x *courier.SubnetSpec) { x.CIDR = netip.Prefix{} }, courier.Invalid},
		{"no such network", func(x *courier.SubnetSpec) { x.Network = missing[courier.NetworkID]() }, courier.NotFound},
	} {
		spec := base
		spec.Mark = s.mark()
		tt.change(&spec)
		s.Log(tt.name)
		_, err := s.n.CreateSubnet(s.ctx(), spec)
		s.want(tt.kind, err)
	}
	left, err := s.n.SubnetsOfNetwork(s.ctx(), n.ID)
	s.check(err)
	s.equal("subnets after the refusals", len(left), 1)
}
