package dataplane_test

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"kuryr/internal/embedded/dataplane"
)

func ap(a netip.Addr, port uint16) netip.AddrPort { return netip.AddrPortFrom(a, port) }

// to puts a packet into a frame from one host to another.
func (h *host) to(peer *host, p []byte) []byte {
	kind := uint16(0x0800)
	if p[0]>>4 == 6 {
		kind = 0x86dd
	}
	return eth(peer.port.MAC, h.port.MAC, kind, p)
}

func (h *host) v4() netip.Addr { return h.port.Addresses[0] }
func (h *host) v6() netip.Addr { return h.port.Addresses[1] }

// newFlow returns a number that no flow of the test had for a port.
func (w *world) newPort() uint16 {
	w.port++
	return 20000 + w.port
}

func TestClosedUntilKnown(t *testing.T) {
	w := newWorld(t)
	w.group("any", rule(), rule(ipv6), rule(egress), rule(egress, ipv6))
	a, b := w.host(networkA, 1, "any"), w.host(networkA, 2, "any")
	time.Sleep(50 * time.Millisecond) // no port is known: the agent has seen links of Kuryr's only
	f := func() []byte { return a.to(b, udp(ap(a.v4(), w.newPort()), ap(b.v4(), 53))) }
	expect(t, "before the ports are known", a, b, f(), false)
	expect(t, "ARP before the ports are known", a, b, eth(broadcast, a.port.MAC, 0x0806, arp(1, a.port.MAC, a.v4(), b.v4())), false)
	if w.policy.isActive(a.port.HostEnd) {
		t.Error("a port is told active that nobody knows")
	}
	w.apply()
	expect(t, "in force", a, b, f(), true)
	if !w.policy.isActive(a.port.HostEnd) {
		t.Error("the port is not told active")
	}
	b.port.Up = false
	w.apply()
	expect(t, "to a port that is down", a, b, f(), false)
	expect(t, "from a port that is down", b, a, b.to(a, udp(ap(b.v4(), w.newPort()), ap(a.v4(), 53))), false)
}

// TestRules has a rule of b's a row, tried with packets from a.
func TestRules(t *testing.T) {
	w := newWorld(t)
	w.group("out", rule(egress), rule(egress, ipv6))
	w.group("in")
	a, b := w.host(networkA, 1, "out"), w.host(networkA, 2, "in")
	w.host(networkA, 3, "out", "friends")
	u4 := func(p uint16) []byte { return udp(ap(a.v4(), w.newPort()), ap(b.v4(), p)) }
	u6 := func(p uint16) []byte { return udp(ap(a.v6(), w.newPort()), ap(b.v6(), p)) }
	t4 := func(p uint16) []byte { return tcp(ap(a.v4(), w.newPort()), ap(b.v4(), p), syn) }
	for _, test := range []struct {
		name       string
		rule       dataplane.Rule
		pass, drop [][]byte
	}{
		{"none", rule(egress, proto(47)), nil, [][]byte{u4(53), u6(53), t4(80), icmp(a.v4(), b.v4(), 8, 0), icmp(a.v6(), b.v6(), 128, 0)}},
		{"any IPv4", rule(), [][]byte{u4(53), t4(80), icmp(a.v4(), b.v4(), 8, 0), packet(a.v4(), b.v4(), 47, make([]byte, 8))}, [][]byte{u6(53)}},
		{"any IPv6", rule(ipv6), [][]byte{u6(53), icmp(a.v6(), b.v6(), 128, 0)}, [][]byte{u4(53)}},
		{"a protocol", rule(proto(17)), [][]byte{u4(53), u4(1)}, [][]byte{t4(53), u6(53)}},
		{"protocol without ports", rule(proto(47)), [][]byte{packet(a.v4(), b.v4(), 47, make([]byte, 8))}, [][]byte{u4(53), packet(a.v4(), b.v4(), 50, make([]byte, 8))}},
		{"a port", rule(proto(6), ports(80, 80)), [][]byte{t4(80)}, [][]byte{t4(79), t4(81), u4(80)}},
		{"ports", rule(proto(17), ports(1000, 2999)), [][]byte{u4(1000), u4(1023), u4(1024), u4(2047), u4(2048), u4(2999)}, [][]byte{u4(999), u4(3000), t4(1000)}},
		{"ports of IPv6", rule(ipv6, proto(17), ports(5, 7)), [][]byte{u6(5), u6(6), u6(7)}, [][]byte{u6(4), u6(8), u4(6)}},
		{"all ports", rule(proto(17), ports(1, 65535)), [][]byte{u4(1), u4(65535), u4(32768)}, nil},
		{"ICMP type", rule(proto(1), ports(8, -1)), [][]byte{icmp(a.v4(), b.v4(), 8, 0)}, [][]byte{icmp(a.v4(), b.v4(), 13, 0)}},
		{"ICMP type and code", rule(proto(1), ports(8, 0)), [][]byte{icmp(a.v4(), b.v4(), 8, 0)}, [][]byte{icmp(a.v4(), b.v4(), 8, 1)}},
		{"ICMPv6 type", rule(ipv6, proto(58), ports(128, -1)), [][]byte{icmp(a.v6(), b.v6(), 128, 0)}, [][]byte{icmp(a.v6(), b.v6(), 139, 0)}},
		{"ICMP's number for ICMPv6", rule(ipv6, proto(1)), [][]byte{icmp(a.v6(), b.v6(), 128, 0)}, [][]byte{u6(53)}},
		{"the sender's address", rule(prefix("10.0.0.1/32")), [][]byte{u4(53)}, nil},
		{"a prefix with it", rule(prefix("10.0.0.0/29"), proto(17)), [][]byte{u4(53)}, [][]byte{t4(53)}},
		{"a prefix without it", rule(prefix("10.0.0.4/30")), nil, [][]byte{u4(53)}},
		{"prefix and port", rule(prefix("10.0.0.0/8"), proto(17), ports(53, 53)), [][]byte{u4(53)}, [][]byte{u4(54)}},
		{"a prefix of IPv6", rule(ipv6, prefix("fd00::/64")), [][]byte{u6(53)}, [][]byte{u4(53)}},
		{"another prefix of IPv6", rule(ipv6, prefix("fd01::/64")), nil, [][]byte{u6(53)}},
		{"all of IPv6", rule(ipv6, prefix("::/0"), proto(17)), [][]byte{u6(53)}, [][]byte{u4(53)}},
		{"a group with the sender", rule(remote("out"), proto(17)), [][]byte{u4(53)}, [][]byte{t4(53), u6(53)}},
		{"a group without the sender", rule(remote("friends")), nil, [][]byte{u4(53)}},
		{"a group with the sender, IPv6", rule(ipv6, remote("out")), [][]byte{u6(53)}, [][]byte{u4(53)}},
		{"a group and a port", rule(remote("out"), proto(6), ports(22, 23)), [][]byte{t4(22), t4(23)}, [][]byte{t4(24)}},
	} {
		t.Run(test.name, func(t *testing.T) {
			w.group("in", test.rule)
			w.apply()
			for i, p := range test.pass {
				expect(t, "pass "+string(rune('0'+i)), a, b, a.to(b, p), true)
			}
			for i, p := range test.drop {
				expect(t, "drop "+string(rune('0'+i)), a, b, a.to(b, p), false)
			}
		})
	}
}

func TestEgress(t *testing.T) {
	w := newWorld(t)
	w.group("in", rule(), rule(ipv6))
	w.group("out", rule(egress, proto(17), ports(53, 53), prefix("10.0.0.2/32")))
	a, b, c := w.host(networkA, 1, "out"), w.host(networkA, 2, "in"), w.host(networkA, 3, "in")
	w.apply()
	u := func(to *host, p uint16) []byte { return a.to(to, udp(ap(a.v4(), w.newPort()), ap(to.v4(), p))) }
	expect(t, "as the rule says", a, b, u(b, 53), true)
	expect(t, "to another port", a, b, u(b, 54), false)
	expect(t, "to another host", a, c, u(c, 53), false)
	w.group("out", rule(egress, remote("in")))
	w.apply()
	expect(t, "to the members of a group", a, c, u(c, 53), true)
	c.port.Groups = nil
	w.apply()
	expect(t, "to one that left the group, and has none", a, c, u(c, 53), false)
}

func TestState(t *testing.T) {
	w := newWorld(t)
	w.group("client", rule(egress), rule(egress, ipv6))
	w.group("server", rule(proto(17), ports(53, 53)), rule(ipv6, proto(6), ports(80, 80)))
	a, b := w.host(networkA, 1, "client"), w.host(networkA, 2, "server")
	w.apply()
	ask, answer := ap(a.v4(), 3000), ap(b.v4(), 53)
	expect(t, "an answer to no question", b, a, b.to(a, udp(answer, ask)), false)
	expect(t, "a question", a, b, a.to(b, udp(ask, answer)), true)
	expect(t, "its answer", b, a, b.to(a, udp(answer, ask)), true)
	expect(t, "an error about it", b, a, b.to(a, icmpError(b.v4(), a.v4(), udp(ask, answer))), true)
	expect(t, "an answer to another", b, a, b.to(a, udp(answer, ap(a.v4(), 3001))), false)
	ask, answer = ap(a.v6(), 3000), ap(b.v6(), 80)
	expect(t, "SYN", a, b, a.to(b, tcp(ask, answer, syn)), true)
	expect(t, "SYN ACK", b, a, b.to(a, tcp(answer, ask, syn|ack)), true)

	// The other network has the same addresses: its flows are others.
	w.group("none")
	c, d := w.host(networkB, 1, "none"), w.host(networkB, 2, "client")
	w.apply()
	expect(t, "an answer to another network's question", d, c, d.to(c, udp(ap(d.v4(), 53), ap(c.v4(), 3000))), false)
	g := w.groups["server"]
	g.Stateful = false
	g.Rules = append(g.Rules, rule(egress, proto(17), ports(4000, 4000)))
	w.groups["server"] = g
	w.apply()
	ask, answer = ap(a.v4(), 3005), ap(b.v4(), 53)
	expect(t, "a question to a stateless port", a, b, a.to(b, udp(ask, answer)), true)
	expect(t, "its answer", b, a, b.to(a, udp(answer, ask)), false)
}

func icmpError(from, to netip.Addr, about []byte) []byte {
	p := append([]byte{3, 3, 0, 0, 0, 0, 0, 0}, about...)
	copy(p[2:], u16(sum(p)))
	return packet(from, to, 1, p)
}

// TestDefaultGroup has what Neutron gives every project: members reach each
// other, everybody may send, and nobody else gets in.
func TestDefaultGroup(t *testing.T) {
	w := newWorld(t)
	w.group("default", rule(egress), rule(egress, ipv6), rule(remote("default")), rule(ipv6, remote("default")))
	w.group("other", rule(egress), rule(egress, ipv6))
	a, b, c := w.host(networkA, 1, "default"), w.host(networkA, 2, "default"), w.host(networkA, 3, "other")
	w.apply()
	try := func(from, to *host, want bool) {
		t.Helper()
		expect(t, "IPv4", from, to, from.to(to, udp(ap(from.v4(), w.newPort()), ap(to.v4(), 53))), want)
		expect(t, "IPv6", from, to, from.to(to, udp(ap(from.v6(), w.newPort()), ap(to.v6(), 53))), want)
	}
	try(a, b, true)
	try(b, a, true)
	try(c, a, false)
	try(b, c, false)
	c.port.Groups = append(c.port.Groups, "default") // a port in two groups has what either permits
	w.apply()
	try(c, a, true)
	try(b, c, true)
}

// TestFragments: packets in pieces are judged as a whole, by their ports.
func TestFragments(t *testing.T) {
	w := newWorld(t)
	w.group("out", rule(egress), rule(egress, ipv6))
	w.group("in", rule(proto(17), ports(53, 53)), rule(ipv6, proto(17), ports(53, 53)))
	a, b := w.host(networkA, 1, "out"), w.host(networkA, 2, "in")
	w.apply()
	for _, h := range []*host{a, b} {
		h.address()
		h.ns.Run("ip", "addr", "add", h.v6().String()+"/64", "dev", "eth0", "nodad")
	}
	for _, to := range []netip.Addr{b.v4(), b.v6()} {
		for port, want := range map[uint16]bool{53: true, 54: false} {
			if got := datagram(t, a, b, ap(to, port), 5000); got != want {
				t.Errorf("5,000 bytes to %s arrive: %t, want %t", ap(to, port), got, want)
			}
		}
	}
}

// datagram reports whether one of that many bytes arrives.
func datagram(t *testing.T, from, to *host, at netip.AddrPort, size int) bool {
	t.Helper()
	var server *net.UDPConn
	var client net.Conn
	var err error
	to.ns.Do(func() { server, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(at)) })
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	from.ns.Do(func() { client, err = net.Dial("udp", at.String()) })
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := client.Write(make([]byte, size)); err != nil {
		t.Fatal(err)
	}
	server.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
	n, err := server.Read(make([]byte, 65536))
	return err == nil && n == size
}
