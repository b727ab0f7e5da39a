package store

import (
	"maps"
	"net"
	"slices"

	"kuryr/internal/embedded/dataplane"
)

var _ dataplane.Policy = (*Store)(nil)

// policy is what the data plane has to enforce, kept as rows change, so that
// a snapshot costs no more than copying what it consists of. Store.mu guards
// it.
type policy struct {
	host    string
	changes chan struct{}
	ports   map[string]*dataplane.Port  // of this host; nil: to be made anew
	groups  map[string]*dataplane.Group // nil: to be made anew
}

func newPolicy(host string) *policy {
	return &policy{
		host: host, changes: make(chan struct{}, 1),
		ports: make(map[string]*dataplane.Port), groups: make(map[string]*dataplane.Group),
	}
}

func (y *policy) tell() {
	select {
	case y.changes <- struct{}{}:
	default:
	}
}

func (y *policy) portChanged(id string, old, new *Port) {
	here := func(p *Port) bool { return p != nil && p.HostID == y.host && p.VNICType == "normal" }
	was, is := here(old), here(new)
	switch {
	case is:
		y.ports[id] = nil
	case was:
		delete(y.ports, id)
	default:
		return
	}
	y.tell()
}

func (y *policy) groupChanged(id string) {
	if id == "" {
		return
	}
	delete(y.groups, id)
	y.tell()
}

// Changes receives after each change that Snapshot would show.
func (s *Store) Changes() <-chan struct{} { return s.state.policy.changes }

// Snapshot returns the ports of this host and the groups that they and their
// rules name.
func (s *Store) Snapshot() dataplane.State {
	s.mu.Lock()
	defer s.mu.Unlock()
	y := s.state.policy
	out := dataplane.State{
		Ports:  make([]dataplane.Port, 0, len(y.ports)),
		Groups: make(map[string]dataplane.Group),
	}
	for _, id := range slices.Sorted(maps.Keys(y.ports)) {
		p := y.ports[id]
		if p == nil {
			p = s.portPolicy(s.state.ports.rows[id])
			y.ports[id] = p
		}
		out.Ports = append(out.Ports, *p)
		for _, g := range p.Groups {
			s.state.addGroup(out.Groups, g)
		}
	}
	return out
}

// addGroup adds a group and those that its rules name.
func (s *state) addGroup(to map[string]dataplane.Group, id string) {
	if _, there := to[id]; there || s.groups.rows[id] == nil {
		return
	}
	g := s.policy.groups[id]
	if g == nil {
		g = s.groupPolicy(s.groups.rows[id])
		s.policy.groups[id] = g
	}
	to[id] = *g
	for i := range g.Rules {
		if remote := g.Rules[i].RemoteGroup; remote != "" {
			s.addGroup(to, remote)
		}
	}
}

func (s *Store) portPolicy(p *Port) *dataplane.Port {
	out := &dataplane.Port{
		ID: p.ID, HostEnd: "tap" + tapOf(p.ID), Network: p.NetworkID, MAC: hardware(p.MAC),
		Security: s.enforce && p.Security, Up: p.AdminStateUp, Groups: p.Groups,
	}
	for _, ip := range p.FixedIPs {
		out.Addresses = append(out.Addresses, ip.Address)
	}
	for _, pair := range p.Pairs {
		prefix := (&SecurityGroupRule{RemotePrefix: pair.Address}).Normalized()
		mac := out.MAC
		if pair.MAC != "" {
			mac = hardware(pair.MAC)
		}
		out.Pairs = append(out.Pairs, dataplane.AddressPair{MAC: mac, Prefix: prefix})
	}
	return out
}

func hardware(mac string) (out [6]byte) {
	m, _ := net.ParseMAC(mac) // every stored MAC was checked
	copy(out[:], m)
	return out
}

func (s *state) groupPolicy(g *SecurityGroup) *dataplane.Group {
	out := &dataplane.Group{ID: g.ID, Stateful: !g.Stateless}
	for _, v := range viewGroup(s, g).Rules {
		out.Rules = append(out.Rules, s.rulePolicy(v.SecurityGroupRule)...)
	}
	return out
}

// rulePolicy returns a rule, one for each prefix of its address group if it
// names one.
func (s *state) rulePolicy(r *SecurityGroupRule) []dataplane.Rule {
	number := func(n *int) int {
		if n == nil {
			return -1
		}
		return *n
	}
	rule := dataplane.Rule{
		Egress: r.Direction == Egress, IPv6: r.Ethertype == IPv6, Protocol: r.ProtocolNumber(),
		PortMin: number(r.PortMin), PortMax: number(r.PortMax),
		Prefix: r.Normalized(), RemoteGroup: r.RemoteGroup,
	}
	if r.RemoteAddrs == "" {
		return []dataplane.Rule{rule}
	}
	var out []dataplane.Rule
	for _, p := range s.prefixesOf(r.RemoteAddrs) {
		if p.Addr().Is6() == rule.IPv6 {
			rule.Prefix = p
			out = append(out, rule)
		}
	}
	return out
}
