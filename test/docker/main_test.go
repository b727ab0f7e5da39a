// Package docker holds the end-to-end tests of Kuryr under a real Docker
// engine: the docker client on one side, Neutron's API and the kernel on the
// other, nothing in between replaced.
//
// The southbound is a parameter. Plainly built the Kuryrs have their embedded
// Neutron; with the build tag openstack, the real one of the lab that
// test/openstack brings up. What can only be done to the embedded one (to kill
// it, to make its answers fail) is in files that the tag leaves out.
//
// Each test has a machine to itself (see testkit.Machine), on which a Docker
// engine and a Kuryr run, and gives it back as it found it: that nothing is
// left is checked after every test.
package docker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"

	"kuryr/internal/testkit"
)

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	code := m.Run()
	if err := leftInCommon(); err != nil {
		fmt.Fprintln(os.Stderr, "the tests left behind what hosts have in common:", err)
		code = 1
	}
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
	f.mu.Lock()
	defer f.mu.Unlock()
	var errs []error
	for _, h := range f.idle {
		errs = append(errs, h.closeInTime())
	}
	return errors.Join(append(errs, os.RemoveAll(f.dir))...)
}
