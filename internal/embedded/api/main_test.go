package api_test

import (
	"log/slog"
	"net/http"
	"path/filepath"
	"testing"

	"kuryr/internal/embedded/api"
	"kuryr/internal/embedded/store"
)

// newAPI returns an API over an empty state.
func newAPI(t testing.TB, host string, mtu int) http.Handler {
	t.Helper()
	s, err := store.Open(store.Options{Path: filepath.Join(t.TempDir(), "neutron.db"), Host: host, MTU: mtu, Enforce: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return api.New(s, api.Options{Log: slog.New(slog.DiscardHandler)})
}
