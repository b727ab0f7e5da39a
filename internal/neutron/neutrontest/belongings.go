package neutrontest

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/google/uuid"

	"kuryr/internal/courier"
)

// belongings makes things of this host, and things that could be mistaken for
// its own, and looks which are listed.
func (s *suite) belongings() {
	host := s.o.Host
	of := func(host string) courier.Mark { return courier.Mark{Host: host, Intent: uuid.NewString()} }
	// Others: hosts whose name starts like this one's, or ends so, and people.
	others := []courier.Mark{of(host + "0"), of(host[:len(host)-1]), of("x:" + host), of(host + ":x"), {}}

	pool := s.makePool("10.177.0.0/16", 24)
	network, err := s.n.CreateNetwork(s.ctx(), courier.NetworkSpec{Name: "neutrontest", Mark: of(host)})
	s.check(err)
	s.removeNetwork(network.ID)
	subnet := s.makeSubnet(network.ID, "10.177.1.0/24")
	port := s.makePort(courier.PortSpec{Network: network.ID, DeviceOwner: "compute:kuryr", DeviceID: "d1", Host: host})
	auxiliary := s.makePort(courier.PortSpec{Network: network.ID, DeviceOwner: "kuryr:auxiliary"})
	unbound := s.makePort(courier.PortSpec{Network: network.ID, DeviceOwner: "compute:kuryr"})
	group := s.makeGroup("neutrontest", of(host))

	var foreign []string
	for i, m := range others {
		n, err := s.n.CreateNetwork(s.ctx(), courier.NetworkSpec{Name: "neutrontest", Mark: m})
		s.check(err)
		s.removeNetwork(n.ID)
		p := netip.MustParsePrefix(fmt.Sprintf("10.177.%d.0/24", 10+i))
		sub, err := s.n.CreateSubnet(s.ctx(), courier.SubnetSpec{Network: n.ID, Name: "neutrontest", CIDR: p, Gateway: p.Addr().Next(), Mark: m})
		s.check(err)
		g := s.makeGroup("neutrontest", m)
		foreign = append(foreign, string(n.ID), string(sub.ID), string(g.ID))
		if m == (courier.Mark{}) {
			continue // tryPort would give it one
		}
		bound := s.makePort(courier.PortSpec{Network: n.ID, DeviceOwner: "compute:kuryr", Host: host, Mark: m})
		foreign = append(foreign, string(bound.ID))
	}

	listed := map[string]bool{}
	networks, err := s.n.NetworksOfHost(s.ctx(), host)
	s.check(err)
	collect(listed, networks, func(n courier.Network) string { return string(n.ID) })
	subnets, err := s.n.SubnetsOfHost(s.ctx(), host)
	s.check(err)
	collect(listed, subnets, func(n courier.Subnet) string { return string(n.ID) })
	pools, err := s.n.SubnetPoolsOfHost(s.ctx(), host)
	s.check(err)
	collect(listed, pools, func(p courier.SubnetPool) string { return string(p.ID) })
	ports, err := s.n.PortsOfHost(s.ctx(), host)
	s.check(err)
	collect(listed, ports, func(p courier.Port) string { return string(p.ID) })
	groups, err := s.n.SecurityGroupsOfHost(s.ctx(), host)
	s.check(err)
	collect(listed, groups, func(g courier.SecurityGroup) string { return string(g.ID) })

	for what, id := range map[string]string{"network": string(network.ID), "subnet": string(subnet.ID), "subnetpool": string(pool.ID),
		"port": string(port.ID), "auxiliary port": string(auxiliary.ID), "security group": string(group.ID)} {
		if !listed[id] {
			s.Errorf("a %s of the host is not listed", what)
		}
	}
	for _, id := range foreign {
		if listed[id] {
			s.Errorf("%s is listed, which is not the host's", id)
		}
	}
	now, err := s.n.FindNetworks(s.ctx(), courier.Reference{ID: string(network.ID)})
	s.check(err)
	i := slices.IndexFunc(networks, func(n courier.Network) bool { return n.ID == network.ID })
	s.equal("its description", networks[max(i, 0)].Description, network.Description)
	s.equal("its revision", networks[max(i, 0)].Revision, now[0].Revision)

	byID, err := s.n.PortsByID(s.ctx(), []courier.PortID{port.ID, missing[courier.PortID](), unbound.ID})
	s.check(err)
	found := map[string]bool{}
	collect(found, byID, func(p courier.Port) string { return string(p.ID) })
	if len(byID) != 2 || !found[string(port.ID)] || !found[string(unbound.ID)] {
		s.Errorf("by their IDs these ports were found: %v", found)
	}
	for _, p := range ports {
		if p.ID == port.ID {
			s.equal("the host, device and network of a port", fmt.Sprint(p.Binding.Host, p.DeviceID, p.Network), fmt.Sprint(host, "d1", network.ID))
		}
	}
	_, err = s.n.PortsByID(s.ctx(), []courier.PortID{""})
	s.want(courier.Invalid, err)
}

func collect[T any](into map[string]bool, all []T, id func(T) string) {
	for _, x := range all {
		into[id(x)] = true
	}
}
