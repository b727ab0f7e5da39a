package neutrontest

import (
	"kuryr/internal/courier"
)

func (s *suite) network() {
	m := s.mark()
	made, err := s.n.CreateNetwork(s.ctx(), courier.NetworkSpec{Name: "a network – réseau", MTU: 1400, Mark: m})
	s.check(err)
	s.equal("name", made.Name, "a network – réseau")
	s.equal("MTU", made.MTU, 1400)
	found, err := s.n.NetworksByMark(s.ctx(), m)
	s.check(err)
	s.equal("found by its mark", found, []courier.Network{made})

	other := s.makeNetwork()
	if other.MTU < 1280 {
		s.Errorf("a network without a wish has an MTU of %d", other.MTU)
	}
	s.check(s.n.DeleteNetwork(s.ctx(), made.ID, courier.AnyRevision))
	found, err = s.n.NetworksByMark(s.ctx(), m)
	s.check(err)
	s.equal("found after its deletion", found, []courier.Network{})
}

// networkInUse: a network with a port stays; without, its subnets go with it.
func (s *suite) networkInUse() {
	pool := s.makePool("10.190.0.0/24", 24)
	n := s.makeNetwork()
	_, err := s.n.CreateSubnet(s.ctx(), courier.SubnetSpec{
		Network: n.ID, CIDR: pool.Prefixes[0], Gateway: pool.Prefixes[0].Addr().Next(), Pool: pool.ID, Mark: s.mark()})
	s.check(err)
	p := s.makePort(courier.PortSpec{Network: n.ID})
	s.want(courier.Conflict, s.n.DeleteNetwork(s.ctx(), n.ID, courier.AnyRevision))
	s.check(s.n.DeletePort(s.ctx(), p.ID))
	s.check(s.n.DeleteNetwork(s.ctx(), n.ID, courier.AnyRevision))
	left, err := s.n.SubnetsOfPool(s.ctx(), pool.ID)
	s.check(err)
	s.equal("subnets after their network's deletion", len(left), 0)
}

// marks: only what carries exactly a mark is found by it, whatever the host is
// called.
func (s *suite) marks() {
	n := s.makeNetwork()
	m := courier.Mark{Host: "h&st=1 %2F+é", Intent: s.mark().Intent}
	marked := s.makePort(courier.PortSpec{Network: n.ID, Mark: m})
	s.makePort(courier.PortSpec{Network: n.ID, Mark: courier.Mark{Host: m.Host, Intent: m.Intent + "0"}})
	s.makePort(courier.PortSpec{Network: n.ID})
	found, err := s.n.PortsByMark(s.ctx(), m)
	s.check(err)
	if len(found) != 1 || found[0].ID != marked.ID {
		s.Errorf("found %v, want port %s", found, marked.ID)
	}
	none, err := s.n.PortsByMark(s.ctx(), s.mark())
	s.check(err)
	s.equal("ports of another mark", len(none), 0)
	pools, err := s.n.SubnetPoolsByMark(s.ctx(), m)
	s.check(err)
	s.equal("subnetpools of the mark", len(pools), 0)
}

// gone: deletes tell that there was nothing to delete.
func (s *suite) gone() {
	ctx := s.ctx()
	s.want(courier.NotFound, s.n.DeleteNetwork(ctx, missing[courier.NetworkID](), courier.AnyRevision))
	s.want(courier.NotFound, s.n.DeleteSubnetPool(ctx, missing[courier.SubnetPoolID]()))
	s.want(courier.NotFound, s.n.DeletePort(ctx, missing[courier.PortID]()))
	s.want(courier.NotFound, s.n.Tag(ctx, poolOf(missing[courier.SubnetPoolID]()), "x"))
	s.want(courier.NotFound, s.n.Untag(ctx, poolOf(missing[courier.SubnetPoolID]()), "x"))
	name := "other"
	_, err := s.n.UpdatePort(ctx, missing[courier.PortID](), courier.PortUpdate{Name: &name})
	s.want(courier.NotFound, err)
	_, err = s.n.CreatePort(ctx, courier.PortSpec{Network: missing[courier.NetworkID](), Mark: s.mark()})
	s.want(courier.NotFound, err)
	// An empty ID must never reach a whole collection.
	s.want(courier.Invalid, s.n.DeletePort(ctx, ""))
	s.want(courier.Invalid, s.n.DeleteNetwork(ctx, "", courier.AnyRevision))
	s.want(courier.Invalid, s.n.DeleteSubnetPool(ctx, ""))

	n := s.makeNetwork()
	s.makeSubnet(n.ID, "10.191.0.0/24")
	p := s.makePort(courier.PortSpec{Network: n.ID})
	s.check(s.n.DeletePort(ctx, p.ID))
	s.want(courier.NotFound, s.n.DeletePort(ctx, p.ID))
	s.check(s.n.DeleteNetwork(ctx, n.ID, courier.AnyRevision))
	s.want(courier.NotFound, s.n.DeleteNetwork(ctx, n.ID, courier.AnyRevision))
	_, err = s.n.CreateSubnet(ctx, courier.SubnetSpec{Network: n.ID, CIDR: prefix("10.191.0.0/24"), Mark: s.mark()})
	s.want(courier.NotFound, err)
}
