package dataplane_test

import (
	"net/netip"
	"testing"

	"kuryr/internal/embedded/dataplane"
)

var (
	allNodes = netip.MustParseAddr("ff02::1")
	nobody6  = netip.IPv6Unspecified()
)

func linkLocal(m mac) netip.Addr {
	return netip.AddrFrom16([16]byte{0xfe, 0x80, 8: m[0] ^ 2, m[1], m[2], 0xff, 0xfe, m[3], m[4], m[5]})
}

// TestSpoofing sends what a port may say and what it must not, to a port that
// hears everything.
func TestSpoofing(t *testing.T) {
	w := newWorld(t)
	w.group("out", rule(egress), rule(egress, ipv6))
	a, b := w.host(networkA, 1, "out"), w.host(networkA, 2)
	b.port.Security = false
	w.apply()
	lie4, lie6, lieMAC := v4(9), v6(9), mac{0xfa, 0x16, 0x3e, 9, 9, 9}
	own, ownLL := a.port.MAC, linkLocal(a.port.MAC)
	arpFrame := func(from mac, op uint16, sender mac, ip netip.Addr) []byte {
		return eth(broadcast, from, 0x0806, arp(op, sender, ip, b.v4()))
	}
	multicast := mac{0x33, 0x33, 0, 0, 0, 1}
	v6frame := func(p []byte) []byte { return eth(multicast, own, 0x86dd, p) }
	target := func(a netip.Addr) []byte { return a.AsSlice() }
	zero, none := make([]byte, 4), netip.IPv4Unspecified()
	u := func(from, to netip.AddrPort) []byte { return a.to(b, udp(from, to)) }
	for _, test := range []struct {
		name  string
		frame []byte
		want  bool
	}{
		{"own address", u(ap(a.v4(), 1), ap(b.v4(), 2)), true},
		{"another's address", u(ap(lie4, 1), ap(b.v4(), 2)), false},
		{"another's MAC", eth(b.port.MAC, lieMAC, 0x0800, udp(ap(a.v4(), 1), ap(b.v4(), 2))), false},
		{"own IPv6 address", u(ap(a.v6(), 1), ap(b.v6(), 2)), true},
		{"another's IPv6 address", u(ap(lie6, 1), ap(b.v6(), 2)), false},
		{"another's MAC with IPv6", eth(b.port.MAC, lieMAC, 0x86dd, udp(ap(a.v6(), 1), ap(b.v6(), 2))), false},
		{"own link-local address", u(ap(ownLL, 1), ap(b.v6(), 2)), true},
		{"another's link-local address", u(ap(linkLocal(lieMAC), 1), ap(b.v6(), 2)), false},
		{"another protocol", eth(b.port.MAC, own, 0x88b5, make([]byte, 50)), false},
		{"a VLAN's tag", eth(b.port.MAC, own, 0x8100, append([]byte{0, 5, 8, 0}, udp(ap(a.v4(), 1), ap(b.v4(), 2))...)), false},

		{"ARP request", arpFrame(own, 1, own, a.v4()), true},
		{"ARP reply", arpFrame(own, 2, own, a.v4()), true},
		{"ARP probe", arpFrame(own, 1, own, none), true},
		{"ARP probe with another's MAC", arpFrame(own, 1, lieMAC, none), false},
		{"ARP for another's address", arpFrame(own, 2, own, lie4), false},
		{"ARP with another's MAC inside", arpFrame(own, 2, lieMAC, a.v4()), false},
		{"ARP with another's MAC outside", arpFrame(lieMAC, 2, own, a.v4()), false},

		{"neighbour solicitation", v6frame(icmp6(a.v6(), allNodes, 135, zero, target(b.v6()), option(1, own))), true},
		{"solicitation without an option", v6frame(icmp6(a.v6(), allNodes, 135, zero, target(b.v6()))), true},
		{"solicitation with another's MAC", v6frame(icmp6(a.v6(), allNodes, 135, zero, target(b.v6()), option(1, lieMAC))), false},
		{"solicitation with a lie as its second option", v6frame(icmp6(a.v6(), allNodes, 135, zero, target(b.v6()), option(14, own), option(1, lieMAC))), false},
		{"is this address free", v6frame(icmp6(nobody6, allNodes, 135, zero, target(a.v6()))), true},
		{"is this address free, with a nonce", v6frame(icmp6(nobody6, allNodes, 135, zero, target(a.v6()), option(14, mac{1}))), true},
		{"neighbour advertisement", v6frame(icmp6(a.v6(), allNodes, 136, zero, target(a.v6()), option(2, own))), true},
		{"advertisement of the link-local address", v6frame(icmp6(ownLL, allNodes, 136, zero, target(ownLL), option(2, own))), true},
		{"advertisement of another's address", v6frame(icmp6(a.v6(), allNodes, 136, zero, target(lie6), option(2, own))), false},
		{"advertisement of another's MAC", v6frame(icmp6(a.v6(), allNodes, 136, zero, target(a.v6()), option(2, lieMAC))), false},
		{"advertisement behind another header", v6frame(packet(a.v6(), allNodes, 60, append([]byte{58, 0, 1, 4, 0, 0, 0, 0}, icmp6(a.v6(), allNodes, 136, zero, target(lie6), option(2, own))[40:]...))), false},
		{"router advertisement", v6frame(icmp6(ownLL, allNodes, 134, make([]byte, 12))), false},
		{"router advertisement behind another header", v6frame(packet(ownLL, allNodes, 60, append([]byte{58, 0, 1, 4, 0, 0, 0, 0}, icmp6(ownLL, allNodes, 134, make([]byte, 12))[40:]...))), false},
		{"redirect", v6frame(icmp6(ownLL, allNodes, 137, zero, target(lie6), target(lie6))), false},
		{"router solicitation", v6frame(icmp6(ownLL, allNodes, 133, zero)), true},
		{"router solicitation with another's MAC", v6frame(icmp6(ownLL, allNodes, 133, zero, option(1, lieMAC))), false},
		{"listener report", v6frame(icmp6(nobody6, allNodes, 143, zero)), true},
		{"data from nowhere", v6frame(udp(ap(nobody6, 1), ap(allNodes, 2))), false},

		{"DHCP client", eth(broadcast, own, 0x0800, udp(ap(none, 68), ap(v4bcast, 67))), true},
		{"DHCP client with another's MAC", eth(broadcast, lieMAC, 0x0800, udp(ap(none, 68), ap(v4bcast, 67))), false},
		{"DHCP server", eth(broadcast, own, 0x0800, udp(ap(a.v4(), 67), ap(v4bcast, 68))), false},
		{"DHCPv6 server", u(ap(ownLL, 547), ap(linkLocal(b.port.MAC), 546)), false},
	} {
		t.Run(test.name, func(t *testing.T) { expect(t, test.name, a, b, test.frame, test.want) })
	}
}

var v4bcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})

// TestEssentials: without any rule, a port can still be configured and find
// its neighbours.
func TestEssentials(t *testing.T) {
	w := newWorld(t)
	w.group("none")
	a, b, open := w.host(networkA, 1, "none"), w.host(networkA, 2, "none"), w.host(networkA, 3)
	open.port.Security = false
	w.apply()
	ll := linkLocal(a.port.MAC)
	for name, frame := range map[string][]byte{
		"ARP":           eth(broadcast, a.port.MAC, 0x0806, arp(1, a.port.MAC, a.v4(), b.v4())),
		"solicitation":  a.to(b, icmp6(a.v6(), b.v6(), 135, make([]byte, 4), b.v6().AsSlice())),
		"advertisement": a.to(b, icmp6(a.v6(), b.v6(), 136, make([]byte, 4), a.v6().AsSlice())),
	} {
		expect(t, name, a, b, frame, true)
	}
	expect(t, "DHCPv6 client", a, open, a.to(open, udp(ap(ll, 546), ap(netip.MustParseAddr("ff02::1:2"), 547))), true)
	expect(t, "DHCP renewal", a, open, a.to(open, udp(ap(a.v4(), 68), ap(open.v4(), 67))), true)
	expect(t, "DHCP answer", open, a, open.to(a, udp(ap(open.v4(), 67), ap(a.v4(), 68))), true)
	expect(t, "router advertisement from a router", open, a,
		open.to(a, icmp6(linkLocal(open.port.MAC), allNodes, 134, make([]byte, 12))), true)
	expect(t, "ping", a, open, a.to(open, icmp(a.v4(), open.v4(), 8, 0)), false)
	expect(t, "IPv6 ping", a, open, a.to(open, icmp(a.v6(), open.v6(), 128, 0)), false)
}

func TestPortSecurityOffAndPairs(t *testing.T) {
	w := newWorld(t)
	w.group("out", rule(egress), rule(egress, ipv6))
	w.group("friends", rule(remote("out")))
	a, b, c := w.host(networkA, 1, "out"), w.host(networkA, 2), w.host(networkA, 3, "friends")
	b.port.Security = false
	w.apply()
	lie := mac{2, 0, 0, 0, 0, 9}
	spoofed := func(to *host, n int) []byte {
		return eth(to.port.MAC, lie, 0x0800, udp(ap(v4(n), w.newPort()), ap(to.v4(), 53)))
	}
	expect(t, "spoofed", a, b, spoofed(b, 200), false)
	a.port.Security = false
	w.apply()
	expect(t, "spoofed, without port security", a, b, spoofed(b, 200), true)
	expect(t, "a router advertisement, without port security", a, b, a.to(b, icmp6(linkLocal(a.port.MAC), allNodes, 134, make([]byte, 12))), true)
	a.port.Security = true
	a.port.Pairs = []dataplane.AddressPair{
		{MAC: lie, Prefix: netip.MustParsePrefix("10.0.0.192/28")},
		{MAC: a.port.MAC, Prefix: netip.MustParsePrefix("fd00::5:0/112")},
	}
	w.apply()
	expect(t, "an address of a pair", a, b, spoofed(b, 200), true)
	expect(t, "an address beside the pair's", a, b, spoofed(b, 209), false)
	expect(t, "the pair's MAC with the port's address", a, b, spoofed(b, 1), false)
	expect(t, "ARP for an address of the pair", a, b, eth(broadcast, lie, 0x0806, arp(2, lie, v4(200), b.v4())), true)
	expect(t, "ARP for another", a, b, eth(broadcast, lie, 0x0806, arp(2, lie, v4(209), b.v4())), false)
	expect(t, "an IPv6 address of a pair", a, b, a.to(b, udp(ap(netip.MustParseAddr("fd00::5:77"), 5), ap(b.v6(), 53))), true)
	expect(t, "an IPv6 address beside", a, b, a.to(b, udp(ap(netip.MustParseAddr("fd00::6:77"), 5), ap(b.v6(), 53))), false)
	na := func(x string) []byte {
		ip := netip.MustParseAddr(x)
		return a.to(b, icmp6(ip, b.v6(), 136, make([]byte, 4), ip.AsSlice(), option(2, a.port.MAC)))
	}
	expect(t, "an advertisement of a pair's", a, b, na("fd00::5:77"), true)
	expect(t, "an advertisement beside", a, b, na("fd00::6:77"), false)
	expect(t, "a pair is a member of the port's group", a, c, spoofed(c, 201), true)
}
