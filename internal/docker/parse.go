package docker

import (
	"net/netip"
	"strings"

	"kuryr/internal/courier"
)

// maxID bounds an identifier, in bytes. Docker's have 64 hexadecimal digits or
// 25 base-36 characters, those of pools are UUIDs; the alphabet and the bound
// leave room for what comes after, and none for paths and blanks.
const maxID = 128

// checkID refuses what can't be an identifier.
func checkID(r ref) error {
	if r.value == "" {
		return invalid("the request has no %s", r.field)
	}
	if len(r.value) > maxID || strings.ContainsFunc(r.value, notInID) {
		return invalid("%.40q is no %s", r.value, r.field)
	}
	return nil
}

func notInID(c rune) bool {
	return !('0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_' || c == '.' || c == '-')
}

// parseCIDR reads a network's address, such as 10.0.0.0/24, of the given
// family. IPv4-mapped ones come out as IPv4.
func parseCIDR(what, s string, f courier.Family) (netip.Prefix, error) {
	p, err := parsePrefix(what, s, f)
	if err != nil {
		return netip.Prefix{}, err
	}
	if p != p.Masked() {
		return netip.Prefix{}, invalid("%s %s is not the address of a network", what, s).hinted("use %s", p.Masked())
	}
	return p, nil
}

// parseHost reads an address with the length of its network's prefix, such as
// 10.0.0.5/24, of the given family.
func parseHost(what, s string, f courier.Family) (netip.Prefix, error) {
	p, err := parsePrefix(what, s, f)
	if err != nil {
		return netip.Prefix{}, err
	}
	return p, checkHost(what, p.Addr())
}

func parsePrefix(what, s string, f courier.Family) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return netip.Prefix{}, invalid("%s %.60q is not an address with the length of a prefix", what, s).hinted("such as 10.0.0.0/24")
	}
	if p.Addr().Is4In6() {
		if p.Bits() < 96 {
			return netip.Prefix{}, invalid("%s %s is neither IPv4 nor IPv6", what, s)
		}
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	if courier.FamilyOf(p.Addr()) != f {
		return netip.Prefix{}, invalid("%s %s is not IPv%d", what, s, f)
	}
	return p, nil
}

// parseAddr reads a bare address that one interface can have.
func parseAddr(what, s string) (netip.Addr, error) {
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" {
		return netip.Addr{}, invalid("%s %.60q is not an IP address", what, s)
	}
	a = a.Unmap()
	return a, checkHost(what, a)
}

func checkHost(what string, a netip.Addr) error {
	if a.IsUnspecified() || a.IsMulticast() {
		return invalid("%s %s is not the address of a single interface", what, a)
	}
	return nil
}

// parseMAC reads a MAC address; "" is none.
func parseMAC(s string) (courier.MAC, error) {
	if s == "" {
		return courier.MAC{}, nil
	}
	m, err := courier.ParseMAC(s)
	if err != nil {
		return courier.MAC{}, invalid("%v", err)
	}
	return m, nil
}
