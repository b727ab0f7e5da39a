// Package openstackclient tries Debian's python3-openstackclient on the
// embedded Neutron: the client as people type it on one side, `kuryr neutron`
// on the other, TCP between them.
//
// The client takes a second to start, so most commands go to one that runs
// for the whole test, in the form in which it prompts for commands.
package openstackclient

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"kuryr/internal/testkit"
)

// build builds kuryr.
func build(t *testing.T) (binary string) {
	t.Helper()
	testkit.NeedRoot(t)
	if _, err := exec.LookPath("openstack"); err != nil {
		t.Fatal("the client `openstack` is not here: apt-get install python3-openstackclient")
	}
	binary, err := testkit.Build(t.Context(), t.TempDir(), false)
	if err != nil {
		t.Fatal(err)
	}
	return binary
}

// stand is an embedded Neutron in a network namespace, and the place for its
// clients.
type stand struct {
	dir    string
	ns     *testkit.NS
	url    string
	binary string // kuryr
	log    string // of the server
}

func newStand(t *testing.T, binary string) *stand {
	t.Helper()
	return &stand{dir: t.TempDir(), ns: testkit.NewNS(t), binary: binary}
}

// serve starts the embedded Neutron, with more flags.
func (s *stand) serve(t *testing.T, flags ...string) {
	t.Helper()
	address := s.freeAddress(t)
	s.url, s.log = "http://"+address, filepath.Join(s.dir, "neutron.log")
	log, err := os.Create(s.log)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close() // the server has its own
	cmd := exec.Command(s.binary, append([]string{"neutron", "--listen", address, "--state-dir", filepath.Join(s.dir, "state"), "--host", "node1"}, flags...)...)
	cmd.Stdout, cmd.Stderr = log, log
	s.ns.Do(func() { err = cmd.Start() })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			t.Errorf("kuryr neutron ended with %v", err)
		}
		if text, err := os.ReadFile(s.log); t.Failed() && err == nil {
			t.Logf("the server's log:\n%s", text)
		}
	})
	s.await(t, address)
}

// await waits until the server answers.
func (s *stand) await(t *testing.T, address string) {
	t.Helper()
	transport := &http.Transport{DialContext: func(ctx context.Context, network, _ string) (c net.Conn, err error) {
		s.ns.Do(func() { c, err = (&net.Dialer{}).DialContext(ctx, network, address) })
		return c, err
	}}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	var err error
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		var resp *http.Response
		if resp, err = client.Get("http://" + address + "/"); err == nil {
			resp.Body.Close()
			return
		}
	}
	text, _ := os.ReadFile(s.log)
	t.Fatalf("the server does not answer: %v\n%s", err, text)
}

func (s *stand) freeAddress(t *testing.T) (address string) {
	t.Helper()
	s.ns.Do(func() {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		address = l.Addr().String()
		l.Close()
	})
	return address
}

// environment is that of a client: nothing of whoever runs the tests.
func (s *stand) environment(more ...string) []string {
	env := []string{"PATH=" + os.Getenv("PATH"), "HOME=" + s.dir, "LANG=C.UTF-8", "PYTHONUNBUFFERED=1", "PYTHONWARNINGS=ignore"}
	return append(env, more...)
}

// openstack runs the client once with these arguments.
func (s *stand) openstack(args ...string) (stdout string, err error) {
	var out, errs bytes.Buffer
	cmd := exec.Command("openstack", args...)
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = s.environment(), s.dir, &out, &errs
	s.ns.Do(func() { err = cmd.Start() })
	if err != nil {
		return "", err
	}
	if err := cmd.Wait(); err != nil {
		return out.String(), fmt.Errorf("openstack %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(errs.String()))
	}
	if errs.Len() > 0 {
		return out.String(), errors.New(errs.String())
	}
	return out.String(), nil
}
