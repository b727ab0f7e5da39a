//go:build !openstack

package docker

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"kuryr/internal/testkit"
)

// recovery is how long Kuryr may take to find out that Neutron is well again,
// and to carry out what it could not while Neutron was not.
const recovery = 25 * time.Second

// noticed waits until Kuryr has found out that Neutron is well again.
func (h *host) noticed() {
	h.t.Helper()
	h.within(recovery, "Kuryr says that Neutron is well", func() bool { return h.kuryr.Ready(h.t.Context()) == nil })
}

// callDeadline is the deadline of each call in these tests, in place of 20 s.
const callDeadline = 4 * time.Second

// newFaultyHost is a machine whose Kuryr works on a Neutron in a process of
// its own, through a proxy that makes requests fail.
func newFaultyHost(t *testing.T, start func(context.Context) (*host, error)) (*host, *testkit.FaultProxy, *testkit.NeutronServer) {
	t.Helper()
	return newFaultyHostWith(t, start, testkit.NoPortPools)
}

// newFaultyHostWith adds sections to kuryr.conf.
func newFaultyHostWith(t *testing.T, start func(context.Context) (*host, error), config string) (*host, *testkit.FaultProxy, *testkit.NeutronServer) {
	t.Helper()
	testkit.NeedRoot(t)
	t.Parallel()
	h, err := start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	fail := func(err error) {
		if err != nil {
			h.discard(t)
			t.Fatal(err)
		}
	}
	server, err := testkit.StartNeutron(t.Context(), h.machine, fleet.binary)
	fail(err)
	// A Neutron that is not Kuryr's own has no default pool until an operator makes one.
	fail(testkit.NewNeutron(h.machine, server.Address).Post(t.Context(), "subnetpools", object{"subnetpool": object{
		"name": "kuryr", "prefixes": []string{"10.94.0.0/16"}, "default_prefixlen": 24,
	}}, nil))
	proxy, err := testkit.NewFaultProxy(t.Context(), h.machine, server.Address)
	fail(err)
	h.kuryr, err = testkit.StartKuryr(t.Context(), h.machine, fleet.binary, testkit.KuryrOptions{
		Neutron: proxy.URL, Config: fmt.Sprintf("request_timeout = %.0f\nlost_request_timeout = 1", callDeadline.Seconds()) + config,
	})
	fail(err)
	h.begin(t, recovery, func(h *host) {
		if err := errors.Join(h.kuryr.Close(), proxy.Close(), server.Stop()); err != nil {
			t.Error(err)
		}
		h.discard(t)
	})
	return h, proxy, server
}

// An operation on Docker's side, which makes calls to Neutron.
type operation struct {
	name    string
	setUp   func(*host)                 // what must be there all the time; may be nil
	prepare func(*host)                 // what must be there each time; may be nil
	do      func(*host) (string, error) // it
	check   func(*host)                 // that it works, if it succeeded
	undo    func(*host)                 // what a user does then; must not fail
	removes bool                        // Docker reports success whatever happens
}

func operations() []operation {
	makeNet := func(h *host) { h.network("net", "--subnet", "10.90.0.0/24", "--ipv6", "--subnet", "fd90::/64") }
	return []operation{
		{
			name: "network create",
			do: func(h *host) (string, error) {
				return h.try(h.networkArgs("new", "--subnet", "10.91.0.0/24", "--ipv6", "--subnet", "fd91::/64", "--aux-address", "x=10.91.0.9")...)
			},
			check: func(h *host) { network{h: h, name: "new"}.run("probe").remove() },
			undo: func(h *host) {
				if h.has("new") {
					h.docker("network", "rm", "new")
				}
			},
		},
		{
			name: "network create from the default pool",
			do:   func(h *host) (string, error) { return h.try(h.networkArgs("new")...) },
			undo: func(h *host) {
				if h.has("new") {
					h.docker("network", "rm", "new")
				}
			},
		},
		{
			name:  "container start",
			setUp: makeNet,
			do:    func(h *host) (string, error) { return h.try(h.runArgs("carol", "--network", "net")...) },
			check: func(h *host) { container{h, "carol"}.reaches(container{h, "carol"}.ip6()) },
			undo:  func(h *host) { h.docker("rm", "--force", "carol") },
		},
		{
			name:    "container removal",
			setUp:   makeNet,
			prepare: func(h *host) { network{h: h, name: "net"}.run("carol") },
			do:      func(h *host) (string, error) { return h.try("rm", "--force", "carol") },
			undo:    func(*host) {},
			removes: true,
		},
		{
			name:    "network removal",
			prepare: makeNet,
			do:      func(h *host) (string, error) { return h.try("network", "rm", "net") },
			undo:    func(*host) {},
			removes: true,
		},
	}
}

// has reports whether Docker has a network of this name.
func (h *host) has(name string) bool {
	h.t.Helper()
	return len(get[[]any](h, `/networks?filters={"name":["`+name+`"]}`)) > 0
}

// mishap is a way in which a call to Neutron fails.
type mishap struct {
	name string
	at   func(n int) func(testkit.Call) testkit.Fault // the nth call
}

func mishaps() []mishap {
	nth := func(f testkit.Fault) func(int) func(testkit.Call) testkit.Fault {
		return func(n int) func(testkit.Call) testkit.Fault { return testkit.FailNth(n, f, nil) }
	}
	return []mishap{
		{"answers 503", nth(testkit.Fault{Kind: testkit.Answer, Status: http.StatusServiceUnavailable})},
		{"dies, after the effect", func(n int) func(testkit.Call) testkit.Fault {
			return testkit.FailFrom(n, testkit.Fault{Kind: testkit.BreakAfter}, testkit.Fault{Kind: testkit.BreakBefore})
		}},
		{"breaks off after the effect", nth(testkit.Fault{Kind: testkit.BreakAfter})},
		{"breaks off before the effect", nth(testkit.Fault{Kind: testkit.BreakBefore})},
		{"answers 403", nth(testkit.Fault{Kind: testkit.Answer, Status: http.StatusForbidden})},
		{"answers 409", nth(testkit.Fault{Kind: testkit.Answer, Status: http.StatusConflict})},
	}
}

// Neutron refuses or dies at each single call of each operation: Docker shows
// one line, and when Neutron is well again nothing is left.
func TestNeutronFailsAtEachCall(t *testing.T) {
	for _, op := range operations() {
		t.Run(op.name, func(t *testing.T) {
			h, proxy, _ := newFaultyHost(t, fleet.bare)
			if op.setUp != nil {
				op.setUp(h)
			}
			calls := h.count(proxy, op)
			if len(calls) == 0 {
				t.Fatalf("%s makes no call to Neutron: there is nothing to fail", op.name)
			}
			t.Logf("%s makes %d calls: %v", op.name, len(calls), calls)
			for _, f := range mishaps()[:2] { // all of them are in TestNeutronFailsWithinProtocol
				for n := 1; n <= len(calls); n++ {
					t.Run(fmt.Sprintf("%s at call %d", f.name, n), func(t *testing.T) {
						h.in(t).suffer(proxy, op, f.at(n))
					})
				}
			}
		})
	}
}

// Every mishap at each call to Neutron in the whole life of a network with a
// container. The engine's part is the test's: what Docker does when a call of
// its own fails is known, and a real one would take a hundred times as long.
func TestNeutronFailsWithinProtocol(t *testing.T) {
	tests := []struct {
		name    string
		mac     string // a wish, which makes Kuryr replace the reserved port
		mishaps []mishap
	}{
		{"plain", "", mishaps()},
		{"with a MAC address", "02:95:00:00:00:01", mishaps()[:2]},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h, proxy, _ := newFaultyHost(t, fleet.engineless)
			talks := 512
			talk := func(t *testing.T) *talk {
				talks++
				k := newTalk(h.in(t), talks)
				k.mac = tt.mac
				return k
			}
			talk(t).run(t, wholeLife...)
			h.kuryr.AssertNothingLeft(t, h.before, gone)
			calls := proxy.Calls()
			t.Logf("%d calls: %v", len(calls), calls)
			for _, m := range tt.mishaps {
				for n := 1; n <= len(calls); n++ {
					t.Run(fmt.Sprintf("%s at call %d", m.name, n), func(t *testing.T) {
						k := talk(t)
						proxy.Watch(m.at(n))
						k.runUntilFailure(t)
						proxy.Watch(nil)
						h.in(t).noticed()
						h.kuryr.AssertNothingLeft(t, h.before, recovery)
					})
				}
			}
		})
	}
}

// count does an operation undisturbed and returns its calls to Neutron.
func (h *host) count(proxy *testkit.FaultProxy, op operation) []testkit.Call {
	h.t.Helper()
	before := h.take()
	if op.prepare != nil {
		op.prepare(h)
	}
	proxy.Watch(nil)
	if _, err := op.do(h); err != nil {
		h.t.Fatal(err)
	}
	if op.removes { // the calls go on in the background
		h.eventually("Neutron has been told", func() bool {
			before := len(proxy.Calls())
			time.Sleep(300 * time.Millisecond)
			return before > 0 && len(proxy.Calls()) == before
		})
	}
	calls := proxy.Calls()
	if op.check != nil {
		op.check(h)
	}
	op.undo(h)
	h.kuryr.AssertNothingLeft(h.t, before, gone)
	return calls
}

// suffer does an operation while calls to Neutron fail.
func (h *host) suffer(proxy *testkit.FaultProxy, op operation, fault func(testkit.Call) testkit.Fault) {
	h.t.Helper()
	before := h.take()
	if op.prepare != nil {
		op.prepare(h)
	}
	proxy.Watch(fault)
	began := time.Now()
	_, err := op.do(h)
	// Two calls of Docker's may each run into their deadline before a third fails.
	if took := time.Since(began); took > 3*callDeadline {
		h.t.Errorf("%s took %s", op.name, took.Round(time.Millisecond))
	}
	if op.removes {
		// What the background work tries now fails, too, where the fault lasts.
		time.Sleep(200 * time.Millisecond)
	}
	proxy.Watch(nil)
	h.noticed()
	switch {
	case err == nil && op.check != nil:
		op.check(h)
	case err != nil && op.removes:
		h.t.Errorf("a removal failed, which Docker would never repeat: %v", err)
	case err != nil:
		if line := h.oneLine(err); !strings.Contains(line, "cannot ") || strings.ContainsAny(line, "{}") {
			h.t.Errorf("docker shows %q, want a line of ours: cannot ...", line)
		}
	}
	op.undo(h)
	h.kuryr.AssertNothingLeft(h.t, before, recovery)
}

// A Neutron that does not answer costs no more than the deadline of the call.
func TestNeutronHangs(t *testing.T) {
	h, proxy, _ := newFaultyHost(t, fleet.bare)
	n := h.network("net", "--subnet", "10.92.0.0/24")
	late := testkit.Fault{Delay: 2 * callDeadline}
	proxy.Watch(testkit.FailFrom(1, late, late))
	began := time.Now()
	h.fails([]string{"cannot"}, h.runArgs("carol", "--network", "net")...)
	if took := time.Since(began); took > callDeadline+5*time.Second {
		t.Errorf("docker run failed after %s, want about %s", took, callDeadline)
	}
	proxy.Watch(nil)
	h.noticed()
	n.run("dave").remove()
}

// Neutron is killed and comes back, with its state; what ran goes on running.
func TestNeutronDies(t *testing.T) {
	h, _, server := newFaultyHost(t, fleet.bare)
	n := h.network("net", "--subnet", "10.93.0.0/24")
	a, b := n.run("alice"), n.run("bob")
	server.Kill()
	a.reaches(b.ip4())
	h.fails([]string{"cannot"}, h.runArgs("carol", "--network", "net")...)
	b.remove() // Docker says it is gone, and does not ask again
	if err := server.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.noticed()
	h.eventually("bob's port is gone", func() bool { return len(n.ports()) == 1 })
	n.run("dave").reaches(a.ip4())
	if p := n.port(a.ip4()); p.Status != "ACTIVE" {
		t.Errorf("alice's port is %s after Neutron is back, want ACTIVE", p.Status)
	}
}
