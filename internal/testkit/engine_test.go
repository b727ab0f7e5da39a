package testkit

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A machine's engine runs containers, survives being killed, and leaves no
// process, mount, namespace or file.
func TestEngine(t *testing.T) {
	NeedRoot(t)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	m, err := NewMachine(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(context.Background()); err != nil {
			t.Error(err)
		}
		checkGone(t, m)
	})
	e, err := StartEngine(ctx, m, EngineOptions{})
	if err != nil {
		t.Fatal(err)
	}
	out, err := e.Docker(ctx, "run", "--rm", Image, "ip", "-o", "address", "show", "dev", "eth0")
	if err != nil || !strings.Contains(out, "172.17.0.2/16") {
		t.Errorf("the address of a container on the default bridge: %q, %v", out, err)
	}
	if _, err := e.Docker(ctx, "run", "--detach", "--name", "stays", Image); err != nil {
		t.Fatal(err)
	}
	if err := e.Kill(); err != nil {
		t.Fatal(err)
	}
	if pids, err := processesOf(m.Dir); err != nil || len(pids) == 0 {
		t.Errorf("processes after the engine was killed: %v, %v; want the container's", pids, err)
	}
	if err := e.Start(ctx, EngineOptions{LiveRestore: true}); err != nil {
		t.Fatal(err)
	}
	if out, err := e.Docker(ctx, "ps", "--quiet", "--filter", "name=stays"); err != nil || out == "" {
		t.Errorf("with live-restore the container is gone: %q, %v", out, err)
	}
	// The machine's Close must cope with what still runs.
	if err := e.Kill(); err != nil {
		t.Error(err)
	}
}

// What an aborted run left is removed by the next.
func TestSweep(t *testing.T) {
	NeedRoot(t)
	ctx := t.Context()
	abandoned, err := NewMachine(ctx)
	if err != nil {
		t.Fatal(err)
	}
	p, err := start(abandoned.Command(ctx, "tail", "-f", abandoned.Path("owner")), abandoned.Path("log"))
	if err != nil {
		t.Fatal(err)
	}
	// PID 0 is nobody's: the owner is dead.
	if err := os.WriteFile(abandoned.Path("owner"), []byte("0 1"), 0o600); err != nil {
		t.Fatal(err)
	}
	m, err := NewMachine(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Close(ctx); err != nil {
		t.Error(err)
	}
	select {
	case <-p.exited:
		if p.err == nil {
			t.Error("the abandoned process ended by itself, not by SIGKILL")
		}
	case <-time.After(10 * time.Second):
		p.kill()
		t.Error("the abandoned process lives on")
	}
	checkGone(t, abandoned)
	checkGone(t, m)
}

func checkGone(t *testing.T, m *Machine) {
	t.Helper()
	for _, path := range []string{m.Dir, filepath.Join(netnsDir, m.Name)} {
		if exists(path) {
			t.Errorf("%s is left", path)
		}
	}
	if pids, err := processesOf(m.Dir); err != nil || len(pids) > 0 {
		t.Errorf("processes %v of %s are left (%v)", pids, m.Dir, err)
	}
	if b, err := os.ReadFile("/proc/self/mountinfo"); err != nil || strings.Contains(string(b), m.Dir) {
		t.Errorf("mounts below %s are left (%v)", m.Dir, err)
	}
}
