package store

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"
)

// FuzzImport: whatever is imported, it becomes a state that opens, takes
// changes and is lets all its ports be looked at and deleted, or leaves nothing behind.
func FuzzImport(f *testing.F) {
	f.Add(exportedOf(f))
	f.Add([]byte(`{"format": "` + exportFormat + `", "project_id": "p", "rows": {}}`))
	f.Add([]byte(`{"format": "` + exportFormat + `", "project_id": "p", "rows": {"ports": [{"id": "a"}], "subnets": [{"id": "b", "cidr": "10.0.0.0/24"}]}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		ctx := context.Background()
		dir := t.TempDir()
		o := Options{Path: filepath.Join(dir, "neutron.db"), Host: testHost}
		if err := Import(ctx, bytes.NewReader(data), o); err != nil {
			if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
				t.Errorf("a failed import left %v, %v", left, err)
			}
			return
		}
		s, err := Open(o)
		if err != nil {
			t.Fatalf("what was imported can't be opened: %v", err)
		}
		defer s.Close()
		if _, err := s.CreateNetworks(ctx, []NetworkSpec{{}}); err != nil && typeOf(t, err) == "" {
			t.Error(err)
		}
		ports, err := s.Ports(ctx, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range ports {
			if err := s.DeletePort(ctx, p.ID, Match{}); err != nil && typeOf(t, err) == "" {
				t.Error(err)
			}
		}
	})
}

// exportedOf is a state with some of everything that ports rely on.
func exportedOf(f *testing.F) []byte {
	s := openAt(f, Options{Enforce: true})
	net, _ := network(f, s, "10.1.0.0/24", "fd01::/64")
	port(f, s, PortSpec{NetworkID: Some(net.ID)})
	var out bytes.Buffer
	if err := s.Export(context.Background(), &out); err != nil {
		f.Fatal(err)
	}
	return out.Bytes()
}
