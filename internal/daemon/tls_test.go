package daemon

import (
	"encoding/json"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"kuryr/internal/testkit"
)

// TestEngineOverTLS calls the plugin as Docker does when its discovery file
// names an https address: with a certificate of the right authority it is
// served, otherwise nobody is.
func TestEngineOverTLS(t *testing.T) {
	h := newHost(t)
	own, docker, strangers := testkit.NewAuthority(t, h.dir, "own"), testkit.NewAuthority(t, h.dir, "docker"), testkit.NewAuthority(t, h.dir, "strangers")
	cert, key := own.Issue("server", "127.0.0.1")
	h.cfg.KuryrURI, h.cfg.EnableSSL = "https://0.0.0.0:23750", true
	h.cfg.SSLCertFile, h.cfg.SSLKeyFile, h.cfg.SSLCAFile = cert, key, docker.File
	p := h.start()
	activate := func(c *http.Client, url string) string {
		resp, err := c.Post(url+"/Plugin.Activate", "", nil)
		if err != nil {
			return "refused"
		}
		defer resp.Body.Close()
		var answer struct{ Implements []string }
		if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
			return "refused"
		}
		return strings.Join(answer.Implements, " ")
	}
	const served = "NetworkDriver IpamDriver"
	for name, tc := range map[string]struct {
		client *http.Client
		want   string
	}{
		"Docker":                 {h.tlsClient(own, docker), served},
		"a stranger":             {h.tlsClient(own, strangers), "refused"},
		"a friend of the server": {h.tlsClient(own, own), "refused"},
		"no certificate":         {h.tlsClient(own, nil), "refused"},
	} {
		if got := activate(tc.client, "https://127.0.0.1:23750"); got != tc.want {
			t.Errorf("%s: %q, want %q", name, got, tc.want)
		}
	}
	if got := activate(h.tcpClient(), "http://127.0.0.1:23750"); got != "refused" {
		t.Errorf("without TLS: %q", got)
	}
	p.stop()
}

func TestTLSFilesThatAreWrong(t *testing.T) {
	dir := t.TempDir()
	a := testkit.NewAuthority(t, dir, "own")
	cert, key := a.Issue("server", "127.0.0.1")
	other, _ := a.Issue("other", "127.0.0.1")
	none := filepath.Join(dir, "none.pem")
	for want, f := range map[string]TLSFiles{
		"cannot read " + none + ": no such file or directory": {Cert: none, Key: key},
		"cannot use " + other + " with " + key + ": tls: ":    {Cert: other, Key: key},
		"cannot read " + key + ": there is no certificate":    {Cert: cert, Key: key, ClientCA: key},
	} {
		if _, err := f.config(nil); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("error %v, want %s", err, want)
		}
	}
	if c, err := (TLSFiles{}).config(nil); c != nil || err != nil {
		t.Errorf("no files: %v, %v", c, err)
	}
}
