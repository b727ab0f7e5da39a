package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"kuryr/internal/testkit"
)

// neutronEnv makes the test binary an embedded Neutron with the options it holds.
const neutronEnv = "KURYR_TEST_NEUTRON"

// neutronArgs are those of a NeutronOptions that another process can be told.
type neutronArgs struct {
	Listen, StateDir, TokenFile, Keystone, Faults string
	TLS                                           TLSFiles
}

func neutronChild(text string) int {
	var args neutronArgs
	if err := json.Unmarshal([]byte(text), &args); err != nil {
		panic(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	reload := make(chan os.Signal, 1)
	signal.Notify(reload, syscall.SIGHUP)
	o := NeutronOptions{Listen: args.Listen, StateDir: args.StateDir, Host: "h1", Enforce: true,
		TokenFile: args.TokenFile, Keystone: args.Keystone, TLS: args.TLS, Faults: args.Faults, Reload: reload,
		Log: slog.New(slog.NewTextHandler(os.Stderr, nil)), Ready: func() { fmt.Println("ready") }}
	if err := RunNeutron(ctx, o); err != nil {
		fmt.Println("error:", err)
		return 1
	}
	return 0
}

// startNeutron runs the embedded Neutron alone on a host of its own, and waits
// until it is ready or has ended.
func startNeutron(t *testing.T, h *host, args neutronArgs) *process {
	t.Helper()
	args.StateDir = filepath.Join(h.dir, "neutron")
	text, err := json.Marshal(args)
	if err != nil {
		t.Fatal(err)
	}
	p := &process{h: h, cmd: exec.Command(os.Args[0])}
	p.cmd.Env = append(os.Environ(), neutronEnv+"="+string(text))
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.log
	h.ns.Do(func() { err = p.cmd.Start() })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.cmd.Process.Signal(syscall.SIGTERM)
		p.cmd.Wait()
		if t.Failed() {
			t.Logf("the log:\n%s", p.log.String())
		}
	})
	h.within(15*time.Second, "it is ready, or has ended", func() error {
		if !strings.HasSuffix(p.out.String(), "\n") {
			return errors.New("neither")
		}
		return nil
	})
	return p
}

func TestFaultsAreReadAgain(t *testing.T) {
	h := newHost(t)
	rules, socket := filepath.Join(h.dir, "faults.json"), filepath.Join(h.dir, "n.sock")
	write(t, rules, `{"rules": [{"path": "/v2.0/networks", "do": "answer", "status": 503}]}`)
	p := startNeutron(t, h, neutronArgs{Listen: "unix://" + socket, Faults: rules})
	client := testkit.UnixClient(socket)
	t.Cleanup(client.CloseIdleConnections)
	want := func(path string, status int) {
		t.Helper()
		got, body, err := fetch(client, "http://neutron"+path, nil)
		if err != nil || got != status {
			t.Errorf("%s: %d %s %v, want %d", path, got, body, err, status)
		}
	}
	want("/v2.0/networks", 503)
	want("/v2.0/ports", 200)

	// Wrong rules change nothing.
	write(t, rules, `{"rules": [{"do": "explode"}]}`)
	p.cmd.Process.Signal(syscall.SIGHUP)
	h.within(5*time.Second, "the log tells why", func() error {
		if !strings.Contains(p.log.String(), `level=ERROR msg="the rules of faults stay as they were" err="cannot read `+rules+`:1: \"do\" must be`) {
			return errors.New("it does not")
		}
		return nil
	})
	want("/v2.0/networks", 503)

	write(t, rules, `{"rules": [{"path": "/v2.0/ports", "do": "answer", "status": 503}]}`)
	p.cmd.Process.Signal(syscall.SIGHUP)
	h.within(5*time.Second, "the new rules are in force", func() error {
		if n := strings.Count(p.log.String(), "FAULT LAB"); n != 2 {
			return fmt.Errorf("the log tells of rules %d times", n)
		}
		return nil
	})
	want("/v2.0/networks", 200)
	want("/v2.0/ports", 503)
}

func TestTokenIsWanted(t *testing.T) {
	h := newHost(t)
	file := filepath.Join(h.dir, "token")
	write(t, file, "0123456789abcdef0123\n")
	p := startNeutron(t, h, neutronArgs{Listen: "0.0.0.0:9696", TokenFile: file})
	client := h.tcpClient()
	for _, tc := range []struct {
		path, token string
		want        int
	}{
		{"/", "", 200},
		{"/v2.0/networks", "", 401},
		{"/v2.0/networks", "0123456789abcdef012", 401},
		{"/v2.0/networks", "0123456789abcdef0123", 200},
		{"//v2.0/networks", "", 401},
	} {
		status, body, err := fetch(client, "http://127.0.0.1:9696"+tc.path, http.Header{"X-Auth-Token": {tc.token}})
		if err != nil || status != tc.want {
			t.Errorf("%s with token %q: %d %s %v, want %d", tc.path, tc.token, status, body, err, tc.want)
		}
	}
	// An administrator's, whatever role is named, in any project that is named.
	header := http.Header{"X-Auth-Token": {"0123456789abcdef0123"}, "X-Roles": {"member"}, "X-Project-Id": {"blue"}}
	for path, want := range map[string]string{"/v2.0/quotas": `"quotas"`, "/v2.0/security-groups": `"project_id":"blue"`} {
		if status, body, err := fetch(client, "http://127.0.0.1:9696"+path, header); err != nil || status != 200 || !strings.Contains(body, want) {
			t.Errorf("%s: %d %s %v, want %s", path, status, body, err, want)
		}
	}
	if log := p.log.String(); !strings.Contains(log, "the token crosses the network in the clear") || strings.Contains(log, "no authentication") {
		t.Error("the log does not tell what this door is")
	}
}

// writeUsers writes a file of an administrator and a member, whose passwords
// are their names.
func writeUsers(t *testing.T, file string) {
	t.Helper()
	var text strings.Builder
	for _, who := range []struct{ name, rest string }{{"boss", ":admin:ops,blue\n"}, {"joe", ":member:blue\n"}} {
		hash, err := HashPassword(who.name)
		if err != nil {
			t.Fatal(err)
		}
		text.WriteString(who.name + ":" + hash + who.rest)
	}
	write(t, file, text.String())
}

// logIn returns a token of a user for a project.
func logIn(t *testing.T, client *http.Client, url, user, project string) string {
	t.Helper()
	resp, err := client.Post(url+"/v3/auth/tokens", "application/json", strings.NewReader(`{"auth": {
		"identity": {"methods": ["password"], "password": {"user": {"name": "`+user+`", "domain": {"id": "default"}, "password": "`+user+`"}}},
		"scope": {"project": {"name": "`+project+`", "domain": {"id": "default"}}}}}`))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusCreated {
		t.Fatalf("%s in %s: %s", user, project, resp.Status)
	}
	return resp.Header.Get("X-Subject-Token")
}

func TestKeystone(t *testing.T) {
	h := newHost(t)
	file := filepath.Join(h.dir, "users")
	writeUsers(t, file)
	p := startNeutron(t, h, neutronArgs{Listen: "0.0.0.0:9696", Keystone: file})
	client, url := h.tcpClient(), "http://127.0.0.1:9696"
	boss, joe := logIn(t, client, url, "boss", "ops"), logIn(t, client, url, "joe", "blue")
	post := func(token string) {
		t.Helper()
		req, err := http.NewRequest("POST", url+"/v2.0/networks", strings.NewReader(`{"network": {"name": "n"}}`))
		if err != nil {
			t.Fatal(err)
		}
		// What a client says of itself counts for nothing.
		req.Header = http.Header{"X-Auth-Token": {token}, "X-Roles": {"admin"}, "X-Project-Id": {"spoofed"}, "X-Tenant-Id": {"spoofed"}}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusCreated {
			t.Fatal(resp.Status)
		}
	}
	post(boss)
	post(joe)
	for _, tc := range []struct {
		path, token   string
		want          int
		with, without string
	}{
		{"/", "", 300, `"v3.14"`, "networks"},
		{"/v2.0/networks", "", 401, "requires authentication", "networks"},
		{"//v2.0/networks", "", 401, "requires authentication", "networks"},
		{"/v2.0/networks", "nonesuch", 401, "requires authentication", "networks"},
		{"/v2.0/networks", joe, 200, `"project_id":"blue"`, `"project_id":"ops"`},
		{"/v2.0/networks", boss, 200, `"project_id":"ops"`, "spoofed"},
		{"/v2.0/networks?project_id=blue", boss, 200, `"project_id":"blue"`, `"project_id":"ops"`},
		{"/v2.0/agents", boss, 200, `"h1"`, "joe"},
		{"/v3/projects", joe, 200, `"blue"`, `"ops"`},
	} {
		status, body, err := fetch(client, url+tc.path, http.Header{"X-Auth-Token": {tc.token}, "X-Roles": {"admin"}})
		if err != nil || status != tc.want || !strings.Contains(body, tc.with) || strings.Contains(body, tc.without) {
			t.Errorf("%s: %d %s %v, want %d with %s and without %s", tc.path, status, body, err, tc.want, tc.with, tc.without)
		}
	}
	if log := p.log.String(); !strings.Contains(log, "passwords and tokens cross the network in the clear") || strings.Contains(log, "no authentication") {
		t.Error("the log does not tell what this door is")
	}
}

// TestKeystoneOverTLS has a door that wants a client's certificate and a token.
func TestKeystoneOverTLS(t *testing.T) {
	h := newHost(t)
	file := filepath.Join(h.dir, "users")
	writeUsers(t, file)
	own, clients := testkit.NewAuthority(t, h.dir, "own"), testkit.NewAuthority(t, h.dir, "clients")
	cert, key := own.Issue("server", "127.0.0.1")
	p := startNeutron(t, h, neutronArgs{Listen: "0.0.0.0:9696", Keystone: file, TLS: TLSFiles{Cert: cert, Key: key, ClientCA: clients.File}})
	client, url := h.tlsClient(own, clients), "https://127.0.0.1:9696"
	token := logIn(t, client, url, "joe", "blue")
	for _, tc := range []struct {
		path, token string
		want        int
		with        string
	}{
		{"/v2.0/networks", token, 200, `"networks"`}, {"/v2.0/networks", "", 401, "requires authentication"},
		{"/v3/auth/catalog", token, 200, `"url":"https://127.0.0.1:9696"`},
	} {
		if status, body, err := fetch(client, url+tc.path, http.Header{"X-Auth-Token": {tc.token}}); err != nil || status != tc.want || !strings.Contains(body, tc.with) {
			t.Errorf("%s: %d %s %v, want %d with %s", tc.path, status, body, err, tc.want, tc.with)
		}
	}
	if _, _, err := fetch(h.tlsClient(own, nil), url+"/v3", nil); err == nil {
		t.Error("a client without a certificate is served")
	}
	if log := p.log.String(); strings.Contains(log, "in the clear") {
		t.Error("the log warns of nothing")
	}
}

func TestNoOpenDoor(t *testing.T) {
	h := newHost(t)
	a := testkit.NewAuthority(t, h.dir, "server")
	cert, key := a.Issue("server", "127.0.0.1")
	for _, o := range []neutronArgs{
		{Listen: "0.0.0.0:9696"},
		{Listen: "0.0.0.0:9696", TLS: TLSFiles{Cert: cert, Key: key}}, // whose clients may be anybody
	} {
		p := startNeutron(t, h, o)
		if out := p.out.String(); !strings.Contains(out, "is not a loopback address") {
			t.Errorf("%+v: %q", o, out)
		}
	}
}

func TestNeutronOverTLS(t *testing.T) {
	h := newHost(t)
	own, clients, strangers := testkit.NewAuthority(t, h.dir, "own"), testkit.NewAuthority(t, h.dir, "clients"), testkit.NewAuthority(t, h.dir, "strangers")
	cert, key := own.Issue("server", "127.0.0.1")
	startNeutron(t, h, neutronArgs{Listen: "0.0.0.0:9696", TLS: TLSFiles{Cert: cert, Key: key, ClientCA: clients.File}})
	for _, tc := range []struct {
		name   string
		client *http.Client
		want   bool
	}{
		{"a client's certificate", h.tlsClient(own, clients), true},
		{"a stranger's certificate", h.tlsClient(own, strangers), false},
		{"no certificate", h.tlsClient(own, nil), false},
		{"no TLS", h.tcpClient(), false},
	} {
		url := "https://127.0.0.1:9696/v2.0/networks"
		if tc.name == "no TLS" {
			url = "http://127.0.0.1:9696/v2.0/networks"
		}
		status, body, err := fetch(tc.client, url, nil)
		if served := err == nil && status == 200; served != tc.want {
			t.Errorf("%s: %d %s %v", tc.name, status, body, err)
		}
	}

	// A renewed certificate is served without a restart.
	renewed := testkit.NewAuthority(t, h.dir, "renewed")
	newCert, newKey := renewed.Issue("server2", "127.0.0.1")
	for from, to := range map[string]string{newKey: key, newCert: cert} {
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	later := time.Now().Add(time.Minute)
	if err := os.Chtimes(cert, later, later); err != nil {
		t.Fatal(err)
	}
	if status, body, err := fetch(h.tlsClient(renewed, clients), "https://127.0.0.1:9696/v2.0/networks", nil); err != nil || status != 200 {
		t.Errorf("after the renewal: %d %s %v", status, body, err)
	}
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// tlsClient trusts one authority and shows another's certificate; nil: none.
func (h *host) tlsClient(trust, by *testkit.Authority) *http.Client {
	h.t.Helper()
	c := h.tcpClient()
	c.Transport.(*http.Transport).TLSClientConfig = trust.ClientConfig(by)
	return c
}
