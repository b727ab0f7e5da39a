package courier_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"kuryr/internal/courier"
	"kuryr/internal/embedded"
	"kuryr/internal/journal"
	"kuryr/internal/neutron"
)

const testHost = "host-1"

var quiet = slog.New(slog.DiscardHandler)

// world is a courier over a real embedded Neutron, the real client and the
// real journal. Only the kernel is a table, so that no root is needed; every
// call that leaves the courier goes through the breaker.
type world struct {
	t       *testing.T
	dir     string
	options courier.Options
	server  *embedded.Server
	neutron courier.Neutron
	kernel  *kernel
	breaker *breaker
	journal *journal.Journal
	c       *courier.Courier
	before  string                 // what an operator has made: it is to stay as it is
	change  func(*courier.Options) // before a courier starts; may be nil

	forwardFrom netip.Addr
}

func newWorld(t *testing.T, adjust ...func(*embedded.Options)) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), kernel: newKernel(), breaker: &breaker{}}
	o := embedded.Options{StateDir: filepath.Join(w.dir, "neutron"), Host: testHost, MTU: 1500, Enforce: true, Log: quiet}
	for _, f := range adjust {
		f(&o)
	}
	server, err := embedded.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	w.server = server
	w.neutron, err = neutron.New(neutron.Options{Endpoint: "http://neutron/v2.0/", Transport: neutron.InProcess(server.Handler()), Log: quiet})
	if err != nil {
		t.Fatal(err)
	}
	for name, prefix := range map[string]string{"kuryr": "10.64.0.0/12", "kuryr6": "fd00:64::/48"} {
		p := netip.MustParsePrefix(prefix)
		bits := map[bool]int{true: 24, false: 64}[p.Addr().Is4()]
		_, err := w.neutron.CreateSubnetPool(t.Context(), courier.SubnetPoolSpec{Name: name, Prefixes: []netip.Prefix{p}, DefaultPrefixLen: bits,
			Mark: courier.Mark{Host: testHost, Intent: "default-subnetpool"}}) // as the daemon does
		if err != nil {
			t.Fatal(err)
		}
	}
	w.options = courier.Options{Host: testHost, DefaultPoolV4: "kuryr", DefaultPoolV6: "kuryr6", PoolNamePrefix: "kuryrPool",
		ExposePorts: true, LostFor: time.Second, Log: quiet}
	w.start()
	t.Cleanup(w.halt)
	return w
}

// another is a second host on the same Neutron. The embedded one binds ports of
// its own host only: here nobody minds.
func (w *world) another(host string) *world {
	w.t.Helper()
	x := &world{t: w.t, dir: w.t.TempDir(), kernel: newKernel(), breaker: &breaker{}, server: w.server, neutron: w.neutron, options: w.options}
	x.options.Host, x.kernel.lenient = host, true
	x.start()
	w.t.Cleanup(x.halt)
	return x
}

// start runs a courier on what the last one left.
func (w *world) start() {
	w.t.Helper()
	j, err := journal.Open(filepath.Join(w.dir, "journal"), journal.Options{Log: quiet})
	if err != nil {
		w.t.Fatal(err)
	}
	w.journal = j
	o := w.options
	o.ForwardFrom = w.forwardFrom
	if w.change != nil {
		w.change(&o)
	}
	w.c = courier.New(
		courier.Needs{
			Neutron: brokenNeutron{w.neutron, w.breaker}, Linker: brokenLinker{w.kernel, w.breaker},
			Binder: brokenBinder{w.kernel, w.breaker}, Journal: brokenJournal{j, w.breaker},
		},
		o)
	if err := w.c.Start(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

// halt stops the courier as a crash would, once the breaker is open: nothing
// that it does any more reaches the outside.
func (w *world) halt() {
	w.c.Close()
	w.journal.Close()
}

// restart is a crash followed by a start with everything well again.
func (w *world) restart() {
	w.breaker.open()
	w.halt()
	w.breaker.mend()
	w.start()
}

// left describes all that is there beyond the default subnetpools.
func (w *world) left() []string {
	w.t.Helper()
	var out []string
	ctx := w.t.Context()
	s := w.c.Status()
	for _, p := range s.Pools {
		out = append(out, fmt.Sprintf("journal: pool %s %s %s", p.ID, p.CIDR, p.State))
	}
	for _, n := range s.Networks {
		out = append(out, fmt.Sprintf("journal: network %s %s", n.Name, n.State))
	}
	for _, a := range s.Attachments {
		out = append(out, fmt.Sprintf("journal: attachment %v %s", a.Addresses, a.State))
	}
	out = append(out, w.kernel.left()...)
	for _, name := range []string{"kuryr", "kuryr6"} {
		pools, err := w.neutron.FindSubnetPools(ctx, courier.Reference{Name: name})
		if err != nil || len(pools) != 1 {
			w.t.Fatalf("subnetpool %s: %v, %v", name, pools, err)
		}
	}
	if w.before != "" {
		if now := (operator{w}).show(); unrevised(now) != unrevised(w.before) {
			out = append(out, "Neutron:\n"+now+"\nwas:\n"+w.before)
		}
		return out
	}
	return append(out, neutronObjects(w.t, w.server)...)
}

// mustEmpty waits until nothing is left, with all that expires expired.
func (w *world) mustEmpty() {
	w.t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for {
		w.c.ExpireAt(time.Now().Add(time.Hour))
		left := w.left()
		if len(left) == 0 {
			return
		}
		if time.Now().After(deadline) {
			w.t.Fatalf("still there after 10 s: %v\nlast error: %s", left, w.c.Status().LastError)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// kernel is a table of links and what they are plugged into.
type kernel struct {
	mu    sync.Mutex
	links map[string]courier.LinkSpec
	made  map[string]int // how often a link was
	up    map[string]bool
	bound map[string]courier.Plug
	away  map[string]bool // the other end is in a sandbox
	// bridges are those that another program made.
	bridges map[courier.NetworkID]bool

	lenient bool // takes every vif_type
	open    bool // the layer 2 fails open
}

func newKernel() *kernel {
	return &kernel{links: map[string]courier.LinkSpec{}, made: map[string]int{}, up: map[string]bool{}, bound: map[string]courier.Plug{}, away: map[string]bool{}, bridges: map[courier.NetworkID]bool{}}
}

func (k *kernel) left() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	var out []string
	for _, l := range slices.Sorted(maps.Keys(k.links)) {
		out = append(out, "link "+l)
	}
	for _, l := range slices.Sorted(maps.Keys(k.bound)) {
		out = append(out, "bound "+l)
	}
	for n := range k.bridges {
		out = append(out, "bridge "+courier.BridgeName(n))
	}
	return out
}

func (k *kernel) Create(_ context.Context, s courier.LinkSpec) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.links[s.HostEnd] = s
	k.made[s.HostEnd]++
	return nil
}

func (k *kernel) Up(_ context.Context, l string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, plugged := k.bound[l]; !plugged {
		return errors.New("up before it is plugged")
	}
	k.up[l] = true
	return nil
}

func (k *kernel) Adopt(_ context.Context, l, alias string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if s, there := k.links[l]; there && s.Alias == "" {
		s.Alias = alias
		k.links[l] = s
	}
	return nil
}

func (k *kernel) Delete(_ context.Context, l string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if s, there := k.links[l]; there && s.Alias == "" {
		return &courier.Error{Kind: courier.Conflict, Op: "delete", Subject: "link " + l, Public: "it is another program's"}
	}
	delete(k.links, l)
	delete(k.up, l)
	delete(k.away, l)
	return nil
}

func (k *kernel) Check(p courier.PortID, b courier.Binding) error {
	if b.VIFType == "binding_failed" && !k.lenient {
		return &courier.Error{Kind: courier.Conflict, Op: "plug port", Subject: string(p), Public: "failed to bind", Hint: "the binder's"}
	}
	if b.VIFType != "bridge" && !k.lenient {
		return &courier.Error{Kind: courier.Unsupported, Op: "plug port", Subject: string(p), Public: "vif_type " + b.VIFType}
	}
	return nil
}

func (k *kernel) FailsOpen(courier.Binding) bool { return k.open }

// isUp tells whether an attachment's link is open.
func (k *kernel) isUp(link string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.up[link]
}

// times tells how often a link was made.
func (k *kernel) times(link string) int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.made[link]
}

func (k *kernel) Bind(_ context.Context, p courier.Plug) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, there := k.links[p.HostEnd]; !there {
		return errors.New("bound before its link is there")
	}
	k.bound[p.HostEnd] = p
	return nil
}

func (k *kernel) Unbind(_ context.Context, p courier.Plug) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.bound, p.HostEnd)
	return nil
}

func (k *kernel) Anonymous(b courier.Binding) bool {
	return b.VIFType == "bridge" || b.VIFType == "ovs"
}

func (k *kernel) Name(_ context.Context, p courier.Plug) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if now, there := k.bound[p.HostEnd]; there {
		now.Device = p.Device
		k.bound[p.HostEnd] = now
	}
	return nil
}

func (k *kernel) Dissolve(_ context.Context, id courier.NetworkID, _ bool) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, n := range k.bound {
		if n.Network == id {
			return nil
		}
	}
	delete(k.bridges, id)
	return nil
}

func (k *kernel) Pairs(context.Context) ([]courier.Pair, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	var all []courier.Pair
	for name, s := range k.links {
		p := courier.Pair{HostEnd: name, Alias: s.Alias, Ours: s.Alias != "", Up: k.up[name], Peer: s.ContainerEnd}
		if k.away[name] {
			p.Peer = ""
		}
		all = append(all, p)
	}
	return all, nil
}

func (k *kernel) Unplugged(_ context.Context, plugs []courier.Plug) (missing []courier.Plug, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, p := range plugs {
		if _, there := k.bound[p.HostEnd]; !there {
			missing = append(missing, p)
		}
	}
	return missing, nil
}

func (k *kernel) Plugged(context.Context) ([]courier.Plug, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Collect(maps.Values(k.bound)), nil
}

// breakage is a way in which a call fails.
type breakage struct {
	name  string
	after bool          // the nth call takes effect, only its answer is lost
	late  bool          // it takes effect a while after its answer was lost
	by    time.Duration // so long; 0: 50 ms
	stay  bool          // all later calls fail too
	kind  courier.Kind
}

// breaker breaks the calls that leave the courier: one of them (the nth from
// now), or all from some moment on.
type breaker struct {
	mu    sync.Mutex
	calls int
	names []string // of the calls, since arm
	nth   int      // 0: none
	dead  bool
	away  bool // Neutron does not answer
	known bool // and that is known
	breakage

	called map[string]int           // how often, by name
	hold   map[string]time.Duration // how long calls of a name wait before their effect
	mull   map[string]time.Duration // and how long their answers take from there
	refuse map[string]int           // how many calls of a name are answered with a conflict
	stuck  *stuck                   // calls that never end; nil: none
}

func (b *breaker) arm(nth int, m breakage) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.calls, b.names, b.nth, b.breakage = 0, nil, nth, m
}

func (b *breaker) open() { b.mu.Lock(); b.dead, b.kind = true, courier.Unavailable; b.mu.Unlock() }
func (b *breaker) mend() { b.mu.Lock(); b.dead, b.nth, b.stuck = false, 0, nil; b.mu.Unlock() }

func (b *breaker) broken() bool { b.mu.Lock(); defer b.mu.Unlock(); return b.dead }

// count returns how many calls there have been since arm.
func (b *breaker) count() int { b.mu.Lock(); defer b.mu.Unlock(); return b.calls }

// neutronCalls returns which calls Neutron has had since arm.
func (b *breaker) neutronCalls() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(b.names), func(what string) bool { return !isNeutron(what) })
}
func (b *breaker) calledFor(what string) int { b.mu.Lock(); defer b.mu.Unlock(); return b.called[what] }

// isNeutron tells whether a call may take effect after its caller has gone.
func isNeutron(what string) bool {
	return !strings.Contains(what, "journal") && !strings.Contains(what, "link") && !strings.Contains(what, "bind")
}

func (b *breaker) do(ctx context.Context, what string, f func() error) error {
	b.mu.Lock()
	b.calls++
	b.names = append(b.names, what)
	if b.called == nil {
		b.called = map[string]int{}
	}
	b.called[what]++
	hit := b.nth != 0 && b.calls == b.nth
	refused := b.refuse[what] > 0
	if refused {
		b.refuse[what]--
	}
	dead, late, by, after := b.dead || b.away && isNeutron(what), b.late, cmp.Or(b.by, 50*time.Millisecond), b.after
	hold, mull, stuck := b.hold[what], b.mull[what], b.stuck
	if hit && b.stay {
		b.dead = true
	}
	failure := &courier.Error{Kind: b.kind, Op: what, Public: "broken for the test"}
	if b.away {
		failure.Kind = courier.Unavailable
	}
	if b.away && b.known {
		failure.Err = courier.ErrAway
	}
	b.mu.Unlock()
	select {
	case <-time.After(hold):
	case <-ctx.Done():
		return ctx.Err()
	}
	defer time.Sleep(mull)
	if stuck != nil && stuck.calls(what) {
		if err := stuck.wait(ctx, f); err != nil {
			return err
		}
		return f()
	}
	switch {
	case hit && late && isNeutron(what):
		time.AfterFunc(by, func() { f() })
		return failure
	case refused:
		return &courier.Error{Kind: courier.Conflict, Op: what, Public: "refused for the test"}
	case dead, hit && !after:
		return failure
	case hit:
		if err := f(); err != nil {
			return err
		}
		return failure
	}
	return f()
}
