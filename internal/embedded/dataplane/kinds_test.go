package dataplane_test

import (
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"kuryr/internal/embedded/dataplane"
	"kuryr/internal/testkit"
)

// TestKinds compares what the two kinds of kernel get. All but how the state
// of a flow is learned is the same, and so tried with packets on either; the
// rest is in the golden file.
func TestKinds(t *testing.T) {
	s := dataplane.State{
		Ports: []dataplane.Port{{
			ID: "11111111-2222-4333-8444-555555555555", HostEnd: "tap11111111-22", Network: networkA,
			MAC: mac{0xfa, 0x16, 0x3e, 0, 0, 1}, Addresses: []netip.Addr{v4(1), v6(1)},
			Security: true, Up: true, Groups: []string{"g"},
		}},
		Groups: map[string]dataplane.Group{"g": {ID: "g", Stateful: true, Rules: []dataplane.Rule{
			rule(egress), rule(proto(6), ports(80, 81)), rule(ipv6, remote("g")),
		}}},
	}
	zones := map[string]uint16{"brq" + networkA[:11]: 0x6b00}
	a := dataplane.DescribeRuleset(s, true, zones)
	b := dataplane.DescribeRuleset(s, false, zones)
	var diff strings.Builder
	in := func(part, whole string) bool { return strings.Contains("\n"+whole, "\n"+part) }
	for _, way := range []struct{ sign, one, other string }{{"bridge conntrack: ", a, b}, {"br_netfilter: ", b, a}} {
		for _, part := range blocks(way.one) {
			if !in(part, way.other) {
				diff.WriteString(way.sign + part)
			}
		}
	}
	golden(t, "testdata/kinds.txt", diff.String())
	golden(t, "testdata/bridge-conntrack.txt", a)
}

// blocks cuts a description into chains and sets.
func blocks(s string) (all []string) {
	for _, line := range strings.SplitAfter(s, "\n") {
		if strings.HasPrefix(line, "\t") {
			all[len(all)-1] += line
		} else if line != "" {
			all = append(all, line)
		}
	}
	return all
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

// TestBridgeConntrack loads the one rule that some kernels don't take; what
// the packet tests above ran with is said here.
func TestBridgeConntrack(t *testing.T) {
	ns := testkit.NewNS(t)
	ns.Run("nft", "add table bridge t")
	ns.Run("nft", "add chain bridge t c")
	out, err := ns.Try("nft", "add rule bridge t c ct state established accept")
	w := newWorld(t)
	w.host(networkA, 1)
	w.apply()
	tables := w.ns.Run("nft", "list", "tables")
	if inet := strings.Contains(tables, "inet kuryr-ports"); inet != (err != nil) {
		t.Errorf("tables:\n%s, though a bridge table with `ct state` says: %v %s", tables, err, out)
	}
	if err != nil {
		t.Logf("this kernel has no bridge conntrack: `ct state established accept` in a bridge table: %s", out)
	}
}

// TestPortRanges: the blocks of any range cover it, and nothing else, with few
// shapes.
func TestPortRanges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		low := rapid.IntRange(1, 65535).Draw(t, "low")
		high := rapid.IntRange(low, 65535).Draw(t, "high")
		r := rule(proto(6), ports(low, high))
		entries, sets := dataplane.CountShapes(r)
		if entries > 30 || sets > 16 {
			t.Fatalf("%d entries of %d sets", entries, sets)
		}
		probe := rapid.IntRange(0, 65535).Draw(t, "probe")
		for _, p := range []int{probe, low, high, low - 1, min(high+1, 65535)} {
			want := p >= low && p <= high
			if got := dataplane.CountCovering(r, uint16(p)) == 1; got != want {
				t.Fatalf("port %d: %t, want %t", p, got, want)
			}
		}
	})
}
