package neutrontest

import (
	"context"
	"fmt"
	"slices"

	"kuryr/internal/courier"
)

func (s *suite) makeGroup(name string, m courier.Mark) courier.SecurityGroup {
	s.Helper()
	g, err := s.n.CreateSecurityGroup(s.ctx(), courier.SecurityGroupSpec{Name: name, Mark: m})
	s.check(err)
	s.remove(func(ctx context.Context) error { return s.n.DeleteSecurityGroup(ctx, g.ID) })
	return g
}

// groupNamed looks up the only group of a name.
func (s *suite) groupNamed(name string) courier.SecurityGroup {
	s.Helper()
	all, err := s.n.SecurityGroupsByName(s.ctx(), name)
	s.check(err)
	if len(all) != 1 {
		s.Fatalf("%d groups named %q, want one: %v", len(all), name, all)
	}
	return all[0]
}

func (s *suite) securityGroup() {
	m := s.mark()
	name := "neutrontest tcp/80,443 udp/53 – " + m.Intent
	made := s.makeGroup(name, m)
	s.equal("name", made.Name, name)
	s.equal("description", made.Description, m.String())
	if made.Created.IsZero() {
		s.Error("it doesn't tell when it was made")
	}
	s.equal("by name", s.groupNamed(name), made)
	none, err := s.n.SecurityGroupsByName(s.ctx(), name[:len(name)-1])
	s.check(err)
	s.equal("by part of its name", len(none), 0)

	// The rules that it is born with let everything out. They open nothing.
	if len(made.Rules) == 0 {
		s.Error("it has no rules of Neutron's own")
	}
	for _, r := range made.Rules {
		s.equal("what a rule of Neutron's own opens", r.Opens, courier.Opening{})
		s.check(s.n.DeleteSecurityGroupRule(s.ctx(), r.ID))
		s.want(courier.NotFound, s.n.DeleteSecurityGroupRule(s.ctx(), r.ID))
	}
	s.equal("rules that are left", len(s.groupNamed(name).Rules), 0)

	s.check(s.n.DeleteSecurityGroup(s.ctx(), made.ID))
	s.want(courier.NotFound, s.n.DeleteSecurityGroup(s.ctx(), made.ID))
	s.want(courier.Invalid, s.n.DeleteSecurityGroup(s.ctx(), ""))
	s.want(courier.Invalid, s.n.DeleteSecurityGroupRule(s.ctx(), ""))
}

// openPorts: all rules of a request or none.
func (s *suite) openPorts() {
	m := s.mark()
	g := s.makeGroup("neutrontest "+m.Intent, m)
	var want []courier.Opening
	for _, p := range []courier.PortRange{{Protocol: courier.TCP, First: 80, Last: 80}, {Protocol: courier.UDP, First: 53, Last: 60},
		{Protocol: courier.SCTP, First: 9, Last: 9}, {Protocol: courier.TCP, First: 1, Last: 65535}} {
		want = append(want, courier.Opening{Family: courier.IPv4, Ports: p}, courier.Opening{Family: courier.IPv6, Ports: p})
	}
	opened := func() []courier.Opening {
		var all []courier.Opening
		for _, r := range s.groupNamed(g.Name).Rules {
			if r.Description == m.String() {
				all = append(all, r.Opens)
			}
		}
		slices.SortFunc(all, func(a, b courier.Opening) int {
			return slices.Index(want, a) - slices.Index(want, b)
		})
		return all
	}
	s.check(s.n.OpenPorts(s.ctx(), g.ID, want[:4], m))
	s.equal("rules", opened(), want[:4])
	s.want(courier.Conflict, s.n.OpenPorts(s.ctx(), g.ID, want[3:], m)) // one is there already
	s.equal("rules after the refusal", opened(), want[:4])
	s.check(s.n.OpenPorts(s.ctx(), g.ID, want[4:], m))
	s.equal("all rules", opened(), want)
	s.check(s.n.OpenPorts(s.ctx(), g.ID, nil, m))
	s.want(courier.NotFound, s.n.OpenPorts(s.ctx(), missing[courier.SecurityGroupID](), want[:1], m))
	s.want(courier.Invalid, s.n.OpenPorts(s.ctx(), "", want[:1], m))
}

// groupsOfPorts: what has changed meanwhile is not overwritten, and a group in
// use stays.
func (s *suite) groupsOfPorts() {
	m := s.mark()
	g := s.makeGroup("neutrontest "+m.Intent, m)
	n := s.makeNetwork()
	s.makeSubnet(n.ID, "10.218.0.0/24")
	p := s.makePort(courier.PortSpec{Network: n.ID})
	look := func() courier.PortSecurity {
		s.Helper()
		got, err := s.n.PortSecurity(s.ctx(), p.ID)
		s.check(err)
		return got
	}
	first := look()
	s.equal("port", first.Port, p.ID)
	s.equal("project", first.Project, g.Project)
	if !first.Enabled {
		s.Error("a new port has no port security")
	}
	if len(first.Groups) != 1 || first.Groups[0] == g.ID {
		s.Errorf("a new port has the groups %v, want the default one", first.Groups)
	}
	s.check(s.n.SetSecurityGroups(s.ctx(), first, append(slices.Clone(first.Groups), g.ID)))
	second := look()
	slices.Sort(second.Groups)
	s.equal("groups", second.Groups, slices.Sorted(slices.Values([]courier.SecurityGroupID{first.Groups[0], g.ID})))
	s.want(courier.Conflict, s.n.SetSecurityGroups(s.ctx(), first, nil)) // it has changed
	s.want(courier.Conflict, s.n.DeleteSecurityGroup(s.ctx(), g.ID))
	s.check(s.n.SetSecurityGroups(s.ctx(), second, nil))
	third := look()
	s.equal("groups after all were taken", fmt.Sprint(third.Groups), "[]")
	s.want(courier.NotFound, s.n.SetSecurityGroups(s.ctx(), third, []courier.SecurityGroupID{missing[courier.SecurityGroupID]()}))
	s.check(s.n.DeleteSecurityGroup(s.ctx(), g.ID))
	s.check(s.n.DeletePort(s.ctx(), p.ID))
	_, err := s.n.PortSecurity(s.ctx(), p.ID)
	s.want(courier.NotFound, err)
	s.want(courier.NotFound, s.n.SetSecurityGroups(s.ctx(), third, first.Groups))
	_, err = s.n.PortSecurity(s.ctx(), "")
	s.want(courier.Invalid, err)
	s.want(courier.Invalid, s.n.SetSecurityGroups(s.ctx(), courier.PortSecurity{}, nil))
}
