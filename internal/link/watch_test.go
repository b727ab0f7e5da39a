package link_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kuryr/internal/link"
)

// diary is what a Watch has told, as one line an event.
type diary struct {
	mu     sync.Mutex
	events []link.Event
}

func (d *diary) add(e link.Event) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.events = append(d.events, e)
}

// lines returns what was told of the interfaces with these names, repetitions
// left out.
func (d *diary) lines(names ...string) []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var lines []string
	for _, e := range d.events {
		line := "synced"
		if e.Kind != link.Synced {
			if !strings.Contains(" "+strings.Join(names, " ")+" ", " "+e.Link.Name+" ") {
				continue
			}
			line = e.Link.Name
			if e.Link.Master != "" {
				line += " master " + e.Link.Master
			}
			if e.Link.Up {
				line += " up"
			}
			if e.Kind == link.Removed {
				line += " removed"
			}
		}
		if len(lines) == 0 || lines[len(lines)-1] != line {
			lines = append(lines, line)
		}
	}
	return lines
}

// state is the interfaces that are there by what was told.
func (d *diary) state() map[string]link.Link {
	d.mu.Lock()
	defer d.mu.Unlock()
	state := map[string]link.Link{}
	for _, e := range d.events {
		switch e.Kind {
		case link.Present:
			state[e.Link.Name] = e.Link
		case link.Removed:
			delete(state, e.Link.Name)
		}
	}
	return state
}

// eventually waits until got returns what is wanted.
func eventually[T any](t *testing.T, want T, got func() T) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for !cmp.Equal(want, got()) && time.Now().Before(deadline) {
		time.Sleep(5 * time.Millisecond)
	}
	if diff := cmp.Diff(want, got()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// watched runs a Watch until the test ends.
func watched(t *testing.T, watch func(context.Context, func(link.Event)) error, fn func(link.Event)) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- watch(ctx, fn) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Watch ended with %v, want context canceled", err)
		}
	})
}

func TestWatch(t *testing.T) {
	ns, l := newLinks(t)
	ns.Run("ip", "link", "add", tap, "type", "veth", "peer", "name", tc)
	ns.Run("ip", "link", "add", brq, "type", "bridge")
	ns.Run("ip", "link", "set", tap, "master", brq)
	var d diary
	watched(t, l.Watch, d.add)
	told := func() []string { return d.lines(tap, "tap-renamed") }
	want := []string{tap + " master " + brq, "synced"}
	eventually(t, want, told)
	for _, step := range []struct {
		ip   string
		want []string
	}{
		{"set " + tap + " up", []string{tap + " master " + brq + " up"}},
		{"set " + tap + " nomaster", []string{tap + " up"}},
		{"set " + tap + " master " + brq, []string{tap + " master " + brq + " up"}},
		{"set " + tap + " down", []string{tap + " master " + brq}},
		{"set " + tap + " name tap-renamed", []string{tap + " master " + brq + " removed", "tap-renamed master " + brq}},
		{"del tap-renamed", []string{"tap-renamed master " + brq + " removed"}},
	} {
		ns.Run("ip", append([]string{"link"}, strings.Fields(step.ip)...)...)
		want = append(want, step.want...)
		eventually(t, want, told)
	}
}

// More happens than the buffer holds while fn is busy: Watch lists again, and
// all is told in the end.
func TestWatchOverrun(t *testing.T) {
	ns, l := newLinks(t)
	ns.Run("ip", "link", "add", "goes", "type", "bridge")
	var d diary
	busy := make(chan struct{})
	synced := make(chan struct{})
	const smallest = 1 // the kernel makes it about 2 KiB: an event or two
	watched(t, func(ctx context.Context, fn func(link.Event)) error {
		return l.WatchBuffered(ctx, smallest, fn)
	}, func(e link.Event) {
		d.add(e)
		if e.Kind == link.Synced {
			close(synced)
			<-busy
		}
	})
	release := sync.OnceFunc(func() { close(busy) })
	t.Cleanup(release)
	<-synced
	var script strings.Builder
	for i := range 100 {
		fmt.Fprintf(&script, "link add p%d type veth peer name q%d\n", i, i)
	}
	script.WriteString("link add name br0 type bridge\nlink set p7 master br0\nlink set p7 up\nlink del goes\n")
	batch(t, ns, script.String())
	release()
	all, err := l.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]link.Link{}
	for _, a := range all {
		want[a.Name] = a
	}
	eventually(t, want, d.state)
	if len(want) != 202 || want["p7"].Master != "br0" {
		t.Errorf("the batch made %d interfaces, and p7 is %+v", len(want), want["p7"])
	}
	// It hears of what comes after.
	ns.Run("ip", "link", "del", "p7")
	delete(want, "p7")
	delete(want, "q7")
	eventually(t, maps.Clone(want), d.state)
}
