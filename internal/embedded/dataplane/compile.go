package dataplane

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"

	"kuryr/internal/link"
)

// tableName is of the table of the bridge family, and, where the kernel tracks
// no connections there, of one of the inet family.
const tableName = "kuryr-ports"

// The base chains, and the maps "tap → verdict" that they begin with.
const (
	chainFrom, chainTo = "from-ports", "to-ports"
	mapFrom, mapTo     = "from", "to"
)

// baseline is the place of the base chains among those of their hooks: after
// br_netfilter has taken the frame through the IP hooks and back (0), and
// after connection tracking of bridges (-200).
const baseline = 100

// compiler makes the ruleset of a policy.
type compiler struct {
	rules   *ruleset
	state   State
	members map[string]*members // by the group's ID; of all groups
	// before has groups as they were compiled earlier; groups, as they are now.
	before, groups map[string]*compiled
	classes        map[string]class // by the groups' IDs
	// bits4 and bits6 are the lengths of prefixes that senders have.
	bits4, bits6 map[int]bool
}

// members are the addresses of the ports of a group.
type members struct{ prefixes map[netip.Prefix]bool }

// compile returns what is to be in force: for the policy's ports, and closed
// for the taps that are strangers on bridges of ours. It takes groups that are
// the same from those compiled before, and returns those of now.
func compile(s State, strangers []string, k kind, zones map[string]uint16, before map[string]*compiled) (*ruleset, map[string]*compiled) {
	c := &compiler{
		rules: newRuleset(), state: s, members: map[string]*members{},
		before: before, groups: map[string]*compiled{}, classes: map[string]class{},
		bits4: map[int]bool{32: true}, bits6: map[int]bool{128: true},
	}
	c.base()
	c.collectMembers()
	done := map[string]bool{}
	for _, p := range s.Ports {
		c.port(p)
		for _, id := range p.Groups {
			if !done[id] {
				done[id] = true
				c.group(id)
			}
		}
	}
	for _, tap := range strangers {
		c.verdict(tap, drop, drop)
	}
	c.rules.guards(sortedBits(c.bits4), sortedBits(c.bits6))
	k.track(c.rules, s, zones)
	return c.rules, c.groups
}

// base adds what every frame from or to a tap passes: what is known of the
// tap; and what comes from or goes to a link of Kuryr's that is not known is
// dropped. So a link is closed from the moment it is made.
func (c *compiler) base() {
	c.rules.verdicts(mapFrom, nftables.TypeIFName)
	c.rules.verdicts(mapTo, nftables.TypeIFName)
	c.rules.set(setMACs, nftables.TypeIFName, nftables.TypeEtherAddr)
	c.rules.chain(chainFrom, "", func() []match {
		return []match{
			match{}.loadMeta(reg, expr.MetaKeyIIFNAME).mapped(mapFrom),
			match{}.group(expr.MetaKeyIIFGROUP, link.Group, link.GroupMask).drop(),
		}
	})
	c.rules.chain(chainTo, "", func() []match {
		return []match{
			match{}.loadMeta(reg, expr.MetaKeyOIFNAME).mapped(mapTo),
			match{}.group(expr.MetaKeyOIFGROUP, link.Group, link.GroupMask).drop(),
		}
	})
	from, to := c.rules.chains[chainFrom], c.rules.chains[chainTo]
	from.hook, from.priority = nftables.ChainHookPrerouting, baseline
	to.hook, to.priority = nftables.ChainHookPostrouting, baseline
	c.senders(false, 32)
	c.senders(true, 128)
}

func (c *compiler) senders(ipv6 bool, bits int) *set {
	address := nftables.TypeIPAddr
	if ipv6 {
		address = nftables.TypeIP6Addr
		c.bits6[bits] = true
	} else {
		c.bits4[bits] = true
	}
	return c.rules.set(senders(ipv6, bits), nftables.TypeIFName, nftables.TypeEtherAddr, address)
}

// verdict says what becomes of frames from a tap, and of those to it.
func (c *compiler) verdict(tap, from, to string) {
	c.rules.sets[mapFrom].elements[name16(tap)] = from
	c.rules.sets[mapTo].elements[name16(tap)] = to
}

func (c *compiler) port(p Port) {
	switch {
	case !p.Up:
		c.verdict(p.HostEnd, drop, drop)
		return
	case !p.Security:
		c.verdict(p.HostEnd, accept, accept)
		return
	}
	from, to := c.class(p)
	c.verdict(p.HostEnd, from, to)
	for _, a := range p.Addresses {
		c.sender(p.HostEnd, p.MAC, netip.PrefixFrom(a, a.BitLen()))
	}
	c.sender(p.HostEnd, p.MAC, linkLocal(p.MAC))
	for _, pair := range p.Pairs {
		c.sender(p.HostEnd, pair.MAC, pair.Prefix)
		c.sender(p.HostEnd, pair.MAC, linkLocal(pair.MAC))
	}
}

// sender adds an address that may be the source of what a tap sends.
func (c *compiler) sender(tap string, mac [6]byte, p netip.Prefix) {
	key := name16(tap) + pad(mac[:])
	c.rules.sets[setMACs].elements[key] = ""
	c.senders(p.Addr().Is6(), p.Bits()).elements[key+network(p)] = ""
}

// linkLocal is the address that a host makes of its MAC (RFC 4291, EUI-64).
func linkLocal(mac [6]byte) netip.Prefix {
	a := netip.AddrFrom16([16]byte{
		0xfe, 0x80, 8: mac[0] ^ 2, mac[1], mac[2], 0xff, 0xfe, mac[3], mac[4], mac[5],
	})
	return netip.PrefixFrom(a, 128)
}

// class is the chains of ports of the same groups.
type class struct{ from, to string }

// class returns the chains for frames from and to the port. Ports of the same
// groups share them: a port is an element of a few sets, not a list of rules.
func (c *compiler) class(p Port) (from, to string) {
	key := strings.Join(p.Groups, " ")
	if of, known := c.classes[key]; known {
		return of.from, of.to
	}
	ids := slices.Compact(slices.Sorted(slices.Values(p.Groups)))
	stateful := statefulPort(c.state, p)
	hash := sha256.Sum256([]byte(fmt.Sprint(stateful, ids)))
	from, to = fmt.Sprintf("from-%x", hash[:8]), fmt.Sprintf("to-%x", hash[:8])
	text := lines(append(ids, fmt.Sprint(stateful))...)
	decide := func(rules []match, egress bool) []match {
		if stateful {
			rules = append(rules, match{}.jump(chainState))
		}
		if !egress {
			rules = append(rules, match{}.jump(chainAlways))
		}
		for _, id := range ids {
			rules = append(rules, match{}.jump(groupChain(id, egress)))
		}
		return append(rules, match{}.drop())
	}
	c.rules.chain(from, text, func() []match {
		return decide([]match{match{}.jump(chainGuard)}, true)
	})
	c.rules.chain(to, text, func() []match {
		return decide([]match{match{}.ether(typeARP).accept()}, false)
	})
	c.classes[key] = class{from, to}
	return from, to
}

// statefulPort reports whether answers to what is permitted are: Neutron lets
// no port be in groups of both kinds.
func statefulPort(s State, p Port) bool {
	for _, id := range p.Groups {
		if g, known := s.Groups[id]; known && !g.Stateful {
			return false
		}
	}
	return true
}

// collectMembers finds the addresses of every group that a port is in.
func (c *compiler) collectMembers() {
	for _, p := range c.state.Ports {
		for _, id := range p.Groups {
			m := c.members[id]
			if m == nil {
				m = &members{prefixes: map[netip.Prefix]bool{}}
				c.members[id] = m
			}
			for _, a := range p.Addresses {
				m.prefixes[netip.PrefixFrom(a, a.BitLen())] = true
			}
			for _, pair := range p.Pairs {
				m.prefixes[pair.Prefix.Masked()] = true
			}
		}
	}
}

// membersOf adds the sets of a group's members, and returns the lengths of
// their prefixes: there is a set for each.
func (c *compiler) membersOf(id string, ipv6 bool) []int {
	bits := map[int]bool{}
	if m := c.members[id]; m != nil {
		for p := range m.prefixes {
			if p.Addr().Is6() == ipv6 {
				bits[p.Bits()] = true
				c.rules.set(memberSet(id, ipv6, p.Bits()), addressType(ipv6)).elements[network(p)] = ""
			}
		}
	}
	return sortedBits(bits)
}

func memberSet(id string, ipv6 bool, bits int) string {
	return fmt.Sprintf("members-%s-%s-%d", id, version(ipv6), bits)
}

func version(ipv6 bool) string {
	if ipv6 {
		return "6"
	}
	return "4"
}

func addressType(ipv6 bool) nftables.SetDatatype {
	if ipv6 {
		return nftables.TypeIP6Addr
	}
	return nftables.TypeIPAddr
}

func groupChain(id string, egress bool) string {
	if egress {
		return "egress-" + id
	}
	return "ingress-" + id
}

func sortedBits(bits map[int]bool) []int {
	all := make([]int, 0, len(bits))
	for n := range bits {
		all = append(all, n)
	}
	slices.Sort(all)
	return all
}

// compiled is what the rules of a group become. It is not changed once it is
// made, so that the next policy shares it if the group is the same.
type compiled struct {
	of     Group
	sets   map[string]*set
	shapes [2][]shape // by direction
}

// group adds the sets and chains of a group, a chain for each direction.
func (c *compiler) group(id string) {
	g := c.state.Groups[id]
	made := c.before[id]
	if made == nil || !slices.Equal(made.of.Rules, g.Rules) {
		made = compileGroup(id, g)
	}
	c.groups[id] = made
	maps.Copy(c.rules.sets, made.sets)
	for _, egress := range []bool{false, true} {
		c.groupChain(groupChain(id, egress), made.shapes[index(egress)])
	}
}

func compileGroup(id string, g Group) *compiled {
	g.Rules = slices.Clone(g.Rules)
	made := &compiled{of: g, sets: map[string]*set{}}
	found := map[shape]*set{}
	for _, r := range g.Rules {
		for _, e := range expand(r) {
			e.shape.group = id
			in, known := found[e.shape]
			if !known {
				if types := e.shape.types(); len(types) > 0 {
					in = newSet(types...)
					made.sets[e.shape.set()] = in
				}
				found[e.shape] = in
				of := &made.shapes[index(r.Egress)]
				*of = append(*of, e.shape)
			}
			if in != nil {
				in.elements[e.key()] = ""
			}
		}
	}
	for _, shapes := range made.shapes {
		sortShapes(shapes)
	}
	return made
}

// groupChain adds a chain with a rule for each shape; several, if the shape's
// remote group has members of several lengths of prefixes.
func (c *compiler) groupChain(name string, shapes []shape) {
	var rules []func() match
	var text []string
	for _, s := range shapes {
		remotes := []int{-1}
		if s.remote != "" {
			remotes = c.membersOf(s.remote, s.ipv6)
		}
		for _, bits := range remotes {
			rules = append(rules, func() match { return s.rule(bits) })
			text = append(text, s.set()+" "+fmt.Sprint(bits))
		}
	}
	c.rules.chain(name, lines(text...), func() []match {
		made := make([]match, len(rules))
		for i, rule := range rules {
			made[i] = rule()
		}
		return made
	})
}

func index(egress bool) int {
	if egress {
		return 1
	}
	return 0
}

func u16(n uint16) []byte { return binary.BigEndian.AppendUint16(nil, n) }
