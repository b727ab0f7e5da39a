package dataplane

import (
	"cmp"
	"fmt"
	"math/bits"
	"net/netip"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
)

// shape is what rules have in common that differ in their values only: they
// become elements of one set, and one rule of the kernel looks them all up
// (tuple space search). All keys are exact, so elements never overlap, and to
// add or remove one costs the same among ten thousand.
type shape struct {
	group  string
	egress bool
	ipv6   bool
	remote string // the group that the other side is in; ""
	prefix int    // bits of the other side's address that count; 0: none
	proto  bool   // the protocol counts
	field  field
	mask   uint16 // the bits of the field that count
}

// field is the part of the transport header that a rule looks at.
type field int

const (
	noField  field = iota
	portTo         // the destination's port
	typeCode       // of ICMP
)

// offset is of two bytes in the transport header.
func (f field) offset() int {
	if f == portTo {
		return 2
	}
	return 0
}

// entry is one element of a shape's set.
type entry struct {
	shape  shape
	prefix netip.Prefix
	proto  byte
	value  uint16
}

// expand returns the entries of a rule: several if it has a range of ports
// that is no power of two.
func expand(r Rule) []entry {
	e := entry{shape: shape{egress: r.Egress, ipv6: r.IPv6, remote: r.RemoteGroup}}
	if r.Prefix.IsValid() {
		if r.Prefix.Addr().Is6() != r.IPv6 {
			return nil // nothing is of both families
		}
		e.prefix, e.shape.prefix = r.Prefix, r.Prefix.Bits()
	}
	if r.Protocol < 0 {
		return []entry{e}
	}
	if r.Protocol > 255 {
		return nil
	}
	e.shape.proto, e.proto = true, protocol(r)
	if e.proto == protoICMP || e.proto == protoICMPv6 {
		return []entry{e.icmp(r)}
	}
	return e.ports(r)
}

// protocol returns the number on the wire: Neutron takes ICMP's for ICMPv6's.
func protocol(r Rule) byte {
	if r.IPv6 && r.Protocol == protoICMP {
		return protoICMPv6
	}
	return byte(r.Protocol)
}

func (e entry) icmp(r Rule) entry {
	switch {
	case r.PortMin < 0:
	case r.PortMax < 0:
		e.shape.field, e.shape.mask, e.value = typeCode, 0xff00, uint16(r.PortMin)<<8
	default:
		e.shape.field, e.shape.mask, e.value = typeCode, 0xffff, uint16(r.PortMin)<<8|uint16(r.PortMax)&0xff
	}
	return e
}

// ports cuts the range into blocks of powers of two, as prefixes cut addresses.
func (e entry) ports(r Rule) (all []entry) {
	low, high := r.PortMin, r.PortMax
	if low < 0 && high < 0 || low <= 0 && high == 65535 {
		return []entry{e}
	}
	if high < 0 {
		high = low
	}
	for low = max(low, 0); low <= min(high, 65535); {
		size := 1 << min(bits.TrailingZeros(uint(low)|1<<16), bits.Len(uint(high-low+1))-1)
		one := e
		one.shape.field, one.shape.mask, one.value = portTo, ^uint16(size-1), uint16(low)
		all = append(all, one)
		low += size
	}
	return all
}

// set is the name of the shape's set.
func (s shape) set() string {
	name := fmt.Sprintf("%s-%s", groupChain(s.group, s.egress), version(s.ipv6))
	if s.remote != "" {
		name += "-of-" + s.remote
	}
	if s.prefix > 0 {
		name += fmt.Sprintf("-net%d", s.prefix)
	}
	if s.proto {
		name += "-proto"
	}
	switch s.field {
	case portTo:
		name += fmt.Sprintf("-port%04x", s.mask)
	case typeCode:
		name += fmt.Sprintf("-icmp%04x", s.mask)
	}
	return name
}

// types are of the fields of the set's key; none: the shape has no set.
func (s shape) types() (types []nftables.SetDatatype) {
	if s.prefix > 0 {
		types = append(types, addressType(s.ipv6))
	}
	if s.proto {
		types = append(types, nftables.TypeInetProto)
	}
	if s.field != noField {
		types = append(types, nftables.TypeInetService)
	}
	return types
}

// key is the entry's key in the set of its shape.
func (e entry) key() string {
	s := e.shape
	key := ""
	if s.prefix > 0 {
		key += network(e.prefix)
	}
	if s.proto {
		if len(s.types()) == 1 {
			return string([]byte{e.proto}) // alone, it is not filled up
		}
		key += pad([]byte{e.proto})
	}
	if s.field != noField {
		key += pad(u16(e.value))
	}
	return key
}

// rule accepts what the shape's set has; memberBits are the length of the
// prefixes of the members of the remote group, or -1.
func (s shape) rule(memberBits int) match {
	kind := uint16(typeIPv4)
	if s.ipv6 {
		kind = typeIPv6
	}
	m := match{}.ether(kind)
	if memberBits >= 0 {
		m = m.address(s.other(), memberBits).in(memberSet(s.remote, s.ipv6, memberBits))
	}
	r := uint32(reg)
	if s.prefix > 0 {
		m = m.address(s.other(), s.prefix)
		r += uint32(s.other().length / 4)
	}
	if s.proto {
		m = m.loadMeta(r, expr.MetaKeyL4PROTO)
		r++
	}
	if s.field != noField {
		m = m.load(r, expr.PayloadBaseTransportHeader, s.field.offset(), 2)
		if s.mask != 0xffff {
			m = m.mask(r, u16(s.mask))
		}
	}
	if len(s.types()) > 0 {
		m = m.in(s.set())
	}
	return m.accept()
}

// other is where the other side's address lies.
func (s shape) other() place {
	switch {
	case s.egress && s.ipv6:
		return ipv6Dest
	case s.egress:
		return ipv4Dest
	case s.ipv6:
		return ipv6Source
	default:
		return ipv4Source
	}
}

// address loads the first bits of an address.
func (m match) address(where place, bits int) match {
	m = m.load(reg, where.base, where.offset, where.length)
	if bits < where.length*8 {
		m = m.mask(reg, prefixMask(bits, where.length))
	}
	return m
}

// sortShapes gives a chain's rules a fixed order.
func sortShapes(shapes []shape) {
	slices.SortFunc(shapes, func(a, b shape) int { return cmp.Compare(a.set(), b.set()) })
}
