package openstack

import (
	"os/exec"
	"strings"
	"testing"
	"time"

	"kuryr/test/openstack/cloud"
)

// TestClouds uses each entry of clouds.yaml with the stock client.
func TestClouds(t *testing.T) {
	b := newBench(t)
	for _, name := range []string{cloud.Admin.User, cloud.Kuryr.User, cloud.KuryrApp, cloud.KuryrTLS, cloud.Member.User, cloud.Demo.User} {
		t.Run(name, func(t *testing.T) {
			cmd := b.Machine(cloud.Controller).Command(t.Context(), "openstack", "--os-cloud", name, "security", "group", "list", "--column", "Name", "--format", "value")
			cmd.Env = append(cmd.Env, "OS_CLIENT_CONFIG_FILE="+b.Clouds())
			out, err := cmd.CombinedOutput()
			if err != nil || !strings.Contains(string(out), "default") {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
}

// TestWrongPassword has Keystone refuse a user.
func TestWrongPassword(t *testing.T) {
	b := newBench(t)
	wrong := cloud.Kuryr
	wrong.Password += "-not"
	_, err := b.Client(t.Context(), wrong)
	refused(t, err, 401)
}

// TestMember may use networks, but not say where a port is.
func TestMember(t *testing.T) {
	b := newBench(t)
	n := b.create(t, "network", cloud.Resource{"name": t.Name()})
	member, err := b.Client(t.Context(), cloud.Member)
	if err != nil {
		t.Fatal(err)
	}
	_, err = member.Create(t.Context(), cloud.NeutronAPI, "port", cloud.Resource{"network_id": n["id"], "binding:host_id": b.Hosts[0]})
	refused(t, err, 403)
	port, err := member.Create(t.Context(), cloud.NeutronAPI, "port", cloud.Resource{"network_id": n["id"]})
	if err != nil {
		t.Fatal(err)
	}
	if err := member.Delete(t.Context(), cloud.NeutronAPI, "port", port["id"].(string)); err != nil {
		t.Error(err)
	}
	demo, err := b.Client(t.Context(), cloud.Demo)
	if err != nil {
		t.Fatal(err)
	}
	_, err = demo.Show(t.Context(), cloud.NeutronAPI, "network", n["id"].(string))
	refused(t, err, 404)
}

// TestUnknownHost has a binding fail: the port is made all the same.
func TestUnknownHost(t *testing.T) {
	b := newBench(t)
	n := b.create(t, "network", cloud.Resource{"name": t.Name()})
	port := b.create(t, "port", cloud.Resource{"network_id": n["id"], "binding:host_id": "nowhere", "device_owner": "compute:lab"})
	if got := port["binding:vif_type"]; got != "binding_failed" {
		t.Errorf("binding:vif_type: got %v, want binding_failed", got)
	}
}

// TestUpAgain brings up what is up: nothing is started, nothing is changed.
func TestUpAgain(t *testing.T) {
	b := newBench(t)
	lab := func(args ...string) string {
		t.Helper()
		out, err := exec.CommandContext(t.Context(), "go", append([]string{"run", "kuryr/test/openstack/lab"}, args...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return string(out)
	}
	pids := func() string {
		var all []string
		for _, line := range strings.Split(lab("status", "--dir", b.Dir), "\n") {
			if f := strings.Fields(line); len(f) == 4 {
				all = append(all, f[0]+" "+f[1])
			}
		}
		return strings.Join(all, ", ")
	}
	before := pids()
	began := time.Now()
	lab("up", "--dir", b.Dir, "--mechanism", string(b.Mechanism), "--hosts", strings.Join(b.Hosts, ","))
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("up took %s", took)
	}
	if after := pids(); after != before || !strings.Contains(after, "neutron ") {
		t.Errorf("daemons were\n%s\nand are\n%s", before, after)
	}
}
