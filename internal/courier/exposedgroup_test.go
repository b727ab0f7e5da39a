package courier_test

import (
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"kuryr/internal/courier"
	"kuryr/internal/journal"
)

// twin is another courier on the same Neutron, with a journal of its own.
func (w *world) twin() *world {
	w.t.Helper()
	j, err := journal.Open(filepath.Join(w.t.TempDir(), "journal"), journal.Options{Log: quiet})
	if err != nil {
		w.t.Fatal(err)
	}
	other := &world{t: w.t, server: w.server, neutron: w.neutron, kernel: newKernel(), breaker: &breaker{}, journal: j}
	other.c = courier.New(
		courier.Needs{Neutron: brokenNeutron{w.neutron, other.breaker}, Linker: other.kernel, Binder: other.kernel, Journal: j},
		courier.Options{Host: testHost, DefaultPoolV4: "kuryr", PoolNamePrefix: "kuryrPool", ExposePorts: true, LostFor: time.Second, Log: quiet})
	if err := other.c.Start(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(other.halt)
	return other
}

// TestTwoHostsShareGroups has two couriers expose and withdraw the same ports
// at once, again and again: what one collects the other may be about to use.
func TestTwoHostsShareGroups(t *testing.T) {
	w, e, ctx := storyWorld(t)
	other := w.twin()
	hosts := []*engine{e, {w: other}}
	var networks []*engineNetwork
	for i, h := range hosts {
		networks = append(networks, mustNetwork(t, h, fmt.Sprintf("n%d", i), poolSpec{cidr: fmt.Sprintf("10.%d.0.0/24", 65+i)}))
	}
	const rounds = 8
	for round := range rounds {
		var at sync.WaitGroup
		started := make([]*container, len(hosts))
		for i, h := range hosts {
			started[i] = mustStart(t, h, networks[i], fmt.Sprintf("e%d", round), "")
			at.Go(func() { mustExpose(t, h, started[i], web) })
			at.Go(func() { h.w.c.ExpireAt(time.Now().Add(time.Hour)) }) // collects what the last round used
		}
		at.Wait()
		for i, h := range hosts {
			h.w.settled()
			if got := w.portGroups()[h.w.portOf(started[i])]; got != "default, kuryr-exposed tcp/80" {
				t.Errorf("round %d: a port has the groups %s", round, got)
			}
		}
		for name, g := range w.groups() {
			if g.rules() != webRules {
				t.Errorf("round %d: %s has the rules %s", round, name, g.rules())
			}
		}
		// One host's last port goes; the other's stays open.
		hosts[round%2].stop(ctx, started[round%2])
		for range 20 {
			hosts[round%2].w.c.ExpireAt(time.Now().Add(time.Hour))
			time.Sleep(2 * time.Millisecond)
		}
		stays := 1 - round%2
		if got := w.portGroups()[hosts[stays].w.portOf(started[stays])]; got != "default, kuryr-exposed tcp/80" {
			t.Errorf("round %d: the port that stays has the groups %s", round, got)
		}
		hosts[stays].stop(ctx, started[stays])
	}
	for i, h := range hosts {
		h.networkRemove(ctx, networks[i])
	}
	for deadline := time.Now().Add(10 * time.Second); len(other.c.Status().Attachments) > 0 || len(w.groups()) > 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("left: %+v, groups %+v", other.c.Status(), w.groups())
		}
		for _, h := range hosts {
			h.w.c.ExpireAt(time.Now().Add(time.Hour))
		}
	}
	w.mustEmpty()
}

// A group that an administrator has taken away is made again for the next port.
func TestGroupTakenAway(t *testing.T) {
	w, e, ctx := storyWorld(t)
	n := mustNetwork(t, e, "n1", dual(67)...)
	a, b := mustStart(t, e, n, "e1", ""), mustStart(t, e, n, "e2", "")
	mustExpose(t, e, a, web)
	w.settled()
	w.api(http.MethodPut, "ports/"+string(w.portOf(a)), map[string]any{"port": map[string]any{"security_groups": []string{}}}, nil)
	w.api(http.MethodDelete, "security-groups/"+w.groups()["kuryr-exposed tcp/80"].ID, nil, nil)
	mustExpose(t, e, b, web)
	w.settled()
	if got := w.portGroups()[w.portOf(b)]; got != "default, kuryr-exposed tcp/80" {
		t.Errorf("the next port has the groups %s", got)
	}
	e.stop(ctx, a)
	e.stop(ctx, b)
	e.networkRemove(ctx, n)
	w.mustEmpty()
}

// A group of the same name that Kuryr didn't make is neither used nor deleted;
// one that it made is put right.
func TestGroupsOfOthers(t *testing.T) {
	w, e, ctx := storyWorld(t)
	var made struct {
		Group apiGroup `json:"security_group"`
	}
	w.api(http.MethodPost, "security-groups", map[string]any{"security_group": map[string]any{"name": "kuryr-exposed tcp/80", "description": "mine"}}, &made)
	foreign := made.Group.ID
	w.api(http.MethodPost, "security-groups", map[string]any{"security_group": map[string]any{
		"name": "kuryr-exposed tcp/80", "description": "kuryr:other-host:0b8f8c6e-8a57-4f0a-9d0f-2a6a2b1f7f10"}}, &made)
	half := made.Group.ID // another host died before it had its rules
	n := mustNetwork(t, e, "n1", dual(68)...)
	k := mustStart(t, e, n, "e1", "")
	mustExpose(t, e, k, web)
	w.settled()
	var port struct {
		Port struct {
			Groups []string `json:"security_groups"`
		}
	}
	w.api(http.MethodGet, "ports/"+string(w.portOf(k)), nil, &port)
	if !slices.Contains(port.Port.Groups, half) || slices.Contains(port.Port.Groups, foreign) {
		t.Errorf("the port has the groups %v, want %s and not %s", port.Port.Groups, half, foreign)
	}
	var shown struct {
		Group apiGroup `json:"security_group"`
	}
	w.api(http.MethodGet, "security-groups/"+half, nil, &shown)
	if got := shown.Group.rules(); got != webRules {
		t.Errorf("the other host's group has the rules %s", got)
	}
	e.stop(ctx, k)
	e.networkRemove(ctx, n)
	for deadline := time.Now().Add(10 * time.Second); len(w.left()) > 1 && time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		w.c.ExpireAt(time.Now().Add(time.Hour))
	}
	w.api(http.MethodDelete, "security-groups/"+foreign, nil, nil)
	w.mustEmpty()
}

// The Python Kuryr's group goes with the endpoint of its port, and only then.
func TestGroupOfThePythonKuryr(t *testing.T) {
	w, e, ctx := storyWorld(t)
	n := mustNetwork(t, e, "n1", dual(71)...)
	k, other := mustStart(t, e, n, "e1", ""), mustStart(t, e, n, "e2", "")
	w.c.HadPythonKuryr("e1")
	for _, port := range []courier.PortID{w.portOf(k), w.portOf(other)} {
		var made struct {
			Group apiGroup `json:"security_group"`
		}
		w.api(http.MethodPost, "security-groups", map[string]any{"security_group": map[string]any{
			"name": string(port) + "-exposed_ports", "description": "Docker exposed ports created by Kuryr."}}, &made)
		w.api(http.MethodPut, "ports/"+string(port), map[string]any{"port": map[string]any{"security_groups": []string{made.Group.ID}}}, nil)
	}
	kept := string(w.portOf(other)) + "-exposed_ports"
	e.stop(ctx, k)
	e.stop(ctx, other)
	e.networkRemove(ctx, n)
	for deadline := time.Now().Add(10 * time.Second); len(w.left()) > 1 && time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		w.c.ExpireAt(time.Now().Add(time.Hour))
	}
	groups := w.groups()
	if len(groups) != 1 || groups[kept].ID == "" {
		t.Fatalf("groups at the end: %v, want the one that no call has named", groups)
	}
	w.api(http.MethodDelete, "security-groups/"+groups[kept].ID, nil, nil)
	w.mustEmpty()
}

// Requests of which the answer was lost take effect after another container's
// were made in their place: a group that is too many goes while the other is in
// use.
func TestSurplusGroupGoes(t *testing.T) {
	expose := func(t *testing.T, nth int) (calls, surplus int) {
		w, e, ctx := storyWorld(t)
		n := mustNetwork(t, e, "n1", dual(68)...)
		a, b := mustStart(t, e, n, "e1", ""), mustStart(t, e, n, "e2", "")
		w.breaker.arm(nth, breakage{late: true, by: 500 * time.Millisecond, kind: courier.Unavailable})
		for _, k := range []*container{a, b} {
			if _, err := w.c.Expose(ctx, n.id, k.endpoint, courier.Exposure{Ports: courier.NewPortSet(web)}); err != nil {
				return 0, 0 // the journal was out of order
			}
		}
		for deadline := time.Now().Add(20 * time.Second); w.c.Exposing() > 0 || len(w.groups()) != 1 || w.c.Doubtful() > 0; time.Sleep(10 * time.Millisecond) {
			surplus = max(surplus, len(w.groups())-1)
			if time.Now().After(deadline) {
				t.Fatalf("there are the groups %+v", w.groups())
			}
		}
		for _, k := range []*container{a, b} {
			if got := w.portGroups()[w.portOf(k)]; got != "default, kuryr-exposed tcp/80" {
				t.Errorf("a port has the groups %s", got)
			}
		}
		calls = w.breaker.count()
		e.stop(ctx, a)
		e.stop(ctx, b)
		e.networkRemove(ctx, n)
		w.mustEmpty()
		return calls, surplus
	}
	calls, surplus := expose(t, 0)
	for range 5 { // whether the late one is late enough is a matter of luck
		for n := 1; n <= calls; n++ {
			_, more := expose(t, n)
			surplus += more
		}
		if surplus > 0 {
			break
		}
	}
	if surplus == 0 {
		t.Error("there never was a group too many: nothing was tested")
	}
}

// That Neutron refuses to delete a group for a moment, for a reason of its own,
// does not mean that another host has it: the group goes all the same.
func TestGroupRefusedForAMoment(t *testing.T) {
	w, e, ctx := storyWorld(t)
	n := mustNetwork(t, e, "n1", dual(69)...)
	k := mustStart(t, e, n, "e1", "")
	mustExpose(t, e, k, web)
	w.settled()
	w.breaker.mu.Lock()
	w.breaker.refuse = map[string]int{"delete group": 2}
	w.breaker.mu.Unlock()
	e.stop(ctx, k)
	e.networkRemove(ctx, n)
	w.mustEmpty()
	if got := w.breaker.calledFor("delete group"); got < 3 {
		t.Errorf("Neutron was asked %d times to delete the group, want 3 at least", got)
	}
}

// A group is given up while it is being made, and wanted again: the port gets
// it, or another, and nothing is left of either.
func TestGroupGivenUpWhileItIsMade(t *testing.T) {
	w, e, ctx := storyWorld(t)
	n := mustNetwork(t, e, "n1", dual(69)...)
	a := mustStart(t, e, n, "e1", "")
	w.breaker.hold = map[string]time.Duration{"create group": 300 * time.Millisecond}
	mustExpose(t, e, a, web)
	for deadline := time.Now().Add(10 * time.Second); w.breaker.calledFor("create group") == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("no group is made")
		}
	}
	if err := w.c.Conceal(ctx, n.id, a.endpoint); err != nil {
		t.Fatal(err)
	}
	w.c.ExpireAt(time.Now().Add(time.Hour)) // nobody wants it, and that for long
	mustExpose(t, e, a, web)
	w.settled()
	for deadline := time.Now().Add(10 * time.Second); len(w.groups()) != 1; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("groups: %+v", w.groups())
		}
	}
	if got := w.portGroups()[w.portOf(a)]; got != "default, kuryr-exposed tcp/80" {
		t.Errorf("the port has the groups %s", got)
	}
	e.stop(ctx, a)
	e.networkRemove(ctx, n)
	w.mustEmpty()
}
