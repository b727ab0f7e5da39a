package link_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kuryr/internal/courier"
	"kuryr/internal/link"
)

func bridgeSpec() link.BridgeSpec {
	return link.BridgeSpec{Name: brq, Alias: "kuryr:1f2e3d4c", MTU: 1450}
}

func TestEnsureBridge(t *testing.T) {
	ns, l := newLinks(t)
	var made link.Bridge
	for range 2 {
		b, err := l.EnsureBridge(t.Context(), bridgeSpec())
		if err != nil {
			t.Fatal(err)
		}
		if made.Index != 0 && b != made {
			t.Errorf("the second time it is %+v, want %+v", b, made)
		}
		made = b
	}
	got := show(t, ns, brq)
	mac := strings.Fields(got[strings.Index(got, "link/ether"):])[1]
	want := brq + `: <BROADCAST,MULTICAST,UP> mtu 1450 group ` + ownGroup + `
link/ether MAC
bridge forward_delay 0 stp_state 0 mcast_snooping 0 addrgenmode none
alias kuryr:1f2e3d4c`
	if diff := cmp.Diff(want, strings.Replace(got, mac, "MAC", 1)); diff != "" {
		t.Errorf("bridge (-want +got):\n%s", diff)
	}
	off := map[string]int{"disable_ipv6": 1, "accept_ra": 0, "addr_gen_mode": 1}
	if diff := cmp.Diff(off, sysctls(t, ns, brq, "disable_ipv6", "accept_ra", "addr_gen_mode")); diff != "" {
		t.Errorf("net.ipv6.conf (-want +got):\n%s", diff)
	}
	if !made.Ours || made.Name != brq {
		t.Errorf("described as %+v", made)
	}
}

// A bridge's MTU is the network's, whatever its ports have.
func TestBridgeKeepsItsMTU(t *testing.T) {
	for _, mtu := range []int{68, 1280, 1450, 1500, 9000} {
		t.Run(fmt.Sprint(mtu), func(t *testing.T) {
			ns, l := newLinks(t)
			s := bridgeSpec()
			s.MTU = mtu
			b, err := l.EnsureBridge(t.Context(), s)
			if err != nil {
				t.Fatal(err)
			}
			ns.Run("ip", "link", "add", tap, "mtu", "1300", "type", "veth", "peer", "name", tc)
			if err := l.Enslave(t.Context(), b, tap); err != nil {
				t.Fatal(err)
			}
			if got := show(t, ns, brq); !strings.Contains(got, fmt.Sprintf(" mtu %d ", mtu)) {
				t.Errorf("want mtu %d:\n%s", mtu, got)
			}
			s.MTU = 2000
			if _, err := l.EnsureBridge(t.Context(), s); err != nil {
				t.Fatal(err)
			}
			if got := show(t, ns, brq); !strings.Contains(got, " mtu 2000 ") {
				t.Errorf("want mtu 2000:\n%s", got)
			}
			ns.Run("ip", "link", "set", tap, "up")
			ns.Run("ip", "link", "set", tc, "up")
			if out := ns.Run("ip", "-o", "addr", "show", "dev", brq); out != "" {
				t.Errorf("the host has an address on the tenant's network:\n%s", out)
			}
		})
	}
}

func TestEnsureBridgeFinishesWhatACrashInterrupted(t *testing.T) {
	ns, l := newLinks(t)
	ns.Run("ip", "link", "add", brq, "group", ownGroup, "type", "bridge")
	if _, err := l.EnsureBridge(t.Context(), bridgeSpec()); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{",UP> ", "mtu 1450", "addrgenmode none", "alias kuryr:1f2e3d4c"} {
		if got := show(t, ns, brq); !strings.Contains(got, want) {
			t.Errorf("want %q:\n%s", want, got)
		}
	}
}

func TestEnsureBridgeLeavesAnothersAlone(t *testing.T) {
	ns, l := newLinks(t)
	ns.Run("ip", "link", "add", brq, "type", "bridge")
	ns.Run("ip", "link", "set", brq, "up")
	before := show(t, ns, brq)
	b, err := l.EnsureBridge(t.Context(), bridgeSpec())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, show(t, ns, brq)); diff != "" || b.Ours {
		t.Errorf("ours: %v; changed (-before +after):\n%s", b.Ours, diff)
	}
	wantKind(t, l.DeleteBridge(t.Context(), b), courier.Conflict, "another program's")
	if !exists(ns, brq) {
		t.Error("deleted all the same")
	}
}

// What is handed over has no mark, and is not ours to change or delete; what
// is another's stays as it is.
func TestHandOverBridge(t *testing.T) {
	ns, l := newLinks(t)
	for range 2 {
		b, err := l.EnsureBridge(t.Context(), bridgeSpec())
		if err == nil {
			err = l.HandOverBridge(t.Context(), b)
		}
		if err != nil {
			t.Fatal(err)
		}
		if got := show(t, ns, brq); strings.Contains(got, "alias") || !strings.Contains(got, "group default") {
			t.Errorf("after a hand-over:\n%s", got)
		}
	}
	b, err := l.EnsureBridge(t.Context(), bridgeSpec())
	if err != nil || b.Ours {
		t.Errorf("ours: %v, %v", b.Ours, err)
	}
	ns.Run("ip", "link", "del", brq)
	b.Ours = true
	if err := l.HandOverBridge(t.Context(), b); err != nil {
		t.Error(err)
	}
}

func TestEnsureBridgeRefuses(t *testing.T) {
	ns, l := newLinks(t)
	ns.Run("ip", "link", "add", brq, "type", "veth", "peer", "name", tc)
	_, err := l.EnsureBridge(t.Context(), bridgeSpec())
	wantKind(t, err, courier.Conflict, "cannot create bridge "+brq, "is no bridge")
	s := bridgeSpec()
	s.Name = "br/q"
	_, err = l.EnsureBridge(t.Context(), s)
	wantKind(t, err, courier.Invalid, "br/q")
	s.Name, s.MTU = "brq2", 70000
	_, err = l.EnsureBridge(t.Context(), s)
	wantKind(t, err, courier.Invalid, "brq2", "mtu greater than device maximum")
}

func TestBridgePorts(t *testing.T) {
	ns, l := newLinks(t)
	b, err := l.EnsureBridge(t.Context(), bridgeSpec())
	if err != nil {
		t.Fatal(err)
	}
	ns.Run("ip", "link", "add", "other", "type", "bridge")
	for i := range 3 {
		tap := fmt.Sprintf("tap%d", i)
		ns.Run("ip", "link", "add", tap, "type", "veth", "peer", "name", fmt.Sprintf("t_c%d", i))
		if err := l.Enslave(t.Context(), b, tap); err != nil {
			t.Fatal(err)
		}
	}
	ns.Run("ip", "link", "set", "tap0", "alias", "kuryr:node1:0", "up")
	ns.Run("ip", "link", "set", "tap2", "master", "other")
	got, ports, err := l.BridgePorts(t.Context(), brq)
	if err != nil || got != b {
		t.Fatalf("%+v, %v; want %+v", got, err, b)
	}
	for i := range ports {
		ports[i].Index = 0
	}
	want := []link.Link{
		{Name: "tap0", Kind: "veth", Alias: "kuryr:node1:0", Master: brq, MTU: 1500, Up: true},
		{Name: "tap1", Kind: "veth", Master: brq, MTU: 1500},
	}
	if diff := cmp.Diff(want, ports); diff != "" {
		t.Errorf("ports (-want +got):\n%s", diff)
	}
	// Released, not a port of that bridge, and gone: all are fine.
	for _, port := range []string{"tap0", "tap0", "tap2", "tap9"} {
		if err := l.Release(t.Context(), brq, port); err != nil {
			t.Errorf("Release(%s): %v", port, err)
		}
	}
	if out := ns.Run("ip", "-o", "link", "show", "master", "other"); !strings.Contains(out, "tap2") {
		t.Error("tap2 was taken off another bridge")
	}
	if _, ports, err := l.BridgePorts(t.Context(), brq); err != nil || len(ports) != 1 || ports[0].Name != "tap1" {
		t.Errorf("ports %+v, %v; want only tap1", ports, err)
	}
	for range 2 { // the second time it is gone
		if err := l.DeleteBridge(t.Context(), b); err != nil {
			t.Error(err)
		}
	}
	_, _, err = l.BridgePorts(t.Context(), brq)
	wantKind(t, err, courier.NotFound)
	wantKind(t, l.Enslave(t.Context(), b, "tap9"), courier.NotFound, "tap9")
}

func TestFullBridge(t *testing.T) {
	ns, l := newLinks(t)
	b, err := l.EnsureBridge(t.Context(), bridgeSpec())
	if err != nil {
		t.Fatal(err)
	}
	const most = 1023
	var script strings.Builder
	for i := range (most + 1) / 2 { // both ends are to be ports
		fmt.Fprintf(&script, "link add p%d type veth peer name p%d\n", 2*i, 2*i+1)
	}
	for i := range most {
		fmt.Fprintf(&script, "link set p%d master %s\n", i, brq)
	}
	batch(t, ns, script.String())
	err = l.Enslave(t.Context(), b, fmt.Sprintf("p%d", most))
	wantKind(t, err, courier.Exhausted, "cannot plug p1023 into bridge "+brq, "all the 1023 ports")
	if courier.HintOf(err) == "" {
		t.Error("no hint")
	}
	if _, ports, err := l.BridgePorts(t.Context(), brq); err != nil || len(ports) != most {
		t.Errorf("%d ports, %v; want %d", len(ports), err, most)
	}
}

func TestListAndLink(t *testing.T) {
	ns, l := newLinks(t)
	b, err := l.EnsureBridge(t.Context(), bridgeSpec())
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Create(t.Context(), spec()); err != nil {
		t.Fatal(err)
	}
	if err := l.Enslave(t.Context(), b, tap); err != nil {
		t.Fatal(err)
	}
	ns.Run("ip", "link", "set", tc, "up")
	want := map[string]link.Link{
		"lo": {Name: "lo", MTU: 65536, Up: true},
		brq:  {Name: brq, Kind: "bridge", Alias: "kuryr:1f2e3d4c", MTU: 1450, Up: true},
		tap:  {Name: tap, Kind: "veth", Alias: "kuryr:node1:7f3c", Master: brq, MTU: 1450},
		tc:   {Name: tc, Kind: "veth", MTU: 1450, Up: true},
	}
	all, err := l.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]link.Link{}
	for _, a := range all {
		one, err := l.Link(t.Context(), a.Name)
		if err != nil || one != a {
			t.Errorf("Link(%s) = %+v, %v; List has %+v", a.Name, one, err, a)
		}
		a.Index = 0
		got[a.Name] = a
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("List (-want +got):\n%s", diff)
	}
	if !got[tap].Ours() || got[tc].Ours() {
		t.Error("Ours: want the host's end, and not the container's")
	}
}

func TestEnslaveToABridgeThatHasGone(t *testing.T) {
	ns, l := newLinks(t)
	if err := l.Create(t.Context(), spec()); err != nil {
		t.Fatal(err)
	}
	bridge, err := l.EnsureBridge(t.Context(), link.BridgeSpec{Name: brq, Alias: "kuryr:x"})
	if err != nil {
		t.Fatal(err)
	}
	ns.Run("ip", "link", "del", brq)
	wantKind(t, l.Enslave(t.Context(), bridge, tap), courier.NotFound, "cannot plug "+tap+" into bridge "+brq)
}

// TestAdoptBridge: what nothing uses becomes Kuryr's, and can be deleted then.
func TestAdoptBridge(t *testing.T) {
	const free = "link add " + brq + " type bridge\nlink set " + brq + " up\naddress add fe80::1/64 dev " + brq + "\n"
	for name, c := range map[string]struct {
		made    string // by ip
		adopted bool
	}{
		"nothing there":           {"", false},
		"unused":                  {free, true},
		"with a port":             {free + "link add " + tap + " type veth peer name " + tc + "\nlink set " + tap + " master " + brq, false},
		"with one above it":       {free + "link add link " + brq + " name above type macvlan", false},
		"with an IPv4 address":    {free + "address add 192.0.2.1/24 dev " + brq, false},
		"with an IPv6 address":    {free + "address add 2001:db8::1/64 dev " + brq, false},
		"with another alias":      {free + "link set " + brq + " alias mine", false},
		"no bridge":               {"link add " + brq + " type veth peer name " + tc, false},
		"a bridge beside another": {free + "link add other type bridge\naddress add 192.0.2.1/24 dev other", true},
	} {
		t.Run(name, func(t *testing.T) {
			ns, l := newLinks(t)
			batch(t, ns, c.made)
			there := exists(ns, brq)
			if err := l.AdoptBridge(t.Context(), brq, "kuryr:adopted"); err != nil {
				t.Fatal(err)
			}
			if !there {
				return
			}
			if got := strings.Contains(ns.Run("ip", "link", "show", brq), "alias kuryr:adopted"); got != c.adopted {
				t.Errorf("adopted: %t, want %t", got, c.adopted)
			}
		})
	}
	_, l := newLinks(t)
	wantKind(t, l.AdoptBridge(t.Context(), brq, "no mark"), courier.Invalid, "alias")
}
