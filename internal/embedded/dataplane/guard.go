package dataplane

import (
	"fmt"
	"strconv"

	"github.com/google/nftables/expr"
)

// The chains that are the same for all ports with port security. What they let
// pass has a sender that the port may be.
const (
	chainGuard    = "guard"      // by type of frame; drops all but ARP, IPv4 and IPv6
	chainARP      = "guard-arp"  // ends in accept or drop
	chainIPv4     = "guard-ipv4" // returns to the port's chain
	chainIPv4Sent = "guard-ipv4-sent"
	chainIPv6     = "guard-ipv6"
	chainIPv6Sent = "guard-ipv6-sent"
	chainICMPv6   = "guard-icmpv6"
	chainND       = "guard-nd"
	chainNA       = "guard-na"
	chainNAMAC    = "guard-na-mac"
	chainState    = "state"   // accepts what belongs to a flow, drops what can't be
	chainAlways   = "arrives" // what every port may hear
)

// setMACs has "tap . MAC" of every MAC that a port may use.
const setMACs = "macs"

// senders names the set "tap . MAC . address" of one length of prefixes.
func senders(ipv6 bool, bits int) string {
	return "senders" + version(ipv6) + "-" + strconv.Itoa(bits)
}

// Where things lie in a frame.
var (
	etherSource = place{expr.PayloadBaseLLHeader, 6, 6}
	arpMAC      = place{expr.PayloadBaseNetworkHeader, 8, 6}
	arpSender   = place{expr.PayloadBaseNetworkHeader, 14, 4}
	ipv4Source  = place{expr.PayloadBaseNetworkHeader, 12, 4}
	ipv4Dest    = place{expr.PayloadBaseNetworkHeader, 16, 4}
	ipv6Source  = place{expr.PayloadBaseNetworkHeader, 8, 16}
	ipv6Dest    = place{expr.PayloadBaseNetworkHeader, 24, 16}
	ndTarget    = place{expr.PayloadBaseTransportHeader, 8, 16}
	ndMAC       = place{expr.PayloadBaseTransportHeader, 26, 6} // of the first option of NS and NA
	rsMAC       = place{expr.PayloadBaseTransportHeader, 10, 6} // of the first option of RS
)

// guards adds the common chains, for senders of those lengths of prefixes.
func (r *ruleset) guards(bits4, bits6 []int) {
	text4, text6 := fmt.Sprint(bits4), fmt.Sprint(bits6)
	r.chain(chainGuard, "", func() []match {
		return []match{
			match{}.ether(typeIPv4).gotoChain(chainIPv4),
			match{}.ether(typeIPv6).gotoChain(chainIPv6),
			match{}.ether(typeARP).gotoChain(chainARP),
			match{}.drop(),
		}
	})
	r.chain(chainARP, text4, func() []match { return guardARP(bits4) })
	r.chain(chainIPv4, text4, func() []match { return guardIPv4(bits4) })
	r.chain(chainIPv4Sent, "", func() []match {
		return []match{
			match{}.proto(protoUDP).ports(68, 67).accept(),
			match{}.proto(protoUDP).ports(67, 68).drop(), // a port is no DHCP server
		}
	})
	r.chain(chainIPv6, text6, func() []match { return guardIPv6(bits6) })
	r.chain(chainIPv6Sent, "", func() []match {
		return []match{
			match{}.proto(protoICMPv6).gotoChain(chainICMPv6),
			match{}.proto(protoUDP).ports(546, 547).accept(),
			match{}.proto(protoUDP).ports(547, 546).drop(),
		}
	})
	r.chain(chainICMPv6, "", guardICMPv6)
	r.chain(chainND, "", guardND)
	r.chain(chainNA, text6, func() []match {
		return append(fromSenders(true, ndTarget, bits6, chainNAMAC), match{}.drop())
	})
	r.chain(chainNAMAC, "", func() []match {
		return []match{
			match{}.net(4, 0, 24).accept(), // the length of the message: no option
			match{}.net(4, 0, 32).transport(24, 2, 1).senderMAC(ndMAC).in(setMACs).accept(),
			match{}.drop(),
		}
	})
	r.chain(chainAlways, "", arrives)
}

// fromSenders goes to a chain when the frame's MAC and the address at a place
// are a sender of the tap.
func fromSenders(ipv6 bool, address place, bits []int, next string) (rules []match) {
	for _, n := range bits {
		rules = append(rules, match{}.sender(etherSource, address, n).in(senders(ipv6, n)).gotoChain(next))
	}
	return rules
}

// guardARP lets pass what speaks of the port's own addresses, in the frame's
// source and in the message, and probes for an address (RFC 5227), which name
// no sender.
func guardARP(bits []int) []match {
	rules := []match{
		match{}.net(0, 0, 1, 8, 0, 6, 4, 0, 1 /* Ethernet, IPv4, request */).
			net(14, 0, 0, 0, 0).
			senderMAC(etherSource).in(setMACs).
			senderMAC(arpMAC).in(setMACs).accept(),
	}
	for _, n := range bits {
		rules = append(rules, match{}.net(0, 0, 1, 8, 0, 6, 4).
			sender(etherSource, arpSender, n).in(senders(false, n)).
			sender(arpMAC, arpSender, n).in(senders(false, n)).accept())
	}
	return append(rules, match{}.drop())
}

func guardIPv4(bits []int) []match {
	rules := []match{
		match{}.net(12, 0, 0, 0, 0, 255, 255, 255, 255).proto(protoUDP).ports(68, 67).
			senderMAC(etherSource).in(setMACs).accept(), // a DHCP client without an address
	}
	rules = append(rules, fromSenders(false, ipv4Source, bits, chainIPv4Sent)...)
	return append(rules, match{}.drop())
}

// guardIPv6 lets pass what comes from an address of the port's; and from none
// (::) what finds out whether an address is free, and tells of groups.
func guardIPv6(bits []int) []match {
	var rules []match
	for _, kind := range []byte{131, 135, 143} {
		m := match{}.proto(protoICMPv6).transport(0, kind).
			net(8, make([]byte, 16)...).net(24, 0xff, 0x02).
			senderMAC(etherSource).in(setMACs)
		if kind == 135 {
			rules = append(rules, m.gotoChain(chainND))
		} else {
			rules = append(rules, m.accept())
		}
	}
	rules = append(rules, fromSenders(true, ipv6Source, bits, chainIPv6Sent)...)
	return append(rules, match{}.drop())
}

// guardICMPv6 keeps ports from being routers (advertisements, redirects), and
// lets pass what IPv6 can't do without; the groups decide about the rest.
func guardICMPv6() []match {
	icmp := func(kind byte) match { return match{}.transport(0, kind) }
	return []match{
		icmp(134).drop(),
		icmp(137).drop(),
		icmp(133).gotoChain(chainND),
		icmp(135).gotoChain(chainND),
		icmp(136).gotoChain(chainND),
		icmp(130).accept(), icmp(131).accept(), icmp(132).accept(), icmp(143).accept(),
	}
}

// guardND lets messages of neighbour discovery pass that name no MAC but one
// of the port's. They are taken in the forms that hosts send: directly after
// the IPv6 header, with one option or none; what could hide an option is dropped.
func guardND() []match {
	ns := func() match { return match{}.transport(0, 135) }
	rs := func() match { return match{}.transport(0, 133) }
	return []match{
		match{}.net(6, protoICMPv6).transport(0, 136).gotoChain(chainNA),
		ns().net(4, 0, 24, protoICMPv6).accept(),
		ns().net(4, 0, 32, protoICMPv6).transport(24, 1, 1).senderMAC(ndMAC).in(setMACs).accept(),
		ns().net(4, 0, 32, protoICMPv6).transport(24, 14, 1).accept(), // a nonce (RFC 7527)
		rs().net(4, 0, 8, protoICMPv6).accept(),
		rs().net(4, 0, 16, protoICMPv6).transport(8, 1, 1).senderMAC(rsMAC).in(setMACs).accept(),
		match{}.drop(),
	}
}

// arrives is what every port hears, as with Neutron's agents: listener
// queries, advertisements of routers (which no port can send) and neighbours,
// and answers of DHCP servers (which no port can be).
func arrives() []match {
	var rules []match
	for _, kind := range []byte{130, 134, 135, 136} {
		rules = append(rules, match{}.ether(typeIPv6).proto(protoICMPv6).transport(0, kind).accept())
	}
	return append(rules,
		match{}.ether(typeIPv4).proto(protoUDP).ports(67, 68).accept(),
		match{}.ether(typeIPv6).proto(protoUDP).ports(547, 546).net(8, 0xfe, 0x80).accept())
}
