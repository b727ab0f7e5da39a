package chaos

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"kuryr/internal/crash"
	"kuryr/internal/testkit"
)

// crashLab is a machine with a Kuryr that can be told where to die, an engine's
// side of the protocol, and two containers that talk all the time.
type crashLab struct {
	t       *testing.T
	machine *testkit.Machine
	kuryr   *testkit.Kuryr
	crashes testkit.Crashes
	engine  *crashEngine

	started   time.Time                   // of Kuryr, last
	ovs       *crashSwitch                // of the lab's own; nil: there is none
	vsctl     func(args ...string) string // speaks to the host's Open vSwitch; nil: ports are on Linux bridges
	bystander *crashBystander
	networks  int                           // that have a CIDR of their own
	exposes   int                           // the first port that its containers expose
	lasts     time.Duration                 // how long Kuryr may be idle in the middle of the operation
	late      map[string]crashDebt          // what a crash left to time, by its line of an inventory
	stays     []func(context.Context) error // each removes something that all trials needed
	tenant    []string                      // what was there before Kuryr, as paths of Neutron's API
}

// crashDebt is what may be there for a while.
type crashDebt struct {
	since time.Time
	trial string
}

// newCrashLab makes one; it is taken down with the test.
func newCrashLab(t *testing.T, binary string, op crashOperation) *crashLab {
	t.Helper()
	m := newCrashMachine(t)
	dir := m.Path("crash")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	l := &crashLab{t: t, machine: m, crashes: testkit.NewCrashes(dir), late: map[string]crashDebt{}, lasts: crashQuieter, exposes: 1000}
	if op.lasts > 0 {
		l.lasts = op.lasts
	}
	t.Cleanup(l.close)
	l.dockersChains()
	config := op.config + testkit.NoPortPools
	if op.pools {
		config = op.config + crashPools
	}
	o := testkit.KuryrOptions{Config: config, Env: []string{l.crashes.Env()}}
	l.settleOn(binary, op, &o)
	var err error
	if l.kuryr, err = testkit.StartKuryr(t.Context(), m, binary, o); err != nil {
		t.Fatal(err)
	}
	l.started = time.Now()
	l.engine = &crashEngine{machine: m, plugin: testkit.NewPlugin(l.kuryr.PluginSocket()), revive: l.revive, odd: t.Errorf}
	l.promiseToLeave()
	return l
}

// dockersChain makes dockerd's chain and the jump to it, without dockerd.
func (l *crashLab) dockersChain(tool string) {
	l.run(tool, "-N", "DOCKER-USER")
	l.run(tool, "-I", "FORWARD", "-j", "DOCKER-USER")
}

func (l *crashLab) close() {
	ctx, cancel := context.WithTimeout(context.Background(), crashWait)
	defer cancel()
	if l.t.Failed() && l.kuryr != nil {
		l.t.Logf("the end of kuryr's log:\n%s", withoutReads(l.kuryr.Log(400), 60))
		l.t.Logf("its goroutines:\n%s", l.goroutines(ctx))
	}
	if l.engine != nil {
		l.engine.plugin.Close()
	}
	if l.kuryr != nil {
		if err := l.kuryr.Close(); err != nil {
			l.t.Error(err)
		}
	}
	if l.ovs != nil {
		if err := l.ovs.close(); err != nil {
			l.t.Error(err)
		}
	}
	out, err := exec.CommandContext(ctx, "ip", "netns", "list").Output()
	if err != nil {
		l.t.Error(err)
	}
	for line := range strings.Lines(string(out)) {
		if name, _, _ := strings.Cut(strings.TrimSpace(line), " "); strings.HasPrefix(name, l.machine.Name+"-") {
			l.run("ip", "netns", "del", name)
		}
	}
	if err := l.machine.Close(ctx); err != nil {
		l.t.Error(err)
	}
}

// withoutReads returns the last lines of a log that do not tell of requests
// that change nothing: the tests make many.
func withoutReads(log string, n int) string {
	lines := slices.DeleteFunc(strings.Split(log, "\n"), func(line string) bool {
		return strings.Contains(line, `op="GET `) || strings.Contains(line, "method=GET")
	})
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// run runs a program on the machine, which must succeed.
func (l *crashLab) run(name string, args ...string) string {
	l.t.Helper()
	out, err := l.machine.Output(context.Background(), name, args...)
	if err != nil {
		l.t.Error(err)
	}
	return out
}

// cidr returns one that no network has had.
func (l *crashLab) cidr() string {
	l.networks++
	return fmt.Sprintf("10.%d.%d.0/24", l.networks/256, l.networks%256)
}

// cidr6 does the same for IPv6.
func (l *crashLab) cidr6() string {
	l.networks++
	return fmt.Sprintf("fd00:%x::/64", l.networks)
}

// sandbox makes a network namespace, and returns its name.
func (l *crashLab) sandbox(name string) string {
	l.t.Helper()
	full := l.machine.Name + "-" + name
	l.run("ip", "netns", "add", full)
	l.run("ip", "-n", full, "link", "set", "lo", "up")
	return full
}

// revive starts Kuryr again if it has died, which it may be about to do.
func (l *crashLab) revive() (bool, error) {
	if killed, err := l.crashes.Killed(); err != nil || killed == "" {
		return false, err
	}
	for deadline := time.Now().Add(crashSoon); !l.kuryr.Ended(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			return false, fmt.Errorf("kuryr says that it has killed itself, and lives")
		}
	}
	return true, l.restart()
}

// restart starts a Kuryr that is not running, and no longer told to die.
func (l *crashLab) restart() error {
	err := l.crashes.Disarm()
	if err == nil {
		err = l.crashes.Forget()
	}
	if err == nil {
		err = l.kuryr.Start(context.Background())
	}
	l.started = time.Now()
	return err
}

// settle waits until Kuryr has died, or has nothing to do any more. It tells
// the points that were passed until then.
func (l *crashLab) settle(ctx context.Context, quiet time.Duration) (passed []crash.Point, err error) {
	last, why := time.Now(), "has done nothing yet"
	for ctx.Err() == nil && !l.kuryr.Ended() {
		now, err := l.crashes.Passed()
		if err != nil {
			return nil, err
		}
		killed, err := l.crashes.Killed()
		if err != nil || killed != "" {
			return now, err
		}
		if len(now) != len(passed) {
			last = time.Now()
		}
		passed = now
		if time.Since(last) > quiet && (time.Since(last) > crashAnswer || !inTheMiddle(passed)) {
			s, err := l.kuryr.Status(ctx)
			if err == nil && s.Courier.Pending == 0 {
				return passed, nil
			}
			why = fmt.Sprintf("%d removals to do, %v", s.Courier.Pending, err)
		} else {
			why = fmt.Sprintf("busy until %s ago, the last of %d points %q", time.Since(last), len(passed), passed[max(len(passed)-3, 0):])
		}
		time.Sleep(5 * time.Millisecond)
	}
	if err := ctx.Err(); err != nil {
		return passed, fmt.Errorf("kuryr does not come to rest: %w: %s", err, why)
	}
	return passed, nil
}

// inTheMiddle tells whether an effect has begun and not ended, that is, whether
// Kuryr waits for an answer.
func inTheMiddle(passed []crash.Point) bool {
	open := map[crash.Effect]int{}
	for _, p := range passed {
		if p == p.Effect().Before() {
			open[p.Effect()]++
		} else {
			open[p.Effect()]--
		}
	}
	for _, n := range open {
		if n > 0 {
			return true
		}
	}
	return false
}

// goroutines tells what Kuryr is doing, if it runs.
func (l *crashLab) goroutines(ctx context.Context) string {
	out, err := l.kuryr.Goroutines(ctx)
	if err != nil {
		return err.Error()
	}
	return out
}

// left is what an inventory has beside, or lacks of, another, but for what is known.
func (l *crashLab) left(ctx context.Context, before testkit.Inventory) ([]string, error) {
	now, err := l.take(ctx)
	if err != nil {
		return nil, err
	}
	for line := range l.late {
		if !slices.Contains(now, line) {
			delete(l.late, line)
		}
	}
	return slices.DeleteFunc(before.Diff(now), func(line string) bool {
		_, known := l.late[strings.TrimPrefix(line, "+ ")]
		return known && line[0] == '+'
	}), nil
}

// check sees that all is as it was before. What is left after a moment is
// remembered, to be gone in time; what is missing must come back soon.
func (l *crashLab) check(ctx context.Context, trial string, before testkit.Inventory) {
	l.t.Helper()
	for began := time.Now(); ; time.Sleep(crashPoll) {
		diff, err := l.left(ctx, before)
		if err == nil && len(diff) == 0 {
			return
		}
		missing := slices.ContainsFunc(diff, func(line string) bool { return line[0] == '-' })
		switch age := time.Since(began); {
		case err == nil && !missing && age > crashMoment:
			for _, line := range diff {
				l.late[strings.TrimPrefix(line, "+ ")] = crashDebt{since: l.started, trial: trial}
			}
			return
		case age > crashSoon:
			l.t.Errorf("%s: after %s this is missing (-), or left (+): %v %q", trial, crashSoon, err, diff)
			return
		}
	}
}

// collect waits until nothing is left of what crashes had left to time.
func (l *crashLab) collect(before testkit.Inventory) {
	l.t.Helper()
	if len(l.late) == 0 {
		return
	}
	l.t.Logf("%d things were left to time", len(l.late))
	ctx, cancel := context.WithTimeout(context.Background(), crashPromise+crashWait)
	defer cancel()
	for deadline := l.started.Add(crashPromise); len(l.late) > 0; time.Sleep(crashPoll) {
		if _, err := l.left(ctx, before); err != nil {
			l.t.Errorf("cannot tell what is left: %v", err)
			return
		}
		if time.Now().After(deadline) {
			break
		}
	}
	for line, debt := range l.late {
		l.t.Errorf("%s after the last start, this is left of a crash %s: %s", crashPromise, debt.trial, line)
	}
}

// staying has something removed with the lab that its trials leave alone: a
// container of a network, or the network itself.
func (l *crashLab) staying(n *crashNetwork, of ...*crashContainer) {
	if len(of) == 0 {
		l.stays = append(l.stays, func(ctx context.Context) error { return l.engine.removeNetwork(ctx, n) })
	}
	for _, c := range of {
		l.stays = append(l.stays, func(ctx context.Context) error { return l.engine.stop(ctx, c) })
	}
}
