package embedded_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"kuryr/internal/embedded"
	"kuryr/internal/testkit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t *testing.T, dir string) *embedded.Server {
	t.Helper()
	s, err := embedded.Open(embedded.Options{StateDir: dir, Host: "h1", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// call sends a request and returns the answer's one object.
func call(t *testing.T, h http.Handler, method, path, body string, status int) map[string]any {
	t.Helper()
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, httptest.NewRequest(method, path, strings.NewReader(body)))
	if rec.Code != status {
		t.Fatalf("%s %s: %d %s", method, path, rec.Code, rec.Body)
	}
	var answer map[string]map[string]any
	if rec.Body.Len() > 0 {
		if err := json.Unmarshal(rec.Body.Bytes(), &answer); err != nil {
			t.Fatalf("%s %s: %v in %s", method, path, err, rec.Body)
		}
	}
	for _, object := range answer {
		return object
	}
	return nil
}

// TestPluggedPortIsActive plugs a port's link into a bridge in a namespace.
func TestPluggedPortIsActive(t *testing.T) {
	ns := testkit.NewNS(t)
	var s *embedded.Server
	dir := t.TempDir()
	ns.Do(func() { s = open(t, dir) })
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()

	h := s.Handler()
	network := call(t, h, "POST", "/v2.0/networks", `{"network":{}}`, http.StatusCreated)["id"].(string)
	port := call(t, h, "POST", "/v2.0/ports", `{"port":{"network_id":"`+network+`","binding:host_id":"h1"}}`, http.StatusCreated)["id"].(string)
	want := func(status string) {
		t.Helper()
		var got any
		for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(2 * time.Millisecond) {
			if got = call(t, h, "GET", "/v2.0/ports/"+port, "", http.StatusOK)["status"]; got == status {
				return
			}
		}
		t.Fatalf("status is %v, want %s", got, status)
	}
	want("DOWN")
	tap := "tap" + port[:11]
	ns.Run("ip", "link", "add", "br0", "type", "bridge")
	ns.Run("ip", "link", "add", tap, "type", "veth", "peer", "name", "inside")
	ns.Run("ip", "link", "set", tap, "master", "br0", "up")
	want("ACTIVE")
	ns.Run("ip", "link", "del", tap)
	want("DOWN")

	// Close ends Run, too.
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := <-ended; err != nil {
		t.Errorf("Run ended with %v", err)
	}
}

func TestStateStays(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	network := call(t, s.Handler(), "POST", "/v2.0/networks", `{"network":{"name":"kept"}}`, http.StatusCreated)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	call(t, s.Handler(), "GET", "/v2.0/networks/"+network["id"].(string), "", http.StatusServiceUnavailable)
	if err := s.Close(); err != nil {
		t.Errorf("a second Close: %v", err)
	}
	again := call(t, open(t, dir).Handler(), "GET", "/v2.0/networks/"+network["id"].(string), "", http.StatusOK)
	for _, k := range []string{"name", "project_id", "created_at", "revision_number"} {
		if again[k] != network[k] {
			t.Errorf("%s was %v and is %v", k, network[k], again[k])
		}
	}
}

func TestOpenTellsWhatIsWrong(t *testing.T) {
	if _, err := embedded.Open(embedded.Options{}); err == nil {
		t.Error("no options are no error")
	}
	dir := t.TempDir()
	open(t, dir)
	_, err := embedded.Open(embedded.Options{StateDir: dir, Host: "h1", Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err == nil || !strings.Contains(err.Error(), "another process has it open") {
		t.Errorf("a second server on one state: %v", err)
	}
}

// TestTransfer carries a state over to another folder.
func TestTransfer(t *testing.T) {
	ctx := context.Background()
	from := embedded.Options{StateDir: t.TempDir(), Host: "h1", Log: slog.New(slog.DiscardHandler), Enforce: true}
	s, err := embedded.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	network := call(t, s.Handler(), "POST", "/v2.0/networks", `{"network":{"name":"n"}}`, http.StatusCreated)["id"].(string)
	call(t, s.Handler(), "POST", "/v2.0/subnets", `{"subnet":{"network_id":"`+network+`","ip_version":4,"cidr":"10.0.0.0/24"}}`, http.StatusCreated)
	port := call(t, s.Handler(), "POST", "/v2.0/ports", `{"port":{"network_id":"`+network+`"}}`, http.StatusCreated)
	if err := embedded.Export(ctx, io.Discard, from); err == nil {
		t.Error("a state that is in use was exported")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := embedded.Export(ctx, &out, from); err != nil {
		t.Fatal(err)
	}
	to := from
	to.StateDir = t.TempDir() + "/new"
	for _, bad := range []string{"", "{}", `{"kuryr_neutron":"0","project_id":"p"}`,
		`{"kuryr_neutron":"2","project_id":"p","rows":{"nonesuch":[]}}`,
		`{"kuryr_neutron":"2","project_id":"p","rows":{"subnets":[{"id":"x"}]}}`} {
		if err := embedded.Import(ctx, strings.NewReader(bad), to); err == nil {
			t.Errorf("%q was imported", bad)
		}
	}
	if err := embedded.Import(ctx, strings.NewReader(out.String()), to); err != nil {
		t.Fatal(err)
	}
	if err := embedded.Import(ctx, strings.NewReader(out.String()), to); err == nil {
		t.Error("a state was imported over another")
	}
	var again strings.Builder
	if err := embedded.Export(ctx, &again, to); err != nil {
		t.Fatal(err)
	}
	if again.String() != out.String() {
		t.Error("the imported state is another one")
	}
	if s, err = embedded.Open(to); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	got := call(t, s.Handler(), "GET", "/v2.0/ports/"+port["id"].(string), "", http.StatusOK)
	if got["mac_address"] != port["mac_address"] || got["project_id"] != port["project_id"] {
		t.Errorf("the port is %v, was %v", got, port)
	}
}
