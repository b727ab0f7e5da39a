//go:build !openstack

package docker

import "testing"

// A port that is administratively down passes nothing, and says so.
func TestAdminStateDown(t *testing.T) {
	h := newHost(t)
	n := h.network("net", "--subnet", "10.61.0.0/24")
	a, b := n.run("alice"), n.run("bob")
	port := n.port(a.ip4())
	b.reaches(a.ip4())
	h.setPort(port.ID, fields{"admin_state_up": false})
	b.isCutOffSoon(a.ip4())
	if got := n.port(a.ip4()).Status; got != "DOWN" {
		t.Errorf("the port's status is %s, want DOWN", got)
	}
	h.setPort(port.ID, fields{"admin_state_up": true})
	b.reaches(a.ip4())
	if got := n.port(a.ip4()).Status; got != "ACTIVE" {
		t.Errorf("the port's status is %s, want ACTIVE", got)
	}
}
