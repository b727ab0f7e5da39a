package docker

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"kuryr/internal/observe"
)

// testLog writes to the test's own log.
func testLog(t *testing.T) *slog.Logger {
	return slog.New(slog.NewTextHandler(testWriter{t}, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

type testWriter struct{ t *testing.T }

func (w testWriter) Write(p []byte) (int, error) {
	w.t.Log(string(bytes.TrimSpace(p)))
	return len(p), nil
}

// lines collects log lines without their times.
type lines struct{ bytes.Buffer }

func (l *lines) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		switch a.Key {
		case slog.TimeKey:
			return slog.Attr{}
		case observe.Ms:
			return slog.String(observe.Ms, "T")
		case keyStack:
			return slog.Bool(keyStack, strings.Contains(a.Value.String(), "docker.(*server)"))
		}
		return a
	}}))
}
