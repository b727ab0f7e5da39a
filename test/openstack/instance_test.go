package openstack

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"kuryr/internal/testkit"
	"kuryr/test/openstack/cloud"
)

// instance is a namespace with a port's interface: what a container gets from
// Kuryr, made by hand.
type instance struct {
	*testkit.NS
	port     string // its ID
	ip4, ip6 netip.Addr
}

// newInstance makes a port on a host and plugs an instance into it.
func (b *bench) newInstance(t *testing.T, host string, n network, more cloud.Resource) *instance {
	t.Helper()
	attributes := cloud.Resource{"network_id": n.id, "binding:host_id": host, "device_owner": "compute:lab", "device_id": "lab-" + host}
	for k, v := range more {
		attributes[k] = v
	}
	port := b.create(t, "port", attributes)
	b.checkBinding(t, port)
	i := &instance{NS: testkit.NewNS(t), port: port["id"].(string)}
	for _, f := range port["fixed_ips"].([]any) {
		a := netip.MustParseAddr(f.(cloud.Resource)["ip_address"].(string))
		if a.Is4() {
			i.ip4 = a
		} else {
			i.ip6 = a
		}
	}
	b.plug(t, host, n, port, i)
	within(t, time.Minute, "port on "+host+" ACTIVE", func() error {
		if status := b.show(t, "port", i.port)["status"]; status != "ACTIVE" {
			return fmt.Errorf("status %v", status)
		}
		return nil
	})
	return i
}

// checkBinding looks at how Neutron says that the port is to be plugged.
func (b *bench) checkBinding(t *testing.T, port cloud.Resource) {
	t.Helper()
	want := "ovs"
	if b.Mechanism == cloud.LinuxBridge {
		want = "bridge"
	}
	if got := port["binding:vif_type"]; got != want {
		t.Fatalf("binding:vif_type of %s: got %v, want %s", port["id"], got, want)
	}
	details := port["binding:vif_details"].(cloud.Resource)
	hybrid, _ := details["ovs_hybrid_plug"].(bool)
	if want := b.Mechanism == cloud.OVSHybrid; hybrid != want {
		t.Fatalf("ovs_hybrid_plug of %s: got %v, want %v", port["id"], hybrid, want)
	}
}

// plug makes the pair of interfaces, and does to the host's end what Nova's
// os-vif does.
func (b *bench) plug(t *testing.T, host string, n network, port cloud.Resource, i *instance) {
	t.Helper()
	m := b.Machine(host)
	short := i.port[:11]
	tap := "tap" + short
	on := func(command string) {
		t.Helper()
		if _, err := m.Output(t.Context(), "ip", strings.Fields(command)...); err != nil {
			t.Fatal(err)
		}
	}
	on(fmt.Sprintf("link add %s mtu %d type veth peer name eth0 mtu %[2]d address %[3]s netns %[4]s", tap, n.mtu, port["mac_address"], i.Path()))
	switch b.Mechanism {
	case cloud.LinuxBridge:
		bridge := "brq" + n.id[:11]
		// The agent may have made it already.
		if _, err := m.Output(t.Context(), "ip", "link", "show", bridge); err != nil {
			on("link add " + bridge + " type bridge")
		}
		on("link set " + bridge + " up")
		on("link set " + tap + " master " + bridge)
	case cloud.OVSHybrid:
		on("link add qbr" + short + " up type bridge")
		on("link add qvb" + short + " up type veth peer name qvo" + short)
		on("link set qvb" + short + " master qbr" + short)
		on("link set qvo" + short + " up")
		on("link set " + tap + " master qbr" + short)
		b.addPort(t, host, "qvo"+short, port)
	default:
		b.addPort(t, host, tap, port)
	}
	on("link set " + tap + " up")
	i.configure(t)
	t.Cleanup(func() { b.unplug(t, host, short) })
}

// addPort adds an interface to the integration bridge, as a Neutron port's.
func (b *bench) addPort(t *testing.T, host, link string, port cloud.Resource) {
	t.Helper()
	_, err := b.Machine(host).Output(t.Context(), "ovs-vsctl", "--timeout=30", "--db="+b.OVSDB(host),
		"add-port", "br-int", link, "--", "set", "interface", link,
		"external_ids:iface-id="+port["id"].(string), "external_ids:iface-status=active",
		"external_ids:attached-mac="+strconv.Quote(port["mac_address"].(string)), "external_ids:vm-uuid="+port["device_id"].(string))
	if err != nil {
		t.Fatal(err)
	}
}

// unplug takes away what plug made. What is not there it passes over.
func (b *bench) unplug(t *testing.T, host, short string) {
	ctx := context.Background() // the test's own has ended
	m := b.Machine(host)
	for _, link := range []string{"tap", "qvo"} {
		if !b.Mechanism.UsesOVS() {
			break
		}
		if _, err := m.Output(ctx, "ovs-vsctl", "--timeout=30", "--db="+b.OVSDB(host), "--if-exists", "del-port", "br-int", link+short); err != nil {
			t.Error(err)
		}
	}
	for _, link := range []string{"tap", "qvo", "qbr"} {
		// It went with its peer or its bridge, or was never there.
		_, _ = m.Output(ctx, "ip", "link", "del", link+short)
	}
}

// configure gives the instance its addresses.
func (i *instance) configure(t *testing.T) {
	t.Helper()
	i.Run("ip", "address", "add", i.ip4.String()+"/24", "dev", "eth0")
	i.Run("ip", "address", "add", i.ip6.String()+"/64", "dev", "eth0", "nodad")
	// The userspace datapath passes on the checksums that the kernel leaves to
	// a network card.
	i.Run("ethtool", "-K", "eth0", "tx", "off")
	i.Run("ip", "link", "set", "eth0", "up")
}

// setGateways sets a default route for each family, as the subnets say.
func (i *instance) setGateways(n network) {
	for _, s := range n.subnets {
		i.Run("ip", "route", "add", "default", "via", s["gateway_ip"].(string))
	}
}

// ping sends one ICMP echo with a payload of this size that nobody may fragment.
func (i *instance) ping(address string, size int) error {
	out, err := i.Try("ping", "-n", "-c", "1", "-W", "1", "-M", "do", "-s", strconv.Itoa(size), address)
	if err != nil {
		return fmt.Errorf("ping -s %d %s: %w: %s", size, address, err, out)
	}
	return nil
}

// listen listens in the instance.
func (i *instance) listen(t *testing.T, address netip.Addr) net.Listener {
	t.Helper()
	var l net.Listener
	var err error
	i.Do(func() { l, err = net.Listen("tcp", netip.AddrPortFrom(address, 0).String()) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// dial connects from the instance.
func (i *instance) dial(address string) (c net.Conn, err error) {
	i.Do(func() { c, err = net.DialTimeout("tcp", address, 5*time.Second) })
	return c, err
}
