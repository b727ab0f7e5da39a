package dataplane_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"kuryr/internal/embedded/dataplane"
)

// address gives the container's interface the port's IPv4 address.
func (h *host) address() {
	h.ns.Run("ip", "addr", "add", h.v4().String()+"/24", "dev", "eth0")
}

// stream is a TCP connection on which one end keeps sending.
type stream struct {
	server, client net.Conn
}

func connect(t testing.TB, from, to *host, port int) *stream {
	t.Helper()
	var l net.Listener
	var err error
	to.ns.Do(func() { l, err = net.Listen("tcp4", fmt.Sprintf("%s:%d", to.v4(), port)) })
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s := &stream{}
	from.ns.Do(func() {
		s.client, err = (&net.Dialer{Timeout: 5 * time.Second}).Dial("tcp4", l.Addr().String())
	})
	if err != nil {
		t.Fatal(err)
	}
	if s.server, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.client.Close(); s.server.Close() })
	return s
}

// works reports whether data goes there and back within the time.
func (s *stream) works(within time.Duration) bool {
	for _, way := range [][2]net.Conn{{s.client, s.server}, {s.server, s.client}} {
		deadline := time.Now().Add(within)
		way[0].SetDeadline(deadline)
		way[1].SetDeadline(deadline)
		if _, err := way[0].Write([]byte("x")); err != nil {
			return false
		}
		if _, err := io.ReadFull(way[1], make([]byte, 1)); err != nil {
			return false
		}
	}
	return true
}

// TestLiveChange changes rules under connections.
func TestLiveChange(t *testing.T) {
	w := newWorld(t)
	w.group("client", rule(egress))
	w.group("server", rule(proto(6), ports(80, 80)), rule(proto(6), ports(81, 81)))
	a, b := w.host(networkA, 1, "client"), w.host(networkA, 2, "server")
	a.address()
	b.address()
	w.apply()
	kept, cut := connect(t, a, b, 80), connect(t, a, b, 81)
	if !kept.works(time.Second) || !cut.works(time.Second) {
		t.Fatal("the connections don't work to begin with")
	}
	for i := range 20 { // other rules come and go
		w.group("server", rule(proto(6), ports(80, 80)), rule(proto(6), ports(81, 81)), rule(proto(17), ports(100+i, 200+i)))
		w.group(fmt.Sprint("g", i), rule(remote("client")))
		b.port.Groups = []string{"server", fmt.Sprint("g", i)}
		w.apply()
		// No packet is lost: a retransmission would take 200 ms.
		if !kept.works(150 * time.Millisecond) {
			t.Fatalf("change %d interrupted a permitted connection", i)
		}
	}
	// The rule of one goes, and it with it.
	w.group("server", rule(proto(6), ports(80, 80)))
	b.port.Groups = []string{"server"}
	w.apply()
	if !kept.works(150 * time.Millisecond) {
		t.Error("a connection whose rule is still there was interrupted")
	}
	if cut.works(700 * time.Millisecond) {
		t.Error("a connection outlived its rule")
	}
	// The permission may come from another rule.
	w.group("server", rule(proto(6), prefix("10.0.0.0/24")))
	w.apply()
	if !kept.works(time.Second) {
		t.Error("a connection that another rule permits was cut")
	}
}

// TestRestart: the rules stay when the agent ends, and the next one takes them
// over without a gap.
func TestRestart(t *testing.T) {
	w := newWorld(t)
	w.group("client", rule(egress))
	w.group("server", rule(proto(6), ports(80, 80)))
	a, b := w.host(networkA, 1, "client"), w.host(networkA, 2, "server")
	a.address()
	b.address()
	w.apply()
	s := connect(t, a, b, 80)
	w.stop()
	if !s.works(time.Second) {
		t.Error("a connection ends with the agent")
	}
	u := func(p uint16) []byte { return a.to(b, udp(ap(a.v4(), w.newPort()), ap(b.v4(), p))) }
	expect(t, "without an agent", a, b, u(53), false)
	before := w.zones()
	w.start()
	w.apply()
	if !s.works(150 * time.Millisecond) {
		t.Error("the next agent interrupts a connection")
	}
	if after := w.zones(); before == "" || after != before {
		t.Errorf("zones were %q and are %q", before, after)
	}
	expect(t, "with the next agent", a, b, u(53), false)
}

func (w *world) zones() string {
	for _, family := range []string{"inet", "bridge"} {
		if out, err := w.ns.Try("nft", "list", "map", family, "kuryr-ports", "zones"); err == nil {
			return out
		}
	}
	return ""
}

// TestNothingLeft: our tables are there as long as there is something to close.
func TestNothingLeft(t *testing.T) {
	w := newWorld(t)
	w.ns.Run("nft", "add", "table", "bridge", "another")
	a := w.host(networkA, 1)
	w.apply()
	if out := w.ns.Run("nft", "list", "tables"); !strings.Contains(out, "kuryr-ports") {
		t.Fatalf("no table of ours:\n%s", out)
	}
	w.ns.Run("ip", "link", "del", a.port.HostEnd)
	w.hosts = nil
	w.apply()
	for _, n := range []string{networkA, networkB} {
		w.ns.Run("ip", "link", "del", "brq"+n[:11])
	}
	deadline := time.Now().Add(5 * time.Second)
	for w.ns.Run("nft", "list", "ruleset") != "table bridge another {\n}\n" {
		if time.Now().After(deadline) {
			t.Fatalf("left:\n%s", w.ns.Run("nft", "list", "ruleset"))
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// TestFlushed: another program removes all tables; ours come again.
func TestFlushed(t *testing.T) {
	w := newWorld(t)
	w.group("none")
	a, b := w.host(networkA, 1, "none"), w.host(networkA, 2, "none")
	w.apply()
	w.ns.Run("nft", "flush", "ruleset")
	deadline := time.Now().Add(5 * time.Second)
	for !strings.Contains(w.ns.Run("nft", "list", "tables"), "bridge kuryr-ports") {
		if time.Now().After(deadline) {
			t.Fatal("the tables don't come back")
		}
		time.Sleep(5 * time.Millisecond)
	}
	expect(t, "after a flush", a, b, a.to(b, udp(ap(a.v4(), 1), ap(b.v4(), 2))), false)
}

// TestForeign: taps that other programs plugged into Kuryr's bridges are
// closed, and those on other bridges are none of our business.
func TestForeign(t *testing.T) {
	w := newWorld(t)
	w.group("any", rule(), rule(egress))
	a := w.host(networkA, 1, "any")
	c, d := w.host(networkB, 3), w.host(networkB, 4)
	w.hosts = w.hosts[:1]
	w.ns.Run("ip", "link", "add", "brqforeign", "type", "bridge")
	w.ns.Run("ip", "link", "set", "brqforeign", "up")
	for _, h := range []*host{c, d} {
		w.ns.Run("ip", "link", "set", h.port.HostEnd, "group", "0", "alias", "", "master", "brqforeign")
	}
	w.apply()
	expect(t, "on another's bridge", c, d, c.to(d, udp(ap(c.v4(), 1), ap(d.v4(), 2))), true)
	w.ns.Run("ip", "link", "set", c.port.HostEnd, "master", "brq"+networkA[:11])
	time.Sleep(100 * time.Millisecond)
	expect(t, "a stranger on our bridge", c, a, c.to(a, udp(ap(c.v4(), 5), ap(a.v4(), 2))), false)
	expect(t, "a stranger's ARP on our bridge", c, a, eth(broadcast, c.port.MAC, 0x0806, arp(1, c.port.MAC, c.v4(), a.v4())), false)
	expect(t, "to a stranger on our bridge", a, c, a.to(c, udp(ap(a.v4(), 5), ap(c.v4(), 2))), false)
}

// big is a policy of many ports and rules, spread over groups that name each
// other, besides the hosts that there are.
func (w *world) big(ports, groups, rules int) dataplane.State {
	s := dataplane.State{Groups: map[string]dataplane.Group{}}
	for g := range groups {
		id := fmt.Sprintf("%08x-1111-4111-8111-111111111111", g)
		group := dataplane.Group{ID: id, Stateful: true}
		for r := range rules / groups {
			switch r % 4 {
			case 0:
				group.Rules = append(group.Rules, rule(proto(6), func(x *dataplane.Rule) { x.PortMin, x.PortMax = 1000+r, 1000+r }))
			case 1:
				group.Rules = append(group.Rules, rule(egress, prefix(fmt.Sprintf("172.16.%d.%d/32", g%256, r%256))))
			case 2:
				group.Rules = append(group.Rules, rule(proto(17), func(x *dataplane.Rule) { x.PortMin, x.PortMax = 2000+r, 2100+r }, prefix("192.168.0.0/16")))
			case 3:
				group.Rules = append(group.Rules, rule(ipv6, proto(6), remote(fmt.Sprintf("%08x-1111-4111-8111-111111111111", (g+1)%groups))))
			}
		}
		s.Groups[id] = group
	}
	for p := range ports {
		n := 1000 + p
		id := fmt.Sprintf("%08x-9999-4000-8000-%012x", n, n)
		s.Ports = append(s.Ports, dataplane.Port{
			ID: id, HostEnd: "tap" + id[:11], Network: networkA, MAC: mac{0xfa, 0x16, 0x3f, 0, byte(n >> 8), byte(n)},
			Addresses: []netip.Addr{v4(n), v6(n)}, Security: true, Up: true,
			Groups: []string{fmt.Sprintf("%08x-1111-4111-8111-111111111111", p%groups)},
		})
	}
	for _, h := range w.hosts {
		s.Ports = append(s.Ports, h.port)
	}
	for id, g := range w.groups {
		s.Groups[id] = g
	}
	return s
}

// TestCantBePut: the kernel refuses a policy (a name too long for it). Without
// any table, the taps are set down; with one, it stays, and what it does not
// know stays closed.
func TestCantBePut(t *testing.T) {
	w := newWorld(t)
	bad := strings.Repeat("x", 300)
	w.group("any", rule(), rule(egress))
	w.group(bad, rule())
	a, b := w.host(networkA, 1, "any"), w.host(networkA, 2, "any")
	show := func() {
		s := dataplane.State{Groups: w.groups}
		for _, h := range w.hosts {
			s.Ports = append(s.Ports, h.port)
		}
		w.policy.set(s)
	}
	refused := func() {
		t.Helper()
		show()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := w.agent.Apply(ctx); err == nil {
			t.Fatal("the kernel takes the policy")
		}
	}
	f := func(from, to *host) []byte { return from.to(to, udp(ap(from.v4(), w.newPort()), ap(to.v4(), 53))) }
	b.port.Groups = []string{bad}
	w.stop()
	w.ns.Run("nft", "flush", "ruleset")
	show() // before the agent is there: of the policy that it saw till now it would make a table
	w.start()
	refused()
	for deadline := time.Now().Add(5 * time.Second); !strings.Contains(w.ns.Run("ip", "link", "show", a.port.HostEnd), "state DOWN"); {
		if time.Now().After(deadline) {
			t.Fatal("without a table, the tap stays up")
		}
		time.Sleep(5 * time.Millisecond)
	}
	expect(t, "no table", a, b, f(a, b), false)
	if w.policy.isActive(a.port.HostEnd) {
		t.Error("a port is told active that has no rules")
	}
	b.port.Groups = []string{"any"}
	w.apply()
	w.upAgain(a, b)
	expect(t, "a table", a, b, f(a, b), true)

	c := w.host(networkA, 3, bad)
	refused()
	expect(t, "what was in force", a, b, f(a, b), true)
	expect(t, "to a port that is not", a, c, f(a, c), false)
	expect(t, "from a port that is not", c, a, f(c, a), false)
	// As a link is in the moment before it is removed.
	w.ns.Run("ip", "link", "set", c.port.HostEnd, "group", removalGroup)
	expect(t, "to a link that is to be removed", a, c, f(a, c), false)
	expect(t, "from a link that is to be removed", c, a, f(c, a), false)
	if w.policy.isActive(c.port.HostEnd) {
		t.Error("a port is told active that has no rules")
	}
}

func (w *world) upAgain(hosts ...*host) {
	w.t.Helper()
	deadline := time.Now().Add(5 * time.Second)
	for _, h := range hosts {
		for !w.policy.isActive(h.port.HostEnd) {
			if time.Now().After(deadline) {
				w.t.Fatal("the port does not become active again")
			}
			time.Sleep(5 * time.Millisecond)
		}
	}
}
