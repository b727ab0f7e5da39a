package binding_test

import (
	"testing"
	"time"

	"kuryr/internal/binding"
	"kuryr/internal/courier"
	"kuryr/internal/link"
)

// lingering starts a Binder that keeps bridges for d, and returns when it does.
func (l *lab) lingering(d time.Duration) (stop func()) {
	l.tb.Helper()
	l.binder = binding.New(l.links, binding.Options{Host: "node1", Linger: d})
	stop = l.run()
	probe := plugOf("00000000-1111-4222-8333-444444444444", 99)
	l.eventually("the Binder keeps bridges", func() bool {
		l.mustAttach(probe)
		if err := l.detach(probe); err != nil {
			l.tb.Fatal(err)
		}
		return l.exists(courier.BridgeName(probe.Network))
	})
	return stop
}

func (l *lab) eventually(what string, ok func() bool) {
	l.tb.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			l.tb.Fatalf("not within 10 s: %s", what)
		}
	}
}

func (l *lab) index(name string) int {
	l.tb.Helper()
	found, err := l.links.Link(l.tb.Context(), name)
	if err != nil {
		l.tb.Fatal(err)
	}
	return found.Index
}

// A bridge outlives its last port, serves the next one, and goes with its
// network, or with the Binder.
func TestBridgeLingers(t *testing.T) {
	l := newLab(t)
	stop := l.lingering(time.Hour)
	one, two := plugOf(network, 1), plugOf(network, 2)
	l.mustAttach(one)
	before := l.index(brq)
	if err := l.detach(one); err != nil {
		t.Fatal(err)
	}
	l.mustAttach(two)
	if after := l.index(brq); after != before {
		t.Errorf("the bridge was made anew: index %d, then %d", before, after)
	}
	if err := l.detach(two); err != nil {
		t.Fatal(err)
	}
	if err := l.binder.Dissolve(t.Context(), network, false); err != nil {
		t.Fatal(err)
	}
	if l.exists(brq) {
		t.Error("the bridge outlives its network")
	}
	l.mustAttach(one)
	if err := l.detach(one); err != nil {
		t.Fatal(err)
	}
	stop()
	if l.exists(brq) {
		t.Error("the bridge outlives the Binder")
	}
}

// When its time is up a bridge goes, unless it has a port again; a Kuryr that
// was killed may have left it.
func TestIdleBridgesGo(t *testing.T) {
	l := newLab(t)
	used, left := plugOf(network, 1), plugOf("22222222-1111-4222-8333-444444444444", 2)
	l.mustAttach(used)
	l.mustAttach(left)
	if err := l.links.Delete(t.Context(), left.HostEnd); err != nil { // and then it was killed
		t.Fatal(err)
	}
	others := []string{"brq-others", "brq-others1", "brq-others2", "brq-others3"}
	for i, alias := range []string{"", "kuryr", "kuryr:node1", "kuryr:node1:"} {
		l.Run("ip", "link", "add", others[i], "type", "bridge")
		if alias != "" {
			l.Run("ip", "link", "set", others[i], "alias", alias)
		}
	}
	ofPort := link.BridgeSpec{Name: "qbr00000003-00", Alias: courier.Mark{Host: "node1", Intent: string(left.Port)}.String()}
	if _, err := l.links.EnsureBridge(t.Context(), ofPort); err != nil {
		t.Fatal(err)
	}
	l.lingering(50 * time.Millisecond)
	l.eventually("the bridge that was left is gone", func() bool { return !l.exists(courier.BridgeName(left.Network)) })
	for _, name := range append(others, brq, ofPort.Name) {
		if !l.exists(name) {
			t.Errorf("%s is gone", name)
		}
	}
}
