package courier_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kuryr/internal/courier"
)

// enters has the engine take a container's link into its sandbox.
func (k *kernel) enters(x *container) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for name, s := range k.links {
		if s.ContainerEnd == x.joined.Link {
			k.away[name] = true
		}
	}
}

// lose starts the courier again on a journal to which something has happened.
func (w *world) lose(happen func(path string)) {
	w.t.Helper()
	w.breaker.open()
	w.halt()
	w.breaker.mend()
	happen(filepath.Join(w.dir, "journal"))
	w.start()
}

func (w *world) remove(path string) {
	w.t.Helper()
	if err := os.Remove(path); err != nil {
		w.t.Fatal(err)
	}
}

// lostNet and others are engine networks with IDs as long as Docker's.
const (
	lostNet  = "10571e7000000000000000000000000000000000000000000000000000000001"
	lostNet2 = "10571e7100000000000000000000000000000000000000000000000000000002"
)

// lostLife is what an engine has when the journal is lost: two networks, and
// containers on them.
type lostLife struct {
	nets []*engineNetwork
	runs []*container
}

func liveOn(t *testing.T, w *world, e *engine, networks ...[]poolSpec) lostLife {
	t.Helper()
	var l lostLife
	for i, specs := range networks {
		n, err := e.networkCreate(t.Context(), []string{lostNet, lostNet2}[i], specs...)
		if err != nil {
			t.Fatal(err)
		}
		l.nets = append(l.nets, n)
		for j := range 2 {
			k := mustStart(t, e, n, fmt.Sprintf("endpoint-%d-%d", i, j), "")
			if err := e.expose(t.Context(), k, web); err != nil {
				t.Fatal(err)
			}
			w.kernel.enters(k)
			l.runs = append(l.runs, k)
		}
	}
	// A group that a lost journal was just making for a port is nobody's: only
	// gc --lost takes it. What is tested here is what was done before.
	w.settled()
	return l
}

// running wants the links of all containers where they were.
func (l lostLife) running(t *testing.T, w *world) {
	t.Helper()
	for _, k := range l.runs {
		if link := strings.Replace(k.joined.Link, "t_c", "tap", 1); !w.kernel.isUp(link) {
			t.Errorf("%s of %s is not up any more", link, k.endpoint)
		}
	}
}

// lostKinds are networks whose pools are told apart in different ways.
var lostKinds = map[string][][]poolSpec{
	"subnetpools of their own":      {dual(160), dual(161)},
	"cut from the default":          {{{family: 4}, {family: 6}}, {{family: 4}, {family: 6}}},
	"several subnets of one family": {{{cidr: "10.162.0.0/24"}, {cidr: "10.163.0.0/24"}}, {{cidr: "10.164.0.0/24"}}},
	"one CIDR twice":                {{{cidr: "10.165.0.0/24"}}, {{cidr: "10.165.0.0/24"}}},
}

// firstCalls are what the engine may say first after the loss.
var firstCalls = map[string]func(t *testing.T, e *engine, l *lostLife){
	"stop": func(t *testing.T, e *engine, l *lostLife) { l.stopAll(t, e) },
	"start": func(t *testing.T, e *engine, l *lostLife) {
		for i, n := range l.nets {
			l.runs = append(l.runs, mustStart(t, e, n, fmt.Sprint("new ", i), ""))
			e.w.kernel.enters(l.runs[len(l.runs)-1])
		}
	},
	"look": func(t *testing.T, e *engine, l *lostLife) {
		for _, k := range l.runs {
			info, err := e.c().Describe(t.Context(), k.network.id, k.endpoint)
			if err != nil || info.MAC != k.mac || !slices.Equal(slices.Sorted(slices.Values(texts(info.Addresses))), slices.Sorted(slices.Values(texts(k.held)))) {
				t.Errorf("%s: %+v (%v), want %s %v", k.endpoint, info, err, k.mac, k.held)
			}
		}
	},
	"detach alone": func(t *testing.T, e *engine, l *lostLife) {
		for _, k := range l.runs {
			e.c().Detach(t.Context(), k.network.id, k.endpoint)
			e.releaseAddresses(t.Context(), k)
		}
		l.runs = nil
	},
	"remove all": func(t *testing.T, e *engine, l *lostLife) {
		for _, n := range l.nets {
			e.networkRemove(t.Context(), n)
		}
		l.nets, l.runs = nil, nil
	},
}

func texts[T fmt.Stringer](all []T) (out []string) {
	for _, x := range all {
		out = append(out, x.String())
	}
	return out
}

func (l *lostLife) stopAll(t *testing.T, e *engine) {
	for _, k := range l.runs {
		e.stop(t.Context(), k)
	}
	l.runs = nil
}

// After the journal is gone containers go on, whatever the engine says first is
// done, and in the end nothing is left.
func TestJournalGone(t *testing.T) {
	for kind, specs := range lostKinds {
		for first, call := range firstCalls {
			for _, compat := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s, %s, compat_tags %t", kind, first, compat), func(t *testing.T) {
					t.Parallel()
					w, e, ctx := storyWorld(t)
					w.options.CompatTags = compat
					w.restart()
					l := liveOn(t, w, e, specs...)
					w.lose(w.remove)
					l.running(t, w)
					call(t, e, &l)
					l.running(t, w)
					for _, n := range l.nets { // life goes on
						k := mustStart(t, e, n, "after "+string(n.id), "")
						e.stop(ctx, k)
					}
					l.running(t, w)
					w.restart()
					l.running(t, w)
					l.stopAll(t, e)
					for _, n := range l.nets {
						e.networkRemove(ctx, n)
					}
					w.mustEmpty()
				})
			}
		}
	}
}

// What is restored is what there was, but for what nobody can know.
func TestRestoredRecords(t *testing.T) {
	w, e, ctx := storyWorld(t)
	n, err := e.networkWith(ctx, lostNet, func(r *courier.NetworkRequest) { r.Internal, r.MTU = true, 1400 }, dual(166)...)
	if err != nil {
		t.Fatal(err)
	}
	k := mustStart(t, e, n, "endpoint", "")
	if err := e.expose(ctx, k, web, dns); err != nil {
		t.Fatal(err)
	}
	w.kernel.enters(k)
	settled(t, func() string { return pendingOf(w) })
	before := w.c.Status()
	w.lose(w.remove)
	if s := w.c.Status(); len(s.Networks)+len(s.Pools)+len(s.Attachments) > 0 {
		t.Fatalf("the journal is not lost: %+v", s)
	}
	if _, err := w.c.Describe(ctx, lostNet, "endpoint"); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(asJSON(t, before), asJSON(t, w.c.Status())); d != "" {
		t.Errorf("(-before +restored)\n%s", d)
	}
	w.breaker.arm(0, breakage{})
	e.stop(ctx, mustStart(t, e, n, "next", ""))
	if got, want := strings.Join(w.breaker.neutronCalls()[:3], ", "), "create port, update port, list subnets"; got != want {
		t.Errorf("calls on a network that is known again: %s, want %s", got, want)
	}
	e.stop(ctx, k)
	e.networkRemove(ctx, n)
	w.mustEmpty()
}

func asJSON(t *testing.T, v any) string {
	t.Helper()
	b, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// Docker forgets what it has removed, so that Kuryr must not, while the cloud is away.
func TestJournalGoneWhileNeutronIsAway(t *testing.T) {
	for _, specs := range [][]poolSpec{dual(167), {{family: 4}}} {
		w, e, ctx := storyWorld(t)
		l := liveOn(t, w, e, specs)
		w.lose(w.remove)
		w.neutronAway(true)
		began := time.Now()
		for _, k := range l.runs {
			if err := w.c.Detach(ctx, lostNet, k.endpoint); err != nil {
				t.Error(err)
			}
		}
		for _, p := range l.nets[0].pools {
			if err := w.c.ReleasePool(ctx, p.id); err != nil {
				t.Error(err)
			}
		}
		if err := w.c.DeleteNetwork(ctx, lostNet); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("it took %s", took)
		}
		w.restart()
		w.neutronAway(false)
		w.mustEmpty()
	}
}

// Two networks of one name: it is not guessed which of them is meant.
func TestLostNetworkOfTwo(t *testing.T) {
	w, e, ctx := storyWorld(t)
	n, err := e.networkCreate(ctx, lostNet, dual(168)...)
	if err != nil {
		t.Fatal(err)
	}
	other := strings.Replace(lostNet, "0001", "0002", 1)
	m, err := e.networkCreate(ctx, other, dual(169)...)
	if err != nil {
		t.Fatal(err)
	}
	w.lose(w.remove)
	_, err = w.c.Join(ctx, lostNet, "endpoint")
	if courier.KindOf(err) != courier.Conflict || !strings.Contains(err.Error(), "2 networks of this host are named kuryr-net-10571e70 in Neutron") || courier.HintOf(err) == "" {
		t.Errorf("got %v", err)
	}
	// A pool's call knows which network it means, but not the whole of its ID.
	e.releasePools(ctx, n)
	e.releasePools(ctx, m)
	w.c.DeleteNetwork(ctx, n.id)
	w.c.DeleteNetwork(ctx, m.id)
	w.mustEmpty()
}

// What other hosts and people have made is not taken for what was lost, however
// it is called.
func TestOnlyWhatIsMarkedIsRestored(t *testing.T) {
	w, _, ctx := storyWorld(t)
	o := operator{w}
	o.network("kuryr-net-10571e70")
	if _, err := w.neutron.CreateNetwork(ctx, courier.NetworkSpec{Name: "kuryr-net-10571e70", Mark: courier.Mark{Host: "host-2", Intent: "1"}}); err != nil {
		t.Fatal(err)
	}
	before := o.show()
	if _, err := w.c.Attach(ctx, courier.AttachRequest{Network: lostNet, Endpoint: "e"}); courier.KindOf(err) != courier.NotFound {
		t.Errorf("Attach: %v", err)
	}
	w.c.DeleteNetwork(ctx, lostNet)
	settled(t, func() string { return pendingOf(w) })
	w.mustHoldNothing()
	o.same(before)
}

// A network whose options for ports are lost takes no new ones: they might be
// open to what they were to be closed to.
func TestLostPortSettings(t *testing.T) {
	w, e, ctx := storyWorld(t)
	n, err := e.networkWith(ctx, lostNet, func(r *courier.NetworkRequest) { r.Ports.SecurityGroups = []courier.Reference{} }, poolSpec{cidr: "10.170.0.0/24"})
	if err != nil {
		t.Fatal(err)
	}
	k := mustStart(t, e, n, "endpoint", "")
	w.kernel.enters(k)
	w.lose(w.remove)
	_, err = e.start(ctx, n, "next", "")
	if courier.KindOf(err) != courier.Conflict || !strings.Contains(err.Error(), "Kuryr's journal was lost, and with it the network's neutron.port options") {
		t.Errorf("got %v", err)
	}
	e.stop(ctx, k)
	e.networkRemove(ctx, n)
	w.mustEmpty()
}

// Each record of the journal is damaged once. Containers go on, what the engine
// says is done, and nothing is left.
func TestEachRecordDamaged(t *testing.T) {
	count := len(frames(t, damageStory(t, -1)))
	for i := range count - 1 { // the last one can't be told from a torn one
		t.Run(fmt.Sprintf("record %d of %d", i, count), func(t *testing.T) {
			t.Parallel()
			damageStory(t, i)
		})
	}
}

// damageStory damages a record of the journal of a running host; -1: none. It
// returns the journal as it was.
func damageStory(t *testing.T, record int) (content []byte) {
	t.Helper()
	w, e, ctx := storyWorld(t)
	l := liveOn(t, w, e, dual(171), []poolSpec{{family: 4}})
	gone := mustStart(t, e, l.nets[0], "gone", "")
	e.stop(ctx, gone)
	settled(t, func() string { return pendingOf(w) })
	w.lose(func(path string) {
		var err error
		if content, err = os.ReadFile(path); err != nil {
			t.Fatal(err)
		}
		if record < 0 {
			return
		}
		damaged := slices.Clone(content)
		at := frames(t, content)
		if record >= len(at)-1 {
			return // this run wrote fewer
		}
		damaged[at[record]+20] ^= 0xff
		if err := os.WriteFile(path, damaged, 0o600); err != nil {
			t.Fatal(err)
		}
	})
	if got := len(w.c.Status().Losses); record >= 0 && got != 1 {
		t.Errorf("%d losses are told of", got)
	}
	settled(t, func() string {
		for _, x := range w.c.Status().Losses {
			if !x.Found {
				return "still looking"
			}
		}
		return pendingOf(w)
	})
	w.c.ExpireAt(time.Now().Add(10 * time.Minute)) // the links tell that containers run
	settled(t, func() string { return pendingOf(w) })
	l.running(t, w)
	for _, n := range l.nets {
		k, err := e.start(ctx, n, "after "+string(n.id), "")
		if err != nil {
			t.Fatal(err)
		}
		e.stop(ctx, k)
	}
	w.restart()
	l.running(t, w)
	l.stopAll(t, e)
	for _, n := range l.nets {
		e.networkRemove(context.WithoutCancel(ctx), n)
	}
	w.mustEmpty()
	return content
}

// frames returns where the journal's records start.
func frames(t *testing.T, content []byte) (at []int) {
	t.Helper()
	for i := 0; ; {
		n := bytes.Index(content[i:], []byte("KFRM"))
		if n < 0 {
			return at
		}
		at = append(at, i+n)
		i += n + 4
	}
}
