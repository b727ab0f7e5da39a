package docker

import (
	"slices"
	"strings"
	"testing"
	"time"

	"kuryr/internal/testkit"
)

// exposedGroup returns the ID of the group that opens some ports, "" if there
// is none.
func (h *host) exposedGroup(ports string) string {
	h.t.Helper()
	all, err := h.kuryr.Neutron.SecurityGroups(h.t.Context())
	if err != nil {
		h.t.Fatal(err)
	}
	id := ""
	for _, g := range all {
		if g.Name == "kuryr-exposed "+ports {
			if id != "" {
				h.t.Errorf("two groups for %s", ports)
			}
			id = g.ID
		}
	}
	return id
}

// serve has the container answer HTTP requests at a port, in both families.
func (c container) serve(port string) {
	c.h.t.Helper()
	c.h.docker("exec", "--detach", c.name, "httpd", "-f", "-p", port, "-h", "/etc")
}

// fetches tells whether the container gets what serves at an address and port.
// A static busybox's wget crashes over names, its nc does not.
func (c container) fetches(address, port string) bool {
	c.h.t.Helper()
	out, _ := c.h.try("exec", c.name, "sh", "-c", `printf 'GET /passwd HTTP/1.0\r\n\r\n' | nc -w 1 `+address+" "+port)
	return strings.Contains(out, "root:")
}

// Exposed ports, and only these, are open to whom the container's own groups
// let nothing in from, over IPv4 and IPv6, and while Kuryr is not there.
func TestExposedPorts(t *testing.T) {
	h := newSpecialHost(t, testkit.KuryrOptions{})
	n := h.network("net", "--subnet", "10.64.0.0/24", "--ipv6", "--subnet", "fd64::/64")
	web, client := n.run("web", "--expose", "80"), n.run("client")
	web.serve("80")
	web.serve("81")
	port := n.port(web.ip4()).ID
	h.eventually("the port has the group of its exposed ports", func() bool {
		return slices.Contains(n.port(web.ip4()).Groups, h.exposedGroup("tcp/80"))
	})
	exposed := h.exposedGroup("tcp/80")
	// The default group lets its members in, and nobody else; the client is one.
	for _, address := range []string{web.ip4(), web.ip6()} {
		for _, p := range []string{"80", "81"} {
			h.eventually("a member of the group gets "+address+" port "+p, func() bool { return client.fetches(address, p) })
		}
	}

	// In this group nobody else is, and nobody is let in.
	h.setPort(port, fields{"security_groups": []string{h.securityGroup("closed"), exposed}})
	client.isCutOffSoon(web.ip4())
	client.isCutOffSoon(web.ip6())
	open := func(when string) {
		t.Helper()
		for _, address := range []string{web.ip4(), web.ip6()} {
			if !client.fetches(address, "80") {
				t.Errorf("%s: port 80 of %s is not open", when, address)
			}
			if client.fetches(address, "81") {
				t.Errorf("%s: port 81 of %s is open, too", when, address)
			}
		}
	}
	open("exposed")
	h.kuryr.Kill()
	open("without Kuryr")
	if err := h.kuryr.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	open("after a restart of Kuryr")

	// The group lets in, and nothing out.
	h.setPort(port, fields{"security_groups": []string{exposed}})
	h.eventually("nothing gets out", func() bool { _, err := web.inside("ping", "-c", "1", "-W", "1", client.ip4()); return err != nil })
	open("with no other group")

	// One group for all that expose the same; it goes with the last of them.
	other := n.run("other", "--expose", "80", "--publish", "18080:80")
	h.eventually("another container's port has the same group", func() bool { return slices.Contains(n.port(other.ip4()).Groups, exposed) })
	// Another group, which nobody uses a moment later, tells when the groups
	// have been looked through.
	brief := n.run("brief", "--expose", "82")
	h.eventually("a third container's port has a group", func() bool { return h.exposedGroup("tcp/82") != "" })
	web.remove()
	h.eventually("the port of the first is gone", func() bool {
		return !slices.ContainsFunc(n.ports(), func(p testkit.Port) bool { return p.ID == port })
	})
	brief.remove()
	h.eventually("the group of nobody is gone", func() bool { return h.exposedGroup("tcp/82") == "" })
	if h.exposedGroup("tcp/80") != exposed {
		t.Error("the group is gone, and a container uses it")
	}
	other.remove()
	h.eventually("the group is gone", func() bool { return h.exposedGroup("tcp/80") == "" })
}

// Ranges are one rule; the network that leads nowhere gets no group.
func TestExposedRange(t *testing.T) {
	h := newHost(t)
	h.network("dead-end", "--internal", "--subnet", "10.66.0.0/24")
	n := h.network("net", "--subnet", "10.65.0.0/24")
	c := n.run("range", "--expose", "1000-21000/udp", "--expose", "80", "--expose", "9/sctp")
	address := c.ip4()
	h.docker("network", "connect", "dead-end", c.name)
	const ports = "tcp/80 udp/1000-21000 sctp/9"
	h.eventually("the port has the group", func() bool { return slices.Contains(n.port(address).Groups, h.exposedGroup(ports)) })
	all, err := h.kuryr.Neutron.SecurityGroups(t.Context())
	if err != nil || len(all) != 1 {
		t.Errorf("groups: %v, %v", all, err)
	}
	s, err := h.kuryr.Status(t.Context())
	// There may be others, of what an earlier test on this machine had planted.
	if err != nil || slices.ContainsFunc(s.Notices, func(n string) bool { return strings.Contains(n, "endpoint") }) {
		t.Errorf("notices: %q, %v", s.Notices, err)
	}
}

// An operator who wants none of it has none.
func TestExposedPortsSwitchedOff(t *testing.T) {
	h := newSpecialHost(t, testkit.KuryrOptions{Config: "process_external_connectivity = false\n"})
	n := h.network("net", "--subnet", "10.67.0.0/24")
	n.run("web", "--expose", "80")
	time.Sleep(time.Second)
	if id := h.exposedGroup("tcp/80"); id != "" {
		t.Errorf("there is a group %s", id)
	}
}
