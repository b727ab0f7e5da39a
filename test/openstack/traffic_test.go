package openstack

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/url"
	"testing"
	"time"

	"kuryr/test/openstack/cloud"
)

// TestTraffic sends packets, by whatever the lab's mechanism can do.
func TestTraffic(t *testing.T) {
	b := newBench(t)
	t.Run("plug and ping", b.plugAndPing)
	t.Run("security group", b.securityGroup)
	if b.Mechanism.HasRouters() {
		t.Run("router", b.router)
	}
}

// plugAndPing has three instances on two hosts reach each other, with packets
// as large as the network takes.
func (b *bench) plugAndPing(t *testing.T) {
	n := b.newNetwork(t, "10.61.1.0/24", "fd61:1::/64")
	want := 1450 // VXLAN in IPv4
	if b.Mechanism == cloud.OVN {
		want = 1442 // Geneve with OVN's option
	}
	if n.mtu != want {
		t.Errorf("MTU: got %d, want %d", n.mtu, want)
	}
	first, second := b.Hosts[0], b.Hosts[1]
	from := b.newInstance(t, first, n, nil)
	for name, to := range map[string]*instance{"same host": b.newInstance(t, first, n, nil), "other host": b.newInstance(t, second, n, nil)} {
		t.Run(name, func(t *testing.T) {
			for _, family := range []struct {
				to      netip.Addr
				headers int // of IP and ICMP
			}{{to.ip4, 28}, {to.ip6, 48}} {
				address, full := family.to.String(), n.mtu-family.headers
				within(t, 30*time.Second, "ping "+address, func() error { return from.ping(address, full) })
				if err := from.ping(address, full+1); err == nil {
					t.Errorf("ping %s passes with a byte more than the MTU of %d", address, n.mtu)
				}
				transfer(t, from, to, family.to)
			}
		})
	}
}

// transfer sends a megabyte over TCP.
func transfer(t *testing.T, from, to *instance, address netip.Addr) {
	t.Helper()
	l := to.listen(t, address)
	received := make(chan string, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			received <- err.Error()
			return
		}
		defer c.Close()
		h := sha256.New()
		size, err := io.Copy(h, c)
		received <- fmt.Sprintf("%d bytes %x %v", size, h.Sum(nil), err)
	}()
	c, err := from.dial(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	data := make([]byte, 1<<20)
	for i := range data {
		data[i] = byte(i * 7 >> 3)
	}
	if err := c.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("%d bytes %x %v", len(data), sha256.Sum256(data), error(nil))
	select {
	case got := <-received:
		if got != want {
			t.Errorf("TCP to %s: got %s, want %s", address, got, want)
		}
	case <-time.After(30 * time.Second):
		t.Errorf("TCP to %s: no end within 30 s", address)
	}
}

// securityGroup has a group keep others out, let one in by a rule, and keep it
// out again.
func (b *bench) securityGroup(t *testing.T) {
	n := b.newNetwork(t, "10.61.4.0/24", "fd61:4::/64")
	closed := b.create(t, "security_group", cloud.Resource{"name": t.Name()})["id"].(string)
	from, to := b.newInstance(t, b.Hosts[0], n, nil), b.newInstance(t, b.Hosts[1], n, nil)
	address := to.ip4.String()
	ping := func() error { return from.ping(address, 56) }
	noPing := func() error {
		if ping() == nil {
			return fmt.Errorf("%s still answers", address)
		}
		return nil
	}
	within(t, 30*time.Second, "ping, both in the default group", ping)
	if err := b.api.Update(t.Context(), cloud.NeutronAPI, "port", to.port, cloud.Resource{"security_groups": []any{closed}}); err != nil {
		t.Fatal(err)
	}
	within(t, time.Minute, "no ping, in a group without rules", noPing)
	rule, err := b.api.Create(t.Context(), cloud.NeutronAPI, "security_group_rule", cloud.Resource{"security_group_id": closed,
		"direction": "ingress", "ethertype": "IPv4", "protocol": "icmp", "remote_ip_prefix": from.ip4.String() + "/32"})
	if err != nil {
		t.Fatal(err)
	}
	within(t, time.Minute, "ping, let in by a rule", ping)
	if err := b.api.Delete(t.Context(), cloud.NeutronAPI, "security_group_rule", rule["id"].(string)); err != nil {
		t.Fatal(err)
	}
	within(t, time.Minute, "no ping, without the rule", noPing)
}

// router goes out by a router and comes in by a floating IP.
func (b *bench) router(t *testing.T) {
	public, err := b.api.List(t.Context(), cloud.NeutronAPI, "network", url.Values{"name": {cloud.ExternalNetwork}})
	if err != nil || len(public) != 1 {
		t.Fatalf("network %s: %v %v", cloud.ExternalNetwork, public, err)
	}
	router := b.newRouter(t, public[0]["id"].(string))
	blue, green := b.newNetwork(t, "10.61.2.0/24", "fd61:2::/64"), b.newNetwork(t, "10.61.3.0/24", "fd61:3::/64")
	for _, n := range []network{blue, green} {
		for _, s := range n.subnets {
			b.addInterface(t, router, s["id"].(string))
		}
	}
	open := b.openGroup(t)
	one := b.newInstance(t, b.Hosts[0], blue, cloud.Resource{"security_groups": []any{open}})
	two := b.newInstance(t, b.Hosts[1], green, cloud.Resource{"security_groups": []any{open}})
	one.setGateways(blue)
	two.setGateways(green)

	for _, address := range []string{two.ip4.String(), two.ip6.String(), cloud.OutsideAddress} {
		within(t, 30*time.Second, "ping "+address, func() error { return one.ping(address, 56) })
	}
	t.Run("SNAT", func(t *testing.T) { b.snat(t, router, one) })
	t.Run("IPv6 out", func(t *testing.T) { b.outIPv6(t, router, one) })
	t.Run("floating IP", func(t *testing.T) { b.floatingIP(t, public[0]["id"].(string), two) })
}

// newRouter makes a router with a gateway on the external network.
func (b *bench) newRouter(t *testing.T, external string) cloud.Resource {
	t.Helper()
	return b.create(t, "router", cloud.Resource{"name": t.Name(), "external_gateway_info": cloud.Resource{"network_id": external}})
}

// addInterface puts a router on a subnet.
func (b *bench) addInterface(t *testing.T, router cloud.Resource, subnet string) {
	t.Helper()
	url := cloud.NeutronAPI + "/routers/" + router["id"].(string)
	if err := b.api.Call(t.Context(), "PUT", url+"/add_router_interface", cloud.Resource{"subnet_id": subnet}, nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.api.Call(context.Background(), "PUT", url+"/remove_router_interface", cloud.Resource{"subnet_id": subnet}, nil); err != nil {
			t.Error(err)
		}
	})
}

// openGroup makes a security group that lets everything in.
func (b *bench) openGroup(t *testing.T) string {
	t.Helper()
	group := b.create(t, "security_group", cloud.Resource{"name": t.Name()})
	for _, family := range []string{"IPv4", "IPv6"} {
		b.create(t, "security_group_rule", cloud.Resource{"security_group_id": group["id"], "direction": "ingress", "ethertype": family})
	}
	return group["id"].(string)
}

// gatewayAddress is a router's address on the external network.
func gatewayAddress(t *testing.T, router cloud.Resource, is func(netip.Addr) bool) string {
	t.Helper()
	info := router["external_gateway_info"].(cloud.Resource)
	for _, f := range info["external_fixed_ips"].([]any) {
		if a := netip.MustParseAddr(f.(cloud.Resource)["ip_address"].(string)); is(a) {
			return a.String()
		}
	}
	t.Fatalf("the router has no such address: %v", info)
	return ""
}

// snat sees who comes when an instance calls on the outside: the router.
func (b *bench) snat(t *testing.T, router cloud.Resource, i *instance) {
	l, err := b.Machine(cloud.Outside).Listen(t.Context(), "tcp", net.JoinHostPort(cloud.OutsideAddress, "0"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if got, want := caller(t, l, i.dial), gatewayAddress(t, router, netip.Addr.Is4); got != want {
		t.Errorf("the outside sees %s, want the router's %s", got, want)
	}
}

// outIPv6 goes out by IPv6, which has no SNAT: the outside needs the way back.
func (b *bench) outIPv6(t *testing.T, router cloud.Resource, i *instance) {
	outside := b.Machine(cloud.Outside)
	route := []string{i.ip6.String() + "/128", "via", gatewayAddress(t, router, netip.Addr.Is6)}
	if _, err := outside.Output(t.Context(), "ip", append([]string{"route", "add"}, route...)...); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if _, err := outside.Output(t.Context(), "ip", append([]string{"route", "del"}, route...)...); err != nil {
			t.Error(err)
		}
	}()
	within(t, 30*time.Second, "ping "+cloud.OutsideAddress6, func() error { return i.ping(cloud.OutsideAddress6, 56) })
}

// floatingIP calls on an instance from the outside.
func (b *bench) floatingIP(t *testing.T, external string, i *instance) {
	floating := b.create(t, "floatingip", cloud.Resource{"floating_network_id": external, "port_id": i.port})["floating_ip_address"].(string)
	l := i.listen(t, i.ip4)
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	dial := func(string) (c net.Conn, err error) {
		within(t, 30*time.Second, "TCP to "+floating, func() error {
			c, err = b.Machine(cloud.Outside).Dial(t.Context(), "tcp", net.JoinHostPort(floating, port))
			return err
		})
		return c, err
	}
	if got := caller(t, l, dial); got != cloud.OutsideAddress {
		t.Errorf("the instance sees %s, want the outside's %s", got, cloud.OutsideAddress)
	}
	// What answers from there goes out under that address.
	outside, err := b.Machine(cloud.Outside).Listen(t.Context(), "tcp", net.JoinHostPort(cloud.OutsideAddress, "0"))
	if err != nil {
		t.Fatal(err)
	}
	defer outside.Close()
	if got := caller(t, outside, i.dial); got != floating {
		t.Errorf("the outside sees %s, want the floating %s", got, floating)
	}
}

// caller is the address that l sees when dial connects to it.
func caller(t *testing.T, l net.Listener, dial func(address string) (net.Conn, error)) string {
	t.Helper()
	seen := make(chan string, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			seen <- err.Error()
			return
		}
		defer c.Close()
		host, _, err := net.SplitHostPort(c.RemoteAddr().String())
		if err != nil {
			host = err.Error()
		}
		seen <- host
	}()
	c, err := dial(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return <-seen
}
