//go:build !openstack

package docker

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kuryr/internal/testkit"
)

// newCloudHost is a machine with a Neutron in a process of its own, which goes
// on when Kuryr ends, and an engine.
func newCloudHost(t *testing.T, config string) *host {
	t.Helper()
	testkit.NeedRoot(t)
	t.Parallel()
	h, err := fleet.bare(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	fail := func(err error) {
		if err != nil {
			h.discard(t)
			t.Fatal(err)
		}
	}
	server, err := testkit.StartNeutron(t.Context(), h.machine, fleet.binary)
	fail(err)
	h.kuryr, err = testkit.StartKuryr(t.Context(), h.machine, fleet.binary, testkit.KuryrOptions{
		Neutron: "http://" + server.Address, Config: impatient + config,
	})
	fail(err)
	// Docker's firewall drops what bridges forward, and the Python Kuryr does
	// nothing about it: its operators do.
	_, err = h.machine.Output(t.Context(), "iptables", "-I", "DOCKER-USER", "-i", "brq+", "-j", "ACCEPT")
	fail(err)
	h.begin(t, gone, func(h *host) {
		if err := errors.Join(h.kuryr.Close(), server.Stop()); err != nil {
			t.Error(err)
		}
		h.discard(t)
	})
	return h
}

// A host as the Python Kuryr leaves it, with a network that it made and one
// that was there before, is taken over: the containers' traffic goes on, what
// they do next works, and when they are removed nothing is left.
func TestSwitchOver(t *testing.T) {
	h := newCloudHost(t, "")
	tenant := h.prepared("networks", "network", fields{"name": "tenant"})
	subnet := h.prepared("subnets", "subnet", fields{"network_id": tenant, "ip_version": 4, "cidr": "10.161.0.0/24", "gateway_ip": "10.161.0.254", "name": "tenant-4"})
	untouched := []string{h.resource("networks", tenant), h.resource("subnets", subnet)}
	h.stopKuryr()

	p := startPython(h)
	nets := []network{
		h.network("made", "--subnet", "10.160.0.0/24", "--gateway", "10.160.0.1"),
		h.network("found", "--subnet", "10.161.0.0/24", "--gateway", "10.161.0.254", "--opt", "neutron.net.name=tenant"),
	}
	var streams []*stream
	for _, n := range nets {
		streams = append(streams, n.run("alice-"+n.name).streamTo(n.run("bob-"+n.name)))
	}
	seen := h.seen(nets)
	p.stop(h)
	if err := h.kuryr.Start(t.Context()); err != nil {
		t.Fatal(err)
	}

	for _, n := range nets {
		alice, carol := container{h, "alice-" + n.name}, n.run("carol-"+n.name)
		carol.reaches(alice.ip4())
		alice.reaches(carol.ip4())
		carol.remove()
	}
	if diff := cmp.Diff(seen, h.seen(nets)); diff != "" {
		t.Errorf("docker network inspect (-before +after):\n%s", diff)
	}
	for _, s := range streams {
		s.uninterrupted()
	}
	for _, n := range nets {
		alice, bob := container{h, "alice-" + n.name}, container{h, "bob-" + n.name}
		h.docker("restart", "--time", "1", bob.name)
		alice.reaches(bob.ip4())
		bob.reaches(alice.ip4())
		h.eventually("only alice and bob have ports", func() bool { return len(n.ports()) == 2 })
	}

	h.removeAll()
	h.kuryr.AssertNothingLeft(t, h.before, gone)
	if diff := cmp.Diff(untouched, []string{h.resource("networks", tenant), h.resource("subnets", subnet)}); diff != "" {
		t.Errorf("what was there before (-before +after):\n%s", diff)
	}
}

// stopKuryr ends Kuryr, so that its socket is free for another plugin.
func (h *host) stopKuryr() {
	h.t.Helper()
	if err := h.kuryr.Close(); err != nil {
		h.t.Fatal(err)
	}
}

// resource is a resource of Neutron's with all that a change to it would show,
// but for the count of changes.
func (h *host) resource(kind, id string) string {
	h.t.Helper()
	var answer map[string]map[string]any
	if err := h.kuryr.Neutron.Get(h.t.Context(), kind+"/"+id, &answer); err != nil {
		h.t.Fatal(err)
	}
	f := answer[strings.TrimSuffix(kind, "s")]
	delete(f, "revision_number")
	delete(f, "updated_at")
	text, err := json.MarshalIndent(f, "", " ")
	if err != nil {
		h.t.Fatal(err)
	}
	return string(text)
}

// seen is what docker network inspect shows of networks, and their containers.
func (h *host) seen(nets []network) []string {
	h.t.Helper()
	var lines []string
	for _, n := range nets {
		doc := get[struct {
			IPAM struct {
				Config []struct{ Subnet, Gateway string }
			}
			Containers map[string]struct{ Name, EndpointID, MacAddress, IPv4Address string }
		}](h, "/networks/"+n.name)
		lines = append(lines, fmt.Sprintf("%s: %v", n.name, doc.IPAM.Config))
		for _, c := range doc.Containers {
			lines = append(lines, fmt.Sprint(c))
		}
	}
	slices.Sort(lines)
	return lines
}
