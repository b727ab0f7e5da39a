package docker

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"kuryr/internal/testkit"
)

// patience is the deadline of each command that a test runs: a hang fails
// the test with the command's name, long before the run's own deadline.
const patience = 90 * time.Second

// host is a machine with a Docker engine and a Kuryr, in the hands of one test.
type host struct {
	machine *testkit.Machine
	engine  *testkit.Engine
	kuryr   *testkit.Kuryr

	t      *testing.T
	before testkit.Inventory
	after  *[]func() // what a test wants done when its containers and networks are gone
	closed func()    // called when the host is no more; may be nil
}

// startEngine makes of a machine a host with an engine.
func startEngine(ctx context.Context, m *testkit.Machine) (h *host, err error) {
	h = &host{machine: m}
	if h.engine, err = testkit.StartEngine(ctx, m, testkit.EngineOptions{}); err != nil {
		return nil, errors.Join(err, h.close(ctx))
	}
	return h, nil
}

// startHost makes of a machine a host with an engine and a Kuryr.
func startHost(ctx context.Context, m *testkit.Machine, binary string, o testkit.KuryrOptions) (*host, error) {
	h, err := startEngine(ctx, m)
	if err != nil {
		return nil, err
	}
	if h.kuryr, err = testkit.StartKuryr(ctx, h.machine, binary, o); err != nil {
		return nil, errors.Join(err, h.close(ctx))
	}
	return h, nil
}

func (h *host) close(ctx context.Context) error {
	var errs []error
	if h.engine != nil {
		errs = append(errs, h.engine.Close(ctx))
	}
	if h.kuryr != nil {
		errs = append(errs, h.kuryr.Close())
	}
	err := errors.Join(append(errs, h.machine.Close(ctx))...)
	if h.closed != nil {
		h.closed()
	}
	return err
}

// newHost gives a test a machine, and takes it back, clean, when it is over.
// The test runs beside others.
func newHost(t *testing.T) *host {
	t.Helper()
	testkit.NeedRoot(t)
	t.Parallel()
	h, err := fleet.take(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	h.begin(t, gone, fleet.giveBack)
	return h
}

// newQuietHost is newHost for a test that runs alone, before all those that run
// beside each other.
func newQuietHost(t *testing.T) *host {
	t.Helper()
	testkit.NeedRoot(t)
	h, err := fleet.take(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	h.begin(t, gone, fleet.giveBack)
	return h
}

// newSpecialHost gives a test a machine whose Kuryr has options of its own.
func newSpecialHost(t *testing.T, o testkit.KuryrOptions) *host {
	t.Helper()
	testkit.NeedRoot(t)
	t.Parallel()
	h, err := fleet.special(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	h.begin(t, gone, func(h *host) { h.discard(t) })
	return h
}

// begin hands the machine to t. At the test's end all containers and networks
// are removed, and nothing may be left; release gets the machine then.
func (h *host) begin(t *testing.T, patience time.Duration, release func(*host)) {
	t.Helper()
	h.t = t
	if err := h.kuryr.AwaitIdle(t.Context()); err != nil {
		t.Fatal(err)
	}
	before, err := h.kuryr.Take(t.Context())
	if err != nil {
		h.discard(t)
		t.Fatal(err)
	}
	h.before, h.after = before, new([]func())
	t.Cleanup(func() {
		h.removeAll()
		h.kuryr.AssertNothingLeft(t, h.before, patience)
		for _, f := range *h.after {
			f()
		}
		if !t.Failed() {
			release(h)
			return
		}
		t.Logf("the end of kuryr's log:\n%s", h.kuryr.Log(60))
		if h.engine != nil {
			t.Logf("the end of dockerd's log:\n%s", h.engine.Log(20))
		}
		h.discard(t)
	})
}

func (h *host) discard(t *testing.T) {
	if err := h.closeInTime(); err != nil {
		t.Error(err)
	}
}

// closeInTime closes the host, whatever became of the test's own context.
func (h *host) closeInTime() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return h.close(ctx)
}

// removeAll removes all containers and networks, as a user does.
func (h *host) removeAll() {
	h.t.Helper()
	if h.engine == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var containers, networks []struct{ ID, Name string }
	if err := h.engine.Get(ctx, "/containers/json?all=1", &containers); err != nil {
		h.t.Error(err)
	}
	remove := []string{"rm", "--force"}
	for _, c := range containers {
		remove = append(remove, c.ID)
	}
	h.removeEach(remove, len(containers))
	if err := h.engine.Get(ctx, `/networks?filters={"type":["custom"]}`, &networks); err != nil {
		h.t.Error(err)
	}
	remove = []string{"network", "rm"}
	for _, n := range networks {
		remove = append(remove, n.Name)
	}
	h.removeEach(remove, len(networks))
}

// removeEach removes things if there are any. It does not end the test.
func (h *host) removeEach(command []string, things int) {
	h.t.Helper()
	if things == 0 {
		return
	}
	if _, err := h.try(command...); err != nil {
		h.t.Error(err)
	}
}

// in is the host in the hands of a subtest.
func (h *host) in(t *testing.T) *host {
	sub := *h
	sub.t = t
	return &sub
}

// take is the inventory of now.
func (h *host) take() testkit.Inventory {
	h.t.Helper()
	if err := h.kuryr.AwaitIdle(h.t.Context()); err != nil {
		h.t.Fatal(err)
	}
	return h.see()
}

// see is take, of what there is this very moment.
func (h *host) see() testkit.Inventory {
	h.t.Helper()
	now, err := h.kuryr.Take(h.t.Context())
	if err != nil {
		h.t.Fatal(err)
	}
	return now
}

// try runs the docker client.
func (h *host) try(args ...string) (string, error) {
	// Not the test's context: clean-up runs commands when that is over.
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return h.engine.Docker(ctx, args...)
}

// docker runs the docker client, which must succeed.
func (h *host) docker(args ...string) string {
	h.t.Helper()
	out, err := h.try(args...)
	if err != nil {
		h.t.Fatal(err)
	}
	return out
}

// fails runs the docker client, which must fail and say why in one line that
// contains each of the wanted texts. It returns the line.
func (h *host) fails(want []string, args ...string) string {
	h.t.Helper()
	out, err := h.try(args...)
	if err == nil {
		h.t.Fatalf("docker %s succeeded: %s", strings.Join(args, " "), out)
	}
	line := h.oneLine(err)
	for _, w := range want {
		if !strings.Contains(line, w) {
			h.t.Errorf("docker %s failed with\n\t%s\nwant %q in it", strings.Join(args, " "), line, w)
		}
	}
	return line
}

// oneLine returns the line of a docker client's failure that says why, which
// must be the only one. Docker adds lines of its own about where to read on.
func (h *host) oneLine(err error) string {
	h.t.Helper()
	var ce *testkit.CommandError
	if !errors.As(err, &ce) {
		h.t.Fatal(err)
	}
	var lines []string
	for line := range strings.Lines(ce.Stderr) {
		line = strings.TrimSpace(line)
		if line != "" && !strings.HasPrefix(line, "See 'docker") && !strings.HasPrefix(line, "time=") {
			lines = append(lines, line)
		}
	}
	if len(lines) != 1 {
		h.t.Errorf("docker says %d lines, want one:\n%s", len(lines), ce.Stderr)
	}
	return strings.Join(lines, " ")
}

// get reads a path of the engine's API.
func get[T any](h *host, path string) T {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var answer T
	if err := h.engine.Get(ctx, path, &answer); err != nil {
		h.t.Fatal(err)
	}
	return answer
}

// eventually waits, as long as a removal may take, until what is so.
func (h *host) eventually(what string, so func() bool) {
	h.t.Helper()
	h.within(gone, what, so)
}

// within waits until so, for as long as patience.
func (h *host) within(patience time.Duration, what string, so func() bool) {
	h.t.Helper()
	for deadline := time.Now().Add(patience); !so(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			h.t.Errorf("after %s it is not so that %s", patience, what)
			return
		}
	}
}

// added returns what is in now and was not in before.
func added(before, now testkit.Inventory) []string {
	return slices.DeleteFunc(before.Diff(now), func(line string) bool { return strings.HasPrefix(line, "-") })
}
