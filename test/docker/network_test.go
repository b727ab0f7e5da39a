package docker

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kuryr/internal/testkit"
)

// --subnet, --gateway and --ip-range arrive in Neutron, and in the container.
func TestSubnetGatewayRange(t *testing.T) {
	h := newHost(t)
	n := h.network("net", "--subnet", "10.10.0.0/16", "--gateway", "10.10.0.254", "--ip-range", "10.10.5.0/29")

	s, ok := n.subnets()["10.10.0.0/16"]
	if !ok || s.Gateway != "10.10.0.254" {
		t.Errorf("subnets in Neutron: %+v; want one of 10.10.0.0/16 with gateway 10.10.0.254", n.subnets())
	}
	c := n.run("carol")
	if ip, part := c.address(false), netip.MustParsePrefix("10.10.5.0/29"); !part.Contains(ip) {
		t.Errorf("the container's address is %s, want one of %s", ip, part)
	}
	want := []string{"10.10.0.0/16 dev eth0 proto kernel scope link src " + c.ip4(), "default via 10.10.0.254 dev eth0"}
	if diff := cmp.Diff(want, c.routes("-4")); diff != "" {
		t.Errorf("routes (-want +got):\n%s", diff)
	}
}

// The container's MAC and addresses are those of its port, which is ACTIVE as
// long as the container runs; the gateway's address is taken.
func TestPortMatchesContainer(t *testing.T) {
	h := newHost(t)
	n := h.network("net", "--subnet", "10.11.0.0/24")
	c := n.run("carol")
	nic := c.nic()
	port := n.port(c.ip4())

	got := map[string]string{
		"MAC": port.MAC, "addresses": port.Addresses(), "host": port.Host, "type": port.VIFType,
	}
	want := map[string]string{
		"MAC": nic.MAC, "addresses": c.ip4(), "host": h.kuryr.Host, "type": vifType,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the port (-want +got):\n%s", diff)
	}
	h.eventually("the port is ACTIVE", func() bool { return n.port(nic.Addresses[0].Addr().String()).Status == "ACTIVE" })
	h.fails([]string{"10.11.0.1"}, h.runArgs("thief", "--network", "net", "--ip", "10.11.0.1")...)

	endpoint := h.docker("inspect", "--format", "{{with index .NetworkSettings.Networks \"net\"}}{{.IPAddress}} {{.MacAddress}}{{end}}", "carol")
	if want := c.ip4() + " " + nic.MAC; endpoint != want {
		t.Errorf("docker inspect tells %q, want %q", endpoint, want)
	}
}

// Nobody gets an auxiliary address: there is a port that has it.
func TestAuxAddressesAreReserved(t *testing.T) {
	h := newHost(t)
	n := h.network("net", "--subnet", "10.12.0.0/29", "--aux-address", "router=10.12.0.2", "--aux-address", "printer=10.12.0.4")

	for _, aux := range []string{"10.12.0.2", "10.12.0.4"} {
		n.port(aux)
		h.fails([]string{aux}, h.runArgs("thief-"+aux, "--network", "net", "--ip", aux)...)
	}
	var got []string
	for _, name := range []string{"alice", "bob", "carol"} {
		got = append(got, n.run(name).ip4())
	}
	slices.Sort(got)
	if want := []string{"10.12.0.3", "10.12.0.5", "10.12.0.6"}; !slices.Equal(got, want) {
		t.Errorf("addresses of containers: %v, want %v", got, want)
	}
}

// Wished addresses are what the container and its port get.
func TestWishes(t *testing.T) {
	h := newHost(t)
	n := h.network("net", "--subnet", "10.13.0.0/24", "--ipv6", "--subnet", "fd13::/64")
	tests := []struct {
		name  string
		flags []string
		mac   string // "" means any
		ips   []string
	}{
		{"ip", []string{"--ip", "10.13.0.77"}, "", []string{"10.13.0.77"}},
		{"ip6", []string{"--ip6", "fd13::77:6"}, "", []string{"fd13::77:6"}},
		{"both", []string{"--ip", "10.13.0.78", "--ip6", "fd13::78"}, "", []string{"10.13.0.78", "fd13::78"}},
		{"mac", []string{"--mac-address", "02:11:22:33:44:55"}, "02:11:22:33:44:55", nil},
		{"mac-and-ip", []string{"--mac-address", "02:11:22:33:44:56", "--ip", "10.13.0.79"}, "02:11:22:33:44:56", []string{"10.13.0.79"}},
		{"all", []string{"--mac-address", "02:11:22:33:44:57", "--ip", "10.13.0.80", "--ip6", "fd13::80"}, "02:11:22:33:44:57", []string{"10.13.0.80", "fd13::80"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := network{h: h.in(t), name: n.name, id: n.id}
			c := n.run(tt.name, tt.flags...)
			nic := c.nic()
			if tt.mac != "" && nic.MAC != tt.mac {
				t.Errorf("MAC address %s, want %s", nic.MAC, tt.mac)
			}
			have := []string{c.ip4(), c.ip6()}
			for _, ip := range tt.ips {
				if !slices.Contains(have, ip) {
					t.Errorf("addresses %v, want %s among them", have, ip)
				}
			}
			port := n.port(have[0])
			if port.MAC != nic.MAC || port.Addresses() != have[0]+" "+have[1] {
				t.Errorf("the port has %s and %s, the container %s and %v", port.MAC, port.Addresses(), nic.MAC, have)
			}
			c.reaches(have[0])
			c.reaches(have[1])
		})
	}
}

// With requires_mac_address Docker makes up the MAC and tells it with the
// request for the address; a user's own comes the same way.
func TestRequiresMACAddress(t *testing.T) {
	h := newSpecialHost(t, testkit.KuryrOptions{Config: "requires_mac_address = true"})
	n := h.network("net", "--subnet", "10.14.0.0/24")
	wished := n.run("wished", "--mac-address", "02:aa:bb:cc:dd:ee", "--ip", "10.14.0.9")
	if got := wished.nic().MAC; got != "02:aa:bb:cc:dd:ee" {
		t.Errorf("MAC address %s, want the wished one", got)
	}
	for _, c := range []container{wished, n.run("any")} {
		if port := n.port(c.ip4()); port.MAC != c.nic().MAC {
			t.Errorf("the port of %s has %s, the container %s", c.name, port.MAC, c.nic().MAC)
		}
	}
	wished.reaches(container{h, "any"}.ip4())
}

// A dual-stack container is one port with two addresses.
func TestDualStack(t *testing.T) {
	h := newHost(t)
	n := h.network("net", "--subnet", "10.15.0.0/24", "--ipv6", "--subnet", "fd15::/64", "--gateway", "10.15.0.1", "--gateway", "fd15::1")
	a, b := n.run("alice"), n.run("bob")
	for _, c := range []container{a, b} {
		if got, want := n.port(c.ip6()).Addresses(), c.ip4()+" "+c.ip6(); got != want {
			t.Errorf("the port of %s has %s, want %s", c.name, got, want)
		}
	}
	a.reaches(b.ip4())
	a.reaches(b.ip6())
	b.reaches(a.ip6())
	want := []string{"default via fd15::1 dev eth0 metric 1024 pref medium", "fd15::/64 dev eth0 proto kernel metric 256 pref medium"}
	if diff := cmp.Diff(want, a.routes("-6")); diff != "" {
		t.Errorf("IPv6 routes (-want +got):\n%s", diff)
	}
}

// IPv6 without --subnet is cut from the default pool, like IPv4.
func TestDualStackFromDefaultPools(t *testing.T) {
	h := newHost(t)
	n := h.network("net", "--ipv6")
	a, b := n.run("alice"), n.run("bob")
	if len(n.cidrs()) != 2 {
		t.Errorf("CIDRs %v, want one of each family", n.cidrs())
	}
	a.reaches(b.ip4())
	a.reaches(b.ip6())
}

// Containers of an internal network reach each other and have no way out.
func TestInternal(t *testing.T) {
	h := newHost(t)
	n := h.network("net", "--internal", "--subnet", "10.16.0.0/24")
	a, b := n.run("alice"), n.run("bob")
	a.reaches(b.ip4())
	want := []string{"10.16.0.0/24 dev eth0 proto kernel scope link src " + a.ip4()}
	if diff := cmp.Diff(want, a.routes("-4")); diff != "" {
		t.Errorf("routes (-want +got):\n%s", diff)
	}
}

// Kuryr's containers have no second interface to the host: Docker makes no
// docker_gwbridge for them.
func TestNoGatewayBridge(t *testing.T) {
	h := newHost(t)
	for name, flags := range map[string][]string{"plain": nil, "internal": {"--internal"}} {
		c := h.network(name, flags...).run("c-" + name)
		if nic := c.nic(); nic.Name != "eth0" {
			t.Errorf("the interface in %s is %s, want eth0", c.name, nic.Name)
		}
	}
	if out, err := h.machine.Output(t.Context(), "ip", "link", "show", "docker_gwbridge"); err == nil {
		t.Errorf("there is a docker_gwbridge: %s", out)
	}
}

// Without --subnet each network gets a CIDR that no other network has, also
// where Docker's own networks lie in the way.
func TestFreeSubnets(t *testing.T) {
	h := newHost(t)
	var taken []netip.Prefix
	check := func(n network) {
		t.Helper()
		for _, p := range n.cidrs() {
			for _, other := range taken {
				if p.Overlaps(other) {
					t.Errorf("%s got %s, which overlaps %s", n.name, p, other)
				}
			}
			taken = append(taken, p)
		}
	}
	first := h.network("first")
	check(first)
	check(h.network("second"))
	// Docker's own bridge networks on what comes next: Docker turns down what
	// overlaps and asks again, until a CIDR is free.
	next := taken[1]
	for i := range 3 {
		for range i + 1 {
			next = after(next)
		}
		bridge := "bridge" + string(rune('0'+i))
		h.docker("network", "create", "--subnet", next.String(), bridge)
		taken = append(taken, next)
	}
	third := h.network("third")
	check(third)
	a, b := third.run("alice"), third.run("bob")
	a.reaches(b.ip4())
	// What a removed network had may be given out again.
	first.remove()
	taken = taken[1:]
	check(h.network("fourth"))
}

// after returns the prefix of the same length that follows p.
func after(p netip.Prefix) netip.Prefix {
	b := p.Masked().Addr().AsSlice()
	for i, carry := (p.Bits()-1)/8, 1<<(7-(p.Bits()-1)%8); i >= 0 && carry > 0; i-- {
		sum := int(b[i]) + carry
		b[i], carry = byte(sum), sum>>8
	}
	a, _ := netip.AddrFromSlice(b)
	return netip.PrefixFrom(a, p.Bits())
}

// Two networks can have one CIDR; their containers, even with one address, do
// not meet.
func TestSameCIDRTwice(t *testing.T) {
	h := newHost(t)
	x := h.network("x", "--subnet", "10.18.0.0/24")
	y := h.network("y", "--subnet", "10.18.0.0/24")
	x1, y1 := x.run("x1", "--ip", "10.18.0.10"), y.run("y1", "--ip", "10.18.0.10")
	x2, y2 := x.run("x2", "--ip", "10.18.0.20"), y.run("y3", "--ip", "10.18.0.30")
	x2.reaches("10.18.0.10")
	y2.reaches("10.18.0.10")
	x1.isCutOff("10.18.0.30")
	y1.isCutOff("10.18.0.20")
	// Each network's pool is its own: the first one's removal takes nothing
	// from the second.
	x1.remove()
	x2.remove()
	x.remove()
	y2.reaches(y1.ip4())
	y.run("y4").reaches("10.18.0.10")
}

// Two IPv4 subnets on one network are two subnets of one Neutron network. The
// docker client sends them in no order of its own.
func TestTwoSubnets(t *testing.T) {
	h := newHost(t)
	n := h.network("net", "--subnet", "10.19.0.0/24", "--subnet", "10.20.0.0/24")
	if got := n.subnets(); len(got) != 2 {
		t.Errorf("subnets in Neutron: %+v, want two", got)
	}
	first := n.cidrs()[0]
	wish := first.Addr().Next().Next().Next().Next().String()
	a, b := n.run("alice", "--ip", wish), n.run("bob")
	if !first.Contains(b.address(false)) {
		t.Errorf("the address is %s, want one of the first subnet, %s", b.ip4(), first)
	}
	b.reaches(a.ip4())
}

// The network's MTU is its Neutron network's, and on the container's link.
func TestMTU(t *testing.T) {
	h := newHost(t)
	n := h.network("net", "--subnet", "10.21.0.0/24", "--opt", "com.docker.network.driver.mtu=1400")
	a, b := n.run("alice"), n.run("bob")
	if got := a.nic().MTU; got != 1400 {
		t.Errorf("the MTU of the container's link is %d, want 1400", got)
	}
	var neutron struct{ Network testkit.Resource }
	if err := h.kuryr.Neutron.Get(t.Context(), "networks/"+n.neutron(), &neutron); err != nil || neutron.Network.MTU != 1400 {
		t.Errorf("the network in Neutron: %+v, %v; want MTU 1400", neutron.Network, err)
	}
	// A full packet: 1372 bytes and 28 of headers.
	if _, err := a.inside("ping", "-c", "1", "-W", "2", "-M", "do", "-s", "1372", b.ip4()); err != nil {
		t.Error(err)
	}
}

// Containers of two networks can't reach each other; those of one can.
func TestIsolation(t *testing.T) {
	h := newHost(t)
	red := h.network("red", "--subnet", "10.22.0.0/24", "--ipv6", "--subnet", "fd22::/64")
	blue := h.network("blue", "--subnet", "10.23.0.0/24", "--ipv6", "--subnet", "fd23::/64")
	r1, r2, b1 := red.run("r1"), red.run("r2"), blue.run("b1")
	r1.reaches(r2.ip4())
	r1.reaches(r2.ip6())
	r1.isCutOff(b1.ip4())
	b1.isCutOff(r1.ip4())
	r1.isCutOff(b1.ip6())
}

// A subnet's host routes in Neutron are routes of the containers started after.
func TestHostRoutes(t *testing.T) {
	h := newHost(t)
	n := h.network("net", "--subnet", "10.24.0.0/24")
	s := n.subnets()["10.24.0.0/24"]
	err := h.kuryr.Neutron.Put(t.Context(), "subnets/"+s.ID, map[string]any{"subnet": map[string]any{
		"host_routes": []map[string]string{{"destination": "192.0.2.0/24", "nexthop": "10.24.0.9"}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	c := n.run("carol")
	if want := "192.0.2.0/24 via 10.24.0.9 dev eth0"; !slices.Contains(c.routes("-4"), want) {
		t.Errorf("routes %q, want %q among them", c.routes("-4"), want)
	}
}

// Kuryr as the driver alone, with Docker's own IPAM.
func TestDefaultIPAM(t *testing.T) {
	h := newHost(t)
	h.docker("network", "create", "--driver", h.kuryr.Name, "--subnet", "10.25.0.0/24", "net")
	n := network{h: h, name: "net", id: h.docker("network", "inspect", "--format", "{{.Id}}", "net")}
	a, b := n.run("alice"), n.run("bob", "--mac-address", "02:25:00:00:00:01")
	a.reaches(b.ip4())
	if p := n.port(a.ip4()); p.MAC != a.nic().MAC {
		t.Errorf("the port has %s, the container %s", p.MAC, a.nic().MAC)
	}
	if p := n.port(b.ip4()); p.MAC != "02:25:00:00:00:01" {
		t.Errorf("the port has %s, want the wished MAC address", p.MAC)
	}
	a.remove()
	n.run("again").reaches(b.ip4())
}
