package docker

import (
	"context"
	"slices"
	"strings"
	"testing"

	"kuryr/internal/testkit"
)

// prepared makes what an operator has made before Kuryr comes. It is there at
// the test's end, or the test fails, and gone after it.
func (h *host) prepared(path, kind string, f fields) string {
	h.t.Helper()
	var answer map[string]struct{ ID string }
	if err := h.kuryr.Neutron.Post(h.t.Context(), path, fields{kind: f}, &answer); err != nil {
		h.t.Fatal(err)
	}
	id := answer[kind].ID
	*h.after = slices.Insert(*h.after, 0, func() {
		if err := h.kuryr.Neutron.Delete(context.Background(), path+"/"+id); err != nil {
			h.t.Error(err)
		}
	})
	h.before = h.take()
	return id
}

// An existing network, subnet and port are used, with the subnet's gateway and
// the port's MAC address, and are there unchanged when all is over.
func TestExistingNetwork(t *testing.T) {
	h := newHost(t)
	id := h.prepared("networks", "network", fields{"name": "tenant"})
	subnet := h.prepared("subnets", "subnet", fields{"network_id": id, "ip_version": 4, "cidr": "10.70.0.0/24", "gateway_ip": "10.70.0.254", "name": "tenant-4"})
	port := h.prepared("ports", "port", fields{"network_id": id, "name": "mine", "fixed_ips": []fields{{"subnet_id": subnet, "ip_address": "10.70.0.7"}}})
	for _, flags := range [][]string{
		{"--subnet", "10.70.0.0/24", "-o", "neutron.net.name=tenant"},
		{"--subnet", "10.70.0.0/24", "-o", "neutron.net.uuid=" + id},
		{"--ipam-opt", "neutron.subnet.name=tenant-4"},
		{"--subnet", "10.70.0.0/24", "--ipam-opt", "neutron.subnet.uuid=" + subnet},
	} {
		n := h.network("net", flags...)
		if got := n.neutron(); got != id {
			t.Errorf("%v: the network is %s, not %s", flags, got, id)
		}
		free := n.run("free")
		if routes := strings.Join(free.routes("-4"), "\n"); !strings.Contains(routes, "default via 10.70.0.254") {
			t.Errorf("%v: routes\n%s", flags, routes)
		}
		if slices.Contains(flags, "--subnet") { // Docker's condition for --ip
			mine := n.run("mine", "--ip", "10.70.0.7")
			if p := n.port("10.70.0.7"); p.ID != port || p.MAC != mine.nic().MAC {
				t.Errorf("%v: the container has %s, the port is %+v", flags, mine.nic().MAC, p)
			}
			free.reaches("10.70.0.7")
			mine.remove()
		}
		free.remove()
		n.remove()
		h.eventually("the port is free again", func() bool {
			var now struct{ Port testkit.Port }
			if err := h.kuryr.Neutron.Get(t.Context(), "ports/"+port, &now); err != nil {
				t.Fatal(err)
			}
			return now.Port.Host == ""
		})
	}
}

// Two Docker networks that name one are on it together, until both are gone.
func TestCreateName(t *testing.T) {
	h := newHost(t)
	flags := []string{"--subnet", "10.71.0.0/24", "-o", "neutron.net.create_name=blue-everywhere"}
	one, two := h.network("one", flags...), h.network("two", flags...)
	if one.neutron() != two.neutron() {
		t.Errorf("networks %s and %s", one.neutron(), two.neutron())
	}
	alice, bob := one.run("alice"), two.run("bob")
	alice.reaches(bob.ip4())
	alice.remove()
	one.remove()
	carol := two.run("carol")
	carol.reaches(bob.ip4())
}

// Options of a network's ports, and of one endpoint's.
func TestPortOptions(t *testing.T) {
	h := newHost(t)
	web, closed := h.securityGroup("reuse-web"), h.securityGroup("reuse-closed")
	h.permit(fields{"security_group_id": web, "direction": "ingress", "ethertype": "IPv4"})
	n := h.network("net", "--subnet", "10.72.0.0/24", "-o", "neutron.port.security_groups=reuse-web", "-o", "neutron.port.dns_name=all")
	open := n.run("open")
	if got := n.port(open.ip4()).Groups; !slices.Equal(got, []string{web}) {
		t.Errorf("groups %v, want %s", got, web)
	}
	h.docker("create", "--name", "shut", "--network", "none", testkit.Image)
	h.docker("network", "disconnect", "none", "shut")
	h.docker("network", "connect", "--driver-opt", "neutron.port.security_groups=reuse-closed", "net", "shut")
	h.docker("start", "shut")
	shut := container{h: h, name: "shut"}
	if got := n.port(shut.ip4()).Groups; !slices.Equal(got, []string{closed}) {
		t.Errorf("groups %v, want %s", got, closed)
	}
	shut.reaches(open.ip4())
	open.isCutOff(shut.ip4())
}

// What can't be meant, or may not be asked for, is one line, and leaves nothing.
func TestRefusedOptions(t *testing.T) {
	h := newSpecialHost(t, testkit.KuryrOptions{Config: testkit.NoPortPools})
	a := h.prepared("networks", "network", fields{"name": "twin"})
	b := h.prepared("networks", "network", fields{"name": "twin"})
	h.network("net", "--subnet", "10.73.0.0/24")
	for _, x := range []struct {
		args []string
		want []string
	}{
		{h.networkArgs("x", "-o", "neutron.net.name=twin"), []string{`network "twin" is one of 2`, a, b, "name it by its ID"}},
		{h.networkArgs("x", "-o", "neutron.net.name=nobody"), []string{`there is no network "nobody"`}},
		{h.networkArgs("x", "-o", "neutron.net.nam=twin"), []string{"there is no option neutron.net.nam"}},
		{h.networkArgs("x", "-o", "neutron.port.security_groups=nobody"), []string{`there is no security group "nobody"`}},
		{h.networkArgs("x", "-o", "neutron.port.port_security=false"), []string{"not allowed", "allowed_options"}},
		{h.networkArgs("x", "--ipam-opt", "neutron.net.uuid="+a), []string{"neutron.net.uuid", "give it with -o"}},
		{h.runArgs("guest", "--network", "name=net,driver-opt=neutron.port.qos_policy=nobody"), []string{`there is no QoS policy "nobody"`}},
	} {
		before := h.take()
		h.fails(x.want, x.args...)
		if x.args[0] == "run" {
			h.docker("rm", "--force", "guest")
		}
		h.kuryr.AssertNothingLeft(t, before, gone)
	}
}
