package api_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"

	"kuryr/internal/embedded/api"
	"kuryr/internal/embedded/store"
	"kuryr/internal/neutron"
	"kuryr/internal/neutron/neutrontest"
)

const (
	testHost     = "a-host"
	testProject  = "11111111111111111111111111111111"
	otherProject = "22222222222222222222222222222222"
)

func TestConformanceInProcess(t *testing.T) {
	h, plug := newServer(t)
	o := conformance("http://embedded:9696", plug)
	o.Transport = neutron.InProcess(h)
	neutrontest.RunAPI(t, o)
}

func TestConformanceOverTCP(t *testing.T) {
	h, plug := newServer(t)
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	neutrontest.RunAPI(t, conformance(s.URL, plug))
}

// newServer returns an API that enforces port security, and what tells it
// that a port is plugged.
func newServer(t *testing.T) (http.Handler, func(*testing.T, string)) {
	s, err := store.Open(store.Options{Path: filepath.Join(t.TempDir(), "neutron.db"), Host: testHost, MTU: 1450, Enforce: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	plug := func(_ *testing.T, port string) { s.SetPlugged("tap"+port[:11], true) }
	return api.New(s, api.Options{Log: slog.New(slog.DiscardHandler)}), plug
}

func conformance(url string, plug func(*testing.T, string)) neutrontest.APIOptions {
	return neutrontest.APIOptions{
		URL: url, Project: testProject, OtherProject: otherProject, Host: testHost, Driver: "kuryr", Plug: plug,
		Sign: func(r *http.Request, as neutrontest.Caller) error {
			project, roles := testProject, "member,reader"
			switch as {
			case neutrontest.Admin:
				roles = "admin"
			case neutrontest.Other:
				project = otherProject
			}
			r.Header.Set("X-Project-Id", project)
			r.Header.Set("X-Roles", roles)
			return nil
		},
	}
}
