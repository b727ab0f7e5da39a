package chaos

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"kuryr/internal/crash"
	"kuryr/internal/testkit"
)

// crashOperation is something that an engine, or Kuryr itself, does.
type crashOperation struct {
	name   string
	config string
	// lasts is how long Kuryr may be idle in the middle of it; 0: crashQuieter.
	lasts time.Duration
	// at says at which points Kuryr is killed; nil: at all that are passed.
	at func(crash.Point) bool
	// ovs has ports plugged into Open vSwitch, with these binding:vif_details.
	ovs crashObject
	// pools has ports kept ready; without it Kuryr makes none that nobody asked for.
	pools bool
	// lonely has no bystanders.
	lonely bool
	// setUp makes what all its trials need. What it returns is done once for
	// each trial.
	setUp func(*crashLab) crashTrial
}

// crashTrial is an operation in the hands of the engine. prepare and tidy may be nil.
type crashTrial struct {
	prepare func(context.Context) error        // before Kuryr is told where to die
	do      func(context.Context) error        // in it, Kuryr dies
	tidy    func(context.Context, error) error // what a user does then, knowing how do ended
}

// crashTally counts the crashes of a run, by point.
type crashTally struct {
	mu     sync.Mutex // guards what follows
	whole  int        // operations that were done to their end
	passed map[crash.Point]int
	killed map[crash.Point]int
}

// TestCrashPoints kills Kuryr at each of its crash points, in each operation in
// which it is passed, as often as it is passed there. After each crash Kuryr is
// started again, the engine and its user do what they do, and then all is as it
// was before: Neutron, links, rules, rows of Open vSwitch's, journal. Containers
// that run have noticed nothing.
func TestCrashPoints(t *testing.T) {
	testkit.NeedRoot(t)
	binary := crashBinary(t)
	tally := &crashTally{passed: map[crash.Point]int{}, killed: map[crash.Point]int{}}
	t.Run("operation", func(t *testing.T) {
		for _, o := range crashOperations {
			t.Run(o.name, func(t *testing.T) {
				t.Parallel()
				crashEverywhere(t, binary, o, tally)
			})
		}
		crashExtras(t, binary)
	})
	if tally.whole == len(crashOperations) {
		tally.complete(t)
	}
}

// crashEverywhere does an operation once to see which points it passes, and
// then once for each of these.
func crashEverywhere(t *testing.T, binary string, o crashOperation, tally *crashTally) {
	began := time.Now()
	l := newCrashLab(t, binary, o)
	ctx := t.Context()
	if !o.lonely {
		l.bystand(ctx)
	}
	trial := o.setUp(l)
	if _, err := l.settle(ctx, l.lasts); err != nil {
		t.Fatal(err)
	}
	before, err := l.take(ctx)
	if err != nil {
		t.Fatal(err)
	}
	passed := l.record(ctx, trial, before)
	t.Logf("%d points are passed; known after %.1f s", len(passed), time.Since(began).Seconds())
	times, killed := map[crash.Point]int{}, map[crash.Point]int{}
	try := func(n int, p crash.Point) {
		if l.crashAt(ctx, trial, before, n, p) {
			killed[p]++
		}
	}
	for i, p := range passed {
		times[p]++
		if o.at != nil && !o.at(p) || times[p] > 1 && (crashOnce || samePlace(passed[:i], p)) {
			continue
		}
		try(times[p], p)
	}
	for p := range times {
		if o.at != nil && !o.at(p) {
			continue
		}
		// What goes on at once may share a write, or take turns.
		for left := 3; killed[p] == 0 && left > 0; left-- {
			try(1, p)
		}
		if killed[p] == 0 {
			t.Errorf("%s was passed %d times in the record, and never since", p, times[p])
		}
	}
	if len(killed) == 0 {
		t.Error("Kuryr was killed nowhere")
	}
	l.collect(before)
	l.undisturbed(ctx, "in the end")
	l.dismiss()
	tally.add(times, killed)
	t.Logf("%d crashes at %d points in %.1f s", sum(killed), len(killed), time.Since(began).Seconds())
}

// samePlace tells whether nothing has happened outside between p and the point
// before it.
func samePlace(passed []crash.Point, p crash.Point) bool {
	return len(passed) > 0 && p == p.Effect().Before() && passed[len(passed)-1] == passed[len(passed)-1].Effect().After()
}

func sum(m map[crash.Point]int) int {
	n := 0
	for _, v := range m {
		n += v
	}
	return n
}

// record does the operation with nobody dying.
func (l *crashLab) record(ctx context.Context, trial crashTrial, before testkit.Inventory) []crash.Point {
	l.t.Helper()
	for left := crashAgain; ; left-- {
		if err := l.prepare(ctx, trial); err != nil {
			l.t.Fatal(err)
		}
		if err := l.crashes.Forget(); err != nil {
			l.t.Fatal(err)
		}
		err := trial.do(ctx)
		if err == nil {
			break
		}
		if left == 0 || !tooLate(err) {
			l.t.Fatal(err)
		}
		l.t.Logf("once more: %v", err)
		if trial.tidy != nil {
			if err := trial.tidy(ctx, err); err != nil {
				l.t.Fatal(err)
			}
		}
		l.check(ctx, "without an answer", before)
	}
	passed, err := l.settle(ctx, l.lasts)
	if err != nil {
		l.t.Fatal(err)
	}
	if trial.tidy != nil {
		if err := trial.tidy(ctx, nil); err != nil {
			l.t.Fatal(err)
		}
	}
	l.check(ctx, "without a crash", before)
	return passed
}

// crashAt does the operation, with Kuryr dying as it passes p for the nth time.
// It reports whether it has died.
func (l *crashLab) crashAt(ctx context.Context, trial crashTrial, before testkit.Inventory, n int, p crash.Point) bool {
	l.t.Helper()
	name := fmt.Sprintf("%s (%d)", p, n)
	if trial.prepare != nil {
		if err := l.prepare(ctx, trial); err != nil {
			l.t.Fatalf("%s: %v", name, err)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, crashWait)
	defer cancel()
	first := l.started
	if err := l.crashes.Arm(n, p); err != nil {
		l.t.Fatal(err)
	}
	failed := trial.do(ctx)
	if l.started.Equal(first) { // it may die in the background
		if _, err := l.settle(ctx, l.lasts); err != nil {
			l.t.Fatalf("%s: %v", name, err)
		}
	}
	if _, err := l.revive(); err != nil {
		l.t.Fatalf("%s: %v", name, err)
	}
	died := !l.started.Equal(first)
	if !died {
		switch {
		case tooLate(failed) && crashAgain > 0:
			l.t.Logf("%s: once more: %v", name, failed)
		case failed != nil:
			l.t.Errorf("%s: nobody died, and yet: %v", name, failed)
		}
		if err := l.crashes.Disarm(); err != nil {
			l.t.Fatal(err)
		}
	}
	if trial.tidy != nil {
		if err := trial.tidy(ctx, failed); err != nil {
			l.t.Errorf("%s: afterwards: %v", name, err)
		}
	}
	l.check(ctx, name, before)
	l.undisturbed(ctx, name)
	return died
}

// prepare does what comes before the operation, and waits until Kuryr is idle.
// It is done again where Neutron was too late for it.
func (l *crashLab) prepare(ctx context.Context, trial crashTrial) error {
	attempt := func() error {
		ctx, cancel := context.WithTimeout(ctx, crashWait)
		defer cancel()
		if trial.prepare != nil {
			if err := trial.prepare(ctx); err != nil {
				return err
			}
		}
		_, err := l.settle(ctx, crashQuiet)
		return err
	}
	for left := crashAgain; ; left-- {
		err := attempt()
		if left == 0 || !tooLate(err) {
			return err
		}
		l.t.Logf("once more: %v", err)
		if _, err := l.settle(ctx, crashQuiet); err != nil {
			return err
		}
	}
}

// tooLate tells whether Kuryr says that Neutron did not answer. A cloud on a
// busy machine takes longer than an engine's call may.
func tooLate(err error) bool {
	return err != nil && (strings.Contains(err.Error(), "did not answer in time") || strings.Contains(err.Error(), "not answering since"))
}

func (c *crashTally) add(passed, killed map[crash.Point]int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.whole++
	for p, n := range passed {
		c.passed[p] += n
	}
	for p, n := range killed {
		c.killed[p] += n
	}
}

// complete sees that each point was passed by some operation, and none that is
// not declared.
func (c *crashTally) complete(t *testing.T) {
	t.Helper()
	all := crash.Points()
	for _, p := range slices.Sorted(maps.Keys(c.passed)) {
		if !slices.Contains(all, p) {
			t.Errorf("%s is passed, and not declared in internal/crash", p)
		}
	}
	for _, p := range all {
		why := crashNever[p.Effect()]
		switch {
		case c.killed[p] == 0 && why == "" && crashAsked(p):
			t.Errorf("%s: no operation has been killed there", p)
		case c.killed[p] > 0 && why != "":
			t.Errorf("%s is passed, although %s", p, why)
		}
	}
	t.Logf("%d crashes at %d points", sum(c.killed), len(c.killed))
}
