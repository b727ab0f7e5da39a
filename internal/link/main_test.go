package link_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"kuryr/internal/courier"
	"kuryr/internal/link"
	"kuryr/internal/testkit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	tap = "tap0a1b2c3d-4e"
	tc  = "t_c0a1b2c3d-4e"
	brq = "brq1f2e3d4c-5b"
)

func spec() courier.LinkSpec {
	return courier.LinkSpec{
		HostEnd: tap, ContainerEnd: tc, MTU: 1450, Alias: "kuryr:node1:7f3c",
		MAC: courier.MAC{0xfa, 0x16, 0x3e, 1, 2, 3},
	}
}

// ownGroup is `ip`'s word for the group of what the package makes.
const ownGroup = "1802859129"

// newLinks returns Links of a fresh namespace. They are used from outside of
// it, as nothing but New may depend on the thread.
func newLinks(tb testing.TB) (*testkit.NS, *link.Links) {
	tb.Helper()
	ns := testkit.NewNS(tb)
	var l *link.Links
	var err error
	ns.Do(func() { l, err = link.New(link.Options{}) })
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(l.Close)
	return ns, l
}

var (
	indexes   = regexp.MustCompile(`(?m)^\d+: `)
	noise     = regexp.MustCompile(` (minmtu|maxmtu|promiscuity|allmulti|numtxqueues|numrxqueues|gso_\S+|tso_\S+|gro_\S+|qlen|brd|mode|qdisc|state) \S+`)
	bridgeTx  = regexp.MustCompile(`bridge (forward_delay \d+) .*(stp_state \d) .*(mcast_snooping \d) .*(addrgenmode \S+)`)
	slaveTx   = regexp.MustCompile(`bridge_slave .*(addrgenmode \S+)`)
	carrier   = regexp.MustCompile(`NO-CARRIER,|,LOWER_UP`)
	peerIndex = regexp.MustCompile(`@if\d+`)
)

// show tells an interface in the words of `ip -d link`, less those that are
// the kernel's defaults or differ from run to run.
func show(t *testing.T, ns *testkit.NS, name string) string {
	t.Helper()
	out := ns.Run("ip", "-d", "link", "show", name)
	out = indexes.ReplaceAllString(out, "")
	out = noise.ReplaceAllString(out, "")
	out = bridgeTx.ReplaceAllString(out, "bridge $1 $2 $3 $4")
	out = slaveTx.ReplaceAllString(out, "bridge_slave $1")
	if strings.Contains(out, " bridge forward") { // without ports it has none, sooner or later
		out = carrier.ReplaceAllString(out, "")
	}
	out = peerIndex.ReplaceAllString(out, "@other-namespace")
	var lines []string
	for line := range strings.Lines(out) {
		lines = append(lines, strings.TrimSpace(line))
	}
	return strings.Join(lines, "\n")
}

// sysctls reads net.ipv6.conf.NAME.KEY for each key.
func sysctls(t *testing.T, ns *testkit.NS, name string, keys ...string) map[string]int {
	t.Helper()
	values := map[string]int{}
	ns.Do(func() {
		for _, key := range keys {
			b, err := os.ReadFile("/proc/sys/net/ipv6/conf/" + name + "/" + key)
			if err != nil {
				t.Fatal(err)
			}
			if values[key], err = strconv.Atoi(strings.TrimSpace(string(b))); err != nil {
				t.Fatal(err)
			}
		}
	})
	return values
}

// exists reports whether the namespace has an interface of that name.
func exists(ns *testkit.NS, name string) bool {
	_, err := ns.Try("ip", "link", "show", name)
	return err == nil
}

// wantKind fails the test unless err has that kind, and its text names all of
// words.
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

// batch runs the lines of an `ip -batch` script.
func batch(t *testing.T, ns *testkit.NS, script string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "batch")
	if err := os.WriteFile(file, []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	ns.Run("ip", "-batch", file)
}
