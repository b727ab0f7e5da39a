package store

import (
	"context"
	"path/filepath"
	"testing"

	bolt "go.etcd.io/bbolt"
)

// TestUpgrade opens a state of the first schema, which had four tables.
func TestUpgrade(t *testing.T) {
	path := filepath.Join(t.TempDir(), "neutron.db")
	s, err := Open(Options{Path: path, Host: testHost})
	if err != nil {
		t.Fatal(err)
	}
	net, _ := network(t, s, "10.0.0.0/24")
	old := port(t, s, PortSpec{NetworkID: Some(net.ID)})
	project := s.ProjectID()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	db, err := bolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(btx *bolt.Tx) error {
		for _, name := range []string{"quotas", "policies", "address-scopes", "address-groups", "security-groups", "security-group-rules"} {
			if err := btx.DeleteBucket([]byte(name)); err != nil {
				return err
			}
		}
		return btx.Bucket([]byte(metaBucket)).Put([]byte(schemaKey), []byte(oldSchema))
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	s = openAt(t, Options{Path: path, Enforce: true})
	if s.ProjectID() != project {
		t.Error("the project is another one")
	}
	got, err := s.Port(context.Background(), old.ID)
	if err != nil || got.Protected {
		t.Errorf("the old port is %+v, %v; it was unprotected, and stays so", got, err)
	}
	if p := port(t, s, PortSpec{NetworkID: Some(net.ID)}); !p.Protected || len(p.Groups) != 1 {
		t.Errorf("a new port on the old network is unprotected: %+v", p)
	}
}
