package testkit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Engine is a Docker engine of a machine's own: its data, its sockets and its
// network are in the machine's directory and namespace.
type Engine struct {
	Machine *Machine
	docker  string // the client
	dockerd string
	socket  string   // where it listens
	proc    *process // nil: it was running before
}

// EngineOptions of one start of the engine.
type EngineOptions struct {
	LiveRestore bool // containers go on running while the engine does not
	// Etc is a folder that the engine sees in place of /etc, where it looks for
	// plugins' discovery files. "": the real one.
	Etc string
	// Plugins is a folder that it sees in place of that of plugins' sockets. "":
	// the real one.
	Plugins string
}

// engineReady is how long an engine may take to answer. One that starts with
// containers of its last life removes them first.
const engineReady = 60 * time.Second

// StartEngine starts an engine on the machine, with Image in it.
func StartEngine(ctx context.Context, m *Machine, o EngineOptions) (*Engine, error) {
	if err := MountCgroups(); err != nil {
		return nil, err
	}
	dockerd, err := exec.LookPath("dockerd")
	if err != nil {
		return nil, err
	}
	e := &Engine{Machine: m, dockerd: dockerd, docker: "docker", socket: m.Path("docker.sock")}
	// The client of the same package, where another one is earlier in PATH.
	if own := filepath.Join("/usr/bin", "docker"); strings.HasPrefix(dockerd, "/usr/") && exists(own) {
		e.docker = own
	}
	// An empty file, so that the real machine's settings do not apply.
	if err := os.WriteFile(m.Path("daemon.json"), []byte("{}\n"), 0o600); err != nil {
		return nil, err
	}
	if err := e.Start(ctx, o); err != nil {
		return nil, err
	}
	if err := e.importImage(ctx); err != nil {
		return nil, errors.Join(err, e.Close(ctx))
	}
	return e, nil
}

// RunningEngine is the engine that listens on a socket of the real machine. It
// gets Image.
func RunningEngine(ctx context.Context, m *Machine, socket string) (*Engine, error) {
	e := &Engine{Machine: m, docker: "docker", socket: socket}
	if err := e.Get(ctx, "/version", nil); err != nil {
		return nil, err
	}
	return e, e.importImage(ctx)
}

// Start starts the engine again after Stop or Kill, with its earlier data.
func (e *Engine) Start(ctx context.Context, o EngineOptions) error {
	m := e.Machine
	// The daemon outlives the context of whoever starts it.
	cmd := m.Command(context.WithoutCancel(ctx), e.dockerd,
		"--host", "unix://"+e.socket, "--pidfile", m.Path("docker.pid"),
		"--data-root", m.Path("data"), "--exec-root", m.Path("exec"),
		"--config-file", m.Path("daemon.json"),
		"--log-level", "warn")
	if o.LiveRestore {
		cmd.Args = append(cmd.Args, "--live-restore")
	}
	for place, folder := range map[string]string{"/etc": o.Etc, pluginDir: o.Plugins} {
		if folder != "" {
			// Each of these turns into the next, so that the process stays the command's own.
			i := slices.Index(cmd.Args, e.dockerd)
			cmd.Args = slices.Insert(cmd.Args, i, "unshare", "--mount", "--", "sh", "-c", `mount --bind "$0" "$1" && shift && exec "$@"`, folder, place)
		}
	}
	// A killed engine leaves its PID file; a new process with that PID would
	// keep the next one from starting.
	if err := os.Remove(m.Path("docker.pid")); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	p, err := start(cmd, m.Path("dockerd.log"))
	if err != nil {
		return err
	}
	e.proc = p
	return p.waitFor(engineReady, func() error {
		return e.Get(ctx, "/version", nil)
	})
}

// Stop ends the engine as an operator does. Its containers end with it,
// unless it runs with LiveRestore.
func (e *Engine) Stop() error { return e.proc.stop(engineReady) }

// Kill ends the engine with SIGKILL. Its containers go on running.
func (e *Engine) Kill() error {
	e.proc.kill()
	// The kernel ends containerd with its parent, but a moment later, and a dead
	// one that nobody has waited for yet looks alive: an engine started then would
	// wait for it in vain. One with no PID file is not waited for.
	pidfile := e.Machine.Path("exec/containerd/containerd.pid")
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		b, err := os.ReadFile(pidfile)
		if err != nil {
			return err
		}
		if startTime(strings.TrimSpace(string(b))) == "" {
			return os.Remove(pidfile)
		}
	}
	return errors.New("containerd outlives its engine")
}

// Close stops the engine and all its containers. Its data goes with the
// machine. An engine that was running before only loses Image.
func (e *Engine) Close(ctx context.Context) error {
	if e.proc == nil {
		_, err := e.Docker(ctx, "image", "rm", Image)
		return err
	}
	if e.proc.ended() {
		return nil
	}
	ids, err := e.Docker(ctx, "ps", "--all", "--quiet")
	if err == nil && ids != "" {
		_, err = e.Docker(ctx, append([]string{"rm", "--force"}, strings.Fields(ids)...)...)
	}
	return errors.Join(err, e.Stop())
}

// Docker runs the docker client and returns what it prints; a *CommandError
// has what it said on standard error.
func (e *Engine) Docker(ctx context.Context, args ...string) (string, error) {
	return output(e.Command(ctx, args...))
}

// Get reads a path of the engine's API into answer. It costs a fraction of
// what starting the client does.
func (e *Engine) Get(ctx context.Context, path string, answer any) error {
	c := UnixClient(e.socket)
	defer c.CloseIdleConnections()
	return getJSON(ctx, c, "http://docker"+path, answer)
}

// Call makes a request to the engine's API, of which a failure is one line in
// the engine's words. A nil body is none, a nil answer is not read.
func (e *Engine) Call(ctx context.Context, method, path string, body, answer any) error {
	c := UnixClient(e.socket)
	defer c.CloseIdleConnections()
	var text bytes.Buffer
	if body != nil {
		if err := json.NewEncoder(&text).Encode(body); err != nil {
			return err
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://docker"+path, &text)
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := c.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	said, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode >= 400 {
		var failure struct{ Message string }
		if err := json.Unmarshal(said, &failure); err != nil {
			return fmt.Errorf("%s %s: %s: %w in %q", method, path, resp.Status, err, said)
		}
		return fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, failure.Message)
	}
	if answer == nil {
		return nil
	}
	return json.Unmarshal(said, answer)
}

// Command is the docker client, not yet run.
func (e *Engine) Command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, e.docker, append([]string{"--host", "unix://" + e.socket}, args...)...)
	cmd.Env = append(quietEnv(), "DOCKER_CONFIG="+e.Machine.Path("docker-client"))
	return cmd
}

// Log returns the end of the engine's log.
func (e *Engine) Log(lines int) string { return tail(e.Machine.Path("dockerd.log"), lines) }

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
