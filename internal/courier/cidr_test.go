package courier

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func prefixes(ss ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, s := range ss {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

func TestFirstFree(t *testing.T) {
	for _, c := range []struct {
		name     string
		in, used []netip.Prefix
		bits     int
		want     string
	}{
		{"empty", prefixes("10.64.0.0/12"), nil, 24, "10.64.0.0/24"},
		{"after one", prefixes("10.64.0.0/12"), prefixes("10.64.0.0/24"), 24, "10.64.1.0/24"},
		{"in a gap", prefixes("10.64.0.0/12"), prefixes("10.64.0.0/24", "10.64.2.0/24"), 24, "10.64.1.0/24"},
		{"past a larger one", prefixes("10.64.0.0/12"), prefixes("10.64.0.0/16"), 24, "10.65.0.0/24"},
		{"past a smaller one", prefixes("10.64.0.0/12"), prefixes("10.64.0.128/25"), 24, "10.64.1.0/24"},
		{"used encloses all", prefixes("10.64.0.0/12"), prefixes("10.0.0.0/8"), 24, ""},
		{"second prefix", prefixes("10.0.0.0/24", "10.9.0.0/24"), prefixes("10.0.0.0/24"), 24, "10.9.0.0/24"},
		{"full", prefixes("10.0.0.0/24"), prefixes("10.0.0.0/25", "10.0.0.128/25"), 25, ""},
		{"other family is not in the way", prefixes("fd00::/48"), prefixes("10.0.0.0/8"), 64, "fd00::/64"},
		{"end of the address space", prefixes("255.255.255.0/24"), prefixes("255.255.255.0/25", "255.255.255.128/25"), 25, ""},
		{"longer than the prefix", prefixes("10.0.0.0/24"), nil, 16, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, ok := firstFree(c.in, c.used, c.bits)
			if ok != (c.want != "") || ok && got.String() != c.want {
				t.Errorf("got %v, %v; want %q", got, ok, c.want)
			}
		})
	}
}

// TestFirstFreeNeverOverlaps cuts until nothing is left: every piece is used
// once, whatever was in the way.
func TestFirstFreeNeverOverlaps(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		outer := netip.MustParsePrefix("10.1.0.0/24")
		var used []netip.Prefix
		for range rapid.IntRange(0, 6).Draw(t, "obstacles") {
			b := byte(rapid.IntRange(0, 255).Draw(t, "at"))
			bits := rapid.IntRange(20, 32).Draw(t, "bits")
			used = append(used, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 1, 0, b}), bits).Masked())
		}
		bits := rapid.IntRange(24, 30).Draw(t, "length")
		free := 0
		for i := range 1 << (bits - 24) {
			p := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 1, 0, byte(i << (32 - bits))}), bits)
			overlaps := false
			for _, u := range used {
				overlaps = overlaps || u.Overlaps(p)
			}
			if !overlaps {
				free++
			}
		}
		for range free {
			p, ok := firstFree([]netip.Prefix{outer}, used, bits)
			if !ok {
				t.Fatalf("said to be full with %d pieces free", free)
			}
			for _, u := range used {
				if u.Overlaps(p) {
					t.Fatalf("%s overlaps %s", p, u)
				}
			}
			used = append(used, p)
		}
		if p, ok := firstFree([]netip.Prefix{outer}, used, bits); ok {
			t.Fatalf("cut %s from a full pool", p)
		}
	})
}

func TestAllocationPools(t *testing.T) {
	for _, c := range []struct{ cidr, part, gateway, want string }{
		{"10.0.0.0/24", "10.0.0.0/24", "10.0.0.1", "10.0.0.2-10.0.0.254"},
		{"10.0.0.0/24", "10.0.0.128/25", "10.0.0.1", "10.0.0.128-10.0.0.254"},
		{"10.0.0.0/24", "10.0.0.64/26", "10.0.0.70", "10.0.0.64-10.0.0.69 10.0.0.71-10.0.0.127"},
		{"10.0.0.0/24", "10.0.0.64/26", "10.0.0.127", "10.0.0.64-10.0.0.126"},
		{"10.0.0.0/24", "10.0.0.255/32", "10.0.0.1", ""},
		{"10.0.0.0/24", "10.0.0.0/32", "10.0.0.1", ""},
		{"10.0.0.0/24", "10.0.0.9/32", "10.0.0.9", ""},
		{"fd00::/64", "fd00::/120", "fd00::1", "fd00::2-fd00::ff"},
	} {
		got := ""
		for _, r := range allocationPools(netip.MustParsePrefix(c.cidr), netip.MustParsePrefix(c.part), netip.MustParseAddr(c.gateway)) {
			if got != "" {
				got += " "
			}
			got += r.First.String() + "-" + r.Last.String()
		}
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%s of %s without %s: %s", c.part, c.cidr, c.gateway, d)
		}
	}
}

func TestCheckPool(t *testing.T) {
	for _, c := range []struct {
		cidr, part string
		family     Family
		kind       Kind
	}{
		{"10.0.0.0/24", "", IPv4, -1},
		{"10.0.0.0/30", "", IPv4, -1},
		{"10.0.0.0/31", "", IPv4, Invalid},
		{"10.0.0.9/24", "", IPv4, Invalid},
		{"127.0.0.0/8", "", IPv4, Invalid},
		{"224.0.0.0/24", "", IPv4, Invalid},
		{"0.0.0.0/0", "", IPv4, Invalid},
		{"fd00::/64", "", IPv6, -1},
		{"fd00::/64", "", IPv4, Invalid},
		{"fd00::/127", "", IPv6, Invalid},
		{"10.0.0.0/24", "10.0.0.128/25", IPv4, -1},
		{"10.0.0.0/24", "10.0.1.0/25", IPv4, Invalid},
		{"10.0.0.0/24", "10.0.0.0/16", IPv4, Invalid},
		{"10.0.0.0/24", "10.0.0.255/32", IPv4, Invalid},
	} {
		r := PoolRequest{Family: c.family, CIDR: netip.MustParsePrefix(c.cidr)}
		if c.part != "" {
			r.Range = netip.MustParsePrefix(c.part)
		}
		err := checkPool(r)
		if c.kind < 0 && err != nil || c.kind >= 0 && (err == nil || KindOf(err) != c.kind) {
			t.Errorf("%s range %q: %v", c.cidr, c.part, err)
		}
	}
}

func TestNamesFitTheKernel(t *testing.T) {
	id := "3f2c9a1b-77aa-4f00-9d3e-0123456789ab"
	for _, n := range []string{HostEnd(PortID(id)), ContainerEnd(PortID(id)), BridgeName(NetworkID(id))} {
		if len(n) > 15 {
			t.Errorf("%q has %d bytes; the kernel takes 15", n, len(n))
		}
	}
	if got := HostEnd(PortID(id)); got != "tap3f2c9a1b-77" {
		t.Errorf("got %s", got)
	}
}

func TestMark(t *testing.T) {
	c := &Courier{identity: "0123abcd"}
	for _, host := range []string{"node-1", "node:with:colons", "n"} {
		m := Mark{Host: host, Intent: c.newIntent()}
		if got, ok := ParseMark(m.String()); !ok || got != m {
			t.Errorf("%v became %v, %v", m, got, ok)
		}
	}
	for _, s := range []string{"", "kuryr:", "kuryr:x", "kuryr:x:", "a description"} {
		if m, ok := ParseMark(s); ok {
			t.Errorf("%q was read as %v", s, m)
		}
	}
}

func TestErrorsAreOneLine(t *testing.T) {
	cause := &Error{Kind: Exhausted, Op: "create port", Public: "No more IP addresses\navailable", Hint: "take a larger subnet"}
	err := because("request an address", "on network n1", cause)
	if got, want := err.Error(), "cannot request an address on network n1: No more IP addresses available"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if KindOf(err) != Exhausted || HintOf(err) != "take a larger subnet" {
		t.Errorf("kind %v, hint %q", KindOf(err), HintOf(err))
	}
	if because("do", "it", nil) != nil {
		t.Error("no cause, yet an error")
	}
}

// TestNoAttachmentOutlivesItsNetwork: one that enters the table after its
// network was given up goes no further, or the network could never go.
func TestNoAttachmentOutlivesItsNetwork(t *testing.T) {
	c := New(Needs{}, Options{})
	n := &network{life: newLife(), rec: networkRecord{ID: "n1", State: ready}}
	c.networks["n1"] = n
	a := c.newAttachment(n, nil)
	if err := c.advance(a, attaching); err != nil {
		t.Fatalf("on a ready network: %v", err)
	}
	n.rec.State = removing
	if err := c.advance(a, attached); KindOf(err) != Conflict {
		t.Errorf("on a network that is being removed: %v", err)
	}
	delete(c.networks, "n1")
	if err := c.advance(a, attached); KindOf(err) != Conflict {
		t.Errorf("on a network that is gone: %v", err)
	}
}

// An intent tells which journal it is of; nothing else does.
func TestIdentity(t *testing.T) {
	c := &Courier{identity: "0123abcd"}
	own := Mark{Host: "h", Intent: c.newIntent()}
	for _, m := range []Mark{own, own.common()} {
		if !m.madeBy(c.identity) || m.intent() != own.Intent {
			t.Errorf("%v is not of its own journal", m)
		}
	}
	other := &Courier{identity: "0123abce"}
	for _, intent := range []string{
		other.newIntent(), "default-pool", "0123abcd", "0123abcd-", "", "common-", "0123abcd-common",
		"0123abcd-0000-0000-0000-00000000000g", "0123abcd0-000-0000-0000-000000000000", "common-" + other.newIntent(),
	} {
		if (Mark{Host: "h", Intent: intent}).madeBy(c.identity) {
			t.Errorf("%q passes for an intent of this journal", intent)
		}
	}
	if (Mark{Host: "h", Intent: "-0000-0000-0000-00000000000000000000"}).madeBy("") {
		t.Error("a journal without an identity has made something")
	}
}
