//go:build !openstack

package docker

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
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

// newSwitchHost is a host whose Neutron is not Kuryr's own, with a network
// "tenant" that was there before. What it returns tells how that is now.
func newSwitchHost(t *testing.T, config string) (h *host, tenant func() []string) {
	t.Helper()
	h = newCloudHost(t, config)
	network := h.prepared("networks", "network", fields{"name": "tenant"})
	subnet := h.prepared("subnets", "subnet", fields{"network_id": network, "ip_version": 4, "cidr": "10.161.0.0/24", "gateway_ip": "10.161.0.254", "name": "tenant-4"})
	return h, func() []string { return []string{h.resource("networks", network), h.resource("subnets", subnet)} }
}

// populate makes a network and takes the one that was there before, with two
// containers on each that talk to each other.
func (h *host) populate() (nets []network, streams []*stream) {
	h.t.Helper()
	nets = []network{
		h.network("made", "--subnet", "10.160.0.0/24", "--gateway", "10.160.0.1"),
		h.network("found", "--subnet", "10.161.0.0/24", "--gateway", "10.161.0.254", "--opt", "neutron.net.name=tenant"),
	}
	for _, n := range nets {
		streams = append(streams, n.run("alice-"+n.name).streamTo(n.run("bob-"+n.name)))
	}
	return nets, streams
}

// carryOn checks that after a change of plugins what runs goes on, and new
// containers and restarted ones work.
func (h *host) carryOn(nets []network, streams []*stream, seen []string) {
	h.t.Helper()
	for _, n := range nets {
		alice, carol := container{h, "alice-" + n.name}, n.run("carol-"+n.name)
		carol.reaches(alice.ip4())
		alice.reaches(carol.ip4())
		carol.remove()
	}
	if diff := cmp.Diff(seen, h.seen(nets)); diff != "" {
		h.t.Errorf("docker network inspect (-before +after):\n%s", diff)
	}
	for _, s := range streams {
		s.uninterrupted()
	}
	for _, n := range nets {
		alice, bob := container{h, "alice-" + n.name}, container{h, "bob-" + n.name}
		h.docker("restart", "--time", "1", bob.name)
		alice.reaches(bob.ip4())
		bob.reaches(alice.ip4())
	}
}

// A host as the Python Kuryr leaves it, with a network that it made and one
// that was there before, is taken over: the containers' traffic goes on, what
// they do next works, and when they are removed nothing is left.
func TestSwitchOver(t *testing.T) {
	h, tenant := newSwitchHost(t, "")
	before := tenant()
	h.stopKuryr()
	p := startPython(h)
	nets, streams := h.populate()
	seen := h.seen(nets)
	p.stop(h)
	if err := h.kuryr.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.carryOn(nets, streams, seen)
	for _, n := range nets {
		h.eventually("only alice and bob have ports", func() bool { return len(n.ports()) == 2 })
	}
	h.removeAll()
	h.kuryr.AssertNothingLeft(t, h.before, gone)
	if diff := cmp.Diff(before, tenant()); diff != "" {
		t.Errorf("what was there before (-before +after):\n%s", diff)
	}
}

// With compat_tags what Kuryr made is found by the Python Kuryr's look-ups: it
// takes the host over, and removes one network. A Kuryr that knows nothing
// takes back what is left by then, of both makers, and removes that.
func TestSwitchBack(t *testing.T) {
	h, tenant := newSwitchHost(t, "[neutron]\ncompat_tags = true\n")
	before := tenant()
	nets, streams := h.populate()
	seen, made, bridge := h.seen(nets), nets[0], bridgeOf(nets[0].neutron())
	if got, want := h.made(), []string{"kuryr-net-" + made.id[:8], "kuryr-subnet-10.160.0.0/24", "kuryrPool-10.160.0.0/24"}; !slices.Equal(got, want) {
		t.Errorf("in Neutron %v, want %v", got, want)
	}
	h.stopKuryr()
	p := startPython(h)
	h.carryOn(nets, streams, seen)
	h.docker("rm", "--force", "alice-made", "bob-made")
	made.remove()
	if left := h.made(); len(left) > 0 {
		t.Errorf("of the network that the Python Kuryr removed this is left in Neutron: %v", left)
	}
	h.ip("link", "del", bridge) // it never removes a bridge

	if err := os.Rename(h.machine.Path("state"), h.machine.Path("state.old")); err != nil {
		t.Fatal(err)
	}
	nets, streams = nets[1:], []*stream{container{h, "alice-found"}.streamTo(container{h, "bob-found"})}
	seen = h.seen(nets)
	p.stop(h)
	if err := h.kuryr.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.carryOn(nets, streams, seen)
	h.removeAll()
	h.kuryr.AssertNothingLeft(t, h.before, gone)
	if diff := cmp.Diff(before, tenant()); diff != "" {
		t.Errorf("what was there before (-before +after):\n%s", diff)
	}
}

// made lists what is in Neutron by the names of what Kuryr, of either kind,
// makes for a network of its own.
func (h *host) made() (names []string) {
	h.t.Helper()
	for _, kind := range []string{"networks", "subnets", "subnetpools"} {
		var answer map[string][]testkit.Resource
		if err := h.kuryr.Neutron.Get(h.t.Context(), kind, &answer); err != nil {
			h.t.Fatal(err)
		}
		for _, r := range answer[kind] {
			for _, prefix := range []string{"kuryr-net-", "kuryr-subnet-", "kuryrPool-10.160."} {
				if strings.HasPrefix(r.Name, prefix) {
					names = append(names, r.Name)
				}
			}
		}
	}
	return names
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
