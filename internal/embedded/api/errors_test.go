package api_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"kuryr/internal/embedded/api"
	"kuryr/internal/embedded/store"
)

// TestBrokenOffRequestIsNoErrorInTheLog: a client that has gone, or that stops,
// is no trouble of the server's. What is, is told.
func TestBrokenOffRequestIsNoErrorInTheLog(t *testing.T) {
	gone, leave := context.WithCancel(t.Context())
	leave()
	for _, tt := range []struct {
		name   string
		ctx    context.Context
		method string
		closed bool // the store is
		told   bool
	}{
		{"a read that was broken off", gone, "GET", false, false},
		{"a change that was broken off", gone, "POST", false, false},
		{"a read that fails", t.Context(), "GET", true, true},
		{"a change that fails", t.Context(), "POST", true, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, err := store.Open(store.Options{Path: filepath.Join(t.TempDir(), "neutron.db"), Host: "h1"})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = s.Close() }) // again, in some cases
			if tt.closed {
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
			}
			var log bytes.Buffer
			h := api.New(s, api.Options{Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
			rec := httptest.NewRecorder()
			h.ServeHTTP(rec, httptest.NewRequestWithContext(tt.ctx, tt.method, "/v2.0/networks", strings.NewReader(`{"network":{}}`)))
			if rec.Code < 500 {
				t.Fatalf("status %d, of a request that was to fail", rec.Code)
			}
			if !strings.Contains(log.String(), `msg="request failed"`) {
				t.Errorf("not even at level DEBUG is it told:\n%s", &log)
			}
			if told := strings.Contains(log.String(), "level=ERROR") || strings.Contains(log.String(), "level=WARN"); told != tt.told {
				t.Errorf("told as trouble: %t, want %t:\n%s", told, tt.told, &log)
			}
		})
	}
}
