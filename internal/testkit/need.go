package testkit

import (
	"os"
	"testing"
)

// NeedRoot skips a test that can't run without root.
func NeedRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root, for network namespaces and a Docker engine")
	}
}
