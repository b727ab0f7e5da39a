package courier_test

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"encoding/json"

	"kuryr/internal/courier"
	"kuryr/internal/embedded"
)

// settled waits until f has nothing to complain of.
func settled(t *testing.T, f func() string) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for why := f(); why != ""; why = f() {
		if time.Now().After(deadline) {
			t.Fatalf("after 10 s still: %s", why)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func farFuture() time.Time { return time.Now().Add(time.Hour) }

func pendingOf(w *world) string {
	if s := w.c.Status(); s.Pending > 0 {
		return fmt.Sprint(s.Pending, " removals pending ", s.LastError)
	}
	return ""
}

// request makes a request of an administrator's.
func request(t *testing.T, s *embedded.Server, method, path, body string) string {
	t.Helper()
	rec := httptest.NewRecorder()
	s.Handler().ServeHTTP(rec, httptest.NewRequest(method, path, strings.NewReader(body)))
	if rec.Code >= 300 {
		t.Fatalf("%s %s: %d %s", method, path, rec.Code, rec.Body)
	}
	return rec.Body.String()
}

// neutronState tells of all that is in Neutron what a user might notice.
func neutronState(t *testing.T, s *embedded.Server) []string {
	t.Helper()
	var out []string
	for _, kind := range []string{"networks", "subnets", "subnetpools", "ports"} {
		var body map[string][]struct {
			ID, Name, Description string
			Tags                  []string
			Revision              int `json:"revision_number"`
		}
		if err := json.Unmarshal([]byte(request(t, s, "GET", "/v2.0/"+kind, "")), &body); err != nil {
			t.Fatal(err)
		}
		for _, o := range body[kind] {
			if kind == "ports" {
				o.Revision = 0
			}
			tags := ""
			if len(o.Tags) > 0 {
				tags = fmt.Sprint(" tags ", o.Tags)
			}
			out = append(out, fmt.Sprintf("%s %s rev %d %s %s%s", kind, o.ID, o.Revision, o.Name, o.Description, tags))
		}
	}
	return out
}

func create(name string) func(*courier.NetworkRequest) {
	return func(r *courier.NetworkRequest) { r.CreateName = name }
}

func networksNamed(t *testing.T, w *world, name string) []courier.Network {
	t.Helper()
	found, err := w.neutron.FindNetworks(t.Context(), courier.Reference{Name: name})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// TestCreateNameOnSeveralHosts: the first makes it, the next joins, the last deletes it.
func TestCreateNameOnSeveralHosts(t *testing.T) {
	w, e, ctx := storyWorld(t)
	other := &engine{w: w.another("host-2")}
	blue := poolSpec{cidr: "10.110.0.0/24"}
	a, err := e.networkWith(ctx, "n1", create("blue"), blue)
	operator{w}.check(err)
	b, err := other.networkWith(ctx, "n2", create("blue"), blue)
	operator{w}.check(err)
	if found := networksNamed(t, w, "blue"); len(found) != 1 || len(found[0].Tags) != 2 {
		t.Fatalf("networks: %+v", found)
	}
	one, two := mustStart(t, e, a, "e1", ""), mustStart(t, other, b, "e2", "")
	if one.held[0] == two.held[0] {
		t.Errorf("two containers have %s", one.held[0])
	}
	e.stop(ctx, one)
	e.networkRemove(ctx, a) // the one that made it
	settled(t, func() string { return pendingOf(w) })
	w.mustHaveNothing()
	other.stop(ctx, two)
	again := mustStart(t, other, b, "e3", "")
	other.stop(ctx, again)
	c, err := e.networkWith(ctx, "n3", create("blue"), blue)
	operator{w}.check(err)
	other.networkRemove(ctx, b)
	settled(t, func() string { return pendingOf(other.w) })
	k := mustStart(t, e, c, "e4", "")
	e.stop(ctx, k)
	e.networkRemove(ctx, c)
	w.mustEmpty()
	other.w.mustEmpty()
}

// mustHaveNothing: this host holds nothing any more, whatever others do.
func (w *world) mustHaveNothing() {
	w.t.Helper()
	w.mustHoldNothing()
	if left := w.kernel.left(); len(left) > 0 {
		w.t.Errorf("left in the kernel: %v", left)
	}
}

// TestCreateNameAtOnce: whoever comes at the same time ends with one network,
// the oldest, and one subnet; and when all leave at once, nothing is left.
func TestCreateNameAtOnce(t *testing.T) {
	w, e, ctx := storyWorld(t)
	engines := []*engine{e, {w: w.another("host-2")}, {w: w.another("host-3")}}
	rounds := 40
	if testing.Short() {
		rounds = 5
	}
	for round := range rounds {
		name := fmt.Sprint("blue-", round)
		nets := make([]*engineNetwork, len(engines))
		var wg sync.WaitGroup
		for i, x := range engines {
			wg.Go(func() {
				var err error
				if nets[i], err = x.networkWith(ctx, fmt.Sprint("n", round), create(name), poolSpec{cidr: "10.111.0.0/24"}); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if t.Failed() {
			t.FailNow()
		}
		found := networksNamed(t, w, name)
		if len(found) != 1 {
			t.Fatalf("round %d: %d networks: %+v", round, len(found), found)
		}
		for _, x := range engines {
			if s := x.w.c.Status().Networks; len(s) != 1 || s[0].Neutron != found[0].ID || s[0].Origin != "common" {
				t.Fatalf("round %d: a host has %+v, the network is %s", round, s, found[0].ID)
			}
		}
		subnets, err := w.neutron.SubnetsOfNetwork(ctx, found[0].ID)
		if err != nil || len(subnets) != 1 {
			t.Fatalf("round %d: subnets %v, %v", round, subnets, err)
		}
		for i, x := range engines {
			wg.Go(func() { x.networkRemove(ctx, nets[i]) })
		}
		wg.Wait()
		for _, x := range engines {
			x.w.mustEmpty()
		}
	}
}

// TestCreateNameWhileAnotherLeaves: the network that is joined is never the one
// that its last user is just deleting.
func TestCreateNameWhileAnotherLeaves(t *testing.T) {
	w, e, ctx := storyWorld(t)
	other := &engine{w: w.another("host-2")}
	blue := poolSpec{cidr: "10.112.0.0/24"}
	have, err := e.networkWith(ctx, "n0", create("blue"), blue)
	operator{w}.check(err)
	leaver, joiner := e, other
	for i := range 30 {
		var next *engineNetwork
		var wg sync.WaitGroup
		wg.Go(func() { leaver.networkRemove(ctx, have) })
		wg.Go(func() {
			var err error
			if next, err = joiner.networkWith(ctx, fmt.Sprint("n", i+1), create("blue"), blue); err != nil {
				t.Error(err)
			}
		})
		wg.Wait()
		if t.Failed() {
			t.FailNow()
		}
		settled(t, func() string { return pendingOf(leaver.w) })
		k := mustStart(t, joiner, next, "e1", "")
		joiner.stop(ctx, k)
		have, leaver, joiner = next, joiner, leaver
	}
	leaver.networkRemove(ctx, have)
	w.mustEmpty()
	other.w.mustEmpty()
}

// TestCreateNameFindsAnOperatorsNetwork: it is used, and never deleted.
func TestCreateNameFindsAnOperatorsNetwork(t *testing.T) {
	w, e, ctx := storyWorld(t)
	o := operator{w}
	net := o.network("blue")
	o.subnet(net, "10.113.0.0/24", "10.113.0.1")
	before := o.show()
	n, err := e.networkWith(ctx, "n1", create("blue"), poolSpec{cidr: "10.113.0.0/24"})
	o.check(err)
	if s := w.c.Status().Networks[0]; s.Neutron != net.ID || s.Origin != "adopted" {
		t.Errorf("%+v", s)
	}
	e.networkRemove(ctx, n)
	o.same(before)
}

// TestMakerLeavesWhatOthersUse: a network of Docker's on one host, used by its
// ID on another, which has no port on it at the moment.
func TestMakerLeavesWhatOthersUse(t *testing.T) {
	w, e, ctx := storyWorld(t)
	other := &engine{w: w.another("host-2")}
	a := mustNetwork(t, e, "n1", poolSpec{cidr: "10.114.0.0/24"})
	id := w.c.Status().Networks[0].Neutron
	b, err := other.networkWith(ctx, "n2", network(courier.Reference{ID: string(id)}), poolSpec{cidr: "10.114.0.0/24"})
	operator{w}.check(err)
	e.networkRemove(ctx, a)
	settled(t, func() string { return pendingOf(w) })
	k := mustStart(t, other, b, "e1", "")
	other.stop(ctx, k)
	other.networkRemove(ctx, b)
	settled(t, func() string { return pendingOf(other.w) })
	found, err := w.neutron.FindNetworks(ctx, courier.Reference{ID: string(id)})
	if err != nil || len(found) != 1 || len(found[0].Tags) != 0 {
		t.Errorf("who adopts never deletes: %+v, %v", found, err)
	}
}

// TestOneSubnetForManyHosts: hosts that make a subnet on an operator's network
// at once have one, and it goes with the last of them.
func TestOneSubnetForManyHosts(t *testing.T) {
	w, e, ctx := storyWorld(t)
	o := operator{w}
	net := o.network("tenant")
	engines := []*engine{e, {w: w.another("host-2")}, {w: w.another("host-3")}}
	for round := range 10 {
		nets := make([]*engineNetwork, len(engines))
		var wg sync.WaitGroup
		for i, x := range engines {
			wg.Go(func() {
				var err error
				nets[i], err = x.networkWith(ctx, fmt.Sprint("n", round), network(courier.Reference{ID: string(net.ID)}), poolSpec{cidr: "10.115.0.0/24"})
				if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if t.Failed() {
			t.FailNow()
		}
		for i := range engines {
			subnets, err := w.neutron.SubnetsOfNetwork(ctx, net.ID)
			if err != nil || len(subnets) != 1 {
				t.Fatalf("round %d, host %d: subnets %v, %v", round, i, subnets, err)
			}
			k := mustStart(t, engines[i], nets[i], "e1", "")
			engines[i].stop(ctx, k)
			engines[i].networkRemove(ctx, nets[i])
			settled(t, func() string { return pendingOf(engines[i].w) })
		}
		if subnets, err := w.neutron.SubnetsOfNetwork(ctx, net.ID); err != nil || len(subnets) != 0 {
			t.Fatalf("round %d: left %v, %v", round, subnets, err)
		}
	}
}
