// Package systemd holds the tests of Kuryr's units, packaging/systemd, under a
// real systemd, which is process 1 of namespaces of its own
// (testkit.StartSystemd): what it makes of the units, the restrictions that
// Kuryr works within, and what restarts do to callers and traffic.
package systemd

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"kuryr/internal/testkit"
)

const (
	units    = "../../packaging/systemd"
	patience = 60 * time.Second
)

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	code := m.Run()
	if binary.dir != "" {
		if err := os.RemoveAll(binary.dir); err != nil {
			code = 1
		}
	}
	return code
}

// binary is what the tests of this run have in common: it is built once.
var binary struct {
	once sync.Once
	dir  string
	path string
	err  error
}

func build(t *testing.T) string {
	t.Helper()
	binary.once.Do(func() {
		if binary.dir, binary.err = os.MkdirTemp("", "kuryrbin-"); binary.err == nil {
			binary.path, binary.err = testkit.Build(context.Background(), binary.dir, false)
		}
	})
	if binary.err != nil {
		t.Fatal(binary.err)
	}
	return binary.path
}

// host is a machine with a systemd that runs Kuryr, in the hands of one test.
type host struct {
	*testkit.Systemd
	t *testing.T
}

// newMachine is one that ends with the test.
func newMachine(t *testing.T) *testkit.Machine {
	t.Helper()
	testkit.NeedRoot(t)
	m, err := testkit.NewMachine(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return m
}

func newHost(t *testing.T) *host {
	t.Helper()
	return newHostOn(t, newMachine(t), testkit.SystemdOptions{})
}

// newHostOn makes a machine a host.
func newHostOn(t *testing.T, m *testkit.Machine, o testkit.SystemdOptions) *host {
	t.Helper()
	s, err := testkit.StartSystemd(t.Context(), m, build(t), units, o)
	if err != nil {
		t.Fatal(err)
	}
	h := &host{s, t}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the end of kuryr's log:\n%s", s.Kuryr.Log(40))
			t.Logf("the end of systemd's log:\n%s", s.Log(40))
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	h.within("kuryr is ready", func() error { return s.Kuryr.Ready(t.Context()) })
	return h
}

// within fails the test unless f succeeds in time.
func (h *host) within(what string, f func() error) {
	h.t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			h.t.Fatalf("within %s: %s: %v", patience, what, err)
		}
	}
}

// systemctl must succeed.
func (h *host) systemctl(args ...string) string {
	h.t.Helper()
	out, err := h.Systemctl(h.t.Context(), args...)
	if err != nil {
		h.t.Fatalf("%v\n%s", err, out)
	}
	return out
}

// property is what systemctl show says.
func (h *host) property(unit, name string) string {
	h.t.Helper()
	out, err := h.Property(h.t.Context(), unit, name)
	if err != nil {
		h.t.Fatal(err)
	}
	return out
}

// is waits until a unit is in a state.
func (h *host) is(unit, state string) {
	h.t.Helper()
	h.within(unit+" is "+state, func() error {
		if got := h.property(unit, "ActiveState"); got != state {
			return errors.New("it is " + got)
		}
		return nil
	})
}

// configure writes a drop-in for kuryr.service and has systemd read it.
func (h *host) configure(name, text string) {
	h.t.Helper()
	if err := h.Replace(h.t.Context(), "/etc/systemd/system/kuryr.service.d/"+name, []byte(text), 0o644); err != nil {
		h.t.Fatal(err)
	}
	h.systemctl("daemon-reload")
}

// call is one that needs its body, and changes nothing.
func (h *host) call(ctx context.Context, p *testkit.Plugin) error {
	err := p.Call(ctx, "IpamDriver.RequestPool", map[string]string{"Pool": "192.0.2.0/33"}, nil)
	if err == nil || !strings.Contains(err.Error(), "192.0.2.0/33") {
		return errors.Join(errors.New("a call was lost"), err)
	}
	return nil
}

// status is a line of the daemon's /proc/PID/status.
func (h *host) status(pid, key string) string {
	h.t.Helper()
	out, err := h.Output(h.t.Context(), "cat", filepath.Join("/proc", pid, "status"))
	if err != nil {
		h.t.Fatal(err)
	}
	for line := range strings.Lines(out) {
		if value, ok := strings.CutPrefix(line, key+":"); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// decode reads JSON that must be well-formed.
func decode[T any](t *testing.T, text string) T {
	t.Helper()
	var v T
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return v
}
