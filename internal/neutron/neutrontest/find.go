package neutrontest

import (
	"github.com/google/uuid"

	"kuryr/internal/courier"
)

// find: by ID and by name, all of a name, the oldest network first.
func (s *suite) find() {
	name := "neutrontest-" + uuid.NewString()
	make := func() courier.Network {
		n, err := s.n.CreateNetwork(s.ctx(), courier.NetworkSpec{Name: name, Mark: s.mark()})
		s.check(err)
		s.removeNetwork(n.ID)
		return n
	}
	first, second := make(), make()
	sub := s.makeSubnet(second.ID, "10.218.0.0/24")
	byName, err := s.n.FindNetworks(s.ctx(), courier.Reference{Name: name})
	s.check(err)
	s.equal("networks of the name", len(byName), 2)
	if a, b := byName[0], byName[1]; a.Created.After(b.Created) || a.Created.Equal(b.Created) && a.ID > b.ID {
		s.Errorf("not the oldest first: %v", byName)
	}
	byID, err := s.n.FindNetworks(s.ctx(), courier.Reference{ID: string(first.ID)})
	s.check(err)
	s.equal("network by ID", byID, []courier.Network{first})
	none, err := s.n.FindNetworks(s.ctx(), courier.Reference{ID: string(missing[courier.NetworkID]())})
	s.check(err)
	s.equal("networks of no ID", len(none), 0)
	subnets, err := s.n.FindSubnets(s.ctx(), courier.Reference{ID: string(sub.ID)})
	s.check(err)
	s.equal("subnet by ID", subnets, []courier.Subnet{sub})
	policies, err := s.n.FindQoSPolicies(s.ctx(), courier.Reference{Name: name})
	s.check(err)
	s.equal("QoS policies", len(policies), 0)
	_, err = s.n.FindNetworks(s.ctx(), courier.Reference{ID: "x"})
	s.want(courier.Invalid, err)
}

// findPorts: by what they have.
func (s *suite) findPorts() {
	n := s.makeNetwork()
	sub := s.makeSubnet(n.ID, "10.219.0.0/24")
	device := uuid.NewString()
	p := s.makePort(courier.PortSpec{Network: n.ID, FixedIPs: at(sub, "10.219.0.7"), DeviceID: device})
	s.makePort(courier.PortSpec{Network: n.ID, FixedIPs: at(sub, "10.219.0.70")})
	for what, q := range map[string]courier.PortQuery{
		"ID":      {ID: p.ID},
		"address": {Network: n.ID, Subnet: sub.ID, Address: addr("10.219.0.7")},
		"MAC":     {Network: n.ID, MAC: p.MAC},
		"device":  {DeviceID: device},
	} {
		found, err := s.n.FindPorts(s.ctx(), q)
		s.check(err)
		s.equal("ports by "+what, found, []courier.Port{p})
	}
	none, err := s.n.FindPorts(s.ctx(), courier.PortQuery{Network: n.ID, Address: addr("10.219.0.8")})
	s.check(err)
	s.equal("ports by a free address", len(none), 0)
}

// allTags: what can be tagged, and found by it.
func (s *suite) allTags() {
	n := s.makeNetwork()
	sub := s.makeSubnet(n.ID, "10.220.0.0/24")
	p := s.makePort(courier.PortSpec{Network: n.ID})
	sp := s.makePool("10.219.0.0/24", 24)
	one, two := "neutrontest."+uuid.NewString(), "neutrontest:"+uuid.NewString()
	for _, r := range []courier.Resource{
		{Kind: courier.NetworkResource, ID: string(n.ID)}, {Kind: courier.SubnetResource, ID: string(sub.ID)}, {Kind: courier.PortResource, ID: string(p.ID)},
		{Kind: courier.SubnetPoolResource, ID: string(sp.ID)},
	} {
		s.check(s.n.SetTags(s.ctx(), r, []string{one, two}))
		s.check(s.n.Tag(s.ctx(), r, one))
	}
	networks, err := s.n.NetworksByTags(s.ctx(), one, two)
	s.check(err)
	if len(networks) != 1 || networks[0].ID != n.ID || len(networks[0].Tags) != 2 {
		s.Errorf("networks by tags: %v", networks)
	}
	subnets, err := s.n.SubnetsByTags(s.ctx(), one)
	s.check(err)
	if len(subnets) != 1 || subnets[0].ID != sub.ID {
		s.Errorf("subnets by tag: %v", subnets)
	}
	pools, err := s.n.SubnetPoolsByTags(s.ctx(), one, two)
	s.check(err)
	if len(pools) != 1 || pools[0].ID != sp.ID {
		s.Errorf("subnetpools by tags: %v", pools)
	}
	ports, err := s.n.FindPorts(s.ctx(), courier.PortQuery{Tags: []string{one, two}})
	s.check(err)
	if len(ports) != 1 || ports[0].ID != p.ID {
		s.Errorf("ports by tags: %v", ports)
	}
	s.check(s.n.Untag(s.ctx(), courier.Resource{Kind: courier.NetworkResource, ID: string(n.ID)}, two))
	networks, err = s.n.NetworksByTags(s.ctx(), one, two)
	s.check(err)
	s.equal("networks that have but one of the tags", len(networks), 0)
}

// revisions: a tag makes a new one, and what is bound to an old one is refused.
func (s *suite) revisions() {
	n := s.makeNetwork()
	sub := s.makeSubnet(n.ID, "10.221.0.0/24")
	seen, err := s.n.FindNetworks(s.ctx(), courier.Reference{ID: string(n.ID)})
	s.check(err)
	s.check(s.n.Tag(s.ctx(), courier.Resource{Kind: courier.NetworkResource, ID: string(n.ID)}, "neutrontest"))
	s.want(courier.Conflict, s.n.DeleteNetwork(s.ctx(), n.ID, seen[0].Revision))
	s.check(s.n.Tag(s.ctx(), courier.Resource{Kind: courier.SubnetResource, ID: string(sub.ID)}, "neutrontest"))
	s.want(courier.Conflict, s.n.DeleteSubnet(s.ctx(), sub.ID, sub.Revision))
	p := s.makePort(courier.PortSpec{Network: n.ID})
	device, other := "a", "b"
	_, err = s.n.UpdatePort(s.ctx(), p.ID, courier.PortUpdate{DeviceID: &device, Revision: &p.Revision})
	s.check(err)
	_, err = s.n.UpdatePort(s.ctx(), p.ID, courier.PortUpdate{DeviceID: &other, Revision: &p.Revision})
	s.want(courier.Conflict, err)
	s.check(s.n.DeletePort(s.ctx(), p.ID))
	now, err := s.n.FindSubnets(s.ctx(), courier.Reference{ID: string(sub.ID)})
	s.check(err)
	s.check(s.n.DeleteSubnet(s.ctx(), sub.ID, now[0].Revision))
	seen, err = s.n.FindNetworks(s.ctx(), courier.Reference{ID: string(n.ID)})
	s.check(err)
	s.check(s.n.DeleteNetwork(s.ctx(), n.ID, seen[0].Revision))
}
