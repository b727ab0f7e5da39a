package ovsdb_test

import (
	"context"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestWhyAllAreRefused: of calls that wait for each other each says why the
// database can't be reached, also those whose time is over before their turn.
func TestWhyAllAreRefused(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "db.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close() // the socket stays, and nobody serves it
	c := newClient(t, "unix:"+path)
	var all sync.WaitGroup
	for i := range 6 {
		all.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			_, err := c.AddPort(ctx, port(i))
			if err == nil || !strings.Contains(err.Error(), "nobody serves that socket") || strings.Contains(err.Error(), "\n") {
				t.Errorf("call %d: %v", i, err)
			}
		})
	}
	all.Wait()
}
