package store

import (
	"slices"
	"strconv"
)

// protocol is an IP protocol that rules may name.
type protocol struct {
	name   string
	number int
}

// protocols are Neutron's names of IP protocols, in the order in which its
// messages list them.
func protocols() []protocol {
	return []protocol{
		{"ah", 51}, {"dccp", 33}, {"egp", 8}, {"esp", 50}, {"gre", 47}, {"hopopt", 0}, {"icmp", 1}, {"igmp", 2},
		{"ip", 0}, {"ipip", 4}, {"ipv6-encap", 41}, {"ipv6-frag", 44}, {"ipv6-icmp", 58}, {"icmpv6", 58},
		{"ipv6-nonxt", 59}, {"ipv6-opts", 60}, {"ipv6-route", 43}, {"ospf", 89}, {"pgm", 113}, {"rsvp", 46},
		{"sctp", 132}, {"tcp", 6}, {"udp", 17}, {"udplite", 136}, {"vrrp", 112},
	}
}

// IP protocol numbers that checks look at.
const (
	protoICMP   = 1
	protoICMPv6 = 58
)

// withPorts are the protocols that have ports: TCP, UDP, DCCP, SCTP, UDP-Lite.
func withPorts(number int) bool {
	switch number {
	case 6, 17, 33, 132, 136:
		return true
	}
	return false
}

// ProtocolNumber returns the IANA number of the rule's protocol, -1 for any.
// ICMP is each family's own.
func (r *SecurityGroupRule) ProtocolNumber() int {
	if r.Protocol == "" {
		return -1
	}
	n, err := strconv.Atoi(r.Protocol)
	if err != nil {
		if i := slices.IndexFunc(protocols(), func(p protocol) bool { return p.name == r.Protocol }); i >= 0 {
			n = protocols()[i].number
		}
	}
	if n == protoICMP && r.Ethertype == IPv6 {
		return protoICMPv6
	}
	return n
}

// Protocol checks the protocol of a rule, a name or a number as text, and
// returns it as Neutron keeps it.
func Protocol(given string) (string, error) {
	if n, err := strconv.Atoi(given); err == nil && n >= 0 && n <= 255 {
		return strconv.Itoa(n), nil
	}
	names := "[None"
	for _, p := range protocols() {
		if p.name == given {
			return given, nil
		}
		names += ", '" + p.name + "'"
	}
	return "", errorf(BadRequest, "SecurityGroupRuleInvalidProtocol",
		"Security group rule protocol %s not supported. Only protocol values %s] and integer representations [0 to 255] are supported.",
		given, names)
}

// settleProtocol gives a protocol the name that Neutron keeps: ICMP is each
// family's own, and has one name.
func (r *SecurityGroupRule) settleProtocol() {
	switch {
	case r.Protocol == "icmpv6", r.Protocol == "icmp" && r.Ethertype == IPv6:
		r.Protocol = "ipv6-icmp"
	case r.Protocol == "1" && r.Ethertype == IPv6:
		r.Protocol = "58"
	}
}

// dropFullRange leaves out a range that is all ports.
func (r *SecurityGroupRule) dropFullRange() {
	if withPorts(r.ProtocolNumber()) && r.PortMin != nil && *r.PortMin == 1 && r.PortMax != nil && *r.PortMax == 65535 {
		r.PortMin, r.PortMax = nil, nil
	}
}

// check holds what a rule says against itself. protocol is as it was given.
func (r *SecurityGroupRule) check(protocol string) error {
	if err := r.checkPorts(); err != nil {
		return err
	}
	if r.Ethertype == IPv4 {
		switch r.ProtocolNumber() {
		case 41, 43, 44, protoICMPv6, 59, 60:
			return errorf(BadRequest, "SecurityGroupEthertypeConflictWithProtocol",
				"Invalid ethertype %s for protocol %s.", r.Ethertype, protocol)
		}
	}
	remotes := 0
	for _, given := range [...]string{r.RemotePrefix, r.RemoteGroup, r.RemoteAddrs} {
		if given != "" {
			remotes++
		}
	}
	if remotes > 1 {
		return errorf(BadRequest, "SecurityGroupMultipleRemoteEntites",
			"Only one of remote_ip_prefix or remote_group_id or remote_address_group_id may be provided.")
	}
	if p := r.Normalized(); p.IsValid() && p.Addr().Is4() != (r.Ethertype == IPv4) {
		return errorf(BadRequest, "SecurityGroupRuleParameterConflict",
			"Conflicting value ethertype %s for CIDR %s", r.Ethertype, r.RemotePrefix)
	}
	return nil
}

// checkPorts checks the range of ports, or the ICMP type and code.
func (r *SecurityGroupRule) checkPorts() error {
	low, high := r.PortMin, r.PortMax
	if low == nil && high == nil {
		return nil
	}
	number := r.ProtocolNumber()
	switch {
	case r.Protocol == "":
		return errorf(BadRequest, "SecurityGroupProtocolRequiredWithPorts", "Must also specify protocol if port range is given.")
	case withPorts(number):
		if low != nil && *low == 0 || high != nil && *high == 0 {
			return errorf(BadRequest, "SecurityGroupInvalidPortValue", "Invalid value for port 0")
		}
		if low == nil || high == nil || *low > *high {
			return errorf(BadRequest, "SecurityGroupInvalidPortRange",
				"For TCP/UDP protocols, port_range_min must be <= port_range_max")
		}
		if *low == 1 && *high == 65535 { // Neutron, too, keeps all ports as no range
			r.PortMin, r.PortMax = nil, nil
		}
	case number == protoICMP || number == protoICMPv6:
		return checkICMP(low, high)
	default:
		return errorf(BadRequest, "SecurityGroupInvalidProtocolForPort",
			"Ports cannot be specified for protocol %d. Ports are only supported for DCCP, SCTP, TCP, UDP, UDPLITE.", number)
	}
	return nil
}

func checkICMP(typ, code *int) error {
	for _, v := range []struct {
		field, attr string
		value       *int
	}{{"type", "port_range_min", typ}, {"code", "port_range_max", code}} {
		if v.value != nil && (*v.value < 0 || *v.value > 255) {
			return errorf(BadRequest, "SecurityGroupInvalidIcmpValue",
				"Invalid value for ICMP %s (%s) %d. It must be 0 to 255.", v.field, v.attr, *v.value)
		}
	}
	if typ == nil {
		return errorf(BadRequest, "SecurityGroupMissingIcmpType",
			"ICMP code (port-range-max) %d is provided but ICMP type (port-range-min) is missing.", *code)
	}
	return nil
}
