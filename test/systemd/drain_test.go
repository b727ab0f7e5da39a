package systemd

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"kuryr/internal/testkit"
)

// lockedText takes what a program prints while the test may look at it.
type lockedText struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lockedText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *lockedText) has(text string) error {
	if now := l.String(); !strings.Contains(now, text) {
		return fmt.Errorf("it says %q", now)
	}
	return nil
}

// drained is what kuryr drain -o json prints.
type drained struct {
	Drained     bool
	Since       *time.Time
	Attachments int
	Pending     int `json:"pending_removals"`
}

// drain runs kuryr drain.
func (h *host) drain(args ...string) string {
	h.t.Helper()
	out, err := h.Output(h.t.Context(), append([]string{"kuryr", "drain"}, args...)...)
	if err != nil {
		h.t.Fatal(err)
	}
	return out
}

// refused starts a container, which must fail with one line that says why.
func (h *host) refused(e *testkit.Engine) {
	h.t.Helper()
	out, err := e.Docker(h.t.Context(), "run", "--rm", "--network", "blue", testkit.Image, "true")
	var ce *testkit.CommandError
	if !errors.As(err, &ce) {
		h.t.Fatalf("a container started on a drained host: %s %v", out, err)
	}
	const want = "on network kuryr-net-"
	const why = ": this host is being drained: no container is started here (start it on another host, or end that with: kuryr drain --undo)"
	if !strings.Contains(ce.Stderr, want) || !strings.Contains(ce.Stderr, why) {
		h.t.Errorf("docker says\n%s\nwant %q and %q in it", ce.Stderr, want, why)
	}
}

func TestDrain(t *testing.T) {
	h := newHost(t)
	e := h.engine()
	before, err := h.Kuryr.Take(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	h.docker(e, "network", "create", "-d", "kuryr", "--ipam-driver", "kuryr", "--subnet", "10.10.0.0/24", "blue")
	for _, name := range []string{"one", "two"} {
		h.docker(e, "run", "-d", "--name", name, "--network", "blue", testkit.Image, "sleep", "inf")
	}

	// What is to be removed are ports that were kept ready.
	says := regexp.MustCompile(` is drained: no container is started on it; 2 container interfaces and \d+ removals? left$`)
	if got := h.drain(); !says.MatchString(got) {
		t.Errorf("kuryr drain says %q", got)
	}
	h.refused(e)
	first := decode[drained](t, h.drain("-o", "json"))
	if !first.Drained || first.Since == nil || first.Attachments != 2 {
		t.Errorf("drained again: %+v", first)
	}

	h.systemctl("restart", "kuryr.service")
	h.refused(e)
	if again := decode[drained](t, h.drain("-o", "json")); again.Since == nil || !again.Since.Equal(*first.Since) {
		t.Errorf("after a restart it is drained since %v, not %v", again.Since, first.Since)
	}
	if status := h.property("kuryr.service", "StatusText"); status != "Drained: no container is started on this host" {
		t.Errorf("systemctl status says %q", status)
	}
	const why = "drain: this host is being drained since "
	if out, err := h.Output(t.Context(), "kuryr", "status"); err != nil || !strings.Contains(out, "  failed  "+why) {
		t.Errorf("kuryr status does not say so: %v\n%s", err, out)
	}
	if err := h.Kuryr.Ready(t.Context()); err == nil || !strings.Contains(err.Error(), "503 "+http.StatusText(http.StatusServiceUnavailable)+": "+why) {
		t.Errorf("readyz: %v", err)
	}
	// What runs goes on, and can go.
	h.docker(e, "exec", "one", "ping", "-c", "1", "-W", "5", h.docker(e, "inspect", "-f", "{{.NetworkSettings.Networks.blue.IPAddress}}", "two"))
	waiting := h.Command(t.Context(), "kuryr", "drain", "--wait")
	var progress lockedText
	waiting.Stderr = &progress
	if err := waiting.Start(); err != nil {
		t.Fatal(err)
	}
	h.within("--wait tells what is left", func() error { return progress.has("2 container interfaces and 0 removals left\n") })
	h.docker(e, "rm", "--force", "one")
	h.within("--wait tells that it is less", func() error { return progress.has("1 container interface and ") })
	h.docker(e, "stop", "--time", "0", "two")
	if err := waiting.Wait(); err != nil {
		t.Errorf("--wait: %v: %s", err, &progress)
	}
	h.refused(e)

	if got := h.drain("--undo"); !strings.HasSuffix(got, " is not drained: containers are started on it") {
		t.Errorf("kuryr drain --undo says %q", got)
	}
	h.systemctl("restart", "kuryr.service")
	h.docker(e, "start", "two")
	if err := h.Kuryr.Ready(t.Context()); err != nil {
		t.Error(err)
	}
	h.docker(e, "rm", "--force", "two")
	h.docker(e, "network", "rm", "blue")
	h.Kuryr.AssertNothingLeft(t, before, patience)
}
