package ovsdb_test

import (
	"fmt"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"kuryr/internal/courier"
	"kuryr/internal/ovsdb"
	"kuryr/internal/testkit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const bridge = "br-int"

// lab is an Open vSwitch with one bridge, in a namespace of its own.
type lab struct {
	*testkit.NS
	ovs    *testkit.OVS
	client *ovsdb.Client
}

func newLab(tb testing.TB) *lab {
	tb.Helper()
	l := &lab{NS: testkit.NewNS(tb)}
	l.ovs = testkit.NewOVS(tb, l.NS)
	l.ovs.AddBridge(bridge, "netdev")
	l.client = newClient(tb, l.ovs.Connection())
	return l
}

func newClient(tb testing.TB, connection string) *ovsdb.Client {
	tb.Helper()
	c, err := ovsdb.New(ovsdb.Options{Connection: connection})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(c.Close)
	return c
}

// port is port number i; its interface is not there yet.
func port(i int) ovsdb.Port {
	id := courier.PortID(fmt.Sprintf("%08x-0000-4000-8000-aabbccddeeff", i))
	return ovsdb.Port{
		Bridge: bridge, Name: courier.HostEnd(id), ID: id, Device: strings.Repeat("e", 64),
		MAC:  courier.MAC{0xfa, 0x16, 0x3e, 0, byte(i >> 8), byte(i)},
		Mark: courier.Mark{Host: "node1", Intent: fmt.Sprintf("intent-%d", i)},
	}
}

// interfaces makes the kernel's interfaces of ports.
func (l *lab) interfaces(ports ...ovsdb.Port) {
	for _, p := range ports {
		l.Run("ip", "link", "add", p.Name, "up", "type", "veth", "peer", "name", "t_c"+p.Name[3:])
	}
}

// ports lists the bridge's ports, in the words of ovs-vsctl.
func (l *lab) ports() []string { return strings.Fields(l.ovs.VSCtl("list-ports", bridge)) }

// rows counts all rows of ports and interfaces, but for the bridge's own.
func (l *lab) rows() (n int) {
	for _, table := range []string{"Port", "Interface"} {
		n += len(strings.Fields(l.ovs.VSCtl("--bare", "--columns=name", "list", table))) - 1
	}
	return n
}

func wantKind(t *testing.T, err error, kind courier.Kind, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one of kind %q", kind)
	}
	if got := courier.KindOf(err); got != kind {
		t.Errorf("kind %q, want %q (%v)", got, kind, err)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("error %q doesn't say %q", err, w)
		}
	}
}
