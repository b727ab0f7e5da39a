package dataplane

import (
	"context"
	"net/netip"

	"kuryr/internal/link"
)

// cut forgets the flows in our zones that the policy in force does not permit:
// the state of a flow would let its packets pass. Those that it permits go on
// undisturbed.
func (f *filter) cut(ctx context.Context) error {
	j := newJudge(f.state, f.zones)
	zones := map[uint16]bool{}
	for _, z := range f.zones {
		zones[z] = true
	}
	n, err := f.links.CutFlows(ctx, func(flow link.Flow) bool {
		// Zones that no network has now, too: a later one may get them.
		ours := zones[flow.Zone] || flow.Zone >= firstZone && flow.Zone < firstZone+maxZones
		return ours && !j.permits(flow)
	})
	if n > 0 {
		f.log.DebugContext(ctx, "flows that are no longer permitted are cut", "flows", n)
	}
	return err
}

// maxZones is how many zones are surely ours.
const maxZones = 0x1000

// judge tells which flows a policy permits, as the rules do that are made of it.
type judge struct {
	state   State
	bridges map[uint16]string               // by zone
	ports   map[string]map[netip.Addr][]int // by bridge and address: indexes of ports
	pairs   map[string][]int                // by bridge: indexes of ports that have pairs
	members map[string]map[netip.Prefix]bool
}

func newJudge(s State, zones map[string]uint16) *judge {
	c := &compiler{state: s, members: map[string]*members{}}
	c.collectMembers()
	j := &judge{
		state: s, bridges: map[uint16]string{},
		ports: map[string]map[netip.Addr][]int{}, pairs: map[string][]int{}, members: map[string]map[netip.Prefix]bool{},
	}
	for id, m := range c.members {
		j.members[id] = m.prefixes
	}
	for bridge, zone := range zones {
		j.bridges[zone] = bridge
		j.ports[bridge] = map[netip.Addr][]int{}
	}
	for i, p := range s.Ports {
		bridge := bridgeOf(p)
		for _, a := range append(p.Addresses[:len(p.Addresses):len(p.Addresses)], linkLocal(p.MAC).Addr()) {
			j.ports[bridge][a] = append(j.ports[bridge][a], i)
		}
		if len(p.Pairs) > 0 || !p.Security {
			j.pairs[bridge] = append(j.pairs[bridge], i)
		}
	}
	return j
}

// permits reports whether a flow that began with such a packet may go on: each
// end of it that is at a port must permit it, and one must be.
func (j *judge) permits(flow link.Flow) bool {
	bridge, known := j.bridges[flow.Zone]
	if !known {
		return false
	}
	from, fromHere := j.end(bridge, flow, flow.Source, true)
	to, toHere := j.end(bridge, flow, flow.Dest, false)
	return (fromHere || toHere) && from && to
}

// end judges one end of a flow, and tells whether it is at a port of ours. A
// port without security may have any address, so an address that no other port
// has may be at it.
func (j *judge) end(bridge string, flow link.Flow, address netip.Addr, egress bool) (ok, here bool) {
	for _, i := range j.ports[bridge][address] {
		here = true
		if j.port(j.state.Ports[i], flow, egress) {
			return true, true
		}
	}
	for _, i := range j.pairs[bridge] {
		p := j.state.Ports[i]
		if !hasPair(p, address) && p.Security {
			continue
		}
		here = here || hasPair(p, address) || p.Up
		if j.port(p, flow, egress) {
			return true, here
		}
	}
	return !here, here
}

func hasPair(p Port, a netip.Addr) bool {
	for _, pair := range p.Pairs {
		if pair.Prefix.Contains(a) {
			return true
		}
	}
	return false
}

func (j *judge) port(p Port, flow link.Flow, egress bool) bool {
	if !p.Up {
		return false
	}
	if !p.Security {
		return true
	}
	other := flow.Source
	if egress {
		other = flow.Dest
	}
	for _, id := range p.Groups {
		for _, r := range j.state.Groups[id].Rules {
			if r.Egress == egress && j.rule(r, flow, other) {
				return true
			}
		}
	}
	return false
}

func (j *judge) rule(r Rule, flow link.Flow, other netip.Addr) bool {
	switch {
	case r.IPv6 != other.Is6():
		return false
	case r.Prefix.IsValid() && !r.Prefix.Contains(other):
		return false
	case r.RemoteGroup != "" && !j.member(r.RemoteGroup, other):
		return false
	case r.Protocol < 0:
		return true
	case protocol(r) != flow.Protocol:
		return false
	case flow.Protocol == protoICMP || flow.Protocol == protoICMPv6:
		// The kernel's entry says which type, but the library does not. A flow
		// of pings that was cut begins anew with the next one, if it may.
		return r.PortMin < 0
	case r.PortMin < 0:
		return true
	}
	return int(flow.DestPort) >= r.PortMin && int(flow.DestPort) <= max(r.PortMax, r.PortMin)
}

func (j *judge) member(group string, a netip.Addr) bool {
	if j.members[group][netip.PrefixFrom(a, a.BitLen())] {
		return true
	}
	for p := range j.members[group] {
		if p.Contains(a) {
			return true
		}
	}
	return false
}
