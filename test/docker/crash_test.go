//go:build !openstack

package docker

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"kuryr/internal/testkit"
)

// Kuryr is killed and started again between any two calls of the engine's:
// the next call goes on as if nothing had happened, and the last one leaves
// nothing.
func TestKillBetweenAnyTwoCalls(t *testing.T) {
	h := newHost(t)
	for i := range wholeLife {
		t.Run(fmt.Sprintf("after %s", wholeLife[i].name), func(t *testing.T) {
			h := h.in(t)
			k := newTalk(h, i)
			k.run(t, wholeLife[:i+1]...)
			if err := h.kuryr.Restart(t.Context()); err != nil {
				t.Fatal(err)
			}
			k.run(t, wholeLife[i+1:]...)
			h.kuryr.AssertNothingLeft(t, h.before, gone)
		})
	}
}

// orphaned is how long Kuryr keeps what an engine asked for and then forgot
// about without a word, and some time more.
const orphaned = 80 * time.Second

// Kuryr is killed while it works on a call. The engine repeats the call, with
// an empty body, which is refused; then it undoes what it thinks is there.
// What it can't know about goes away by itself.
func TestKillWithinAnyCall(t *testing.T) {
	h := newHost(t)
	n, torn := 256, 0
	for i, s := range wholeLife {
		if !strings.Contains(s.name, ".") {
			continue // the engine is at work, not Kuryr
		}
		for _, after := range []time.Duration{0, time.Millisecond, 3 * time.Millisecond} {
			n++
			t.Run(fmt.Sprintf("%s into %s", after, s.name), func(t *testing.T) {
				h := h.in(t)
				k := newTalk(h, n)
				k.run(t, wholeLife[:i]...)
				if err := h.tear(k, s, after); err == nil {
					// The answer was faster: Docker goes on.
					k.run(t, wholeLife[i+1:]...)
					return
				}
				torn++
				method, _, _ := strings.Cut(s.name, " ")
				if err := k.plugin.Call(t.Context(), method, nil, nil); err == nil {
					t.Errorf("%s with an empty body succeeded", method)
				}
				k.run(t, afterFailure(i)...)
			})
		}
	}
	t.Logf("%d of %d calls were cut off, the others were faster", torn, n-256)
	h.kuryr.AssertNothingLeft(t, h.before, orphaned)
}

// tear makes a call and kills Kuryr a moment later, then starts it again. It
// returns how the call ended.
func (h *host) tear(k *talk, s step, after time.Duration) error {
	h.t.Helper()
	result := make(chan error, 1)
	go func() { result <- s.do(k, h.t.Context()) }()
	time.Sleep(after)
	if err := h.kuryr.Restart(h.t.Context()); err != nil {
		h.t.Fatal(err)
	}
	return <-result
}

// The same under the real engine, where it is about containers that run.
func TestKillUnderEngine(t *testing.T) {
	h := newHost(t)
	kill := func() {
		t.Helper()
		if err := h.kuryr.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	n := h.network("net", "--subnet", "10.80.0.0/24", "--ipv6", "--subnet", "fd80::/64")
	kill() // between create and run
	a := n.run("alice")
	kill() // while a container runs
	b := n.run("bob", "--ip", "10.80.0.20")
	a.reaches("10.80.0.20")
	a.reaches(b.ip6())
	if p := n.port("10.80.0.20"); p.MAC != b.nic().MAC || p.Status != "ACTIVE" {
		t.Errorf("bob's port is %+v, its MAC address %s", p, b.nic().MAC)
	}
	h.docker("stop", "--time", "1", "bob")
	kill() // between stop and rm
	h.docker("start", "bob")
	b.reaches(a.ip4())
	kill()
	b.remove()
	n.run("carol", "--ip", "10.80.0.20").remove()
	a.remove()
	kill() // between the last rm and network rm
	n.remove()
	h.kuryr.AssertNothingLeft(t, h.before, gone)
}

// While Kuryr is down containers go on talking, as they do while it starts.
func TestContainersOutliveKuryr(t *testing.T) {
	h := newHost(t)
	n := h.network("net", "--subnet", "10.81.0.0/24")
	a, b := n.run("alice"), n.run("bob")
	pid, _ := a.state()
	ping := []string{"--target", strconv.Itoa(pid), "--net", "ping", "-c", "60", "-i", "0.05", "-W", "1", b.ip4()}
	pings := make(chan error, 1)
	go func() {
		// 60 pings in 3 s, of which none may be lost.
		out, err := h.machine.Output(t.Context(), "nsenter", ping...)
		if err == nil && !strings.Contains(out, " 0% packet loss") {
			err = fmt.Errorf("packets were lost:\n%s", out)
		}
		pings <- err
	}()
	for range 3 {
		h.kuryr.Kill()
		time.Sleep(200 * time.Millisecond)
		if err := h.kuryr.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-pings; err != nil {
		t.Error(err)
	}
	// An orderly stop is no different.
	if err := h.kuryr.Stop(); err != nil {
		t.Fatal(err)
	}
	a.reaches(b.ip4())
	if err := h.kuryr.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	n.run("carol").reaches(a.ip4())
}

// Kuryr is killed again and again while the engine starts and removes
// containers: some of the runs fail, and nothing is left of them.
func TestKillUnderLoad(t *testing.T) {
	h := newSpecialHost(t, testkit.KuryrOptions{})
	h.network("net", "--subnet", "10.82.0.0/24")
	done := make(chan int)
	const runners, rounds = 3, 4
	for r := range runners {
		go func() {
			failed := 0
			for i := range rounds {
				if _, err := h.try("run", "--rm", "--name", fmt.Sprintf("r%d-%d", r, i), "--network", "net", testkit.Image, "true"); err != nil {
					failed++
				}
			}
			done <- failed
		}()
	}
	failed := 0
	for left := runners; left > 0; {
		select {
		case n := <-done:
			failed += n
			left--
		case <-time.After(700 * time.Millisecond):
			if err := h.kuryr.Restart(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	t.Logf("%d of %d runs failed while Kuryr was killed", failed, runners*rounds)
	h.removeAll()
	h.kuryr.AssertNothingLeft(t, h.before, orphaned)
}
