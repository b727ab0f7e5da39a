package binding_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kuryr/internal/binding"
	"kuryr/internal/courier"
	"kuryr/internal/ovsdb"
	"kuryr/internal/testkit"
)

// ovsLab is a lab with an Open vSwitch whose bridge br-int forwards as a
// learning switch does (action NORMAL).
type ovsLab struct {
	*lab
	ovs *testkit.OVS
}

func newOVSLab(tb testing.TB) *ovsLab {
	tb.Helper()
	l := &ovsLab{lab: newLab(tb)}
	l.ovs = testkit.NewOVS(tb, l.NS)
	l.ovs.AddBridge("br-int", "netdev")
	l.restart()
	return l
}

// restart makes a Binder that knows nothing yet, as after a kill -9.
func (l *ovsLab) restart() {
	l.tb.Helper()
	switches, err := ovsdb.New(ovsdb.Options{Connection: l.ovs.Connection()})
	if err != nil {
		l.tb.Fatal(err)
	}
	l.tb.Cleanup(switches.Close)
	l.binder = binding.New(l.links, binding.Options{Host: "node1", Switches: switches})
}

// TestLostRowOfARunningContainer: a row that somebody removed is made again
// while the container's end of the link is in its sandbox, on a switch that wants
// checksums of it.
func TestLostRowOfARunningContainer(t *testing.T) {
	l := newOVSLab(t)
	p := ovsPlug(1, nil)
	l.mustAttach(p)
	sandbox := testkit.NewNS(t)
	l.Run("ip", "link", "set", courier.ContainerEnd(p.Port), "netns", sandbox.Path(), "name", "eth0")
	l.ovs.VSCtl("del-port", "br-int", p.HostEnd)
	l.wantUnplugged(t, []courier.Plug{p}, p)
	if err := l.binder.Bind(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	l.wantUnplugged(t, []courier.Plug{p})
}

// ovsPlug is port number i, bound as ML2/OVN does it; details are added.
func ovsPlug(i int, details map[string]any) courier.Plug {
	p := plugOf(network, i)
	p.Device = strings.Repeat("e", 64)
	p.Mark = courier.Mark{Host: "node1", Intent: fmt.Sprintf("intent-%d", i)}
	p.Binding = courier.Binding{Host: "node1", VIFType: "ovs", VIFDetails: map[string]any{"connectivity": "l2", "port_filter": true}}
	for k, v := range details {
		p.Binding.VIFDetails[k] = v
	}
	return p
}

func (l *ovsLab) ovsPorts() []string { return strings.Fields(l.ovs.VSCtl("list-ports", "br-int")) }

// wantNothing fails the test if the host has more than the bridge.
func (l *ovsLab) wantNothing() {
	l.tb.Helper()
	if ports := l.ovsPorts(); len(ports) > 0 {
		l.tb.Errorf("ports are left on br-int: %v", ports)
	}
	for line := range strings.Lines(l.Run("ip", "-o", "link")) {
		name := strings.TrimSuffix(strings.Fields(line)[1], ":")
		switch name, _, _ := strings.Cut(name, "@"); name {
		case "lo", "br-int", "ovs-netdev":
		default:
			l.tb.Errorf("interface %s is left", name)
		}
	}
}

// container is the sandbox of an attachment.
type container struct {
	*testkit.NS
	address string
}

// start moves the container's end into a sandbox, as the engine does.
func (l *ovsLab) start(p courier.Plug, i int) container {
	l.tb.Helper()
	c := container{testkit.NewNS(l.tb), fmt.Sprintf("10.9.0.%d", i)}
	l.Run("ip", "link", "set", courier.ContainerEnd(p.Port), "netns", c.Path(), "name", "eth0")
	c.Run("ip", "address", "add", c.address+"/24", "dev", "eth0")
	c.Run("ip", "link", "set", "eth0", "up")
	return c
}

// wantTalk fails the test unless the two reach each other: by ping, and by a
// megabyte over TCP, which needs checksums.
func wantTalk(t *testing.T, one, two container) {
	t.Helper()
	one.Run("ping", "-c", "2", "-i", "0.2", "-W", "5", two.address)
	var server net.Listener
	var err error
	two.Do(func() { server, err = net.Listen("tcp", two.address+":0") })
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	sent, got := bytes.Repeat([]byte("kuryr is a courier. "), 1<<20/20), make(chan []byte, 1)
	go func() {
		conn, err := server.Accept()
		if err != nil {
			got <- nil
			return
		}
		defer conn.Close()
		all, _ := io.ReadAll(conn)
		got <- all
	}()
	var conn net.Conn
	one.Do(func() { conn, err = net.DialTimeout("tcp", server.Addr().String(), 5*time.Second) })
	if err != nil {
		t.Fatalf("TCP: %v", err)
	}
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := conn.Write(sent); err != nil {
		t.Errorf("TCP: %v", err)
	}
	conn.Close()
	select {
	case all := <-got:
		if !bytes.Equal(all, sent) {
			t.Errorf("%d bytes arrived of %d sent, or others", len(all), len(sent))
		}
	case <-time.After(20 * time.Second):
		t.Error("the transfer did not end")
	}
}

func TestOVS(t *testing.T) {
	l := newOVSLab(t)
	one, two := ovsPlug(1, nil), ovsPlug(2, map[string]any{"bridge_name": "br-int", "datapath_type": "netdev", "ovs_hybrid_plug": false})
	l.mustAttach(one)
	l.mustAttach(two)
	if err := l.binder.Bind(t.Context(), one); err != nil {
		t.Errorf("Bind again: %v", err)
	}
	if diff := cmp.Diff([]string{one.HostEnd, two.HostEnd}, l.ovsPorts()); diff != "" {
		t.Errorf("ports of br-int (-want +got):\n%s", diff)
	}
	want := fmt.Sprintf(`{attached-mac="%s", iface-id="%s", iface-status=active, kuryr-mark="kuryr:node1:intent-1", owner=kuryr, vm-uuid=%s}`,
		one.MAC, one.Port, one.Device)
	if diff := cmp.Diff(want, l.ovs.VSCtl("get", "Interface", one.HostEnd, "external_ids")); diff != "" {
		t.Errorf("external_ids (-want +got):\n%s", diff)
	}
	wantTalk(t, l.start(one, 1), l.start(two, 2))
	// Before the link is gone, after it, and again.
	if err := l.binder.Unbind(t.Context(), one); err != nil {
		t.Error(err)
	}
	for range 2 {
		for _, p := range []courier.Plug{one, two} {
			if err := l.detach(p); err != nil {
				t.Error(err)
			}
		}
	}
	l.wantNothing()
}

// The agent's firewall sees frames on the port's own Linux bridge.
func TestOVSHybrid(t *testing.T) {
	l := newOVSLab(t)
	l.dockerStarts("iptables")
	details := map[string]any{"ovs_hybrid_plug": true, "datapath_type": "netdev", "bridge_name": "br-int"}
	one, two := ovsPlug(1, details), ovsPlug(2, details)
	l.mustAttach(one)
	l.mustAttach(two)
	if err := l.binder.Bind(t.Context(), one); err != nil {
		t.Errorf("Bind again: %v", err)
	}
	if diff := cmp.Diff([]string{"qvo00000001-00", "qvo00000002-00"}, l.ovsPorts()); diff != "" {
		t.Errorf("ports of br-int (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"tap00000001-00", "qvb00000001-00"}, l.ports("qbr00000001-00")); diff != "" {
		t.Errorf("ports of the port's bridge (-want +got):\n%s", diff)
	}
	if got := l.ovs.VSCtl("get", "Interface", "qvo00000001-00", "external_ids:iface-id"); got != fmt.Sprintf("%q", one.Port) && got != string(one.Port) {
		t.Errorf("iface-id %s", got)
	}
	for _, name := range []string{"qbr00000001-00", "qvb00000001-00", "qvo00000001-00", "tap00000001-00"} {
		if out := l.Run("ip", "-d", "link", "show", name); !strings.Contains(out, "mtu 1450") || !strings.Contains(out, ",UP") ||
			!strings.Contains(out, "alias kuryr:") && name[:3] != "qvb" {
			t.Errorf("%s has not its MTU, isn't up, or has no mark:\n%s", name, out)
		}
	}
	wantTalk(t, l.start(one, 1), l.start(two, 2))
	for range 2 {
		for _, p := range []courier.Plug{one, two} {
			if err := l.detach(p); err != nil {
				t.Error(err)
			}
		}
	}
	l.wantNothing()
	l.wantChain("iptables", 0, returnAll)
}

// A crash may come after any step. What is then known is the plug, from the
// journal.
func TestOVSUnbindAfterCrash(t *testing.T) {
	for _, hybrid := range []bool{false, true} {
		t.Run(fmt.Sprintf("hybrid %v", hybrid), func(t *testing.T) {
			l := newOVSLab(t)
			p := ovsPlug(1, map[string]any{"ovs_hybrid_plug": hybrid})
			l.mustAttach(p)
			l.restart()
			if err := l.detach(p); err != nil {
				t.Fatal(err)
			}
			l.wantNothing()
			if !hybrid {
				return
			}
			for _, made := range [][]string{
				{"link add qbr00000001-00 type bridge"},
				{"link add qbr00000001-00 type bridge", "link add qvo00000001-00 type veth peer name qvb00000001-00"},
			} {
				for _, args := range made {
					l.Run("ip", strings.Fields(args)...)
					name := strings.Fields(args)[2]
					l.Run("ip", "link", "set", name, "alias", p.Mark.String())
				}
				if err := l.detach(p); err != nil {
					t.Fatal(err)
				}
				l.wantNothing()
			}
		})
	}
}

func TestOVSFailedBindLeavesNothing(t *testing.T) {
	for _, hybrid := range []bool{false, true} {
		l := newOVSLab(t)
		p := ovsPlug(1, map[string]any{"ovs_hybrid_plug": hybrid, "bridge_name": "br-none"})
		err := l.attach(p)
		wantKind(t, err, courier.NotFound, "Open vSwitch has no bridge br-none")
		if err := l.links.Delete(t.Context(), p.HostEnd); err != nil {
			t.Fatal(err)
		}
		l.wantNothing()

		l.ovs.StopSwitch()
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		p.Binding.VIFDetails["bridge_name"] = "br-int"
		if err := l.links.Create(ctx, courier.LinkSpec{HostEnd: p.HostEnd, ContainerEnd: courier.ContainerEnd(p.Port), Alias: "kuryr:x:y"}); err != nil {
			t.Fatal(err)
		}
		wantKind(t, l.binder.Bind(ctx, p), courier.Unavailable, "ovs-vswitchd has not taken it up in time")
		if err := l.links.Delete(t.Context(), p.HostEnd); err != nil {
			t.Fatal(err)
		}
		l.wantNothing()
	}
}

// Others' interfaces with the names that a hybrid plug needs are left alone.
func TestOVSHybridBesideOthers(t *testing.T) {
	l := newOVSLab(t)
	p := ovsPlug(1, map[string]any{"ovs_hybrid_plug": true})
	l.Run("ip", "link", "add", "qbr00000001-00", "type", "bridge")
	wantKind(t, l.attach(p), courier.Conflict, "a bridge qbr00000001-00 exists already, which is not Kuryr's")
	if err := l.detach(p); err != nil {
		t.Fatal(err)
	}
	if !l.exists("qbr00000001-00") {
		t.Error("another's bridge was removed")
	}
}

func TestOVSManyAtOnce(t *testing.T) {
	l := newOVSLab(t)
	const n = 50
	each := func(do func(courier.Plug) error) {
		var all sync.WaitGroup
		for i := range n {
			p := ovsPlug(i, map[string]any{"ovs_hybrid_plug": i%5 == 0})
			all.Go(func() {
				if err := do(p); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
	}
	each(l.attach)
	if got := len(l.ovsPorts()); got != n {
		t.Errorf("%d ports on br-int, want %d", got, n)
	}
	each(l.detach)
	l.wantNothing()
}

func TestOVSRefused(t *testing.T) {
	l := newOVSLab(t)
	for name, c := range map[string]struct {
		details map[string]any
		want    string
	}{
		"path":       {map[string]any{"bridge_name": "../br-int"}, "bridge_name can't be an interface's name"},
		"long":       {map[string]any{"bridge_name": "br-0123456789abc"}, "bridge_name can't be an interface's name"},
		"number":     {map[string]any{"bridge_name": 7.0}, "bridge_name can't be an interface's name"},
		"datapath":   {map[string]any{"datapath_type": "dpdk\n"}, `datapath_type is "dpdk\n", and neither system nor netdev`},
		"hybrid":     {map[string]any{"ovs_hybrid_plug": "yes"}, "ovs_hybrid_plug is neither true nor false"},
		"routed":     {map[string]any{"connectivity": "l3"}, `connectivity is "l3", and not l2`},
		"everything": {map[string]any{"connectivity": []any{"l2"}}, `connectivity is "[l2]", and not l2`},
	} {
		t.Run(name, func(t *testing.T) {
			p := ovsPlug(1, c.details)
			err := l.binder.Check("PORT", p.Binding)
			wantKind(t, err, courier.Unsupported)
			if want := "cannot plug port PORT: in its binding:vif_details, " + c.want; err.Error() != want {
				t.Errorf("%q, want %q", err, want)
			}
		})
	}
}

// What the Python Kuryr's script plugged (it knows no marks) is unplugged, to
// nothing, as the port goes.
func TestOVSUnbindOfThePythonKuryr(t *testing.T) {
	for _, hybrid := range []bool{false, true} {
		t.Run(fmt.Sprintf("hybrid %t", hybrid), func(t *testing.T) {
			l := newOVSLab(t)
			p := ovsPlug(1, map[string]any{"ovs_hybrid_plug": hybrid})
			p.Inherited = true
			port := p.HostEnd
			l.Run("ip", "link", "add", p.HostEnd, "type", "veth", "peer", "name", courier.ContainerEnd(p.Port))
			if hybrid {
				port = "qvo00000001-00"
				batch := []string{"link add qbr00000001-00 type bridge", "link add qvb00000001-00 type veth peer name qvo00000001-00",
					"link set qvb00000001-00 master qbr00000001-00", "link set tap00000001-00 master qbr00000001-00", "link set qbr00000001-00 up"}
				for _, line := range batch {
					l.Run("ip", strings.Fields(line)...)
				}
			}
			l.ovs.VSCtl("add-port", "br-int", port, "--", "set", "Interface", port, "external_ids:iface-id="+string(p.Port),
				"external_ids:attached-mac="+p.MAC.String(), "external_ids:vm-uuid="+p.Device, "external_ids:iface-status=active", "external_ids:owner=kuryr")
			l.restart()
			if err := l.links.Adopt(t.Context(), p.HostEnd, p.Mark.String()); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				if err := l.detach(p); err != nil {
					t.Error(err)
				}
			}
			l.wantNothing()
		})
	}
}
