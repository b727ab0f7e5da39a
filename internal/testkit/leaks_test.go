package testkit

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestInventoryDiff(t *testing.T) {
	before := Inventory{"link lo", "port 1"}
	now := Inventory{"link lo", "link tap1"}
	if diff := cmp.Diff([]string{"+ link tap1", "- port 1"}, before.Diff(now)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// What Neutron's linuxbridge agent makes does not count where there is one;
// what looks like it and is Kuryr's does, complete or half-made.
func TestLinksOfBridgeAgent(t *testing.T) {
	NeedRoot(t)
	m, err := NewMachine(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	for _, args := range [][]string{
		{"link", "add", "brqagent", "type", "bridge"},
		{"link", "add", "vxlan-77", "type", "vxlan", "id", "77", "dstport", "4789", "local", "127.0.0.1"},
		{"link", "add", "brqkuryr", "type", "bridge"},
		{"link", "set", "brqkuryr", "alias", "kuryr:a network"},
		{"link", "add", "brqhalf", "group", "1802859129", "type", "bridge"},
		{"link", "add", "tap1", "type", "bridge"},
		{"link", "add", "vxlan-x", "type", "bridge"},
	} {
		if _, err := m.Output(t.Context(), "ip", args...); err != nil {
			t.Fatal(err)
		}
	}
	const kuryrs = "brqhalf brqkuryr tap1 vxlan-x"
	for _, tt := range []struct {
		name  string
		cloud *Cloud
		want  string
	}{
		{"with the agent", &Cloud{BridgeAgent: true}, kuryrs},
		{"another cloud", &Cloud{}, "brqagent " + kuryrs + " vxlan-77"},
		{"no cloud", nil, "brqagent " + kuryrs + " vxlan-77"},
	} {
		k := &Kuryr{Machine: m, cloud: tt.cloud}
		lines, err := k.links(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		want := []string{"link lo"}
		for _, name := range strings.Fields(tt.want) {
			want = append(want, "link "+name)
		}
		slices.Sort(lines)
		slices.Sort(want)
		if diff := cmp.Diff(want, lines); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}
