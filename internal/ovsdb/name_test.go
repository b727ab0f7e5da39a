package ovsdb_test

import (
	"strings"
	"testing"
)

// A port is named without being made anew; what has another's ID is left.
func TestNamePort(t *testing.T) {
	l := newLab(t)
	p := port(1)
	device := p.Device
	p.Device = ""
	l.interfaces(p)
	if _, err := l.client.AddPort(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	row := l.ovs.VSCtl("get", "Interface", p.Name, "_uuid")
	for _, name := range []string{"first", device} {
		if err := l.client.NamePort(t.Context(), p.Name, p.ID, name); err != nil {
			t.Fatal(err)
		}
		for _, table := range []string{"Port", "Interface"} {
			if got := l.ovs.VSCtl("get", table, p.Name, "external_ids:vm-uuid"); got != name {
				t.Errorf("the %s is for %s, want %s", table, got, name)
			}
		}
	}
	if now := l.ovs.VSCtl("get", "Interface", p.Name, "_uuid"); now != row {
		t.Error("the port was made anew")
	}
	if got := l.ovs.VSCtl("get", "Interface", p.Name, "external_ids:iface-id"); strings.Trim(got, `"`) != string(p.ID) {
		t.Errorf("its ID is %s now, want %s", got, p.ID)
	}
	if err := l.client.NamePort(t.Context(), p.Name, port(2).ID, "another"); err != nil {
		t.Error(err)
	}
	if got := l.ovs.VSCtl("get", "Interface", p.Name, "external_ids:vm-uuid"); got != device {
		t.Errorf("a port that is not meant is for %s now", got)
	}
	if err := l.client.NamePort(t.Context(), "tapnone", p.ID, device); err != nil {
		t.Errorf("a port that is not there: %v", err)
	}
}
