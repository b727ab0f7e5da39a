//go:build openstack

package docker

import (
	"context"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"kuryr/internal/testkit"
	"kuryr/test/openstack/cloud"
)

// Containers reach other networks by a router, and the outside by SNAT; the
// outside reaches them by a floating IP, and by one that is shared.
func TestRouter(t *testing.T) {
	if !openLab().Mechanism.HasRouters() {
		t.Logf("the lab has no routers with %s", openLab().Mechanism)
		return
	}
	o := newOperator(t)
	blue, green := o.tenant("blue", "10.81.0.0/24", "fd81::/64"), o.tenant("green", "10.82.0.0/24", "fd82::/64")
	router := o.router("between", blue, green)
	shared := o.create("floatingip", cloud.Resource{"floating_network_id": o.external()})["floating_ip_address"].(string)
	one := newQuietSpecialHost(t, testkit.KuryrOptions{Config: "[neutron]\nport_forwarding_ip = " + shared})
	two := newQuietHost(t)

	here, there := one.network("here", blue.flags...), two.network("there", green.flags...)
	web := here.run("web", "--expose", "80", "--publish", "8080:80")
	client := there.run("client")
	web.serve("80")
	if routes := strings.Join(append(web.routes("-4"), web.routes("-6")...), "\n"); !strings.Contains(routes, "default via 10.81.0.1 dev") ||
		!strings.Contains(routes, "default via fd81:: dev") {
		t.Errorf("the router is not the gateway:\n%s", routes)
	}
	for _, address := range []string{client.ip4(), client.ip6(), cloud.OutsideAddress} {
		one.eventually("the web server reaches "+address, func() bool { return web.pings(address, 56) })
	}
	one.eventually("the client gets the page", func() bool { return client.fetches(web.ip4(), "80") })

	t.Run("SNAT", func(t *testing.T) {
		if got, want := client.seenOutsideAs(t), gatewayAddress(t, router); got != want {
			t.Errorf("the outside sees %s, not the router's %s", got, want)
		}
	})
	t.Run("port forwarding", func(t *testing.T) {
		h := one.in(t)
		h.eventually("the outside gets the page at "+shared+":8080", func() bool { return outsideFetches(t, shared, "8080") })
		if outsideFetches(t, shared, "80") {
			t.Error("a port that was not published is forwarded")
		}
		web.remove()
		h.eventually("nothing is forwarded any more", func() bool { return !outsideFetches(t, shared, "8080") })
		web = here.run("web", "--expose", "80")
		web.serve("80")
	})
	t.Run("floating IP", func(t *testing.T) {
		h := one.in(t)
		o := newOperator(t)
		own := o.create("floatingip", cloud.Resource{"floating_network_id": o.external(), "port_id": here.port(web.ip4()).ID})["floating_ip_address"].(string)
		h.eventually("the outside gets the page at "+own, func() bool { return outsideFetches(t, own, "80") })
		if got := web.seenOutsideAs(t); got != own {
			t.Errorf("the outside sees %s, not the floating %s", got, own)
		}
	})
	// No other Kuryr knows of the group that this one has made.
	web.remove()
	one.eventually("the group of the exposed port is gone", func() bool { return one.exposedGroup("tcp/80") == "" })
}

// gatewayAddress is a router's IPv4 address on the external network.
func gatewayAddress(t *testing.T, router cloud.Resource) string {
	t.Helper()
	all := router["external_gateway_info"].(cloud.Resource)["external_fixed_ips"].([]any)
	is4 := func(f any) bool { return netip.MustParseAddr(f.(cloud.Resource)["ip_address"].(string)).Is4() }
	i := slices.IndexFunc(all, is4)
	if i < 0 {
		t.Fatalf("the router has no such address: %v", all)
	}
	return all[i].(cloud.Resource)["ip_address"].(string)
}

// outsideFetches tells whether the outside gets what a container serves.
func outsideFetches(t *testing.T, address, port string) bool {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	c, err := openLab().Machine(cloud.Outside).Dial(ctx, "tcp", net.JoinHostPort(address, port))
	if err != nil {
		return false
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(2 * time.Second)); err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(c, "GET /passwd HTTP/1.0\r\n\r\n") // what comes tells
	page, _ := io.ReadAll(c)
	return strings.Contains(string(page), "root:")
}

// seenOutsideAs returns the address under which the container comes to the
// outside, over TCP.
func (c container) seenOutsideAs(t *testing.T) string {
	t.Helper()
	l, err := openLab().Machine(cloud.Outside).Listen(t.Context(), "tcp", net.JoinHostPort(cloud.OutsideAddress, "0"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			host, _, _ := net.SplitHostPort(conn.RemoteAddr().String())
			_, _ = io.WriteString(conn, host) // what the container gets tells
			conn.Close()
		}
	}()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return c.h.docker("exec", c.name, "nc", "-w", "5", cloud.OutsideAddress, port)
}
