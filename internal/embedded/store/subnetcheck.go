package store

import (
	"fmt"
	"net/netip"
	"slices"

	"go4.org/netipx"
)

// Neutron's defaults for max_dns_nameservers and max_subnet_host_routes.
const (
	maxNameservers = 5
	maxHostRoutes  = 20
)

// checkSubnet checks the values of a request against each other and the CIDR;
// old is the subnet as it is, nil for a new one.
func checkSubnet(spec SubnetSpec, cidr netip.Prefix, old *Subnet) error {
	v := version(cidr.Addr())
	if old == nil && spec.IPVersion.Set && spec.IPVersion.V != v {
		return InvalidInput("cidr '%s' does not match the ip_version '%d'", cidr, spec.IPVersion.V)
	}
	if spec.EnableDHCP.V && (old == nil || !old.EnableDHCP) {
		if err := checkDHCP(cidr); err != nil {
			return err
		}
	}
	if g := spec.Gateway.V; g.IsValid() {
		if err := checkVersion(v, g, "gateway_ip"); err != nil {
			return err
		}
		if v == 4 && (g == cidr.Addr() || g == netipx.PrefixLastIP(cidr)) {
			return InvalidInput("Gateway is not valid on subnet")
		}
	}
	if err := checkNameservers(spec, v, old); err != nil {
		return err
	}
	if err := checkRoutes(spec, v, old); err != nil {
		return err
	}
	return checkModes(spec, cidr, old)
}

func checkVersion(v int, a netip.Addr, name string) error {
	if version(a) != v {
		return InvalidInput("%s '%s' does not match the ip_version '%d'", name, a, v)
	}
	return nil
}

func checkDHCP(cidr netip.Prefix) error {
	a := cidr.Addr()
	switch {
	case a.BitLen()-cidr.Bits() < 2:
		return InvalidInput("Subnet has a prefix length that is incompatible with DHCP service enabled")
	case a.IsMulticast():
		return InvalidInput("Multicast IP subnet is not supported if enable_dhcp is True")
	case a.IsLoopback():
		return InvalidInput("Loopback IP subnet is not supported if enable_dhcp is True")
	case a.Is4() && a.IsUnspecified():
		return InvalidInput("First IP '0.0.0.0' of network is not supported if enable_dhcp is True.")
	}
	return nil
}

// nameOf names a subnet in a message about it.
func nameOf(old *Subnet) string {
	if old == nil {
		return "new subnet"
	}
	return old.ID
}

func checkNameservers(spec SubnetSpec, v int, old *Subnet) error {
	if len(spec.Nameservers.V) > maxNameservers {
		return errorf(BadRequest, "DNSNameServersExhausted",
			"Unable to complete operation for %s. The number of DNS nameservers exceeds the limit %d.", nameOf(old), maxNameservers)
	}
	for _, a := range spec.Nameservers.V {
		if err := checkVersion(v, a, "dns_nameserver"); err != nil {
			return err
		}
	}
	return nil
}

func checkRoutes(spec SubnetSpec, v int, old *Subnet) error {
	if len(spec.HostRoutes.V) > maxHostRoutes {
		return errorf(BadRequest, "HostRoutesExhausted",
			"Unable to complete operation for %s. The number of host routes exceeds the limit %d.", nameOf(old), maxHostRoutes)
	}
	for _, r := range spec.HostRoutes.V {
		if err := checkVersion(v, r.NextHop, "nexthop"); err != nil {
			return err
		}
		if version(r.Destination.Addr()) != v {
			return InvalidInput("destination '%s' does not match the ip_version '%d'", r.Destination, v)
		}
	}
	return nil
}

// checkModes checks the two IPv6 modes of a new subnet, and that a changed
// one keeps the DHCP they need.
func checkModes(spec SubnetSpec, cidr netip.Prefix, old *Subnet) error {
	if old != nil {
		if spec.EnableDHCP.Set && !spec.EnableDHCP.V && old.RAMode+old.AddressMode != "" {
			return InvalidInput("Cannot disable enable_dhcp with ipv6 attributes set")
		}
		return nil
	}
	ra, mode := spec.RAMode.V, spec.AddressMode.V
	if cidr.Addr().Is4() {
		switch {
		case ra != "":
			return InvalidInput("ipv6_ra_mode is not valid when ip_version is 4")
		case mode != "":
			return InvalidInput("ipv6_address_mode is not valid when ip_version is 4")
		}
		return nil
	}
	switch {
	case ra+mode == "":
		return nil
	case !spec.EnableDHCP.V:
		return InvalidInput("ipv6_ra_mode or ipv6_address_mode cannot be set when enable_dhcp is set to False")
	case ra != "" && mode != "" && ra != mode:
		return InvalidInput("ipv6_ra_mode set to '%s' with ipv6_address_mode set to '%s' is not valid. "+
			"If both attributes are set, they must be the same value", ra, mode)
	}
	if s := (Subnet{RAMode: ra, AddressMode: mode}); s.automatic() && cidr.Bits() != 64 {
		return InvalidInput("Invalid CIDR %s for IPv6 address mode. OpenStack uses the EUI-64 address format, "+
			"which requires the prefix to be /64", cidr)
	}
	return nil
}

// hosts returns what allocation pools may consist of: not the network address
// and not IPv4's broadcast address, where the subnet is large enough to have them.
func hosts(cidr netip.Prefix) Range {
	all := rangeOf(cidr)
	spare := cidr.Addr().BitLen() - cidr.Bits()
	switch {
	case all.First == all.Last, cidr.Addr().Is4() && spare < 2:
		return all
	case cidr.Addr().Is4():
		return Range{all.First.Next(), all.Last.Prev()}
	}
	return Range{all.First.Next(), all.Last}
}

// setPools sets the allocation pools, by default all hosts but the gateway.
func (s *Subnet) setPools(pools Opt[[]Range]) error {
	h := hosts(s.CIDR)
	if !pools.Set {
		s.Pools = without(h, s.Gateway)
		return nil
	}
	for _, p := range pools.V {
		if p.First.BitLen() != p.Last.BitLen() || p.Last.Less(p.First) {
			return errorf(BadRequest, "InvalidAllocationPool", "The allocation pool %s is not valid.",
				fmt.Sprintf("{'start': '%s', 'end': '%s'}", p.First, p.Last))
		}
	}
	for _, p := range pools.V {
		if p.First.BitLen() != h.First.BitLen() {
			return errorf(BadRequest, "InvalidAllocationPool", "The allocation pool %s is not valid.", p)
		}
		if p.First.Less(h.First) || h.Last.Less(p.Last) {
			return errorf(BadRequest, "OutOfBoundsAllocationPool",
				"The allocation pool %s spans beyond the subnet cidr %s.", p, s.CIDR)
		}
	}
	for i, p := range pools.V {
		for _, q := range pools.V[i+1:] {
			if p.Contains(q.First) || q.Contains(p.First) {
				return errorf(Conflict, "OverlappingAllocationPools",
					"Found overlapping allocation pools: %s %s for subnet %s.", p, q, s.CIDR)
			}
		}
	}
	s.Pools = slices.Clone(pools.V)
	return s.checkGatewayOutside()
}

func (s *Subnet) checkGatewayOutside() error {
	for _, p := range s.Pools {
		if s.Gateway.IsValid() && p.Contains(s.Gateway) {
			return errorf(Conflict, "GatewayConflictWithAllocationPools",
				"Gateway ip %s conflicts with allocation pool %s.", s.Gateway, p)
		}
	}
	return nil
}

// without takes one address out of a range.
func without(r Range, a netip.Addr) []Range {
	if !a.IsValid() || !r.Contains(a) {
		return []Range{r}
	}
	out := []Range{}
	if r.First != a {
		out = append(out, Range{r.First, a.Prev()})
	}
	if r.Last != a {
		out = append(out, Range{a.Next(), r.Last})
	}
	return out
}

// onSubnet reports whether a port may ask for an address of a subnet.
func onSubnet(cidr netip.Prefix, a netip.Addr, owner string) bool {
	if !cidr.Contains(a) {
		return false
	}
	if a.Is6() {
		return a != cidr.Addr() || owner == "" || isRouter(owner)
	}
	return a != cidr.Addr() && (cidr.Bits() > 30 || a != netipx.PrefixLastIP(cidr))
}

// isRouter reports whether a port belongs to a router.
func isRouter(owner string) bool {
	switch owner {
	case "network:router_interface", "network:router_interface_distributed", "network:ha_router_replicated_interface",
		"network:router_gateway", "network:router_centralized_snat", "network:router_ha_interface":
		return true
	}
	return false
}
