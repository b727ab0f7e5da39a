package docker

import (
	"context"
	"testing"
	"time"
)

// Security groups, as Neutron's users set them, decide about the packets of
// running containers; each change is in force within moments.
func TestSecurityGroups(t *testing.T) {
	h := newHost(t)
	n := h.network("net", "--subnet", "10.60.0.0/24", "--ipv6", "--subnet", "fd60::/64")
	web, client := n.run("web"), n.run("client")
	port := n.port(web.ip4())
	// Containers of one project are in its default group, whose members may talk.
	client.reaches(web.ip4())
	client.reaches(web.ip6())

	group := h.securityGroup("web")
	h.setPort(port.ID, fields{"security_groups": []string{group}})
	client.isCutOffSoon(web.ip4())
	client.isCutOffSoon(web.ip6())
	web.isCutOff(client.ip4()) // it is no member of the default group any more

	h.permit(fields{"security_group_id": group, "direction": "ingress", "ethertype": "IPv4", "protocol": "icmp", "remote_ip_prefix": client.ip4() + "/32"})
	client.reaches(web.ip4())
	client.isCutOff(web.ip6())
	h.permit(fields{"security_group_id": group, "direction": "ingress", "ethertype": "IPv6", "protocol": "ipv6-icmp", "remote_group_id": n.port(client.ip4()).Groups[0]})
	client.reaches(web.ip6())

	h.setPort(port.ID, fields{"security_groups": []string{h.securityGroup("closed")}})
	client.isCutOffSoon(web.ip4())
	// The rules stay in force while nobody is there to keep them.
	h.kuryr.Kill()
	client.isCutOff(web.ip4())
	if err := h.kuryr.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	client.isCutOff(web.ip4())
	h.setPort(port.ID, fields{"security_groups": []string{}, "port_security_enabled": false})
	client.reaches(web.ip4())
}

// A container sends from its port's addresses only, until its port may use others.
func TestSpoofedSource(t *testing.T) {
	h := newHost(t)
	n := h.network("net", "--subnet", "10.62.0.0/24", "--ip-range", "10.62.0.0/26") // Neutron hands out any
	thief, victim := n.run("thief"), n.run("victim")
	thief.reaches(victim.ip4())
	const stolen = "10.62.0.99"
	if _, err := thief.inside("ip", "address", "add", stolen+"/24", "dev", "eth0"); err != nil {
		t.Fatal(err)
	}
	if out, err := thief.inside("ping", "-c", "2", "-i", "0.2", "-W", "1", "-I", stolen, victim.ip4()); err == nil {
		t.Errorf("packets from an address that is not the port's pass:\n%s", out)
	}
	h.setPort(n.port(thief.ip4()).ID, fields{"allowed_address_pairs": []fields{{"ip_address": stolen}}})
	victim.reaches(stolen)
}

// fields are a resource's attributes in a request.
type fields map[string]any

func (h *host) setPort(id string, f fields) {
	h.t.Helper()
	if err := h.kuryr.Neutron.Put(h.t.Context(), "ports/"+id, fields{"port": f}); err != nil {
		h.t.Fatal(err)
	}
}

// securityGroup makes a group that permits what goes out, and returns its ID.
// It is gone after the test.
func (h *host) securityGroup(name string) string {
	h.t.Helper()
	var answer struct {
		Group struct{ ID string } `json:"security_group"`
	}
	if err := h.kuryr.Neutron.Post(h.t.Context(), "security-groups", fields{"security_group": fields{"name": name}}, &answer); err != nil {
		h.t.Fatal(err)
	}
	*h.after = append(*h.after, func() {
		if err := h.kuryr.Neutron.Delete(context.Background(), "security-groups/"+answer.Group.ID); err != nil {
			h.t.Error(err)
		}
	})
	return answer.Group.ID
}

// permit makes a rule of a security group.
func (h *host) permit(rule fields) {
	h.t.Helper()
	if err := h.kuryr.Neutron.Post(h.t.Context(), "security-group-rules", fields{"security_group_rule": rule}, nil); err != nil {
		h.t.Fatal(err)
	}
}

// isCutOffSoon checks that the container gets no answer from an address, once
// a change just made is in force.
func (c container) isCutOffSoon(address string) {
	c.h.t.Helper()
	for deadline := time.Now().Add(5 * time.Second); ; {
		_, err := c.inside("ping", "-c", "1", "-W", "1", address)
		if err != nil {
			break
		}
		if time.Now().After(deadline) {
			c.h.t.Errorf("%s still reaches %s", c.name, address)
			return
		}
	}
	c.isCutOff(address)
}
