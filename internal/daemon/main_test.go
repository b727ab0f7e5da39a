package daemon

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"kuryr/internal/config"
	"kuryr/internal/courier"
	"kuryr/internal/testkit"
)

// childEnv makes the test binary a daemon with the configuration it holds.
const childEnv = "KURYR_TEST_DAEMON"

func TestMain(m *testing.M) {
	if text := os.Getenv(childEnv); text != "" {
		os.Exit(child(text))
	}
	if text := os.Getenv(neutronEnv); text != "" {
		os.Exit(neutronChild(text))
	}
	os.Exit(m.Run())
}

func child(text string) int {
	var cfg config.Config
	if err := json.Unmarshal([]byte(text), &cfg); err != nil {
		panic(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	reload := make(chan os.Signal, 1)
	signal.Notify(reload, syscall.SIGHUP)
	err := Run(ctx, cfg, Options{Log: log, Version: "test", Reload: reload, Ready: func() { fmt.Println("ready") }})
	if err != nil {
		fmt.Println("error:", err)
		fmt.Println("hint:", courier.HintOf(err))
		return 1
	}
	return 0
}

// host is a machine of one test: a network namespace, and a directory with the
// state and the sockets.
type host struct {
	t   *testing.T
	ns  *testkit.NS
	dir string
	cfg config.Config
}

func newHost(t *testing.T) *host {
	t.Helper()
	dir, err := os.MkdirTemp("", "kuryr") // short: a Unix socket's path has 107 bytes at most
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return &host{t: t, ns: testkit.NewNS(t), dir: dir, cfg: config.Config{
		Host:             "h1",
		StateDir:         filepath.Join(dir, "state"),
		DockerSocket:     filepath.Join(dir, "plugins", "kuryr.sock"),
		AdminSocket:      filepath.Join(dir, "run", "admin.sock"),
		SocketGroup:      "daemon", // has one on every Debian
		SubnetPoolPrefix: "kuryrPool",
		RequestTimeout:   20 * time.Second,
		VethDstPrefix:    "eth",
		DefaultPoolV4:    "kuryr",
		DefaultPoolV6:    "kuryr6",
	}}
}

// process is a daemon that runs on a host.
type process struct {
	h   *host
	cmd *exec.Cmd
	out lockedBuffer
	log lockedBuffer

	engine, admin *http.Client
}

// lockedBuffer takes what a process prints while the test may look at it.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// spawn starts a daemon and does not wait for anything.
func (h *host) spawn() *process {
	h.t.Helper()
	return h.spawnWith(func(*exec.Cmd) {})
}

// spawnWith is spawn of a command that is changed before it starts.
func (h *host) spawnWith(change func(*exec.Cmd)) *process {
	h.t.Helper()
	text, err := json.Marshal(h.cfg)
	if err != nil {
		h.t.Fatal(err)
	}
	p := &process{h: h, cmd: exec.Command(os.Args[0]),
		engine: testkit.UnixClient(h.cfg.DockerSocket), admin: testkit.UnixClient(h.cfg.AdminSocket)}
	p.cmd.Env = append(os.Environ(), childEnv+"="+string(text))
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.log
	change(p.cmd)
	h.ns.Do(func() { err = p.cmd.Start() })
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() {
		if p.cmd.ProcessState == nil {
			p.cmd.Process.Kill()
			p.cmd.Wait()
		}
		p.engine.CloseIdleConnections()
		p.admin.CloseIdleConnections()
		if h.t.Failed() {
			h.t.Logf("the daemon's log:\n%s", p.log.String())
		}
	})
	return p
}

// start starts a daemon and waits until it is ready.
func (h *host) start() *process {
	h.t.Helper()
	p := h.spawn()
	p.ready()
	return p
}

func (p *process) ready() {
	p.h.t.Helper()
	p.h.within(15*time.Second, "the daemon is ready", func() error {
		if p.out.String() != "ready\n" {
			return errors.New("it is not: " + p.out.String())
		}
		return nil
	})
}

func (p *process) kill() {
	p.cmd.Process.Kill()
	p.cmd.Wait()
}

// stop ends the daemon as an operator does, and wants it to end well.
func (p *process) stop() {
	p.h.t.Helper()
	p.cmd.Process.Signal(syscall.SIGTERM)
	if err := p.cmd.Wait(); err != nil {
		p.h.t.Errorf("the daemon ended with %v: %s", err, p.out.String())
	}
}

// within fails the test unless f succeeds before d is over.
func (h *host) within(d time.Duration, what string, f func() error) {
	h.t.Helper()
	for deadline := time.Now().Add(d); ; time.Sleep(20 * time.Millisecond) {
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			h.t.Fatalf("within %v: %s: %v", d, what, err)
		}
	}
}

// object is a JSON object.
type object map[string]any

// try calls the plugin as Docker does.
func (p *process) try(method string, request object) (object, error) {
	body, err := json.Marshal(request)
	if err != nil {
		return nil, err
	}
	resp, err := p.engine.Post("http://plugin/"+method, "application/json", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	answer := object{}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		return nil, fmt.Errorf("%s: %s: %w", method, resp.Status, err)
	}
	if answer["Err"] != nil || resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s: %v", method, resp.Status, answer["Err"])
	}
	return answer, nil
}

func (p *process) call(method string, request object) object {
	p.h.t.Helper()
	answer, err := p.try(method, request)
	if err != nil {
		p.h.t.Fatal(err)
	}
	return answer
}

// get reads from the admin API.
func (p *process) get(path string) (status int, body string) {
	p.h.t.Helper()
	status, body, err := fetch(p.admin, "http://kuryr"+path, nil)
	if err != nil {
		p.h.t.Fatal(err)
	}
	return status, body
}

func fetch(c *http.Client, url string, header http.Header) (status int, body string, err error) {
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return 0, "", err
	}
	if header != nil {
		req.Header = header
	}
	resp, err := c.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b), err
}

func (p *process) status() Status {
	p.h.t.Helper()
	code, body := p.get("/v1/status")
	var s Status
	if err := json.Unmarshal([]byte(body), &s); err != nil || code != http.StatusOK {
		p.h.t.Fatalf("status: %d %s: %v", code, body, err)
	}
	return s
}

// tcpClient is a client inside the namespace.
func (h *host) tcpClient() *http.Client {
	transport := &http.Transport{DialContext: func(ctx context.Context, network, address string) (c net.Conn, err error) {
		h.ns.Do(func() { c, err = (&net.Dialer{}).DialContext(ctx, network, address) })
		return c, err
	}}
	h.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// links lists the namespace's interfaces.
func (h *host) links() []string {
	h.t.Helper()
	var found []struct{ Ifname string }
	if err := json.Unmarshal([]byte(h.ns.Run("ip", "-json", "link")), &found); err != nil {
		h.t.Fatal(err)
	}
	var all []string
	for _, l := range found {
		if !strings.HasPrefix(l.Ifname, "lo") {
			all = append(all, l.Ifname)
		}
	}
	return all
}
