package chaos

import (
	"bufio"
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

const (
	// crashWait bounds one operation with its crash and what follows at once.
	crashWait = 60 * time.Second
	// crashQuiet is how long Kuryr has to pass no point to be taken for idle:
	// nothing that is to follow waits for longer, but for what lingers or expires.
	crashQuiet = 50 * time.Millisecond
	// crashQuieter is the same where a point is waited for that was passed before.
	crashQuieter = 500 * time.Millisecond
	// crashMoment is how long a check waits before what is left counts as left to
	// time: most of what a crash leaves goes within milliseconds of the start.
	crashMoment = 400 * time.Millisecond
	// crashSoon is how long what must be there may be missing after a start.
	crashSoon = 10 * time.Second
	// crashPromise is Kuryr's: so long after everything is back nothing is left.
	// Some more for a busy machine.
	crashPromise = 60*time.Second + 15*time.Second
)

// crashLab is a machine with a Kuryr that can be told where to die, an engine's
// side of the protocol, and two containers that talk all the time.
type crashLab struct {
	t       *testing.T
	machine *testkit.Machine
	kuryr   *testkit.Kuryr
	crashes testkit.Crashes
	engine  *crashEngine

	started   time.Time    // of Kuryr, last
	ovs       *crashSwitch // nil: ports are on Linux bridges
	bystander *crashBystander
	networks  int                  // that have a CIDR of their own
	lasts     time.Duration        // how long Kuryr may be idle in the middle of the operation
	late      map[string]crashDebt // what a crash left to time, by its line of an inventory
}

// crashDebt is what may be there for a while.
type crashDebt struct {
	since time.Time
	trial string
}

// newCrashLab makes one; it is taken down with the test.
func newCrashLab(t *testing.T, binary string, op crashOperation) *crashLab {
	t.Helper()
	m, err := testkit.NewMachine(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	dir := m.Path("crash")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	l := &crashLab{t: t, machine: m, crashes: testkit.NewCrashes(dir), late: map[string]crashDebt{}, lasts: crashQuieter}
	if op.lasts > 0 {
		l.lasts = op.lasts
	}
	t.Cleanup(l.close)
	// dockerd's chain, without dockerd.
	for _, tool := range []string{"iptables", "ip6tables"} {
		l.run(tool, "-N", "DOCKER-USER")
	}
	config := op.config + testkit.NoPortPools
	if op.pools {
		config = op.config + crashPools
	}
	o := testkit.KuryrOptions{Config: config, Env: []string{l.crashes.Env()}}
	if op.ovs != nil {
		l.ovs = l.newCrashSwitch(binary, op.ovs, &o)
	}
	l.kuryr, err = testkit.StartKuryr(t.Context(), m, binary, o)
	if err != nil {
		t.Fatal(err)
	}
	l.started = time.Now()
	l.engine = &crashEngine{machine: m, plugin: testkit.NewPlugin(l.kuryr.PluginSocket()), revive: l.revive, odd: t.Errorf}
	return l
}

func (l *crashLab) close() {
	ctx, cancel := context.WithTimeout(context.Background(), crashWait)
	defer cancel()
	if l.t.Failed() && l.kuryr != nil {
		l.t.Logf("the end of kuryr's log:\n%s", withoutReads(l.kuryr.Log(400), 60))
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
	last := time.Now()
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
		if time.Since(last) > quiet {
			s, err := l.kuryr.Status(ctx)
			if err == nil && s.Courier.Pending == 0 {
				return passed, nil
			}
		}
		time.Sleep(5 * time.Millisecond)
	}
	return passed, ctx.Err()
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
	for began := time.Now(); ; time.Sleep(50 * time.Millisecond) {
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
	for deadline := l.started.Add(crashPromise); len(l.late) > 0; time.Sleep(200 * time.Millisecond) {
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

// crashBystander is two containers on a network of their own that ping each
// other for as long as the lab is there.
type crashBystander struct {
	network crashNetwork
	a, b    crashContainer
	ports   map[string]string // their status by ID
	silent  chan string
	delays  []string // packets that were not answered at once, by trial
	stop    func() error
}

// bystand starts the bystanders.
func (l *crashLab) bystand(ctx context.Context) {
	l.t.Helper()
	b := &crashBystander{network: crashNetwork{pools: []crashPool{{wish: "10.250.0.0/24"}}}, silent: make(chan string, 1000)}
	if err := l.engine.createNetwork(ctx, &b.network); err != nil {
		l.t.Fatal(err)
	}
	b.a = crashContainer{network: &b.network, sandbox: l.sandbox("alice"), ifname: "eth0"}
	b.b = crashContainer{network: &b.network, sandbox: l.sandbox("bob"), ifname: "eth0"}
	for _, c := range []*crashContainer{&b.a, &b.b} {
		if err := l.engine.start(ctx, c); err != nil {
			l.t.Fatal(err)
		}
	}
	target, _, _ := strings.Cut(b.b.addresses[0], "/")
	for deadline := time.Now().Add(crashSoon); ; {
		if _, err := l.machine.Output(ctx, "ip", "netns", "exec", b.a.sandbox, "ping", "-c", "1", "-W", "1", target); err == nil {
			break
		} else if time.Now().After(deadline) {
			l.t.Fatal(err)
		}
	}
	if _, err := l.settle(ctx, crashQuieter); err != nil {
		l.t.Fatal(err)
	}
	b.ports = map[string]string{}
	for _, p := range l.ports(ctx) {
		b.ports[p.ID] = p.Status
		if l.ovs == nil && p.Status != "ACTIVE" {
			l.t.Errorf("a running container's port is %s", p.Status)
		}
	}
	// -O tells of each packet that was not answered before the next one: lost,
	// as the sum will say, or late on a busy machine.
	cmd := l.machine.Command(context.Background(), "ip", "netns", "exec", b.a.sandbox, "ping", "-O", "-i", "0.2", target)
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		l.t.Fatal(err)
	}
	go func() {
		for s := bufio.NewScanner(out); s.Scan(); {
			if strings.Contains(s.Text(), "no answer") || strings.Contains(s.Text(), "packet loss") {
				b.silent <- s.Text()
			}
		}
		close(b.silent)
	}()
	b.stop = func() error {
		if err := cmd.Process.Signal(os.Interrupt); err != nil {
			return err
		}
		return cmd.Wait()
	}
	l.bystander = b
}

func (l *crashLab) ports(ctx context.Context) []testkit.Port {
	l.t.Helper()
	ports, err := l.kuryr.Neutron.Ports(ctx, "")
	if err != nil {
		l.t.Error(err)
	}
	return ports
}

// undisturbed sees that the bystanders have lost nothing.
func (l *crashLab) undisturbed(ctx context.Context, trial string) {
	l.t.Helper()
	if l.bystander == nil {
		return
	}
	for quiet := false; !quiet; {
		select {
		case line := <-l.bystander.silent:
			l.bystander.delays = append(l.bystander.delays, trial+": "+line)
		default:
			quiet = true
		}
	}
	for deadline := time.Now().Add(crashSoon); ; time.Sleep(25 * time.Millisecond) {
		same := 0
		for _, p := range l.ports(ctx) {
			if status, theirs := l.bystander.ports[p.ID]; theirs && status == p.Status {
				same++
			}
		}
		if same == len(l.bystander.ports) {
			return
		}
		if time.Now().After(deadline) {
			l.t.Errorf("%s: %d of the %d ports of running containers have the status that they had", trial, same, len(l.bystander.ports))
			return
		}
	}
}

// dismiss ends the bystanders, and tells how many packets they sent, none of
// which may be lost.
func (l *crashLab) dismiss() {
	l.t.Helper()
	if l.bystander == nil {
		return
	}
	if err := l.bystander.stop(); err != nil {
		l.t.Errorf("the bystanders' ping: %v", err)
	}
	for line := range l.bystander.silent {
		if !strings.Contains(line, "packet loss") {
			continue
		}
		if !strings.Contains(line, " 0% packet loss") {
			l.t.Errorf("between two running containers: %s; %q", line, l.bystander.delays)
			continue
		}
		l.t.Logf("between two running containers: %s", line)
	}
}
