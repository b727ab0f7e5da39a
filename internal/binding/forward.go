package binding

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"kuryr/internal/courier"
	"kuryr/internal/link"
	"kuryr/internal/observe"
)

const (
	// dockerUser is the chain that Docker keeps for rules of others; it jumps
	// there before its own.
	dockerUser = "DOCKER-USER"
	// forwardChain is the kernel's, in which that jump is.
	forwardChain = "FORWARD"
	// agentsBridge begins the names of the bridges that Neutron's linuxbridge
	// agent, and the Python Kuryr, make for networks.
	agentsBridge = "brq"
)

const (
	// legacyEvery is how often tables of iptables-legacy are looked at, and
	// what failed is tried again. The kernel tells nobody of changes there.
	legacyEvery = 5 * time.Second
	// ringPause is the shortest time between two looks at the ruleset: dockerd
	// makes a few dozen changes, each a transaction, to start a container.
	ringPause = 20 * time.Millisecond
)

// forward keeps, for each bridge that links of ours are on, one rule at the
// top of DOCKER-USER, and one in FORWARD, behind Docker's jump to that chain:
//
//	-A DOCKER-USER -i brqX -o brqX -m comment --comment "kuryr:brqX" -j ACCEPT
//	-A FORWARD -i brqX -o brqX -m comment --comment "kuryr:brqX" -j DOCKER-USER
//
// Docker sets the policy of FORWARD to DROP and has bridged frames pass it
// (net.bridge.bridge-nf-call-iptables), so without the first no frame gets from
// one port of the bridge to another. The second is for the milliseconds in which
// Docker's own jump is missing: dockerd deletes it and inserts it again, by two
// processes, at its start and for each network that is created. It jumps rather
// than accepts, so that then, too, rules above ours judge first.
//
// Where there is no DOCKER-USER there is nothing to do; where there is one, of
// iptables-nft, iptables-legacy or both, for IPv4, IPv6 or both, the rules are
// in each, since a packet passes them all.
//
// A rule is ours by its comment. One whose bridge no longer exists is removed,
// whoever left it. Rules that an administrator puts above ours are left
// there, but for a RETURN of everything, which would make ours void.
type forward struct {
	links  *link.Links
	host   string // whose marks are ours
	log    *slog.Logger
	legacy legacyTables

	mu      sync.Mutex
	ruleset *ruleset        // guarded by mu
	wanted  map[string]bool // by the bridge's name; guarded by mu
	// Why the last change of each kind of tables failed; guarded by mu.
	rulesetErr, legacyErr error
}

func newForward(links *link.Links, host string, log *slog.Logger) *forward {
	return &forward{
		links:   links,
		host:    host,
		log:     log,
		legacy:  legacyTables{links: links},
		ruleset: &ruleset{netns: links.Fd()},
		wanted:  map[string]bool{},
	}
}

// judges are the chains in which Neutron's agents (linuxbridge, and Open vSwitch
// with ovs_hybrid_plug) accept and drop frames by security groups. They come
// behind DOCKER-USER where dockerd was started later: accepted there, frames
// would pass without being judged. So where there is one, no rule of ours is;
// the agents accept what is to pass themselves.
var judges = [...]string{"neutron-linuxbri-sg-chain", "neutron-openvswi-sg-chain"}

// always is planFor's stale where no rule of ours may be.
func always(string) bool { return true }

// rule is a rule of DOCKER-USER or FORWARD, as far as it matters here.
type rule struct {
	handle    uint64 // nft's
	comment   string
	returnAll bool // it has no condition, and returns
	jumpAll   bool // it has no condition, and jumps to DOCKER-USER
}

// bridge returns the bridge that a rule of ours is for.
func (r rule) bridge() (name string, ours bool) {
	if len(r.comment) <= len(courier.MarkPrefix) || r.comment[:len(courier.MarkPrefix)] != courier.MarkPrefix {
		return "", false
	}
	return r.comment[len(courier.MarkPrefix):], true
}

// plan is the changes that one chain needs.
type plan struct {
	remove []rule
	insert []string // bridges, whose rules go to the top, or in FORWARD behind Docker's jump
	jump   int      // where in FORWARD Docker's jump is, from 0
}

func (p plan) changes() int { return len(p.remove) + len(p.insert) }

// planFor compares DOCKER-USER with what is wanted. A rule of ours for a bridge
// that isn't wanted goes if stale says so.
func planFor(rules []rule, wanted map[string]bool, stale func(bridge string) bool) plan {
	var p plan
	void := false // a rule above returns everything
	placed := map[string]bool{}
	for _, r := range rules {
		bridge, ours := r.bridge()
		switch {
		case !ours:
			void = void || r.returnAll
		case placed[bridge], wanted[bridge] && void, !wanted[bridge] && stale(bridge):
			p.remove = append(p.remove, r)
		default:
			placed[bridge] = true
		}
	}
	p.insert = missing(wanted, placed)
	return p
}

// planJumps compares FORWARD with what is wanted. Ours come behind Docker's
// jump, never before it: what an administrator has put there goes first. While
// Docker's is missing, those that are there stay, and none are added: when it is
// back is soon enough.
func planJumps(rules []rule, wanted map[string]bool, stale func(bridge string) bool) plan {
	p := plan{jump: slices.IndexFunc(rules, func(r rule) bool { return r.jumpAll })}
	placed := map[string]bool{}
	for i, r := range rules {
		bridge, ours := r.bridge()
		switch {
		case !ours:
		case placed[bridge], wanted[bridge] && i < p.jump, !wanted[bridge] && stale(bridge):
			p.remove = append(p.remove, r)
		default:
			placed[bridge] = true
		}
	}
	if p.jump >= 0 {
		p.insert = missing(wanted, placed)
	}
	return p
}

// missing returns the bridges that are wanted and not placed, sorted.
func missing(wanted, placed map[string]bool) (bridges []string) {
	for _, bridge := range slices.Sorted(maps.Keys(wanted)) {
		if !placed[bridge] {
			bridges = append(bridges, bridge)
		}
	}
	return bridges
}

// planBoth compares the two chains of one kind of tables and family with what is
// wanted. Where an agent of Neutron's judges, no rule of ours may be.
func planBoth(user, forward []rule, wanted map[string]bool, stale func(string) bool, judged func() (bool, error)) (inUser, inForward plan, err error) {
	inUser, inForward = planFor(user, wanted, stale), planJumps(forward, wanted, stale)
	if len(user) == 0 && inUser.changes()+inForward.changes() == 0 {
		return inUser, inForward, nil
	}
	is, err := judged()
	if err != nil {
		return plan{}, plan{}, fmt.Errorf("cannot look for Neutron's chains: %w", err)
	}
	if is {
		inUser, inForward = planFor(user, nil, always), planJumps(forward, nil, always)
	}
	return inUser, inForward, nil
}

// allow has the bridge's rules in force when it returns.
func (f *forward) allow(ctx context.Context, bridge string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.wanted[bridge] && f.failure() == nil {
		return nil // run keeps it
	}
	f.wanted[bridge] = true
	return f.sync(ctx, "")
}

// keeps tells whether the bridge has rules, or is to have them.
func (f *forward) keeps(bridge string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.wanted[bridge]
}

// forget removes the bridge's rules.
func (f *forward) forget(ctx context.Context, bridge string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.wanted, bridge)
	return f.sync(ctx, bridge)
}

func (f *forward) health() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.failure()
}

// sync brings all chains to what is wanted; mu is held. The rules of the bridge
// to drop go even though that bridge may exist.
func (f *forward) sync(ctx context.Context, drop string) error {
	f.rulesetErr = f.ruleset.apply(ctx, f.wanted, f.stale(ctx, drop))
	f.legacyErr = f.legacy.apply(ctx, f.wanted, f.stale(ctx, drop))
	return f.failure()
}

// failure is what is wrong since the last sync; mu is held.
func (f *forward) failure() error {
	err := errors.Join(f.rulesetErr, f.legacyErr)
	if err == nil {
		return nil
	}
	return &courier.Error{
		Kind: courier.Unavailable, Op: "set", Subject: "the rules that let bridged frames pass Docker's firewall", Err: err,
		Hint: "see what `iptables -S DOCKER-USER` and `iptables -S FORWARD` say; kuryr needs CAP_NET_ADMIN",
	}
}

func (f *forward) stale(ctx context.Context, drop string) func(string) bool {
	return func(bridge string) bool {
		if bridge == drop {
			return true
		}
		_, err := f.links.Link(ctx, bridge)
		return courier.KindOf(err) == courier.NotFound
	}
}

// run takes over what is in use, and keeps the rules until the context ends.
//
// It listens for the kernel's notice of each change of the ruleset rather than
// ask for the generation (NFT_MSG_GETGEN) at intervals: dockerd's restart
// flushes the chain while containers talk, and the rule is back within
// milliseconds; and an idle host costs nothing. What the notices say isn't
// read, nor does it matter if some get lost: any is a reason to look.
func (f *forward) run(ctx context.Context) error {
	bell, err := newBell(ctx, f.links.Fd())
	if err != nil {
		return &courier.Error{Kind: courier.Internal, Op: "watch", Subject: "the firewall's rules", Err: err}
	}
	defer bell.close()
	if err := f.takeOver(ctx); err != nil && ctx.Err() == nil {
		return err
	}
	again := time.NewTicker(legacyEvery)
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-bell.broken:
			return &courier.Error{Kind: courier.Internal, Op: "watch", Subject: "the firewall's rules", Err: err}
		case <-bell.rung:
			f.look(ctx, false)
		case <-again.C:
			f.look(ctx, true)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(ringPause):
		}
	}
}

// look syncs the ruleset, and in full what else is to be put right, and logs
// when that begins to fail or works again.
func (f *forward) look(ctx context.Context, full bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	before := f.failure()
	f.rulesetErr = f.ruleset.apply(ctx, f.wanted, f.stale(ctx, ""))
	if full && (len(f.wanted) > 0 || f.legacyErr != nil) { // it may start a process
		f.legacyErr = f.legacy.apply(ctx, f.wanted, f.stale(ctx, ""))
	}
	if ctx.Err() == nil {
		f.report(ctx, before)
	}
}

func (f *forward) report(ctx context.Context, before error) {
	switch now := f.failure(); {
	case now != nil && before == nil:
		f.log.WarnContext(ctx, "the firewall's rules can't be set; containers of one network may not reach each other", observe.Err, now)
	case now == nil && before != nil:
		f.log.InfoContext(ctx, "the firewall's rules are in place again")
	}
}

// ours tells whether this host's Kuryr made an interface. Another host's may
// run on the same machine; a rule for its bridges is its own affair.
func (f *forward) ours(l link.Link) bool {
	if _, ok := networkOf(l); ok {
		return true
	}
	mark, ok := courier.ParseMark(l.Alias)
	return ok && mark.Host == f.host
}

// takeOver learns which bridges are in use (after a restart), and sets and
// removes rules accordingly. It holds mu throughout, so that no bridge goes
// between the look at it and its entry.
func (f *forward) takeOver(ctx context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	links, err := f.links.List(ctx)
	if err != nil {
		return err
	}
	used := map[string]bool{} // bridges of others that links of ours are on
	for _, l := range links {
		switch {
		case !f.ours(l):
		case l.Kind == "bridge":
			f.wanted[l.Name] = true
		case strings.HasPrefix(l.Master, agentsBridge):
			f.wanted[l.Master] = true
		case l.Master != "":
			used[l.Master] = true
		}
	}
	// Before sync takes rules away, as it does beside an agent of Neutron's.
	for _, bridge := range f.claimed(ctx, used) {
		f.wanted[bridge] = true
	}
	before := f.failure()
	if err := f.sync(ctx, ""); err != nil {
		f.report(ctx, before)
	}
	return nil
}

// claimed returns, of the bridges of others, those that have a rule of ours. A
// bridge that an executable has plugged into never had one: what passes there
// is its operator's affair.
func (f *forward) claimed(ctx context.Context, used map[string]bool) (bridges []string) {
	if len(used) == 0 {
		return nil
	}
	// What can't be read now, sync can't either, and that is told.
	rules, _ := f.ruleset.all(ctx)
	legacy, _ := f.legacy.all(ctx)
	for _, r := range append(rules, legacy...) {
		if bridge, ours := r.bridge(); ours && used[bridge] {
			bridges = append(bridges, bridge)
		}
	}
	return bridges
}
