package binding_test

import (
	"cmp"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"kuryr/internal/courier"
)

// wantUnplugged fails the test unless exactly these of the plugs are out of
// place; Bind then mends them.
func (l *lab) wantUnplugged(t *testing.T, all []courier.Plug, want ...courier.Plug) {
	t.Helper()
	got, err := l.binder.Unplugged(t.Context(), all)
	if err != nil {
		t.Fatal(err)
	}
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("unplugged (-want +got):\n%s", diff)
	}
	for _, p := range got {
		if err := l.binder.Bind(t.Context(), p); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := l.binder.Unplugged(t.Context(), all); len(got) > 0 || err != nil {
		t.Errorf("after Bind %v are unplugged still (%v)", got, err)
	}
}

// plugged is what the Binder finds, sorted.
func (l *lab) plugged(t *testing.T) []courier.Plug {
	t.Helper()
	all, err := l.binder.Plugged(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(all, func(a, b courier.Plug) int {
		return cmp.Or(cmp.Compare(a.HostEnd, b.HostEnd), cmp.Compare(a.Network, b.Network))
	})
	return all
}

// A bridge that somebody removed, or took a link off, is noticed.
func TestUnpluggedFromBridge(t *testing.T) {
	l := newLab(t)
	one, two := plugOf(network, 1), plugOf(network, 2)
	l.mustAttach(one)
	l.mustAttach(two)
	all := []courier.Plug{one, two}
	l.wantUnplugged(t, all)
	l.Run("ip", "link", "set", two.HostEnd, "nomaster")
	l.wantUnplugged(t, all, two)
	l.Run("ip", "link", "del", brq)
	l.wantUnplugged(t, all, one, two)
	l.Run("ip", "link", "add", "br-other", "type", "bridge")
	l.Run("ip", "link", "set", one.HostEnd, "master", "br-other")
	l.wantUnplugged(t, all, one)
	for _, p := range l.plugged(t) {
		t.Errorf("a bridge in use is told: %v", p)
	}
}

// A bridge of Kuryr's without a port is told, and goes by Unbind; others' stay.
func TestPluggedIdleBridge(t *testing.T) {
	l := newLab(t)
	l.Run("ip", "link", "add", "brqffffffff-ff", "type", "bridge")
	l.mustAttach(plugOf(network, 1))
	l.Run("ip", "link", "del", plugOf(network, 1).HostEnd)
	all := l.plugged(t)
	if len(all) != 1 || all[0].Network != network || all[0].HostEnd != "" || all[0].Mark != (courier.Mark{}) {
		t.Fatalf("plugged: %v, want the bridge of %s alone", all, network)
	}
	// Between the look and Unbind a port may come.
	l.mustAttach(plugOf(network, 2))
	if err := l.binder.Unbind(t.Context(), all[0]); err != nil || !l.exists(brq) {
		t.Fatalf("Unbind took a bridge away that has a port (%v)", err)
	}
	l.Run("ip", "link", "del", plugOf(network, 2).HostEnd)
	if err := l.binder.Unbind(t.Context(), all[0]); err != nil || l.exists(brq) {
		t.Fatalf("Unbind left the bridge (%v)", err)
	}
	if !l.exists("brqffffffff-ff") {
		t.Error("another program's bridge is gone")
	}
}

// What was made for a port in Open vSwitch can be told, mended and removed,
// from the marks alone, whatever part of it is left.
func TestPluggedIntoOVS(t *testing.T) {
	for name, details := range map[string]map[string]any{"plain": nil, "hybrid": {"ovs_hybrid_plug": true}} {
		t.Run(name, func(t *testing.T) {
			l := newOVSLab(t)
			p, other := ovsPlug(1, details), ovsPlug(2, details)
			l.mustAttach(p)
			l.mustAttach(other)
			all := []courier.Plug{p, other}
			l.wantUnplugged(t, all)
			row := p.HostEnd
			if details != nil {
				x := p.HostEnd[len("tap"):]
				row = "qvo" + x
				l.Run("ip", "link", "set", "qvb"+x, "nomaster")
				l.wantUnplugged(t, all, p)
				l.Run("ip", "link", "set", row, "down")
				l.wantUnplugged(t, all, p)
				l.Run("ip", "link", "del", "qbr"+x)
				l.wantUnplugged(t, all, p)
				l.Run("ip", "link", "del", row)
				l.wantUnplugged(t, all, p)
			}
			l.ovs.VSCtl("del-port", "br-int", row)
			l.wantUnplugged(t, all, p)

			// Somebody else's, beside ours.
			l.Run("ip", "link", "add", "foreign0", "type", "veth", "peer", "name", "foreign1")
			l.ovs.VSCtl("add-port", "br-int", "foreign0", "--", "set", "Interface", "foreign0", "external_ids:iface-id="+string(p.Port))
			got := l.plugged(t)
			if len(got) != 2 || got[0].Mark != p.Mark || got[0].Port != p.Port || got[0].HostEnd != p.HostEnd || got[1].Mark != other.Mark {
				t.Fatalf("plugged: %v", got)
			}
			if details != nil { // without its row the bridge tells the same
				l.ovs.VSCtl("del-port", "br-int", row)
				got = l.plugged(t)
				if len(got) != 2 || got[0].Mark != p.Mark || got[0].HostEnd != p.HostEnd {
					t.Fatalf("plugged, without a row: %v", got)
				}
			}
			for _, found := range got {
				if err := l.links.Delete(t.Context(), found.HostEnd); err != nil {
					t.Fatal(err)
				}
				if err := l.binder.Unbind(t.Context(), found); err != nil {
					t.Fatal(err)
				}
			}
			if left := l.plugged(t); len(left) > 0 {
				t.Errorf("left: %v", left)
			}
			l.Run("ip", "link", "show", "foreign0")
			l.ovs.VSCtl("del-port", "br-int", "foreign0")
			l.Run("ip", "link", "del", "foreign0")
			l.wantNothing()
		})
	}
}

// Where nobody serves Open vSwitch's socket nothing is told of it; but what a
// port says of it can't be judged.
func TestPluggedWithoutSwitch(t *testing.T) {
	l := newOVSLab(t)
	l.ovs.StopServer()
	if all := l.plugged(t); len(all) > 0 {
		t.Errorf("plugged: %v", all)
	}
	if got, err := l.binder.Unplugged(t.Context(), []courier.Plug{ovsPlug(1, nil)}); err == nil || len(got) > 0 {
		t.Errorf("unplugged: %v, %v; want an error, since nobody can tell", got, err)
	}
}
