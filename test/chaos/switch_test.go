package chaos

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"kuryr/internal/testkit"
)

// switchOver has the site's containers plugged into an Open vSwitch, as an
// ML2/OVS or OVN would have it, and returns what Kuryr's configuration needs
// for that. What the embedded Neutron says of the binding is rewritten.
func (s *site) switchOver(t *testing.T) (config string) {
	s.ovs = testkit.NewMachineOVS(t, s.machine)
	s.ovs.AddBridge("br-int", "netdev")
	s.proxy.Rewrite(func(answer []byte) []byte { return testkit.Rebind(answer, "ovs", object{}) })
	return "[ovs]\novsdb_connection = " + s.ovs.Connection() + "\n"
}

// switchPort is an interface of Open vSwitch's.
type switchPort struct {
	name string
	ids  map[string]string // external_ids
}

// switchPorts lists those that are not the bridge's own.
func (s *site) switchPorts() (all []switchPort, err error) {
	text := s.ovs.VSCtl("--format=json", "--columns=name,external_ids", "list", "Interface")
	var table struct{ Data [][2]json.RawMessage }
	if err := json.Unmarshal([]byte(text), &table); err != nil {
		return nil, fmt.Errorf("ovs-vsctl list Interface: %w in %s", err, text)
	}
	for _, row := range table.Data {
		p := switchPort{ids: map[string]string{}}
		var ids [2]json.RawMessage // ["map", [[key, value], ...]]
		var pairs [][2]string
		if err := json.Unmarshal(row[0], &p.name); err != nil {
			return nil, err
		}
		if err := json.Unmarshal(row[1], &ids); err != nil {
			return nil, err
		}
		if err := json.Unmarshal(ids[1], &pairs); err != nil {
			return nil, err
		}
		for _, pair := range pairs {
			p.ids[pair[0]] = pair[1]
		}
		if p.name != "br-int" {
			all = append(all, p)
		}
	}
	return all, nil
}

// compareRows: each port has one row, which names it, its MAC and its endpoint;
// there are no others.
func (x *truth) compareRows(all *faultList) {
	if !x.switched {
		return
	}
	rows, pooled := map[string]int{}, x.journal.Pooled()
	for _, r := range x.rows {
		i := slices.IndexFunc(x.ports, func(p testkit.Port) bool { return "tap"+p.ID[:11] == r.name })
		if i < 0 {
			all.add("Open vSwitch: the port %s %v is left", r.name, r.ids)
			continue
		}
		rows[r.name]++
		p := x.ports[i]
		if pooled[p.ID] && r.ids["vm-uuid"] == "" {
			p.DeviceID = "" // Neutron has its last endpoint's, the new row nobody's
		}
		got := fmt.Sprint(r.ids["iface-id"], r.ids["attached-mac"], r.ids["vm-uuid"], r.ids["kuryr-mark"], r.ids["owner"])
		if want := fmt.Sprint(p.ID, p.MAC, p.DeviceID, p.Description, "kuryr"); got != want {
			all.add("Open vSwitch: the port %s has %s, want %s", r.name, got, want)
		}
	}
	for _, p := range x.ports {
		certain := slices.ContainsFunc(x.endpoints, func(e believedEndpoint) bool { return e.id == p.DeviceID && e.certain })
		if n := rows["tap"+p.ID[:11]]; n > 1 || n == 0 && certain {
			all.add("Open vSwitch: the port tap%s is there %d times", p.ID[:11], n)
		}
	}
}
