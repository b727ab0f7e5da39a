// Package chaos holds the proof of Kuryr's promise: whatever dies and
// whenever, containers that run keep their network, and some time after
// everything is back there is exactly what there should be.
//
// Its tests kill Kuryr, the Docker engine and Neutron, and break what goes on
// between them, on machines of their own (testkit.Machine). What must be there
// in the end they ask the engine, which is the one that was promised something,
// and compare it with Neutron, with the kernel, with Open vSwitch and with
// Kuryr's journal.
package chaos

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"

	"kuryr/internal/testkit"
)

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	code := m.Run()
	if err := os.RemoveAll(product.dir); err != nil {
		fmt.Fprintln(os.Stderr, "cannot remove the binary of the tests:", err)
		return 1
	}
	return code
}

// product is the kuryr that all tests of this run put on their machines. A test
// binary is the one place where tests can share it.
var product struct {
	once   sync.Once
	dir    string // where it lies; "": it was not needed
	binary string
	err    error
}

// binary returns the path of the kuryr under test, built at first use. With
// KURYR_TEST_RACE=1 it has the race detector.
func binary(t *testing.T) string {
	t.Helper()
	testkit.NeedRoot(t)
	product.once.Do(func() {
		if product.dir, product.err = os.MkdirTemp("", "kuryrbin-"); product.err != nil {
			return
		}
		product.binary, product.err = testkit.Build(context.Background(), product.dir, os.Getenv("KURYR_TEST_RACE") == "1")
	})
	if product.err != nil {
		t.Fatal(product.err)
	}
	return product.binary
}
