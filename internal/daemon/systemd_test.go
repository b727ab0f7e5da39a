package daemon

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"kuryr/internal/embedded"
	"kuryr/internal/testkit"
)

// service is what systemd does for a daemon: it holds sockets, and listens to
// what the daemon tells.
type service struct {
	h     *host
	files []*os.File
	env   []string

	mu   sync.Mutex // guards said
	said []string   // every line that the daemon told
}

// newService listens to what daemons of the host tell.
func newService(h *host) *service {
	h.t.Helper()
	path := filepath.Join(h.dir, "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		h.t.Fatal(err)
	}
	s := &service{h: h, env: []string{"NOTIFY_SOCKET=" + path}}
	go func() {
		b := make([]byte, 4096)
		for {
			n, err := conn.Read(b)
			if err != nil {
				return
			}
			s.mu.Lock()
			s.said = append(s.said, strings.Split(string(b[:n]), "\n")...)
			s.mu.Unlock()
		}
	}()
	h.t.Cleanup(func() { conn.Close() })
	return s
}

// hold makes a socket and keeps it for every daemon that is started.
func (s *service) hold(path string, mode os.FileMode) {
	s.h.t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		s.h.t.Fatal(err)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err == nil {
		err = os.Chmod(path, mode)
	}
	if err != nil {
		s.h.t.Fatal(err)
	}
	s.h.t.Cleanup(func() { l.Close() })
	s.pass(l)
}

// pass hands something to every daemon that is started.
func (s *service) pass(what interface{ File() (*os.File, error) }) {
	s.h.t.Helper()
	f, err := what.File()
	if err != nil {
		s.h.t.Fatal(err)
	}
	s.h.t.Cleanup(func() { f.Close() })
	s.files = append(s.files, f)
}

// spawn starts a daemon. A shell names its PID, which is known only then.
func (s *service) spawn() *process {
	s.h.t.Helper()
	return s.h.spawnWith(func(cmd *exec.Cmd) {
		names := strings.TrimSuffix(strings.Repeat("kuryr.socket:", len(s.files)), ":")
		cmd.Path, cmd.Args = "/bin/sh", []string{"sh", "-c", `LISTEN_PID=$$ exec "$0"`, os.Args[0]}
		cmd.ExtraFiles = s.files
		cmd.Env = append(cmd.Env, s.env...)
		cmd.Env = append(cmd.Env, fmt.Sprintf("LISTEN_FDS=%d", len(s.files)), "LISTEN_FDNAMES="+names)
	})
}

func (s *service) start() *process {
	s.h.t.Helper()
	p := s.spawn()
	p.ready()
	return p
}

// heard counts a line.
func (s *service) heard(line string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, l := range s.said {
		if l == line {
			n++
		}
	}
	return n
}

func (s *service) hears(line string, times int) {
	s.h.t.Helper()
	s.h.within(10*time.Second, line, func() error {
		if n := s.heard(line); n < times {
			return fmt.Errorf("heard %d times, want %d", n, times)
		}
		return nil
	})
}

func TestSystemdIsTold(t *testing.T) {
	h := newHost(t)
	neutron, err := embedded.Open(embedded.Options{StateDir: t.TempDir(), Host: "h1", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer neutron.Close()
	h.serveNeutron(neutron.Handler())
	s := newService(h)
	s.env = append(s.env, "WATCHDOG_USEC=200000")
	p := s.start()
	s.hears("READY=1", 1)
	s.hears("STATUS=Serving Docker from the real Neutron", 1)
	s.hears("WATCHDOG=1", 3)
	p.cmd.Process.Signal(syscall.SIGHUP)
	s.hears("RELOADING=1", 1)
	s.hears("READY=1", 2)
	p.stop()
	s.hears("STOPPING=1", 1)
}

// A daemon that hangs gives no sign of life, and is silent until it is over.
func TestHangingIsNoSignOfLife(t *testing.T) {
	h := newHost(t)
	s := newService(h)
	t.Setenv("NOTIFY_SOCKET", filepath.Join(h.dir, "notify"))
	m := &manager{log: slog.New(slog.DiscardHandler)}
	var lock sync.Mutex
	looked := 0 // guarded by lock
	lock.Lock()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		m.watch(ctx, 10*time.Millisecond, func() {
			lock.Lock()
			looked++
			lock.Unlock()
		})
	}()
	time.Sleep(200 * time.Millisecond)
	if n := s.heard("WATCHDOG=1"); n > 0 {
		t.Errorf("%d signs of life of what hangs", n)
	}
	lock.Unlock()
	s.hears("WATCHDOG=1", 2)
	cancel()
	<-ended
	lock.Lock() // the last look may still be under way
	defer lock.Unlock()
	if looked < 2 {
		t.Errorf("it looked %d times, and gave two signs of life", looked)
	}
}

func TestSocketsOfSystemd(t *testing.T) {
	h := newHost(t)
	s := newService(h)
	s.hold(h.cfg.DockerSocket, 0o660)
	s.hold(h.cfg.AdminSocket, 0o600)
	for range 2 {
		p := s.start()
		p.call("Plugin.Activate", nil)
		if code, body := p.get("/readyz"); code != http.StatusOK {
			t.Errorf("readyz: %d %s", code, body)
		}
		p.stop()
		for path, mode := range map[string]os.FileMode{h.cfg.DockerSocket: 0o660, h.cfg.AdminSocket: 0o600} {
			if st, err := os.Stat(path); err != nil || st.Mode().Perm() != mode {
				t.Errorf("after the daemon's end, %s is not what systemd made: %v, %v", path, st, err)
			}
		}
	}
	p := s.start()
	if err := os.Remove(h.cfg.DockerSocket); err != nil {
		t.Fatal(err)
	}
	want := "docker socket: " + h.cfg.DockerSocket + " was removed or replaced: restart kuryr.socket\n"
	if code, body := p.get("/readyz"); code != http.StatusServiceUnavailable || body != want {
		t.Errorf("readyz without the file: %d %s", code, body)
	}
}

func TestWrongSocketsOfSystemd(t *testing.T) {
	for _, c := range []struct {
		name string
		pass func(*host, *service)
		want string
	}{
		{"another path", func(h *host, s *service) { s.hold(filepath.Join(h.dir, "other"), 0o600) },
			"cannot listen on DIR/other: kuryr.socket of systemd holds it, but it is neither docker_socket nor admin_socket"},
		{"open to all", func(h *host, s *service) { s.hold(h.cfg.DockerSocket, 0o666) },
			"cannot listen on what kuryr.socket of systemd holds: DIR/plugins/kuryr.sock is open to every user of this machine; set SocketMode=0660, or stricter"},
		{"TCP", func(h *host, s *service) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				h.t.Fatal(err)
			}
			h.t.Cleanup(func() { l.Close() })
			s.pass(l.(*net.TCPListener))
		}, "cannot listen on what kuryr.socket of systemd holds: it is no Unix stream socket that listens on a path"},
		{"datagrams", func(h *host, s *service) {
			l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(h.dir, "datagrams"), Net: "unixgram"})
			if err != nil {
				h.t.Fatal(err)
			}
			h.t.Cleanup(func() { l.Close() })
			s.pass(l)
		}, "cannot listen on what kuryr.socket of systemd holds: it is no Unix stream socket that listens on a path"},
		{"a file", func(h *host, s *service) {
			f, err := os.Open("/dev/null")
			if err != nil {
				h.t.Fatal(err)
			}
			h.t.Cleanup(func() { f.Close() })
			s.files = append(s.files, f)
		}, "cannot listen on what kuryr.socket of systemd holds: it is no socket"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHost(t)
			s := newService(h)
			c.pass(h, s)
			p := s.spawn()
			if err := p.cmd.Wait(); err == nil {
				t.Fatal("it started")
			}
			first, rest, _ := strings.Cut(p.out.String(), "\n")
			if got := strings.ReplaceAll(first, h.dir, "DIR"); got != "error: "+c.want {
				t.Errorf("it says\n%s\nwant\nerror: %s", got, c.want)
			}
			if hint := strings.TrimSpace(strings.TrimPrefix(rest, "hint:")); hint == "" {
				t.Error("it says not what to do")
			}
		})
	}
}

// caller calls the plugin again and again, as Docker's client does: over
// connections that it keeps, and again, after a pause, only when none was made.
type caller struct {
	h     *host
	again bool // a refused connection is tried again
	made  int
	lost  []error
}

func (c *caller) run(ctx context.Context, client *http.Client) {
	for ctx.Err() == nil {
		c.made++
		if err := c.call(client); err != nil {
			c.lost = append(c.lost, err)
		}
		time.Sleep(time.Millisecond) // the daemon starts beside
	}
}

func (c *caller) call(client *http.Client) error {
	// A call with a body that must arrive: without one it is refused.
	body, err := json.Marshal(object{"AddressSpace": "none", "Pool": "192.0.2.0/33"})
	if err != nil {
		return err
	}
	for deadline := time.Now().Add(15 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		resp, err := client.Post("http://plugin/IpamDriver.RequestPool", "application/json", bytes.NewReader(body))
		refused := errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ENOENT)
		if c.again && refused && time.Now().Before(deadline) {
			continue
		}
		if err != nil {
			return err
		}
		var answer struct{ Error string }
		err = json.NewDecoder(resp.Body).Decode(&answer)
		resp.Body.Close()
		if err == nil && !strings.Contains(answer.Error, "192.0.2.0/33") {
			err = errors.New(answer.Error)
		}
		return err
	}
}

const restarts = 20

// restartUnderLoad restarts a daemon again and again while four clients call
// it, and returns how many calls they made. None may be lost.
func restartUnderLoad(h *host, start func() *process, again bool) int {
	h.t.Helper()
	p := start()
	ctx, cancel := context.WithCancel(h.t.Context())
	defer cancel()
	callers := make([]*caller, 4)
	var running sync.WaitGroup
	for i := range callers {
		callers[i] = &caller{h: h, again: again}
		running.Go(func() {
			client := testkit.UnixClient(h.cfg.DockerSocket)
			defer client.CloseIdleConnections()
			callers[i].run(ctx, client)
		})
	}
	for range restarts {
		p.stop()
		p = start()
	}
	cancel()
	running.Wait()
	made := 0
	for _, c := range callers {
		made += c.made
		for _, err := range c.lost {
			h.t.Errorf("a call was lost: %v", err)
		}
	}
	return made
}

func TestRestartsLoseNoCall(t *testing.T) {
	t.Run("systemd holds the socket", func(t *testing.T) {
		h := newHost(t)
		s := newService(h)
		s.hold(h.cfg.DockerSocket, 0o660)
		t.Logf("%d calls over %d restarts", restartUnderLoad(h, s.start, false), restarts)
	})
	t.Run("without systemd", func(t *testing.T) {
		h := newHost(t)
		t.Logf("%d calls over %d restarts", restartUnderLoad(h, h.start, true), restarts)
	})
}

// A connection that waits to be accepted when a daemon without systemd stops is
// served, although nobody else is let in any more.
func TestStopServesWhoHasConnected(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	s, err := listenUnix(path, "")
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	retired := make(chan struct{})
	go func() {
		defer close(retired)
		s.retire(t.Context())
	}()
	for {
		if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
			break
		}
		time.Sleep(time.Millisecond)
	}
	select {
	case <-retired:
		t.Error("somebody waits still")
	case <-time.After(50 * time.Millisecond):
	}
	accepted, err := s.Accept()
	if err != nil {
		t.Fatal(err)
	}
	accepted.Close()
	<-retired
	if _, err := net.Dial("unix", path); !errors.Is(err, unix.ENOENT) {
		t.Errorf("dialled after the end: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
