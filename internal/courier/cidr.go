package courier

import (
	"net/netip"
	"slices"
)

// firstFree returns the lowest prefix of the given length inside one of
// prefixes that overlaps none of used; false when there is none.
func firstFree(prefixes, used []netip.Prefix, bits int) (netip.Prefix, bool) {
	used = slices.Clone(used)
	slices.SortFunc(used, func(a, b netip.Prefix) int { return a.Addr().Compare(b.Addr()) })
	for _, outer := range prefixes {
		if free, ok := freeIn(outer.Masked(), used, bits); ok {
			return free, true
		}
	}
	return netip.Prefix{}, false
}

// freeIn walks the candidates of outer upwards, past each of used (sorted by
// address) that is in the way.
func freeIn(outer netip.Prefix, used []netip.Prefix, bits int) (netip.Prefix, bool) {
	if bits < outer.Bits() || bits > outer.Addr().BitLen() {
		return netip.Prefix{}, false
	}
	candidate := netip.PrefixFrom(outer.Addr(), bits)
	for _, u := range used {
		if u.Addr().BitLen() != outer.Addr().BitLen() || !u.Overlaps(candidate) {
			continue
		}
		past := lastAddr(candidate)
		if end := lastAddr(u); past.Less(end) {
			past = end
		}
		next := past.Next()
		if !next.IsValid() || !outer.Contains(next) {
			return netip.Prefix{}, false
		}
		candidate = netip.PrefixFrom(next, bits)
	}
	return candidate, true
}

// lastAddr returns the highest address of p.
func lastAddr(p netip.Prefix) netip.Addr {
	b := p.Masked().Addr().As16()
	bits := p.Bits()
	if p.Addr().Is4() {
		bits += 96
	}
	for i := range b {
		switch {
		case bits >= 8*(i+1):
		case bits <= 8*i:
			b[i] = 0xff
		default:
			b[i] |= 0xff >> (bits - 8*i)
		}
	}
	if p.Addr().Is4() {
		return netip.AddrFrom4([4]byte(b[12:]))
	}
	return netip.AddrFrom16(b)
}

// assignable reports whether an interface may have a on a subnet of cidr: it
// lies inside and is neither the network's address nor IPv4's broadcast.
func assignable(cidr netip.Prefix, a netip.Addr) bool {
	if !cidr.Contains(a) || a == cidr.Masked().Addr() {
		return false
	}
	return !(a.Is4() && a == lastAddr(cidr))
}

// allocationPools returns where Neutron may hand out addresses of cidr when
// the engine narrowed it to part: the assignable addresses of part without
// the gateway, which Neutron refuses inside an allocation pool.
func allocationPools(cidr, part netip.Prefix, gateway netip.Addr) []AddressRange {
	first, last := part.Masked().Addr(), lastAddr(part)
	if first == cidr.Masked().Addr() {
		first = first.Next()
	}
	if last.Is4() && last == lastAddr(cidr) {
		last = last.Prev()
	}
	if last.Less(first) {
		return nil
	}
	if !gateway.IsValid() || gateway.Less(first) || last.Less(gateway) {
		return []AddressRange{{first, last}}
	}
	var pools []AddressRange
	if first.Less(gateway) {
		pools = append(pools, AddressRange{first, gateway.Prev()})
	}
	if gateway.Less(last) {
		pools = append(pools, AddressRange{gateway.Next(), last})
	}
	return pools
}

// checkPool refuses CIDRs that no subnet for containers can have.
func checkPool(r PoolRequest) error {
	refuse := func(why, hint string) error {
		return &Error{Kind: Invalid, Op: "make an address pool", Subject: "of " + r.CIDR.String(), Public: why, Hint: hint}
	}
	switch a := r.CIDR.Addr(); {
	case FamilyOf(a) != r.Family:
		return refuse("it is not of the family that was asked for", "")
	case r.CIDR != r.CIDR.Masked():
		return refuse("bits are set beyond its length", "the subnet meant is "+r.CIDR.Masked().String())
	case r.CIDR.Bits() == 0 || a.IsMulticast() || a.IsLoopback() || a.IsUnspecified():
		return refuse("no container can have its addresses", "take a private range, such as 10.20.0.0/24 or fd00:20::/64")
	case r.CIDR.Bits() > a.BitLen()-2:
		return refuse("it is too small for a gateway and a container", "take a /30 (IPv6: a /126) or larger")
	case r.Range.IsValid() && (!r.CIDR.Contains(r.Range.Addr()) || r.Range.Bits() < r.CIDR.Bits()):
		return refuse("the range "+r.Range.String()+" lies outside of it", "")
	case r.Range.IsValid() && len(allocationPools(r.CIDR, r.Range, netip.Addr{})) == 0:
		return refuse("the range "+r.Range.String()+" has no address for a container", "")
	}
	return nil
}
