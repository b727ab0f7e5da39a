//go:build openstack

package docker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"kuryr/internal/testkit"
	"kuryr/test/openstack/cloud"
)

// What a cloud refuses is one line that says why and what to do, and leaves
// nothing behind.
func TestCloudRefusals(t *testing.T) {
	o := newOperator(t)
	elsewhere := o.tenant("elsewhere", "10.84.0.0/24", "fd84::/64")
	h := newQuietSpecialHost(t, testkit.KuryrOptions{Config: testkit.NoPortPools})
	n := h.network("net", "--subnet", "10.85.0.0/24")
	existing := h.network("existing", elsewhere.flags...)
	lost := h.network("lost", "--subnet", "10.86.0.0/24")
	o.occupy(t, elsewhere.id, "10.84.0.9")

	for _, x := range []struct {
		name string
		make func(t *testing.T) // what the refusal is about; undone when t ends
		args []string
		want []string // in the line that docker shows
	}{
		{"quota of networks", func(t *testing.T) { o.quota(t, "network") }, h.networkArgs("x", "--subnet", "10.87.0.0/24"),
			[]string{"cannot", "Quota exceeded", "network", "raise the project's quota"}},
		{"quota of subnets", func(t *testing.T) { o.quota(t, "subnet") }, h.networkArgs("x", "--subnet", "10.87.0.0/24"),
			[]string{"cannot", "Quota exceeded", "subnet", "raise the project's quota"}},
		{"quota of ports", func(t *testing.T) { o.quota(t, "port") }, h.runArgs("guest", "--network", n.name),
			[]string{"cannot", "Quota exceeded", "port", "raise the project's quota"}},
		{"address of a port elsewhere", nil, h.runArgs("guest", "--network", existing.name, "--ip", "10.84.0.9"),
			[]string{"cannot", "10.84.0.9"}},
		{"outside of a subnetpool", nil, h.networkArgs("x", "--subnet", "10.200.0.0/24", "--ipam-opt", "neutron.pool.name=kuryr"),
			[]string{"cannot", "10.200.0.0/24"}},
		{"network deleted in Neutron", func(*testing.T) { o.deleteNetwork(lost.neutron()) }, h.runArgs("guest", "--network", lost.name),
			[]string{"cannot", "could not be found", "remove the Docker network"}},
	} {
		t.Run(x.name, func(t *testing.T) {
			h := h.in(t)
			if x.make != nil {
				x.make(t)
			}
			before := h.take()
			h.fails(x.want, x.args...)
			if x.args[0] == "run" {
				h.docker("rm", "--force", "guest")
			}
			h.kuryr.AssertNothingLeft(t, before, gone)
		})
	}
}

// quota leaves no more of a kind of resource to Kuryr's project while t lasts.
func (o operator) quota(t *testing.T, kind string) {
	t.Helper()
	var mine struct {
		Tenant struct {
			ID string `json:"tenant_id"`
		}
	}
	o.call("GET", "quotas/tenant", nil, &mine)
	o.call("PUT", "quotas/"+mine.Tenant.ID, cloud.Resource{"quota": cloud.Resource{kind: 0}}, nil)
	t.Cleanup(func() { o.call("DELETE", "quotas/"+mine.Tenant.ID, nil, nil) })
}

// occupy has a port of somebody else's, on another host, have an address.
func (o operator) occupy(t *testing.T, network, address string) {
	t.Helper()
	port, err := o.api.Create(t.Context(), cloud.NeutronAPI, "port", cloud.Resource{"network_id": network, "binding:host_id": "another",
		"device_owner": "compute:nova", "device_id": "an instance", "fixed_ips": []cloud.Resource{{"ip_address": address}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { o.call("DELETE", "ports/"+port["id"].(string), nil, nil) })
}

// ports lists those on a network.
func (o operator) ports(network string) []testkit.Port {
	o.t.Helper()
	var on struct{ Ports []testkit.Port }
	o.call("GET", "ports?network_id="+network, nil, &on)
	return on.Ports
}

// deleteNetwork deletes a network and all that is on it.
func (o operator) deleteNetwork(id string) {
	o.t.Helper()
	for _, p := range o.ports(id) {
		if !strings.HasPrefix(p.DeviceOwner, "network:") { // Neutron's own go with the network
			o.call("DELETE", "ports/"+p.ID, nil, nil)
		}
	}
	o.call("DELETE", "networks/"+id, nil, nil)
}

// A host that no agent of Neutron's serves gets no port: binding_failed.
func TestHostWithoutAgent(t *testing.T) {
	h := newSpecialHost(t, testkit.KuryrOptions{Config: "host = nowhere"})
	n := h.network("net", "--subnet", "10.88.0.0/24")
	h.fails([]string{"cannot", "binding_failed", `"nowhere"`, "no agent", "[DEFAULT] host"}, h.runArgs("guest", "--network", n.name)...)
	h.docker("rm", "--force", "guest")
	h.eventually("the port is gone", func() bool {
		for _, p := range n.ports() {
			if strings.HasPrefix(p.Description, "kuryr:nowhere:") {
				return false
			}
		}
		return true
	})
}

// Kuryr's user needs a role: where Kuryr can't see that at its start, the first
// container tells.
func TestMissingRole(t *testing.T) {
	h := newSpecialHost(t, testkit.KuryrOptions{Config: account(cloud.Demo) + testkit.NoPortPools})
	n := h.network("net", "--subnet", "10.89.0.0/24")
	before := h.take()
	h.fails([]string{"cannot", "Neutron's policy", "role admin"}, h.runArgs("guest", "--network", n.name)...)
	h.docker("rm", "--force", "guest")
	h.kuryr.AssertNothingLeft(t, before, gone)
	h.refusesToStart([]string{"may not bind ports to a host (its roles: member", "role admin"}, account(cloud.Demo))
}

// Wrong credentials stop the start with one line.
func TestWrongCredentials(t *testing.T) {
	h := newHost(t)
	wrong := cloud.Kuryr
	wrong.Password = "not-the-password"
	h.refusesToStart([]string{"refuses user kuryr", "check the password"}, account(wrong))
	nobody := cloud.Kuryr
	nobody.Project = "no-such-project"
	h.refusesToStart([]string{"refuses user kuryr", "no-such-project"}, account(nobody))
}

// account is kuryr.conf's section of who Kuryr is.
func account(a cloud.Account) string {
	return fmt.Sprintf("[neutron]\nusername = %s\npassword = %s\nproject_name = %s\n", a.User, a.Password, a.Project)
}

// refusesToStart starts one more Kuryr, which must end with one error and one
// hint. They contain each of the wanted texts, and no password.
func (h *host) refusesToStart(want []string, config string) {
	h.t.Helper()
	path := h.machine.Path("refused.conf")
	config = "[DEFAULT]\nhost = " + h.kuryr.Host + "\n" + openLab().Southbound(h.kuryr.Host, h.machine, token()).Config + config
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		h.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(h.t.Context(), patience)
	defer cancel()
	_, err := h.kuryr.CLI(ctx, "serve", "--config-file", path, "--state-dir", h.machine.Path("refused"),
		"--docker-socket", h.machine.Path("refused.sock"), "--admin-socket", h.machine.Path("refused-admin.sock"))
	var failed *testkit.CommandError
	if !errors.As(err, &failed) {
		h.t.Fatalf("kuryr serve ended with %v", err)
	}
	var said []string
	for line := range strings.Lines(failed.Stderr) {
		if strings.HasPrefix(line, "error: ") || strings.HasPrefix(line, "hint: ") {
			said = append(said, line)
		}
	}
	if len(said) != 2 {
		h.t.Errorf("kuryr serve says %q, want an error and a hint", said)
	}
	for _, w := range want {
		if !strings.Contains(strings.Join(said, ""), w) {
			h.t.Errorf("kuryr serve ended with %q, want %q in it", said, w)
		}
	}
	if strings.Contains(failed.Stderr, "not-the-password") {
		h.t.Errorf("the password is shown:\n%s", failed.Stderr)
	}
}

// A Neutron that does not answer fails a call in time. What the request did all
// the same, since only its answer was lost, is undone.
func TestCloudTimeout(t *testing.T) {
	const deadline = 10 * time.Second
	h := newSpecialHost(t, testkit.KuryrOptions{Config: fmt.Sprintf("request_timeout = %.0f\nlost_request_timeout = 10", deadline.Seconds()) + testkit.NoPortPools})
	n := h.network("net", "--subnet", "10.90.0.0/24")
	o, id := newOperator(t), n.neutron()
	for _, x := range []struct {
		name, rule string
		ports      int // made all the same
	}{
		{"requests are lost", "output tcp dport 9696 drop", 0},
		// The connection is made, what is sent is acknowledged.
		{"answers are lost", "input tcp sport 9696 tcp flags & psh == psh drop", 1},
	} {
		t.Run(x.name, func(t *testing.T) {
			h := h.in(t)
			before, had := h.take(), len(o.ports(id))
			mend := h.lose(x.rule)
			began := time.Now()
			h.fails([]string{"cannot", "Neutron did not answer in time"}, h.runArgs("guest", "--network", n.name)...)
			if took := time.Since(began); took > deadline+5*time.Second {
				t.Errorf("it took %s", took)
			}
			if got := len(o.ports(id)) - had; got != x.ports {
				t.Errorf("%d ports were made, want %d", got, x.ports)
			}
			mend()
			h.docker("rm", "--force", "guest")
			h.kuryr.AssertNothingLeft(t, before, gone)
		})
	}
}

// lose has the host lose packets, until mend is called or the test ends.
func (h *host) lose(rule string) (mend func()) {
	h.t.Helper()
	nft := func(args ...string) error {
		_, err := h.machine.Output(context.Background(), "nft", args...)
		return err
	}
	hook, match, _ := strings.Cut(rule, " ")
	mended := false
	mend = func() {
		if mended {
			return
		}
		mended = true
		if err := nft("delete", "table", "inet", "loss"); err != nil {
			h.t.Error(err)
		}
	}
	h.t.Cleanup(mend)
	if err := nft(fmt.Sprintf("table inet loss { chain c { type filter hook %s priority 0; %s; }; }", hook, match)); err != nil {
		h.t.Fatal(err)
	}
	return mend
}
