//go:build !openstack

package docker

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"kuryr/internal/testkit"
)

// Docker finds Kuryr by the file that `kuryr config docker-json` prints, and
// talks to it over TLS, each showing the other a certificate. Whoever has none,
// or one of another authority, is not served.
func TestDiscoveryFileWithTLS(t *testing.T) {
	testkit.NeedRoot(t)
	dir := t.TempDir()
	own, docker, strangers := testkit.NewAuthority(t, dir, "own"), testkit.NewAuthority(t, dir, "docker"), testkit.NewAuthority(t, dir, "strangers")
	cert, key := own.Issue("server", "127.0.0.1")
	clientCert, clientKey := docker.Issue("dockerd", "")
	h := newSpecialHost(t, testkit.KuryrOptions{Config: "kuryr_uri = https://127.0.0.1:23750\nenable_ssl = true\n" +
		"ssl_cert_file = " + cert + "\nssl_key_file = " + key + "\nssl_ca_file = " + docker.File + "\n"})

	file, err := h.kuryr.CLI(t.Context(), "config", "docker-json", "--config-file", h.machine.Path("kuryr.conf"),
		"--ca-file", own.File, "--cert-file", clientCert, "--key-file", clientKey)
	if err != nil {
		t.Fatal(err)
	}
	// A name of its own, since Docker looks for sockets first.
	driver := h.kuryr.Name + "-tls"
	etc := h.machine.Path("etc")
	if out, err := exec.CommandContext(t.Context(), "cp", "-a", "/etc", etc).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	plugins := filepath.Join(etc, "docker", "plugins")
	if err := os.MkdirAll(plugins, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(plugins, driver+".json"), []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	h.restartEngine((*testkit.Engine).Stop, testkit.EngineOptions{Etc: etc})

	n := network{h: h, name: "net", id: h.docker("network", "create", "--driver", driver, "--ipam-driver", driver, "--subnet", "10.77.0.0/24", "net")}
	a, b := n.run("alice"), n.run("bob")
	a.reaches(b.ip4())
	b.reaches(a.ip4())
	if ports := n.ports(); len(ports) != 2 {
		t.Errorf("%d ports of two containers", len(ports))
	}

	for name, tt := range map[string]struct {
		by     *testkit.Authority
		served bool
	}{"Docker": {docker, true}, "no certificate": {nil, false}, "a stranger": {strangers, false}} {
		client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{
			DialContext: h.machine.Dial, TLSClientConfig: own.ClientConfig(tt.by), DisableKeepAlives: true}}
		resp, err := client.Post("https://127.0.0.1:23750/Plugin.Activate", "", nil)
		if err == nil {
			resp.Body.Close()
		}
		if served := err == nil && resp.StatusCode == http.StatusOK; served != tt.served {
			t.Errorf("%s: served %t, want %t (%v)", name, served, tt.served, err)
		}
	}
}
