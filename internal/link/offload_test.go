package link_test

import (
	"strings"
	"testing"

	"kuryr/internal/courier"
	"kuryr/internal/testkit"
)

// The offload is off, and stays off in the container's namespace.
func TestChecksumInSoftware(t *testing.T) {
	ns, l := newLinks(t)
	if err := l.Create(t.Context(), spec()); err != nil {
		t.Fatal(err)
	}
	features := func(ns *testkit.NS) string {
		t.Helper()
		var on []string
		for line := range strings.Lines(ns.Run("ethtool", "--show-features", tc)) {
			name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
			if (name == "tx-checksumming" || name == "tx-tcp-segmentation") && strings.HasPrefix(value, "on") {
				on = append(on, name)
			}
		}
		return strings.Join(on, " ")
	}
	if got := features(ns); got != "tx-checksumming tx-tcp-segmentation" {
		t.Fatalf("%q are on before: the test can't tell anything", got)
	}
	for range 2 {
		if err := l.ChecksumInSoftware(t.Context(), tc); err != nil {
			t.Fatal(err)
		}
		if got := features(ns); got != "" {
			t.Errorf("%s are still on", got)
		}
	}
	inside := testkit.NewNS(t)
	ns.Run("ip", "link", "set", tc, "netns", inside.Path())
	if got := features(inside); got != "" {
		t.Errorf("%s are on again in the container", got)
	}
	wantKind(t, l.ChecksumInSoftware(t.Context(), tc), courier.NotFound, "cannot turn off checksum offload of interface "+tc)
}

// On a patch the host has no IPv6 on either end.
func TestPatch(t *testing.T) {
	ns, l := newLinks(t)
	for range 2 {
		if err := l.CreatePatch(t.Context(), spec()); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{tap, tc} {
			if got := sysctls(t, ns, name, "disable_ipv6"); got["disable_ipv6"] != 1 {
				t.Errorf("IPv6 is on at %s", name)
			}
		}
	}
	if err := l.Delete(t.Context(), tap); err != nil || exists(ns, tc) {
		t.Errorf("Delete: %v", err)
	}
}
