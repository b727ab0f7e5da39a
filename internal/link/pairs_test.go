package link_test

import (
	"cmp"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"kuryr/internal/courier"
	"kuryr/internal/testkit"
)

// Of each pair it is told what the kernel knows: whose it is, what it is
// plugged into, and on which side of a sandbox's wall the other end is.
func TestPairs(t *testing.T) {
	ns, l := newLinks(t)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	pairs := func() []courier.Pair {
		t.Helper()
		all, err := l.Pairs(t.Context())
		must(err)
		slices.SortFunc(all, func(a, b courier.Pair) int { return cmp.Compare(a.HostEnd, b.HostEnd) })
		return all
	}
	want := func(want ...courier.Pair) {
		t.Helper()
		if diff := gocmp.Diff(want, pairs()); diff != "" {
			t.Errorf("pairs (-want +got):\n%s", diff)
		}
	}
	ns.Run("ip", "link", "add", "dummy0", "type", "bridge")
	want()
	must(l.Create(t.Context(), spec()))
	alias := spec().Alias
	want(courier.Pair{HostEnd: tap, Alias: alias, Ours: true, Peer: tc})

	ns.Run("ip", "link", "set", tap, "master", "dummy0", "up")
	sandbox := testkit.NewNS(t)
	ns.Run("ip", "link", "set", tc, "netns", sandbox.Path(), "name", "eth0")
	want(courier.Pair{HostEnd: tap, Alias: alias, Ours: true, Up: true, Master: "dummy0"})

	// Back on the host, under whatever name.
	sandbox.Run("ip", "link", "set", "eth0", "netns", ns.Path(), "name", "lost0")
	want(courier.Pair{HostEnd: tap, Alias: alias, Ours: true, Up: true, Master: "dummy0", Peer: "lost0"})

	// Without its alias it is ours by its group; without both it is anybody's,
	// like others' pairs, of which each end is one.
	ns.Run("ip", "link", "set", tap, "alias", "")
	want(courier.Pair{HostEnd: tap, Ours: true, Up: true, Master: "dummy0", Peer: "lost0"})
	ns.Run("ip", "link", "set", tap, "group", "default")
	want(courier.Pair{HostEnd: "lost0", Peer: tap},
		courier.Pair{HostEnd: tap, Up: true, Master: "dummy0", Peer: "lost0"})
	ns.Run("ip", "link", "del", tap)
	want()
}
