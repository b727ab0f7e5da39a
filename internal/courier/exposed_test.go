package courier_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"kuryr/internal/courier"
	"kuryr/internal/embedded"
)

// api sends a request to the embedded Neutron, as another client of its would.
func (w *world) api(method, path string, body any, answer any) {
	w.t.Helper()
	data, err := json.Marshal(body)
	if err != nil {
		w.t.Fatal(err)
	}
	if body == nil {
		data = nil
	}
	rec := httptest.NewRecorder()
	r := httptest.NewRequest(method, "/v2.0/"+path, bytes.NewReader(data))
	r.Header.Set("Content-Type", "application/json")
	w.server.Handler().ServeHTTP(rec, r)
	if rec.Code >= 300 {
		w.t.Fatalf("%s %s: %d %s", method, path, rec.Code, rec.Body)
	}
	if answer != nil {
		if err := json.Unmarshal(rec.Body.Bytes(), answer); err != nil {
			w.t.Fatal(err)
		}
	}
}

type apiGroup struct {
	ID, Name, Description string
	Rules                 []struct {
		Direction, Ethertype, Protocol string
		Low                            int     `json:"port_range_min"`
		High                           int     `json:"port_range_max"`
		Remote                         *string `json:"remote_ip_prefix"`
	} `json:"security_group_rules"`
}

// groups returns the security groups beside the default one, by name.
func (w *world) groups() map[string]apiGroup {
	w.t.Helper()
	var answer struct {
		All []apiGroup `json:"security_groups"`
	}
	w.api(http.MethodGet, "security-groups", nil, &answer)
	out := map[string]apiGroup{}
	for _, g := range answer.All {
		if g.Name != "default" {
			out[g.Name+map[bool]string{true: " again"}[out[g.Name].ID != ""]] = g
		}
	}
	return out
}

// rules tells what a group lets in, and out.
func (g apiGroup) rules() string {
	var all []string
	for _, r := range g.Rules {
		text := fmt.Sprintf("%s %s %s %d-%d", r.Direction, r.Ethertype, r.Protocol, r.Low, r.High)
		if r.Remote != nil {
			text += " from " + *r.Remote
		}
		all = append(all, text)
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

// portGroups returns the names of the groups of each port, sorted.
func (w *world) portGroups() map[courier.PortID]string {
	w.t.Helper()
	var ports struct {
		All []struct {
			ID     courier.PortID
			Groups []string `json:"security_groups"`
			Device string   `json:"device_owner"`
		} `json:"ports"`
	}
	var groups struct {
		All []apiGroup `json:"security_groups"`
	}
	w.api(http.MethodGet, "ports", nil, &ports)
	w.api(http.MethodGet, "security-groups", nil, &groups)
	out := map[courier.PortID]string{}
	for _, p := range ports.All {
		if p.Device != "compute:kuryr" {
			continue
		}
		var names []string
		for _, id := range p.Groups {
			i := slices.IndexFunc(groups.All, func(g apiGroup) bool { return g.ID == id })
			names = append(names, groups.All[i].Name)
		}
		slices.Sort(names)
		out[p.ID] = strings.Join(names, ", ")
	}
	return out
}

// portOf returns the port of an endpoint.
func (w *world) portOf(k *container) courier.PortID {
	w.t.Helper()
	info, err := w.c.Describe(w.t.Context(), k.network.id, k.endpoint)
	if err != nil {
		w.t.Fatal(err)
	}
	return info.Port
}

// settled waits until no exposed port waits to be opened or closed.
func (w *world) settled() {
	w.t.Helper()
	for deadline := time.Now().Add(10 * time.Second); w.c.Exposing() > 0; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			w.t.Fatalf("exposed ports are not settled: %s", w.c.Status().ExposeError)
		}
	}
}

func mustExpose(t *testing.T, e *engine, k *container, ports ...courier.PortRange) {
	t.Helper()
	if _, err := e.w.c.Expose(t.Context(), k.network.id, k.endpoint, courier.Exposure{Ports: courier.NewPortSet(ports...)}); err != nil {
		t.Fatal(err)
	}
}

const webRules = "ingress IPv4 tcp 80-80, ingress IPv6 tcp 80-80"

func TestOneGroupForManyPorts(t *testing.T) {
	w, e, ctx := storyWorld(t)
	n := mustNetwork(t, e, "n1", dual(60)...)
	var all []*container
	for i := range 20 {
		all = append(all, mustStart(t, e, n, fmt.Sprintf("e%d", i), ""))
	}
	var at sync.WaitGroup
	for _, k := range all {
		at.Go(func() { mustExpose(t, e, k, web) })
	}
	at.Wait()
	w.settled()
	groups := w.groups()
	g := groups["kuryr-exposed tcp/80"]
	if len(groups) != 1 || g.rules() != webRules {
		t.Errorf("groups: %+v, want one that opens tcp/80 and nothing else", groups)
	}
	if m, ok := courier.ParseMark(g.Description); !ok || m.Host != testHost {
		t.Errorf("the group's description is %q", g.Description)
	}
	for id, names := range w.portGroups() {
		if names != "default, kuryr-exposed tcp/80" {
			t.Errorf("port %s has the groups %s", id, names)
		}
	}
	if s := w.c.Status(); s.Attachments[0].Exposed != "tcp/80" || s.Unexposed != 0 || s.Unguarded != 0 {
		t.Errorf("status: %+v", s)
	}
	// What is the same costs nothing, over a restart too.
	w.restart()
	w.breaker.arm(0, breakage{})
	mustExpose(t, e, all[0], web)
	w.settled()
	if calls := w.breaker.count(); calls != 0 {
		t.Errorf("%d calls for what is so already", calls)
	}
	for _, k := range all {
		e.stop(ctx, k)
	}
	e.networkRemove(ctx, n)
	w.mustEmpty()
}

func TestExposedSets(t *testing.T) {
	w, e, ctx := storyWorld(t)
	n := mustNetwork(t, e, "n1", dual(61)...)
	a, b, c := mustStart(t, e, n, "e1", ""), mustStart(t, e, n, "e2", ""), mustStart(t, e, n, "e3", "")
	mustExpose(t, e, a, web, dns)
	var odd []courier.PortRange
	for i := range uint16(200) {
		odd = append(odd, courier.PortRange{Protocol: courier.SCTP, First: 2*i + 1001, Last: 2*i + 1001})
	}
	mustExpose(t, e, b, odd...)
	mustExpose(t, e, c, courier.PortRange{Protocol: courier.TCP, First: 81, Last: 90}, web)
	w.settled()
	groups := w.groups()
	if got := groups["kuryr-exposed tcp/80-90"].rules(); len(groups) != 3 || got != "ingress IPv4 tcp 80-90, ingress IPv6 tcp 80-90" {
		t.Errorf("groups %+v", groups)
	}
	for name, g := range groups {
		if strings.HasPrefix(name, "kuryr-exposed sctp/1001,1003,") && len(g.Rules) != 400 {
			t.Errorf("a long set has %d rules, want 400", len(g.Rules))
		}
	}
	// Another set takes the place of the first. All ports are no range to Neutron.
	mustExpose(t, e, a, courier.PortRange{Protocol: courier.TCP, First: 1, Last: 65535})
	w.settled()
	w.restart()
	mustExpose(t, e, b, courier.PortRange{Protocol: courier.TCP, First: 1, Last: 65535})
	mustExpose(t, e, a, web)
	w.settled()
	if got := w.portGroups()[w.portOf(b)]; got != "default, kuryr-exposed tcp/1-65535" {
		t.Errorf("with all ports exposed the port has the groups %s", got)
	}
	if got := w.portGroups()[w.portOf(a)]; got != "default, kuryr-exposed tcp/80" {
		t.Errorf("after a change the port has the groups %s", got)
	}
	for _, k := range []*container{a, b, c} {
		e.stop(ctx, k)
	}
	e.networkRemove(ctx, n)
	w.mustEmpty()
}

// What others do to a port's groups meanwhile is kept.
func TestConceal(t *testing.T) {
	w, e, ctx := storyWorld(t)
	n := mustNetwork(t, e, "n1", dual(62)...)
	k, other := mustStart(t, e, n, "e1", ""), mustStart(t, e, n, "e2", "")
	mustExpose(t, e, k, web)
	mustExpose(t, e, other, web)
	w.settled()
	port := w.portOf(k)
	var made struct {
		Group apiGroup `json:"security_group"`
	}
	w.api(http.MethodPost, "security-groups", map[string]any{"security_group": map[string]any{"name": "own"}}, &made)
	w.api(http.MethodPut, "ports/"+string(port), map[string]any{"port": map[string]any{
		"security_groups": []string{made.Group.ID, w.groups()["kuryr-exposed tcp/80"].ID}}}, nil)
	if err := w.c.Conceal(ctx, n.id, k.endpoint); err != nil {
		t.Fatal(err)
	}
	if got := w.portGroups()[port]; got != "kuryr-exposed tcp/80, own" {
		t.Errorf("right after Conceal the port has the groups %s", got)
	}
	w.restart() // it is done all the same
	w.settled()
	if got := w.portGroups(); got[port] != "own" || got[w.portOf(other)] != "default, kuryr-exposed tcp/80" {
		t.Errorf("groups of the ports: %v", got)
	}
	e.stop(ctx, k)
	e.stop(ctx, other)
	e.networkRemove(ctx, n)
	for deadline := time.Now().Add(10 * time.Second); len(w.left()) > 1 && time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		w.c.ExpireAt(time.Now().Add(time.Hour))
	}
	w.api(http.MethodDelete, "security-groups/"+made.Group.ID, nil, nil) // it is somebody's own
	w.mustEmpty()
}

// As a rule the endpoint is deleted right after: its port isn't changed first.
func TestConcealCostsNothingBeforeDetach(t *testing.T) {
	w, e, ctx := storyWorld(t)
	n := mustNetwork(t, e, "n1", dual(63)...)
	k := mustStart(t, e, n, "e1", "")
	mustExpose(t, e, k, web)
	w.settled()
	changed := w.breaker.calledFor("set groups")
	e.stop(ctx, k)
	e.networkRemove(ctx, n)
	w.mustEmpty()
	if again := w.breaker.calledFor("set groups"); changed != 1 || again != changed {
		t.Errorf("the port's groups were set %d times before the end, %d in all", changed, again)
	}
}

// The answers to the engine wait for none of it.
func TestExposingIsInTheBackground(t *testing.T) {
	w, e, ctx := storyWorld(t)
	n := mustNetwork(t, e, "n1", dual(64)...)
	k := mustStart(t, e, n, "e1", "")
	const slow = 500 * time.Millisecond
	w.breaker.mu.Lock()
	w.breaker.hold = map[string]time.Duration{"show port": slow, "find group": slow, "set groups": slow}
	w.breaker.mu.Unlock()
	before := time.Now()
	mustExpose(t, e, k, web)
	if took := time.Since(before); took > slow/2 {
		t.Errorf("Expose took %v", took)
	}
	w.settled()
	if took := time.Since(before); took < slow {
		t.Errorf("all was done in %v", took)
	}
	e.stop(ctx, k)
	e.networkRemove(ctx, n)
	w.mustEmpty()
}

func TestExposedQuota(t *testing.T) {
	w, e, ctx := storyWorld(t, func(o *embedded.Options) { o.Limits = map[string]int{"security_group": 1} }) // the default group's
	n := mustNetwork(t, e, "n1", dual(69)...)
	k := mustStart(t, e, n, "e1", "")
	mustExpose(t, e, k, web)
	for deadline := time.Now().Add(5 * time.Second); w.c.Status().Unexposed == 0; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the status doesn't tell")
		}
	}
	s := w.c.Status()
	if want := "cannot open ports tcp/80 by a security group: Quota exceeded for resources: ['security_group']"; s.ExposeError != want {
		t.Errorf("the status tells %q, want %q", s.ExposeError, want)
	}
	if s.Attachments[0].State != "attached" {
		t.Errorf("the attachment is %s", s.Attachments[0].State)
	}
	e.stop(ctx, k)
	if s := w.c.Status(); s.Unexposed != 0 {
		t.Errorf("the status still tells of it after the end: %+v", s)
	}
	w.settled() // nobody waits for the next try
	e.networkRemove(ctx, n)
	w.mustEmpty()
}

func TestExposedWithoutPortSecurity(t *testing.T) {
	w, e, ctx := storyWorld(t)
	n := mustNetwork(t, e, "n1", dual(70)...)
	k := mustStart(t, e, n, "e1", "")
	w.api(http.MethodPut, "ports/"+string(w.portOf(k)), map[string]any{"port": map[string]any{
		"security_groups": []string{}, "port_security_enabled": false}}, nil)
	mustExpose(t, e, k, web)
	w.settled()
	if s := w.c.Status(); s.Unguarded != 1 || s.Unexposed != 0 || len(w.groups()) != 0 {
		t.Errorf("status %+v, groups %v", s, w.groups())
	}
	e.stop(ctx, k)
	e.networkRemove(ctx, n)
	w.mustEmpty()
}

func TestExposeOfNothing(t *testing.T) {
	w, _, ctx := storyWorld(t)
	_, err := w.c.Expose(ctx, "n1", "e1", courier.Exposure{Ports: courier.NewPortSet(web)})
	wantKind(t, err, courier.NotFound)
	if _, err := w.c.Expose(ctx, "n1", "e1", courier.Exposure{}); err != nil {
		t.Error(err)
	}
	if err := w.c.Conceal(ctx, "n1", "e1"); err != nil {
		t.Error(err)
	}
}

// TestExposingSurvivesCrashes restarts the courier at every call that exposing
// makes: the ports are opened after it all the same.
func TestExposingSurvivesCrashes(t *testing.T) {
	expose := func(t *testing.T, m breakage, nth int) (calls int) {
		w, e, ctx := storyWorld(t)
		n := mustNetwork(t, e, "n1", dual(72)...)
		k := mustStart(t, e, n, "e1", "")
		w.breaker.arm(nth, m)
		_, err := w.c.Expose(ctx, n.id, k.endpoint, courier.Exposure{Ports: courier.NewPortSet(web)})
		for deadline := time.Now().Add(5 * time.Second); w.c.Exposing() > 0 && !w.breaker.broken() && time.Now().Before(deadline); {
			time.Sleep(time.Millisecond)
		}
		calls = w.breaker.count()
		w.restart()
		if err != nil { // the journal was out of order: the engine gives the container up
			e.stop(ctx, k)
		} else {
			w.settled()
			if got := w.portGroups()[w.portOf(k)]; got != "default, kuryr-exposed tcp/80" {
				t.Errorf("after the crash the port has the groups %q", got)
			}
			e.stop(ctx, k)
		}
		e.networkRemove(ctx, n)
		w.mustEmpty()
		return calls
	}
	calls := expose(t, breakage{}, 0)
	if calls < 8 {
		t.Fatalf("exposing makes %d calls only", calls)
	}
	for _, m := range []breakage{
		{name: "before", stay: true, kind: courier.Unavailable},
		{name: "after", after: true, stay: true, kind: courier.Unavailable},
		{name: "late", late: true, stay: true, kind: courier.Unavailable},
	} {
		for n := 1; n <= calls; n++ {
			t.Run(fmt.Sprintf("%s/%d", m.name, n), func(t *testing.T) {
				t.Parallel()
				expose(t, m, n)
			})
		}
	}
}
