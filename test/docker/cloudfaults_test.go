//go:build openstack

package docker

import (
	"net/http"
	"os"
	"strings"
	"testing"

	"kuryr/internal/testkit"
	"kuryr/test/openstack/cloud"
)

// newFaultyCloud is a host whose Kuryr reaches the cloud's Neutron through a
// proxy that makes requests fail.
func newFaultyCloud(t *testing.T) (*host, *testkit.FaultProxy) {
	t.Helper()
	h := newSpecialHost(t, testkit.KuryrOptions{Config: "lost_request_timeout = 5" + testkit.NoPortPools})
	proxy, err := testkit.NewFaultProxy(t.Context(), h.machine, strings.TrimPrefix(cloud.NetworkURL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	*h.after = append(*h.after, func() {
		if err := proxy.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := h.kuryr.Stop(); err != nil {
		t.Fatal(err)
	}
	h.configure("[neutron]\nendpoint_override = " + strings.TrimSuffix(proxy.URL, "v2.0/") + "\n")
	if err := h.kuryr.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return h, proxy
}

// configure adds to kuryr.conf.
func (h *host) configure(more string) {
	h.t.Helper()
	path := h.machine.Path("kuryr.conf")
	config, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(path, append(config, more...), 0o600)
	}
	if err != nil {
		h.t.Fatal(err)
	}
}

// A cloud that breaks on one call, or finds that somebody was faster, is one
// line in docker's answer, and leaves nothing behind.
func TestCloudFails(t *testing.T) {
	h, proxy := newFaultyCloud(t)
	// The operator's, at an address that a container wishes for.
	id := h.prepared("networks", "network", fields{"name": "prepared"})
	h.prepared("subnets", "subnet", fields{"network_id": id, "ip_version": 4, "cidr": "10.93.0.0/24"})
	port := h.prepared("ports", "port", fields{"network_id": id, "fixed_ips": []fields{{"ip_address": "10.93.0.7"}}})
	n := h.network("net", "--subnet", "10.92.0.0/24")
	existing := h.network("existing", "--subnet", "10.93.0.0/24", "-o", "neutron.net.uuid="+id)

	answers := func(status int, method, path string) func(testkit.Call) testkit.Fault {
		return testkit.FailNth(1, testkit.Fault{Kind: testkit.Answer, Status: status}, func(c testkit.Call) bool {
			return c.Method == method && strings.Contains(c.Path, path)
		})
	}
	for _, x := range []struct {
		name  string
		fault func(testkit.Call) testkit.Fault
		args  []string
		want  []string
	}{
		{"500 to a new port", answers(500, "POST", "/ports"), h.runArgs("guest", "--network", n.name),
			[]string{"cannot", "fault injected by the test", "try again"}},
		{"500 to the port's endpoint", answers(500, "PUT", "/ports/"), h.runArgs("guest", "--network", n.name),
			[]string{"cannot", "fault injected by the test", "try again"}},
		{"500 to a new network", answers(500, "POST", "/networks"), h.networkArgs("x", "--subnet", "10.91.0.0/24"),
			[]string{"cannot", "fault injected by the test", "try again"}},
		// One alone would be tried again: no network can have the subnet twice.
		{"500 to a new subnet, and to the next try", func(c testkit.Call) testkit.Fault {
			if c.Method == http.MethodPost && strings.Contains(c.Path, "/subnets") {
				return testkit.Fault{Kind: testkit.Answer, Status: 500}
			}
			return testkit.Fault{}
		}, h.networkArgs("x", "--subnet", "10.91.0.0/24"),
			[]string{"cannot", "fault injected by the test", "try again"}},
		{"412 to the port's endpoint", answers(412, "PUT", "/ports/"), h.runArgs("guest", "--network", n.name),
			[]string{"cannot", "somebody else has changed it", "try again"}},
		// Neutron's own: between Kuryr's look at the port and its taking it
		// somebody else changes it.
		{"412 to a port that somebody changes", func(c testkit.Call) testkit.Fault {
			if c.Method == http.MethodPut && strings.HasSuffix(c.Path, "/ports/"+port) {
				if err := h.kuryr.Neutron.Put(t.Context(), "ports/"+port, fields{"port": fields{"name": "changed"}}); err != nil {
					t.Error(err)
				}
			}
			return testkit.Fault{}
		}, h.runArgs("guest", "--network", existing.name, "--ip", "10.93.0.7"),
			[]string{"cannot", "10.93.0.7", "somebody else has changed it", "try again"}},
	} {
		t.Run(x.name, func(t *testing.T) {
			h := h.in(t)
			before := h.take()
			proxy.Watch(x.fault)
			h.fails(x.want, x.args...)
			proxy.Watch(nil)
			if x.args[0] == "run" {
				h.docker("rm", "--force", "guest")
			}
			h.kuryr.AssertNothingLeft(t, before, gone)
		})
	}
	// Well again, with the port as the operator left it.
	existing.run("guest", "--ip", "10.93.0.7")
	if got := existing.port("10.93.0.7"); got.ID != port {
		t.Errorf("the container has port %s, not the operator's %s", got.ID, port)
	}
}
