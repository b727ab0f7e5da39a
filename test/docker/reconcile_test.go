//go:build !openstack

package docker

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"kuryr/internal/testkit"
)

// plant makes one thing of each kind, marked with a description, and a link with
// that alias whose other end is on the host. It returns what removes them.
func (h *host) plant(n int, description string) (unplant func()) {
	h.t.Helper()
	var paths []string
	post := func(path, kind string, f fields) string {
		h.t.Helper()
		var answer map[string]struct {
			ID string `json:"id"`
		}
		f["description"] = description
		if err := h.kuryr.Neutron.Post(h.t.Context(), path, map[string]any{kind: f}, &answer); err != nil {
			h.t.Fatal(err)
		}
		paths = append(paths, path+"/"+answer[kind].ID)
		return answer[kind].ID
	}
	network := post("networks", "network", fields{"name": "kuryr-net-3f8a0b1c"})
	post("subnets", "subnet", fields{"name": "kuryr-subnet", "network_id": network, "ip_version": 4, "cidr": fmt.Sprintf("10.178.%d.0/24", n)})
	post("ports", "port", fields{"name": "kuryr-port", "network_id": network, "device_owner": "compute:kuryr", "binding:host_id": h.kuryr.Host})
	post("ports", "port", fields{"name": "kuryr-aux-a", "network_id": network, "device_owner": "kuryr:auxiliary"})
	post("subnetpools", "subnetpool", fields{"name": "kuryrPool-x", "prefixes": []string{fmt.Sprintf("10.179.%d.0/24", n)}, "default_prefixlen": 24})
	post("security-groups", "security_group", fields{"name": "kuryr-exposed tcp/80"})
	tap, peer := fmt.Sprintf("tapffffffff-%02d", n), fmt.Sprintf("t_cffffffff-%02d", n)
	h.ip("link", "add", tap, "type", "veth", "peer", "name", peer)
	if description != "" {
		h.ip("link", "set", tap, "alias", description)
	}
	return func() {
		h.t.Helper()
		h.ip("link", "del", tap)
		for _, path := range slices.Backward(paths) {
			if err := h.kuryr.Neutron.Delete(h.t.Context(), path); err != nil {
				h.t.Errorf("it was not ours, and is gone: %v", err)
			}
		}
	}
}

// Garbage of each kind goes, and exactly that: nothing that looks like it, and
// nothing of running containers. Then somebody removes a bridge and a link of
// running containers by hand.
func TestReconcile(t *testing.T) {
	h := newHost(t)
	n := h.network("net", "--subnet", "10.82.0.0/24")
	a, b, c := n.run("alice"), n.run("bob"), n.run("carol")
	b.reaches(a.ip4())

	mark := n.port(a.ip4()).Description // kuryr:HOST:INTENT, an intent starts with its journal's identity
	i := strings.LastIndexByte(mark, ':')
	self, identity := mark[:i], mark[i+1:][:8]
	const intent = "-1111-8111-9111-111111111111"
	var unplant []func()
	for i, foreign := range []string{
		"", "kuryr", self + "x:" + identity + intent, self[:len(self)-1] + ":" + identity + intent,
		self + ":ffffffff" + intent, self + ":default-pool", self + ":" + identity,
	} {
		unplant = append(unplant, h.plant(10+i, foreign))
	}
	// What Kuryr compares by itself when it starts is over then: nothing but the
	// commands below looks at what is planted now.
	if out, err := h.kuryr.CLI(t.Context(), "reconcile", "--admin-socket", h.kuryr.AdminSocket()); err != nil {
		t.Fatalf("kuryr reconcile: %v: %s", err, out)
	}
	before := h.see()
	h.plant(1, self+":"+identity+intent)
	h.plant(2, self+":"+identity+"-2222-8222-9222-222222222222")
	planted := h.see()

	cli := func(args ...string) string {
		t.Helper()
		out, err := h.kuryr.CLI(t.Context(), append(args, "--admin-socket", h.kuryr.AdminSocket())...)
		if err != nil {
			t.Fatalf("kuryr %s: %v: %s", strings.Join(args, " "), err, out)
		}
		return out
	}
	dry := cli("gc", "--dry-run")
	if diff := planted.Diff(h.see()); len(diff) > 0 {
		t.Errorf("a dry run changed something:\n\t%s", strings.Join(diff, "\n\t"))
	}
	if got := strings.Count(dry, "this journal made it, and has no record of it any more"); got != 2*6 {
		t.Errorf("%d things are told to be garbage, want %d:\n%s", got, 2*6, dry)
	}
	done := cli("gc", "--yes")
	if diff := before.Diff(h.see()); len(diff) > 0 {
		t.Errorf("after gc --yes this is left (+), or gone though it is not ours (-):\n\t%s\n%s", strings.Join(diff, "\n\t"), done)
	}
	if out := cli("reconcile"); strings.Contains(out, "  delete  ") {
		t.Errorf("there is garbage still:\n%s", out)
	}
	b.reaches(a.ip4())
	h.mendsByItself(n, a, b, c)
	for _, f := range unplant {
		f()
	}
}

// mendsByItself removes the bridge of a network under its containers, and then
// the link of one.
func (h *host) mendsByItself(n network, a, b, c container) {
	h.t.Helper()
	h.ip("link", "del", "brq"+n.neutron()[:11])
	start := time.Now()
	for {
		if _, err := b.inside("ping", "-c", "1", "-W", "1", a.ip4()); err == nil {
			break
		}
		if time.Since(start) > 15*time.Second {
			h.t.Fatalf("no traffic %s after the bridge was removed", time.Since(start))
		}
	}
	h.t.Logf("traffic again %s after the bridge was removed", time.Since(start).Round(100*time.Millisecond))

	lost := n.port(c.ip4())
	h.ip("link", "del", "tap"+lost.ID[:11])
	for start = time.Now(); ; time.Sleep(200 * time.Millisecond) {
		if !slices.ContainsFunc(n.ports(), func(p testkit.Port) bool { return p.ID == lost.ID }) {
			break
		}
		if time.Since(start) > time.Minute {
			h.t.Fatalf("the port of a link that was removed is there %s later", time.Since(start))
		}
	}
	h.t.Logf("the port was gone %s after its link was removed", time.Since(start).Round(100*time.Millisecond))
	b.reaches(a.ip4())
	c.remove()
}
