// Package docker holds the end-to-end tests of Kuryr under a real Docker
// engine: the docker client on one side, Neutron's API and the kernel on the
// other, nothing in between replaced.
//
// Each test has a machine to itself (see testkit.Machine), on which a Docker
// engine and a Kuryr run, and gives it back as it found it: that nothing is
// left is checked after every test, within 5 seconds.
package docker

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"kuryr/internal/testkit"
)

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	code := m.Run()
	if err := fleet.close(); err != nil {
		fmt.Fprintln(os.Stderr, "cannot remove the machines of the tests:", err)
		return 1
	}
	return code
}

// The machines of this run. A test binary is the one place where tests can
// share them.
var fleet machines

// machines keeps the machines that no test uses at the moment, and the binary
// that runs on them. Its mutex guards all of it.
type machines struct {
	mu     sync.Mutex
	binary string // kuryr, built at first use
	dir    string // where it lies
	idle   []*host
}

// take returns a machine of the plain kind, an idle one or a new one.
func (f *machines) take(ctx context.Context) (*host, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if n := len(f.idle); n > 0 {
		h := f.idle[n-1]
		f.idle = f.idle[:n-1]
		return h, nil
	}
	if err := f.build(ctx); err != nil {
		return nil, err
	}
	return startHost(ctx, f.binary, testkit.KuryrOptions{})
}

// special returns a new machine, whose Kuryr has these options.
func (f *machines) special(ctx context.Context, o testkit.KuryrOptions) (*host, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.build(ctx); err != nil {
		return nil, err
	}
	return startHost(ctx, f.binary, o)
}

// bare returns a new machine that has an engine and no Kuryr yet.
func (f *machines) bare(ctx context.Context) (*host, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.build(ctx); err != nil {
		return nil, err
	}
	return startEngine(ctx)
}

// engineless returns a new machine that has neither an engine nor a Kuryr.
func (f *machines) engineless(ctx context.Context) (*host, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.build(ctx); err != nil {
		return nil, err
	}
	m, err := testkit.NewMachine(ctx)
	return &host{machine: m}, err
}

// build builds kuryr, once. With KURYR_TEST_RACE=1 it has the race detector.
func (f *machines) build(ctx context.Context) error {
	if f.binary != "" {
		return nil
	}
	dir, err := os.MkdirTemp("", "kuryrbin-")
	if err != nil {
		return err
	}
	f.dir = dir
	f.binary, err = testkit.Build(ctx, dir, os.Getenv("KURYR_TEST_RACE") == "1")
	return err
}

func (f *machines) giveBack(h *host) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.idle = append(f.idle, h)
}

func (f *machines) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, h := range f.idle {
		if err := h.close(ctx); err != nil {
			return err
		}
	}
	return os.RemoveAll(f.dir)
}
