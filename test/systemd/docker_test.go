package systemd

import (
	"context"
	"os"
	"regexp"
	"strings"
	"testing"

	"kuryr/internal/testkit"
)

// engine starts a Docker engine that finds the host's Kuryr as the plugin kuryr.
func (h *host) engine() *testkit.Engine {
	h.t.Helper()
	if err := os.MkdirAll("/run/docker/plugins", 0o755); err != nil {
		h.t.Fatal(err)
	}
	e, err := testkit.StartEngine(h.t.Context(), h.Machine, testkit.EngineOptions{Plugins: h.Machine.Path("plugins")})
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() {
		if err := e.Close(context.Background()); err != nil {
			h.t.Error(err)
		}
	})
	return e
}

// docker must succeed.
func (h *host) docker(e *testkit.Engine, args ...string) string {
	h.t.Helper()
	out, err := e.Docker(h.t.Context(), args...)
	if err != nil {
		h.t.Fatal(err)
	}
	return out
}

// All that Kuryr does for Docker it can do with the rights that its unit leaves
// it; and a flow between two containers does not notice that Kuryr is replaced.
func TestDockerOnASandboxedKuryr(t *testing.T) {
	h := newHost(t)
	e := h.engine()
	before, err := h.Kuryr.Take(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	h.docker(e, "network", "create", "-d", "kuryr", "--ipam-driver", "kuryr", "--ipv6", "--subnet", "10.10.0.0/24", "--subnet", "fd10::/64", "blue")
	h.docker(e, "network", "create", "-d", "kuryr", "--ipam-driver", "kuryr", "--internal", "red")
	h.docker(e, "run", "-d", "--name", "server", "--network", "blue", "--ip", "10.10.0.10", "--ip6", "fd10::10", "--expose", "80", "-p", "8080:80", testkit.Image, "sleep", "inf")
	h.docker(e, "network", "connect", "red", "server")
	h.docker(e, "network", "disconnect", "red", "server")
	for _, address := range []string{"10.10.0.10", "fd10::10"} {
		h.docker(e, "run", "--rm", "--network", "blue", testkit.Image, "ping", "-c", "2", "-W", "5", address)
	}

	const sent = "1000"
	h.docker(e, "run", "-d", "--name", "client", "--network", "blue", testkit.Image, "ping", "-c", sent, "-i", "0.01", "-W", "5", "10.10.0.10")
	for range 4 {
		h.systemctl("restart", "kuryr.service")
	}
	if code := h.docker(e, "wait", "client"); code != "0" {
		t.Errorf("ping ended with %s", code)
	}
	log := h.docker(e, "logs", "client")
	if !regexp.MustCompile(`(?m)^` + sent + ` packets transmitted, ` + sent + ` packets received, 0% packet loss$`).MatchString(log) {
		t.Errorf("packets were lost while kuryr was replaced:\n%s", log[strings.LastIndex(log, "---"):])
	}

	h.docker(e, "rm", "--force", "server", "client")
	h.docker(e, "network", "rm", "blue", "red")
	h.Kuryr.AssertNothingLeft(t, before, patience)
	h.wantNothingForbidden()
}

// wantNothingForbidden: all that Kuryr has done it was allowed to do.
func (h *host) wantNothingForbidden() {
	h.t.Helper()
	if text := h.Kuryr.Log(1000); strings.Contains(text, "level=ERROR") || strings.Contains(text, "not permitted") || strings.Contains(text, "denied") {
		h.t.Errorf("something is forbidden to Kuryr:\n%s", text)
	}
}
