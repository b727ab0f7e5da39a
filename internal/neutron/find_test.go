package neutron_test

import (
	"fmt"
	"testing"

	"kuryr/internal/courier"
)

// TestOtherProjectsAreOutOfReach: an administrator's Neutron lists everything,
// of which a user of Docker's gets Kuryr's own project and what is shared.
func TestOtherProjectsAreOutOfReach(t *testing.T) {
	const own, shared, foreign = "f3fec963-cd68-4b59-81c2-000000000001", "f3fec963-cd68-4b59-81c2-000000000002", "f3fec963-cd68-4b59-81c2-000000000003"
	row := func(id, project string, share bool, more string) string {
		return fmt.Sprintf(`{"id":%q,"name":"x","project_id":%q,"shared":%t%s}`, id, project, share, more)
	}
	all := func(more string) string {
		return row(own, "ours", false, more) + "," + row(shared, "theirs", true, more) + "," + row(foreign, "theirs", false, more)
	}
	x := courier.Reference{Name: "x"}
	for what, look := range map[string]func() ([]string, error){
		"networks": func() ([]string, error) {
			c := client(t, answer(200, `{"networks":[`+all("")+`]}`))
			c.WorkFor("ours")
			found, err := c.FindNetworks(t.Context(), x)
			return ids(found, func(n courier.Network) string { return string(n.ID) }), err
		},
		"subnetpools": func() ([]string, error) {
			c := client(t, answer(200, `{"subnetpools":[`+all(`,"default_prefixlen":"24"`)+`]}`))
			c.WorkFor("ours")
			found, err := c.FindSubnetPools(t.Context(), x)
			return ids(found, func(p courier.SubnetPool) string { return string(p.ID) }), err
		},
		"security groups": func() ([]string, error) {
			c := client(t, answer(200, `{"security_groups":[`+all("")+`]}`))
			c.WorkFor("ours")
			found, err := c.FindSecurityGroups(t.Context(), []courier.Reference{x})
			return ids(found, func(g courier.SecurityGroup) string { return string(g.ID) }), err
		},
		"QoS policies": func() ([]string, error) {
			c := client(t, answer(200, `{"policies":[`+all("")+`]}`))
			c.WorkFor("ours")
			found, err := c.FindQoSPolicies(t.Context(), x)
			return ids(found, func(p courier.QoSPolicy) string { return string(p.ID) }), err
		},
	} {
		got, err := look()
		if err != nil || fmt.Sprint(got) != fmt.Sprint([]string{own, shared}) {
			t.Errorf("%s: found %v, %v", what, got, err)
		}
	}
	port := `,"network_id":"` + own + `","mac_address":"02:00:00:00:00:01"`
	c := client(t, answer(200, `{"ports":[`+row(own, "ours", false, port)+","+row(foreign, "theirs", false, port)+`]}`))
	c.WorkFor("ours")
	if found, err := c.FindPorts(t.Context(), courier.PortQuery{ID: own}); err != nil || len(found) != 1 || found[0].ID != own {
		t.Errorf("ports: %v, %v", found, err)
	}
}

func ids[T any](all []T, id func(T) string) (out []string) {
	for _, x := range all {
		out = append(out, id(x))
	}
	return out
}
