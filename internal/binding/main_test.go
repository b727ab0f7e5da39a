package binding_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"kuryr/internal/binding"
	"kuryr/internal/courier"
	"kuryr/internal/link"
	"kuryr/internal/testkit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	network = courier.NetworkID("1f2e3d4c-5b6a-4788-9f00-aabbccddeeff")
	brq     = "brq1f2e3d4c-5b"
)

// lab is a namespace with the rooms that bind ports there.
type lab struct {
	*testkit.NS
	tb     testing.TB
	links  *link.Links
	binder *binding.Binder
}

func newLab(tb testing.TB) *lab {
	tb.Helper()
	l := &lab{NS: testkit.NewNS(tb), tb: tb}
	var err error
	l.Do(func() { l.links, err = link.New(link.Options{}) })
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(l.links.Close)
	l.restart()
	return l
}

// restart makes a Binder that knows nothing yet, as after a kill -9.
func (l *lab) restart() { l.binder = binding.New(l.links, binding.Options{Host: "node1"}) }

// run runs the Binder until the function that it returns is called.
func (l *lab) run() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	binder := l.binder
	go func() { done <- binder.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			l.tb.Errorf("Run ended with %v", err)
		}
	})
	l.tb.Cleanup(stop)
	return stop
}

// plugOf is port number i on a network.
func plugOf(n courier.NetworkID, i int) courier.Plug {
	port := courier.PortID(fmt.Sprintf("%08x-0000-4000-8000-%.12s", i, strings.ReplaceAll(string(n), "-", "")))
	return courier.Plug{
		Port: port, Network: n, MTU: 1450, HostEnd: courier.HostEnd(port),
		MAC:     courier.MAC{0xfa, 0x16, 0x3e, 0, byte(i >> 8), byte(i)},
		Binding: courier.Binding{Host: "node1", VIFType: "bridge"},
	}
}

// attach makes a link and plugs it, as the courier does.
func (l *lab) attach(p courier.Plug) error {
	err := l.links.Create(context.Background(), courier.LinkSpec{
		HostEnd: p.HostEnd, ContainerEnd: courier.ContainerEnd(p.Port), MAC: p.MAC, MTU: p.MTU,
		Alias: courier.MarkPrefix + "node1:" + string(p.Port),
	})
	if err != nil {
		return err
	}
	if err := l.binder.Bind(context.Background(), p); err != nil {
		return err
	}
	return l.links.Up(context.Background(), p.HostEnd)
}

func (l *lab) mustAttach(p courier.Plug) {
	l.tb.Helper()
	if err := l.attach(p); err != nil {
		l.tb.Fatal(err)
	}
}

func (l *lab) detach(p courier.Plug) error {
	if err := l.links.Delete(context.Background(), p.HostEnd); err != nil {
		return err
	}
	return l.binder.Unbind(context.Background(), p)
}

// exists reports whether the namespace has an interface of that name.
func (l *lab) exists(name string) bool {
	_, err := l.Try("ip", "link", "show", name)
	return err == nil
}

// ports are the names of a bridge's ports.
func (l *lab) ports(bridge string) (names []string) {
	l.tb.Helper()
	_, ports, err := l.links.BridgePorts(context.Background(), bridge)
	if err != nil {
		l.tb.Fatal(err)
	}
	for _, p := range ports {
		names = append(names, p.Name)
	}
	return names
}

// Docker's firewall, as version 20.10 sets it up with that tool; with both
// commands of one tool it is idempotent, as dockerd's start is.
func (l *lab) dockerStarts(tools ...string) {
	l.tb.Helper()
	for _, tool := range tools {
		l.Run(tool, "-w", "-P", "FORWARD", "DROP")
		if _, err := l.Try(tool, "-w", "-S", "DOCKER-USER"); err != nil {
			l.Run(tool, "-w", "-N", "DOCKER-USER")
		}
		if _, err := l.Try(tool, "-w", "-C", "DOCKER-USER", "-j", "RETURN"); err != nil {
			l.Run(tool, "-w", "-A", "DOCKER-USER", "-j", "RETURN")
		}
		if _, err := l.Try(tool, "-w", "-C", "FORWARD", "-j", "DOCKER-USER"); err != nil {
			l.Run(tool, "-w", "-I", "FORWARD", "-j", "DOCKER-USER")
		}
	}
}

// ruleFor is a bridge's rule in the words of `iptables -S`.
func ruleFor(bridge string) string {
	return fmt.Sprintf(`-A DOCKER-USER -i %s -o %s -m comment --comment "kuryr:%s" -j ACCEPT`, bridge, bridge, bridge)
}

const returnAll = "-A DOCKER-USER -j RETURN"

// jumpFor is a bridge's rule in FORWARD in the words of `iptables -S`.
func jumpFor(bridge string) string {
	return fmt.Sprintf(`-A FORWARD -i %s -o %s -m comment --comment "kuryr:%s" -j DOCKER-USER`, bridge, bridge, bridge)
}

// dockersJump is Docker's own rule there.
const dockersJump = "-A FORWARD -j DOCKER-USER"

// chain is a chain in the words of `TOOL -S`.
func (l *lab) chain(tool, name string) string {
	l.tb.Helper()
	out := l.Run(tool, "-w", "-S", name)
	var rules []string
	for rule := range strings.Lines(out) {
		if !strings.HasPrefix(rule, "#") { // a warning that there are tables of the other kind
			rules = append(rules, strings.TrimSpace(rule))
		}
	}
	return strings.Join(rules, "\n")
}

// wantChain fails the test unless DOCKER-USER is as wanted, or comes to it
// within the time.
func (l *lab) wantChain(tool string, within time.Duration, rules ...string) {
	l.tb.Helper()
	l.wantListing(tool, "DOCKER-USER", within, append([]string{"-N DOCKER-USER"}, rules...))
}

// wantForward is wantChain for FORWARD.
func (l *lab) wantForward(tool string, within time.Duration, rules ...string) {
	l.tb.Helper()
	l.wantListing(tool, "FORWARD", within, append([]string{"-P FORWARD DROP"}, rules...))
}

func (l *lab) wantListing(tool, chain string, within time.Duration, lines []string) {
	l.tb.Helper()
	want := strings.Join(lines, "\n")
	deadline := time.Now().Add(within)
	got := l.chain(tool, chain)
	for got != want && time.Now().Before(deadline) {
		time.Sleep(time.Millisecond)
		got = l.chain(tool, chain)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		l.tb.Errorf("%s -S %s (-want +got):\n%s", tool, chain, diff)
	}
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

// fakeTools returns a directory with one program in it.
func fakeTools(t *testing.T, name, script string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}
