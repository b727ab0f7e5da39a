package binding_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kuryr/internal/courier"
)

func TestRefused(t *testing.T) {
	l := newLab(t)
	for name, c := range map[string]struct {
		binding courier.Binding
		kind    courier.Kind
		want    string
		hint    string
	}{
		"unbound": {
			courier.Binding{VIFType: "unbound"}, courier.Conflict,
			"cannot plug port PORT: Neutron has not bound it (vif_type unbound)", "binding:host_id",
		},
		"binding_failed": {
			courier.Binding{VIFType: "binding_failed", Host: "node1"}, courier.Conflict,
			"cannot plug port PORT: Neutron failed to bind it to host node1 (vif_type binding_failed)", `"node1" (openstack network agent list)`,
		},
		"hidden": {
			courier.Binding{}, courier.Unsupported,
			"cannot plug port PORT: Neutron does not tell how it is bound (no binding:vif_type)", "right to see",
		},
		"unknown": {
			courier.Binding{VIFType: "hw_veb"}, courier.Unsupported,
			"cannot plug port PORT: this version has no way to plug vif_type hw_veb", "bridge, ovs and tap",
		},
		"vhostuser": {
			courier.Binding{VIFType: "vhostuser"}, courier.Unsupported,
			"cannot plug port PORT: vif_type vhostuser is a socket for a virtual machine's network card (or a DPDK program), not an interface of the kernel",
			"with another mechanism",
		},
		"bad bridge_name": {
			courier.Binding{VIFType: "bridge", VIFDetails: map[string]any{"bridge_name": "../../etc"}}, courier.Unsupported,
			"cannot plug port PORT: the bridge_name in its binding:vif_details can't be an interface's name", "",
		},
		"bridge_name of another type": {
			courier.Binding{VIFType: "bridge", VIFDetails: map[string]any{"bridge_name": 7.0}}, courier.Unsupported,
			"cannot plug port PORT: the bridge_name in its binding:vif_details can't be an interface's name", "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := plugOf(network, 1)
			p.Binding = c.binding
			for what, err := range map[string]error{
				"Check": l.binder.Check("PORT", c.binding),
				"Bind":  l.binder.Bind(t.Context(), p),
			} {
				wantKind(t, err, c.kind)
				if got := strings.ReplaceAll(err.Error(), string(p.Port), "PORT"); got != c.want {
					t.Errorf("%s: %q, want %q", what, got, c.want)
				}
				if hint := courier.HintOf(err); !strings.Contains(hint, c.hint) {
					t.Errorf("%s: hint %q doesn't say %q", what, hint, c.hint)
				}
			}
			if err := l.binder.Unbind(t.Context(), p); err != nil {
				t.Errorf("Unbind: %v; there is nothing to undo", err)
			}
		})
	}
	if out := l.Run("ip", "-o", "link"); strings.Count(out, "\n") != 1 {
		t.Errorf("interfaces were made:\n%s", out)
	}
}

func TestTap(t *testing.T) {
	l := newLab(t)
	p := plugOf(network, 1)
	p.Binding.VIFType = "tap"
	if err := l.binder.Check(p.Port, p.Binding); err != nil {
		t.Fatal(err)
	}
	wantKind(t, l.binder.Bind(t.Context(), p), courier.NotFound, p.HostEnd)
	l.mustAttach(p)
	before := l.Run("ip", "-d", "link")
	if err := l.binder.Unbind(t.Context(), p); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff(before, l.Run("ip", "-d", "link")); diff != "" || strings.Contains(before, "bridge") {
		t.Errorf("the mechanism's work was meddled with (-before +after):\n%s", diff)
	}
}

func TestBridge(t *testing.T) {
	l := newLab(t)
	one, two := plugOf(network, 1), plugOf(network, 2)
	l.mustAttach(one)
	l.mustAttach(two)
	if err := l.binder.Bind(t.Context(), one); err != nil {
		t.Errorf("Bind again: %v", err)
	}
	if diff := cmp.Diff([]string{one.HostEnd, two.HostEnd}, l.ports(brq)); diff != "" {
		t.Errorf("ports of %s (-want +got):\n%s", brq, diff)
	}
	out := l.Run("ip", "-d", "link", "show", brq)
	for _, want := range []string{"alias kuryr:" + string(network), "mtu 1450 "} {
		if !strings.Contains(out, want) {
			t.Errorf("want %q:\n%s", want, out)
		}
	}
	// Before the link is gone, and again.
	for range 2 {
		if err := l.binder.Unbind(t.Context(), one); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{two.HostEnd}, l.ports(brq)); diff != "" {
			t.Errorf("ports of %s (-want +got):\n%s", brq, diff)
		}
	}
	// After the link is gone, and again.
	if err := l.links.Delete(t.Context(), two.HostEnd); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := l.binder.Unbind(t.Context(), two); err != nil {
			t.Fatal(err)
		}
		if l.exists(brq) {
			t.Error("the bridge is left without ports")
		}
	}
}

// Only a bridge that an agent filters late fails open.
func TestFailsOpen(t *testing.T) {
	l := newLab(t)
	for _, c := range []struct {
		vifType string
		details map[string]any
		want    bool
	}{
		{"bridge", map[string]any{"connectivity": "l2", "port_filter": true}, true}, // linuxbridge
		{"bridge", map[string]any{"port_filter": true, "bound_drivers": map[string]any{"0": "linuxbridge"}}, true},
		{"bridge", map[string]any{"port_filter": true, "bound_drivers": map[string]any{"0": "kuryr"}}, false}, // embedded
		{"bridge", map[string]any{"port_filter": true, "bound_drivers": "kuryr"}, true},
		{"bridge", map[string]any{"port_filter": false}, false},
		{"bridge", nil, false},
		{"ovs", map[string]any{"port_filter": true}, false},
		{"tap", map[string]any{"port_filter": true}, false},
	} {
		if got := l.binder.FailsOpen(courier.Binding{VIFType: c.vifType, VIFDetails: c.details}); got != c.want {
			t.Errorf("%s %v: %v, want %v", c.vifType, c.details, got, c.want)
		}
	}
}

func TestBridgeNamedByNeutron(t *testing.T) {
	l := newLab(t)
	p := plugOf(network, 1)
	p.Binding.VIFDetails = map[string]any{"bridge_name": "br-flat"}
	l.mustAttach(p)
	if diff := cmp.Diff([]string{p.HostEnd}, l.ports("br-flat")); diff != "" {
		t.Errorf("ports of br-flat (-want +got):\n%s", diff)
	}
	if err := l.detach(p); err != nil {
		t.Fatal(err)
	}
	if l.exists("br-flat") {
		t.Error("the bridge is left without ports")
	}
}

// The bridge of Neutron's linuxbridge agent stays when its last port goes, but
// our rule doesn't; a virtual machine's port keeps a bridge of ours.
func TestBridgeSharedWithOthers(t *testing.T) {
	l := newLab(t)
	l.dockerStarts("iptables")
	l.Run("ip", "link", "add", brq, "type", "bridge")
	one, two := plugOf(network, 1), plugOf(network, 2)
	l.mustAttach(one)
	l.mustAttach(two)
	l.wantChain("iptables", 0, ruleFor(brq), returnAll)
	if err := l.detach(one); err != nil {
		t.Fatal(err)
	}
	l.wantChain("iptables", 0, ruleFor(brq), returnAll)
	if err := l.detach(two); err != nil {
		t.Fatal(err)
	}
	l.wantChain("iptables", 0, returnAll)
	if !l.exists(brq) {
		t.Error("another's bridge was removed")
	}

	l.Run("ip", "link", "del", brq)
	l.mustAttach(one)
	l.Run("ip", "tuntap", "add", "dev", "tapofvm", "mode", "tap")
	l.Run("ip", "link", "set", "tapofvm", "master", brq)
	if err := l.detach(one); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"tapofvm"}, l.ports(brq)); diff != "" {
		t.Errorf("ports of %s (-want +got):\n%s", brq, diff)
	}
	l.wantChain("iptables", 0, ruleFor(brq), returnAll)
}

// Neutron's linuxbridge agent makes and removes the bridge at its own pace,
// and puts its tunnel on it.
func TestBridgeBesideTheAgent(t *testing.T) {
	l := newLab(t)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			l.Try("ip", "link", "del", brq)
			select {
			case <-stop:
				return
			case <-time.After(5 * time.Millisecond):
			}
			l.Try("ip", "link", "add", brq, "type", "bridge")
		}
	}()
	for i := range 30 {
		if err := l.attach(plugOf(network, i)); err != nil {
			t.Error(err)
		}
	}
	close(stop)
	<-stopped
	for i := range 30 {
		if err := l.detach(plugOf(network, i)); err != nil {
			t.Error(err)
		}
	}
	l.Try("ip", "link", "del", brq) // the agent's, if it was the last to make it

	// A bridge of ours with the agent's tunnel on it is in use.
	p := plugOf(network, 1)
	l.mustAttach(p)
	l.Run("ip", "link", "add", "vxlan-7", "type", "vxlan", "id", "7", "dstport", "4789", "local", "127.0.0.1")
	l.Run("ip", "link", "set", "vxlan-7", "master", brq)
	if err := l.detach(p); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"vxlan-7"}, l.ports(brq)); diff != "" {
		t.Errorf("ports of %s (-want +got):\n%s", brq, diff)
	}
	// Nobody else's container is to be found there: it is the agent's.
	if got := l.Run("ip", "-details", "-oneline", "link", "show", brq); strings.Contains(got, "kuryr:") || !strings.Contains(got, " group default ") {
		t.Errorf("it is still ours: %s", got)
	}
	// Kuryr uses it again, and leaves it where it is.
	l.mustAttach(p)
	if err := l.detach(p); err != nil || !l.exists(brq) {
		t.Errorf("it is there: %t, %v", l.exists(brq), err)
	}
}

func TestFailedBindLeavesNothing(t *testing.T) {
	l := newLab(t)
	l.dockerStarts("iptables")
	p := plugOf(network, 1) // its link does not exist
	wantKind(t, l.binder.Bind(t.Context(), p), courier.NotFound, "cannot plug "+p.HostEnd+" into bridge "+brq)
	if l.exists(brq) {
		t.Error("the bridge is left")
	}
	l.wantChain("iptables", 0, returnAll)

	ended, cancel := context.WithTimeout(t.Context(), -time.Second)
	defer cancel()
	wantKind(t, l.binder.Bind(ended, p), courier.Unavailable)
	if l.exists(brq) {
		t.Error("a bridge was made for an ended context")
	}
}

// Containers come and go on one network, 64 at once; the bridge is made and
// removed among them, and never under a port.
func TestManyAtOnce(t *testing.T) {
	l := newLab(t)
	l.dockerStarts("iptables")
	stop := l.run()
	atOnce := func(n int, do func(i int) error) {
		errs := make(chan error)
		for i := range n {
			go func() { errs <- do(i) }()
		}
		for range n {
			if err := <-errs; err != nil {
				t.Error(err)
			}
		}
	}
	const n = 64
	atOnce(n, func(i int) error { return l.attach(plugOf(network, i)) })
	if got := len(l.ports(brq)); got != n {
		t.Errorf("%d ports, want %d", got, n)
	}
	l.wantChain("iptables", 0, ruleFor(brq), returnAll)
	atOnce(n, func(i int) error { return l.detach(plugOf(network, i)) })
	if l.exists(brq) {
		t.Error("the bridge is left")
	}
	l.wantChain("iptables", 0, returnAll)

	atOnce(n, func(i int) error {
		p := plugOf(network, i)
		for range 4 {
			if err := l.attach(p); err != nil {
				return err
			}
			if got, err := l.links.Link(t.Context(), p.HostEnd); err != nil || got.Master != brq {
				t.Errorf("%s is plugged into %q, %v", p.HostEnd, got.Master, err)
			}
			if err := l.detach(p); err != nil {
				return err
			}
		}
		return nil
	})
	stop()
	l.wantChain("iptables", 0, returnAll)
	if out := l.Run("ip", "-o", "link"); strings.Count(out, "\n") != 1 {
		t.Errorf("interfaces are left:\n%s", out)
	}
}

func TestManyNetworksAtOnce(t *testing.T) {
	l := newLab(t)
	l.dockerStarts("iptables", "ip6tables")
	const n = 32
	networks := make([]courier.NetworkID, n)
	errs := make(chan error)
	for i := range n {
		networks[i] = courier.NetworkID(strings.Repeat(string("0123456789abcdefghijklmnopqrstuv"[i]), 8) + "-00")
		go func() { errs <- l.attach(plugOf(networks[i], i)) }()
	}
	for range n {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	for _, tool := range []string{"iptables", "ip6tables"} {
		for _, chain := range []string{"DOCKER-USER", "FORWARD"} {
			if got := strings.Count(l.chain(tool, chain), "kuryr:brq"); got != n {
				t.Errorf("%s: %d rules in %s, want %d", tool, got, chain, n)
			}
		}
	}
	for i := range n {
		go func() { errs <- l.detach(plugOf(networks[i], i)) }()
	}
	for range n {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	l.wantChain("iptables", 0, returnAll)
	l.wantChain("ip6tables", 0, returnAll)
}

// TestDissolve: a bridge of another program's goes when nothing uses it, and
// so does one of ours that a crash left.
func TestDissolve(t *testing.T) {
	for name, c := range map[string]struct {
		made []string // by ip link
		left bool
	}{
		"nothing there": {nil, false},
		"unused":        {[]string{"add " + brq + " type bridge"}, false},
		"ours":          {[]string{"add " + brq + " type bridge", "set " + brq + " alias kuryr:" + string(network)}, false},
		"the linuxbridge agent's": {[]string{"add " + brq + " type bridge", "add vxlan-7 type veth peer name wire",
			"set vxlan-7 master " + brq}, true},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			for _, args := range c.made {
				l.Run("ip", append([]string{"link"}, strings.Fields(args)...)...)
			}
			for range 2 {
				if err := l.binder.Dissolve(t.Context(), network, true); err != nil {
					t.Error(err)
				}
			}
			if got := l.exists(brq); got != c.left {
				t.Errorf("it is there: %t, want %t", got, c.left)
			}
		})
	}
}
