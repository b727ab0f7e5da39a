package neutron_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"

	"kuryr/internal/courier"
	"kuryr/internal/embedded"
	"kuryr/internal/neutron"
	"kuryr/internal/neutron/neutrontest"
)

const testHost = "kuryr-test"

// openEmbedded opens an embedded Neutron that is closed when the test ends.
func openEmbedded(t testing.TB) http.Handler {
	t.Helper()
	s, err := embedded.Open(embedded.Options{StateDir: t.TempDir(), Host: testHost, Enforce: true, Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("closing the embedded Neutron: %v", err)
		}
	})
	return s.Handler()
}

func TestEmbeddedInProcess(t *testing.T) {
	neutrontest.Run(t, func(t *testing.T) courier.Neutron {
		return newClient(t, neutron.Options{Endpoint: "http://embedded", Transport: neutron.InProcess(openEmbedded(t))})
	}, neutrontest.Options{Host: testHost})
}

func TestEmbeddedOverTCP(t *testing.T) {
	neutrontest.Run(t, func(t *testing.T) courier.Neutron {
		s := httptest.NewServer(openEmbedded(t))
		t.Cleanup(s.Close)
		return newClient(t, neutron.Options{Endpoint: s.URL})
	}, neutrontest.Options{Host: testHost})
}

func TestEmbeddedBehindKeystone(t *testing.T) {
	neutrontest.Run(t, func(t *testing.T) courier.Neutron { return newLab(t).ready(byPassword) }, neutrontest.Options{Host: testHost})
}

// One port made and deleted, with all that an attachment needs of it.
func BenchmarkPortInProcess(b *testing.B) {
	c, err := neutron.New(neutron.Options{
		Endpoint: "http://embedded", Transport: neutron.InProcess(openEmbedded(b)), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	ctx := context.Background()
	mark := courier.Mark{Host: testHost, Intent: "bench"}
	n, err := c.CreateNetwork(ctx, courier.NetworkSpec{Name: "bench", Mark: mark})
	if err != nil {
		b.Fatal(err)
	}
	if _, err := c.CreateSubnet(ctx, courier.SubnetSpec{Network: n.ID, CIDR: netip.MustParsePrefix("10.0.0.0/16"), Mark: mark}); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		p, err := c.CreatePort(ctx, courier.PortSpec{Network: n.ID, Host: testHost, Mark: mark})
		if err != nil {
			b.Fatal(err)
		}
		if err := c.DeletePort(ctx, p.ID); err != nil {
			b.Fatal(err)
		}
	}
}
