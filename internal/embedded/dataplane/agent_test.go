package dataplane_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"kuryr/internal/embedded/dataplane"
	"kuryr/internal/link"
	"kuryr/internal/testkit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// board is what the agent told, as a line a call.
type board struct {
	mu    sync.Mutex
	lines []string
}

func (b *board) SetPlugged(hostEnd string, plugged bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	word := "DOWN"
	if plugged {
		word = "ACTIVE"
	}
	b.lines = append(b.lines, fmt.Sprintf("%s %s", hostEnd, word))
}

func (b *board) text() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Join(b.lines, "\n")
}

func (b *board) want(t *testing.T, lines ...string) {
	t.Helper()
	want := strings.Join(lines, "\n")
	deadline := time.Now().Add(10 * time.Second)
	for b.text() != want && time.Now().Before(deadline) {
		time.Sleep(5 * time.Millisecond)
	}
	if diff := cmp.Diff(want, b.text()); diff != "" {
		t.Fatalf("told (-want +got):\n%s", diff)
	}
}

// run runs the agent until the function that it returns is called.
func run(t *testing.T, a *dataplane.Agent) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- a.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run ended with %v", err)
		}
	})
	t.Cleanup(stop)
	return stop
}

func ip(ns *testkit.NS, lines ...string) {
	for _, l := range lines {
		ns.Run("ip", append([]string{"link"}, strings.Fields(l)...)...)
	}
}

func TestAgent(t *testing.T) {
	ns := testkit.NewNS(t)
	var l *link.Links
	var err error
	ns.Do(func() { l, err = link.New(link.Options{}) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	ip(ns, "add brq1 type bridge",
		"add tap1 type veth peer name t_c1", "set tap1 master brq1 up",
		"add tap2 type veth peer name t_c2", "set tap2 master brq1",
		"add tap3 type veth peer name t_c3", "set tap3 up",
		"add qvb4 type veth peer name t_c4", "set qvb4 master brq1 up")
	var b board
	stop := run(t, dataplane.New(l, &b, dataplane.Options{}))

	// What is plugged at the start; neither one that is down, nor one without
	// a bridge, nor what is no port's.
	b.want(t, "tap1 ACTIVE")
	ip(ns, "set tap2 up")
	b.want(t, "tap1 ACTIVE", "tap2 ACTIVE")
	ip(ns, "set tap3 master brq1")
	b.want(t, "tap1 ACTIVE", "tap2 ACTIVE", "tap3 ACTIVE")
	told := []string{"tap1 ACTIVE", "tap2 ACTIVE", "tap3 ACTIVE"}
	for _, step := range []struct{ ip, told string }{
		{"set t_c1 up", ""}, // the peer's state is no matter
		{"set tap1 down", "tap1 DOWN"},
		{"set tap1 up", "tap1 ACTIVE"},
		{"set tap1 nomaster", "tap1 DOWN"},
		{"set tap1 master brq1", "tap1 ACTIVE"},
		{"del tap2", "tap2 DOWN"},
		{"set tap3 down", "tap3 DOWN"},
		{"set tap3 up", "tap3 ACTIVE"},
		{"del t_c1", "tap1 DOWN"}, // its pair goes with it
		{"del brq1", "tap3 DOWN"},
	} {
		ip(ns, step.ip)
		if step.told != "" {
			told = append(told, step.told)
		}
		b.want(t, told...)
	}
	stop()
	ip(ns, "add brq1 type bridge", "set tap3 master brq1")
	if got := b.text(); got != strings.Join(told, "\n") {
		t.Errorf("told after its end:\n%s", got)
	}
}
