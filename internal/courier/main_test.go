package courier_test

import (
	"flag"
	"os"
	"testing"
)

// TestMain lets many parallel tests run at once: they wait for retries and
// disks, not for processors.
func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", "16"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}
