package store

import (
	"context"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
)

const testHost = "h1"

// TestMain lets the test binary play a process that is killed while it writes.
func TestMain(m *testing.M) {
	if path := os.Getenv(victimEnv); path != "" {
		victim(path)
		return
	}
	os.Exit(m.Run())
}

func openAt(t testing.TB, o Options) *Store {
	t.Helper()
	if o.Path == "" {
		o.Path = filepath.Join(t.TempDir(), "neutron.db")
	}
	o.Host = testHost
	s, err := Open(o)
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

// network makes a network with subnets.
func network(t testing.TB, s *Store, cidrs ...string) (NetworkView, []SubnetView) {
	t.Helper()
	ctx := context.Background()
	nets, err := s.CreateNetworks(ctx, []NetworkSpec{{}})
	if err != nil {
		t.Fatal(err)
	}
	var specs []SubnetSpec
	for _, c := range cidrs {
		p := netip.MustParsePrefix(c)
		specs = append(specs, SubnetSpec{
			NetworkID: Some(nets[0].ID), IPVersion: Some(version(p.Addr())), CIDR: Some(p), EnableDHCP: Some(false),
		})
	}
	if specs == nil {
		return nets[0], nil
	}
	subnets, err := s.CreateSubnets(ctx, specs)
	if err != nil {
		t.Fatal(err)
	}
	return nets[0], subnets
}

func port(t testing.TB, s *Store, spec PortSpec) PortView {
	t.Helper()
	p, err := s.CreatePorts(context.Background(), []PortSpec{spec})
	if err != nil {
		t.Fatal(err)
	}
	return p[0]
}

// typeOf returns Neutron's name of an error, "" for none.
func typeOf(t testing.TB, err error) string {
	t.Helper()
	if err == nil {
		return ""
	}
	e, ok := err.(*Error)
	if !ok {
		t.Fatalf("%v is no Error", err)
	}
	return e.Type
}
