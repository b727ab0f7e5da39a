package daemon

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"kuryr/internal/embedded"
	"kuryr/internal/embedded/identity"
)

// keystone serves a Keystone, with an embedded Neutron behind it, inside the
// namespace. Its passwords can be changed.
type keystone struct {
	h       *host
	neutron http.Handler
	current atomic.Pointer[http.Handler]
	down    atomic.Bool
}

func (h *host) serveKeystone(password string) *keystone {
	h.t.Helper()
	s, err := embedded.Open(embedded.Options{StateDir: h.t.TempDir(), Host: h.cfg.Host, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { s.Close() })
	k := &keystone{h: h, neutron: s.Handler()}
	k.password(password)
	h.serveNeutron(k)
	return k
}

// password makes a Keystone that knows no token.
func (k *keystone) password(password string) {
	k.h.t.Helper()
	hashed, err := identity.HashPassword(password)
	if err != nil {
		k.h.t.Fatal(err)
	}
	s, err := identity.New(identity.Options{
		Users: []identity.User{{Name: "kuryr", Password: hashed, Role: identity.Admin, Projects: []string{"service"}}},
	})
	if err != nil {
		k.h.t.Fatal(err)
	}
	handler := s.Handler(k.neutron)
	k.current.Store(&handler)
}

// ServeHTTP implements http.Handler.
func (k *keystone) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if k.down.Load() {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	(*k.current.Load()).ServeHTTP(w, r)
}

// useClouds writes a clouds.yaml with a password for the Keystone that was
// served last, and returns the Keystone's URL.
func (h *host) useClouds(password string) (url string) {
	h.t.Helper()
	c := &h.cfg.Cloud
	if c.Name == "" {
		c.AuthURL, c.AuthType, c.EndpointOverride, c.Name, c.File = c.EndpointOverride, "", "", "lab", filepath.Join(h.dir, "clouds.yaml")
	}
	text := fmt.Sprintf("clouds: {lab: {auth: {username: kuryr, password: %q, project_name: service}}}\n", password)
	if err := os.WriteFile(c.File, []byte(text), 0o600); err != nil {
		h.t.Fatal(err)
	}
	return c.AuthURL
}

func TestWaitsForTheCloud(t *testing.T) {
	h := newHost(t)
	k := h.serveKeystone("s3cret")
	k.down.Store(true)
	url := h.useClouds("s3cret")
	p := h.start()
	if code, body := p.get("/healthz"); code != http.StatusOK {
		t.Errorf("healthz: %d %s", code, body)
	}
	reason := "not ready yet: Keystone at " + url + "/v3: it answers 503 Service Unavailable"
	if code, body := p.get("/readyz"); code != http.StatusServiceUnavailable || body != "neutron: cannot reach Neutron: "+reason+"\n" {
		t.Errorf("readyz: %d %s", code, body)
	}
	start := time.Now()
	_, err := p.try("IpamDriver.RequestPool", object{"Pool": "10.99.0.0/24"})
	if err == nil || !strings.Contains(err.Error(), reason) || strings.Contains(err.Error(), "\n") || time.Since(start) > time.Second {
		t.Errorf("RequestPool: %v after %v", err, time.Since(start))
	}
	k.down.Store(false)
	h.within(10*time.Second, "kuryr is ready", func() error {
		if code, body := p.get("/readyz"); code != http.StatusOK {
			return errors.New(body)
		}
		return nil
	})
	pool := p.call("IpamDriver.RequestPool", object{"Pool": "10.99.0.0/24"})
	p.call("IpamDriver.ReleasePool", object{"PoolID": pool["PoolID"]})
	if got := p.status().Neutron; got != (NeutronStatus{Kind: "real", Endpoint: url + "/v2.0/"}) {
		t.Errorf("status: %+v", got)
	}
	p.stop()
	log := p.log.String()
	if n := strings.Count(log, "waiting for the cloud"); n != 1 || !strings.Contains(log, "the cloud is ready") || strings.Contains(log, "s3cret") {
		t.Errorf("%d lines of waiting in the log:\n%s", n, log)
	}
}

func TestCredentialsChangeWithoutARestart(t *testing.T) {
	h := newHost(t)
	k := h.serveKeystone("first")
	h.useClouds("first")
	p := h.start()
	k.password("second")
	_, err := p.try("IpamDriver.RequestPool", object{"Pool": "10.99.0.0/24"})
	if err == nil || !strings.Contains(err.Error(), "it refuses user kuryr in project service (check the password") {
		t.Errorf("with the old password: %v", err)
	}
	h.useClouds("second")
	p.cmd.Process.Signal(syscall.SIGHUP)
	h.within(10*time.Second, "the new password is used", func() error {
		if !strings.Contains(p.log.String(), "the credentials were read again\"") {
			return errors.New("it was not read")
		}
		return nil
	})
	pool := p.call("IpamDriver.RequestPool", object{"Pool": "10.99.0.0/24"})
	p.call("IpamDriver.ReleasePool", object{"PoolID": pool["PoolID"]})
	h.useClouds("wrong")
	p.cmd.Process.Signal(syscall.SIGHUP)
	h.within(10*time.Second, "the wrong password is reported", func() error {
		if !strings.Contains(p.log.String(), "what was in force stays") {
			return errors.New("it is not")
		}
		return nil
	})
	pool = p.call("IpamDriver.RequestPool", object{"Pool": "10.99.0.0/24"})
	p.call("IpamDriver.ReleasePool", object{"PoolID": pool["PoolID"]})
	p.stop()
}

func TestWrongCredentialsFailTheStart(t *testing.T) {
	h := newHost(t)
	h.serveKeystone("right")
	url := h.useClouds("wrong")
	p := h.spawn()
	err := p.cmd.Wait()
	want := "error: cannot authenticate with Keystone at " + url + "/v3: it refuses user kuryr in project service\nhint: check the password"
	if err == nil || !strings.HasPrefix(p.out.String(), want) {
		t.Errorf("%v: %s, want %s", err, p.out.String(), want)
	}
	if _, err := os.Lstat(h.cfg.AdminSocket); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the admin socket is left: %v", err)
	}
}

func TestStopWhileTheCloudIsLookedFor(t *testing.T) {
	h := newHost(t)
	asked, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	h.serveNeutron(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		once.Do(func() { close(asked) })
		<-release
	}))
	defer close(release)
	h.useClouds("s3cret")
	p := h.spawn()
	<-asked
	p.stop()
	if out := p.out.String(); out != "" {
		t.Errorf("it said %s", out)
	}
}

// TestCloudGoesAndComesBack: a cloud that does not answer is a condition, and
// costs nobody more than a moment; what was removed meanwhile is so when it is back.
func TestCloudGoesAndComesBack(t *testing.T) {
	h := newHost(t)
	k := h.serveKeystone("s3cret")
	h.useClouds("s3cret")
	p := h.start()
	pool := p.call("IpamDriver.RequestPool", object{"Pool": "10.99.0.0/24"})
	k.down.Store(true)
	h.within(10*time.Second, "the outage is noticed", func() error {
		code, body := p.get("/readyz")
		if code != http.StatusServiceUnavailable || !strings.HasPrefix(body, "neutron: not answering since ") || !strings.Contains(body, ", next try in ") {
			return fmt.Errorf("readyz: %d %s", code, body)
		}
		return nil
	})
	start := time.Now()
	_, err := p.try("IpamDriver.RequestPool", object{"Pool": "10.98.0.0/24"})
	if err == nil || !strings.Contains(err.Error(), "cannot make an address pool of 10.98.0.0/24: Neutron: not answering since ") ||
		strings.Contains(err.Error(), "\n") || time.Since(start) > time.Second {
		t.Errorf("RequestPool: %v after %v", err, time.Since(start))
	}
	start = time.Now()
	p.call("IpamDriver.ReleasePool", object{"PoolID": pool["PoolID"]})
	if took := time.Since(start); took > time.Second {
		t.Errorf("ReleasePool took %v", took)
	}
	k.down.Store(false)
	h.within(20*time.Second, "all is settled", func() error {
		if code, body := p.get("/readyz"); code != http.StatusOK {
			return errors.New(body)
		}
		if s := p.status().Courier; s.Pending > 0 || len(s.Pools) > 0 {
			return fmt.Errorf("%+v", s)
		}
		return nil
	})
	p.stop()
}
