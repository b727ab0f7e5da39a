package store

import (
	"net/netip"
	"slices"
	"strings"
)

// state is all tables and indexes. Store.mu guards it.
type state struct {
	networks   *table[Network]
	subnets    *table[Subnet]
	pools      *table[SubnetPool]
	ports      *table[Port]
	groups     *table[SecurityGroup]
	rules      *table[SecurityGroupRule]
	addrGroups *table[AddressGroup]
	policies   *table[QoSPolicy]
	scopes     *table[AddressScope]
	quotas     *table[Quota]
	limits     map[string]int // for projects that have none of their own
	all        []anyTable     // in the order of dependence

	networkName, networkMark  index
	subnetName, subnetMark    index
	subnetNetwork             index
	subnetPool                index
	poolName, poolMark        index
	portName, portMark        index
	portNetwork, portMAC      index
	portDevice                index
	networkPolicy, portPolicy index // QoS policy -> what uses it
	poolScope                 index // address scope -> its subnetpools
	portGroup                 index // security group -> ports
	groupName, groupMark      index
	defaultGroup              index // project -> its default group
	ruleGroup, ruleRemote     index // security group -> rules of it, that name it
	ruleAddrs                 index // address group -> rules that name it
	ruleKey                   index // what a rule says -> the rule
	policy                    *policy
	taps                      map[string]string   // the 11 characters after "tap" -> port ID
	spaces                    map[string]*space   // by subnet
	cuttable                  map[string]*freeSet // by subnetpool: what no subnet has taken
}

func newState(host string) *state {
	s := &state{
		networkName: index{}, networkMark: index{},
		subnetName: index{}, subnetMark: index{}, subnetNetwork: index{}, subnetPool: index{},
		poolName: index{}, poolMark: index{},
		portName: index{}, portMark: index{}, portNetwork: index{}, portMAC: index{},
		portDevice: index{}, portGroup: index{},
		groupName: index{}, groupMark: index{}, defaultGroup: index{},
		ruleGroup: index{}, ruleRemote: index{}, ruleAddrs: index{}, ruleKey: index{},
		networkPolicy: index{}, portPolicy: index{}, poolScope: index{},
		policy:   newPolicy(host),
		taps:     make(map[string]string),
		spaces:   make(map[string]*space),
		cuttable: make(map[string]*freeSet),
	}
	s.networks = newTable("networks", s.reindexNetwork, func(r *Network) *Standard { return &r.Standard })
	s.pools = newTable("subnetpools", s.reindexPool, func(r *SubnetPool) *Standard { return &r.Standard })
	s.subnets = newTable("subnets", s.reindexSubnet, func(r *Subnet) *Standard { return &r.Standard })
	s.addrGroups = newTable("address-groups", s.reindexAddrGroup, func(r *AddressGroup) *Standard { return &r.Standard })
	s.groups = newTable("security-groups", s.reindexGroup, func(r *SecurityGroup) *Standard { return &r.Standard })
	s.rules = newTable("security-group-rules", s.reindexRule, func(r *SecurityGroupRule) *Standard { return &r.Standard })
	s.ports = newTable("ports", s.reindexPort, func(r *Port) *Standard { return &r.Standard })
	s.ports.expect = s.expectPorts
	s.policies = newTable("policies", s.reindexPolicy, func(r *QoSPolicy) *Standard { return &r.Standard })
	s.scopes = newTable("address-scopes", s.reindexScope, func(r *AddressScope) *Standard { return &r.Standard })
	s.quotas = newTable("quotas", s.reindexQuota, nil)
	s.policies.shared = func(r *QoSPolicy) bool { return r.Shared }
	s.scopes.shared = func(r *AddressScope) bool { return r.Shared }
	s.networks.shared = func(r *Network) bool { return r.Shared }
	s.pools.shared = func(r *SubnetPool) bool { return r.Shared }
	s.subnets.shared = func(r *Subnet) bool { return s.networks.rows[r.NetworkID].Shared }
	s.all = []anyTable{s.quotas, s.policies, s.scopes, s.networks, s.pools, s.subnets, s.addrGroups, s.groups, s.rules, s.ports}
	return s
}

// or returns *p, or an empty row for nil: an index knows no "".
func or[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}

func (s *state) reindexNetwork(id string, old, new *Network) {
	o, n := or(old), or(new)
	s.networkName.move(o.Name, n.Name, id)
	s.networkMark.move(o.Description, n.Description, id)
	s.networkPolicy.move(o.QoSPolicyID, n.QoSPolicyID, id)
}

func (s *state) reindexPool(id string, old, new *SubnetPool) {
	o, n := or(old), or(new)
	s.poolName.move(o.Name, n.Name, id)
	s.poolMark.move(o.Description, n.Description, id)
	s.poolScope.move(o.ScopeID, n.ScopeID, id)
	switch {
	case new == nil:
		delete(s.cuttable, id)
	case old == nil || !slices.Equal(o.Prefixes, n.Prefixes):
		free := &freeSet{}
		for _, p := range n.Prefixes {
			free.add(rangeOf(p))
		}
		s.subnetPool.each(id, func(subnet string) bool {
			free.take(rangeOf(s.subnets.rows[subnet].CIDR))
			return true
		})
		s.cuttable[id] = free
	}
}

func (s *state) reindexSubnet(id string, old, new *Subnet) {
	o, n := or(old), or(new)
	s.subnetName.move(o.Name, n.Name, id)
	s.subnetMark.move(o.Description, n.Description, id)
	s.subnetNetwork.move(o.NetworkID, n.NetworkID, id)
	s.subnetPool.move(o.SubnetPoolID, n.SubnetPoolID, id)
	switch {
	case new == nil:
		delete(s.spaces, id)
		if free := s.cuttable[o.SubnetPoolID]; free != nil {
			free.add(rangeOf(o.CIDR))
		}
	case old == nil:
		s.spaces[id] = newSpace(n.Pools)
		if free := s.cuttable[n.SubnetPoolID]; free != nil {
			free.take(rangeOf(n.CIDR))
		}
	case !slices.Equal(o.Pools, n.Pools):
		s.spaces[id].setPools(n.Pools)
	}
}

func (s *state) reindexPort(id string, old, new *Port) {
	o, n := or(old), or(new)
	s.portName.move(o.Name, n.Name, id)
	s.portMark.move(o.Description, n.Description, id)
	s.portNetwork.move(o.NetworkID, n.NetworkID, id)
	s.portMAC.move(o.MAC, n.MAC, id)
	s.portDevice.move(o.DeviceID, n.DeviceID, id)
	s.portPolicy.move(o.QoSPolicyID, n.QoSPolicyID, id)
	s.portGroup.moveAll(o.Groups, n.Groups, id)
	s.policy.portChanged(id, old, new)
	switch {
	case new == nil:
		delete(s.taps, tapOf(id))
	case old == nil:
		s.taps[tapOf(id)] = id
	}
	if slices.Equal(o.FixedIPs, n.FixedIPs) {
		return
	}
	for _, ip := range o.FixedIPs {
		if sp := s.spaces[ip.SubnetID]; sp != nil {
			sp.release(ip.Address, id)
		}
	}
	for _, ip := range n.FixedIPs {
		s.spaces[ip.SubnetID].take(ip.Address, id)
	}
}

// expectPorts makes room for ports in the indexes where most have a value of
// their own; growing them takes a good part of a start otherwise.
func (s *state) expectPorts(n int) {
	s.portMAC, s.portMark, s.taps = make(index, n), make(index, n), make(map[string]string, n)
}

// tapOf returns the part of a port's ID that names its link: the kernel
// leaves room for 11 characters behind "tap".
func tapOf(port string) string { return port[:11] }

// subnetsOf returns the subnets of a network in the order of their creation,
// which is the order in which they are asked for addresses.
func (s *state) subnetsOf(network string) []*Subnet {
	var out []*Subnet
	s.subnetNetwork.each(network, func(id string) bool {
		out = append(out, s.subnets.rows[id])
		return true
	})
	slices.SortFunc(out, func(a, b *Subnet) int {
		if a.Created != b.Created {
			if a.Created < b.Created {
				return -1
			}
			return 1
		}
		return strings.Compare(a.ID, b.ID)
	})
	return out
}

// macHolder returns the port of a network that has a MAC address.
func (s *state) macHolder(network, mac string) (port string, ok bool) {
	s.portMAC.each(mac, func(id string) bool {
		if s.ports.rows[id].NetworkID == network {
			port, ok = id, true
		}
		return !ok
	})
	return port, ok
}

// rangeOf returns all addresses of a prefix.
func rangeOf(p netip.Prefix) Range {
	p = p.Masked()
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	last, _ := netip.AddrFromSlice(b)
	return Range{p.Addr(), last}
}
