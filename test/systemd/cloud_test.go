package systemd

import (
	"crypto/tls"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"kuryr/internal/testkit"
)

const (
	cloudName = "cloud.test" // the cloud's host, as /etc/hosts knows it
	password  = "an operator's, of this test"
)

// plugging is how a cloud has ports plugged.
type plugging struct {
	vifType string
	details map[string]any
	// plugged returns what of Kuryr's is plugged where that vif_type is: the host's ends.
	plugged func(*cloudHost) string
}

// cloudHost is a host of a cloud's: a Neutron and a Keystone in a process
// of their own, over TLS. Kuryr finds them by a clouds.yaml, as an operator
// installs it, and has an Open vSwitch in the place where it looks for one.
type cloudHost struct {
	*host
	ovs *testkit.OVS
}

// newCloudHost makes one. Its Neutron is the embedded one, whose answers say how
// ports are plugged, in the place of its own bridges.
func newCloudHost(t *testing.T, p plugging, programs map[string]string) *cloudHost {
	t.Helper()
	m := newMachine(t)
	ovs := testkit.NewMachineOVS(t, m)
	ovs.AddBridge("br-int", "netdev")
	authority := testkit.NewAuthority(t, t.TempDir(), "cloud")
	cert, key := authority.Issue("server", cloudName)
	trust := authority.ClientConfig(nil)
	trust.ServerName = cloudName

	server, err := testkit.StartTLSNeutron(t.Context(), m, build(t), writeUsers(t), cert, key)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
	})
	api, err := testkit.LogIn(t.Context(), m, "https://"+server.Address, trust, "kuryr", password, "ops")
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	proxy, err := testkit.NewTLSFaultProxy(t.Context(), m, server.Address, &tls.Config{Certificates: []tls.Certificate{pair}}, trust)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := proxy.Close(); err != nil {
			t.Error(err)
		}
	})
	proxy.Rewrite(func(answer []byte) []byte { return testkit.Rebind(answer, p.vifType, p.details) })
	ca, err := os.ReadFile(authority.File)
	if err != nil {
		t.Fatal(err)
	}
	o := testkit.SystemdOptions{
		Cloud: &testkit.Cloud{Host: m.Name, Neutron: api, Config: "[neutron]\ncloud = mine\n", OVSDB: ovs.Connection()},
		Files: map[string]string{
			"/etc/hosts":                 "127.0.0.1 localhost " + cloudName + "\n",
			"/etc/openstack/ca.pem":      string(ca),
			"/etc/openstack/clouds.yaml": cloudsYAML(t, proxy.URL),
		},
		Programs: programs,
	}
	return &cloudHost{newHostOn(t, m, o), ovs}
}

// writeUsers writes the file of Keystone's users.
func writeUsers(t *testing.T) (file string) {
	t.Helper()
	cmd := exec.Command(build(t), "neutron", "passwd")
	cmd.Stdin = strings.NewReader(password + "\n")
	hash, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), "users")
	if err := os.WriteFile(file, fmt.Appendf(nil, "kuryr:%s:admin:ops\n", strings.TrimSpace(string(hash))), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// cloudsYAML names the cloud behind a URL by its host name.
func cloudsYAML(t *testing.T, behind string) string {
	t.Helper()
	u, err := url.Parse(behind)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf(`clouds:
  mine:
    auth:
      auth_url: https://%s:%s/v3
      username: kuryr
      password: "%s"
      project_name: ops
      user_domain_name: Default
      project_domain_name: Default
    region_name: RegionOne
    cacert: /etc/openstack/ca.pem
`, cloudName, u.Port(), password)
}

// fabric is an operator's executable, in the place where Kuryr looks for it.
var fabric = map[string]string{"/usr/libexec/kuryr/fabric": `#!/bin/sh
case $1 in
bind) exec ovs-vsctl --no-syslog --timeout=5 --may-exist add-port br-int "$3" ;;
unbind) exec ovs-vsctl --no-syslog --timeout=5 --if-exists del-port br-int "$3" ;;
esac
`}

// switched lists the ports of the integration bridge.
func switched(h *cloudHost) string { return h.ovs.VSCtl("list-ports", "br-int") }

// bridged lists the interfaces on Linux bridges of networks.
func bridged(h *cloudHost) string {
	h.t.Helper()
	out, err := h.Machine.Output(h.t.Context(), "ip", "-o", "link", "show")
	if err != nil {
		h.t.Fatal(err)
	}
	var names []string
	for line := range strings.Lines(out) {
		// "7: tap4f1c…@if6: <…> mtu 1500 qdisc noqueue master brq… state UP …"
		fields := strings.Fields(line)
		if i := slices.Index(fields, "master"); i > 1 && strings.HasPrefix(fields[i+1], "brq") {
			name, _, _ := strings.Cut(fields[1], "@")
			names = append(names, name)
		}
	}
	return strings.Join(names, " ")
}

// All ways of plugging do with the rights that the unit leaves Kuryr, and so
// does a cloud behind TLS.
func TestCloudAndBindingsOfASandboxedKuryr(t *testing.T) {
	for name, p := range map[string]plugging{
		"bridge": {"bridge", map[string]any{}, bridged},
		"ovs":    {"ovs", map[string]any{}, switched},
		"hybrid": {"ovs", map[string]any{"ovs_hybrid_plug": true, "bridge_name": "br-int"}, switched},
		"fabric": {"fabric", map[string]any{"vlan": 7}, switched},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // with each other
			h := newCloudHost(t, p, fabric)
			if status := h.property("kuryr.service", "StatusText"); status != "Serving Docker from the real Neutron" {
				t.Errorf("systemctl status says %q", status)
			}
			e := h.engine()
			before, err := h.Kuryr.Take(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			h.docker(e, "network", "create", "-d", "kuryr", "--ipam-driver", "kuryr", "--ipv6", "--subnet", "10.10.0.0/24", "--subnet", "fd10::/64", "blue")
			h.docker(e, "run", "-d", "--name", "server", "--network", "blue", "--ip", "10.10.0.10", "--ip6", "fd10::10", testkit.Image, "sleep", "inf")
			h.wantPlugged(p, "10.10.0.10")
			for _, restart := range []func(){func() {}, func() { h.systemctl("restart", "kuryr.service") }, h.reload} {
				restart()
				for _, address := range []string{"10.10.0.10", "fd10::10"} {
					h.docker(e, "run", "--rm", "--network", "blue", testkit.Image, "ping", "-c", "2", "-W", "5", address)
				}
			}
			h.docker(e, "rm", "--force", "server")
			h.docker(e, "network", "rm", "blue")
			h.Kuryr.AssertNothingLeft(t, before, patience)
			if left := p.plugged(h); left != "" {
				t.Errorf("plugged still: %s", left)
			}
			h.wantNothingForbidden()
		})
	}
}

// wantPlugged looks for the port that has an address where it is to be.
func (h *cloudHost) wantPlugged(p plugging, address string) {
	h.t.Helper()
	ports, err := h.Kuryr.Neutron.Ports(h.t.Context(), "")
	if err != nil {
		h.t.Fatal(err)
	}
	i := slices.IndexFunc(ports, func(x testkit.Port) bool { return strings.Contains(x.Addresses(), address) })
	if i < 0 {
		h.t.Fatalf("Neutron has no port with %s", address)
	}
	if got := p.plugged(h); !strings.Contains(got, ports[i].ID[:11]) {
		h.t.Errorf("port %s is not plugged; there are %q", ports[i].ID, got)
	}
}

// reload has the credentials read again.
func (h *cloudHost) reload() {
	h.t.Helper()
	h.systemctl("reload", "kuryr.service")
	h.within("the credentials are read again", func() error {
		if text := h.Kuryr.Log(1000); !strings.Contains(text, "the credentials were read again\"") {
			return fmt.Errorf("the log says nothing of it")
		}
		return nil
	})
}

// A database that another user owns is out of reach without CAP_DAC_OVERRIDE,
// which docs/systemd.md has an operator add.
func TestOpenVSwitchOfAnotherUser(t *testing.T) {
	h := newCloudHost(t, plugging{"ovs", map[string]any{}, switched}, nil)
	for _, name := range []string{"", "db.sock"} {
		if err := os.Chown(filepath.Join(h.Machine.Path("openvswitch"), name), 1, 1); err != nil {
			t.Fatal(err)
		}
	}
	h.systemctl("restart", "kuryr.service") // it may be connected already
	e := h.engine()
	before, err := h.Kuryr.Take(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	h.docker(e, "network", "create", "-d", "kuryr", "--ipam-driver", "kuryr", "--subnet", "10.10.0.0/24", "blue")
	run := []string{"run", "--rm", "--network", "blue", testkit.Image, "true"}
	const want = "the Open vSwitch database at /run/openvswitch/db.sock can't be reached: permission denied " +
		"(a socket that is not root's needs CAP_DAC_OVERRIDE: docs/systemd.md)"
	if out, err := e.Docker(t.Context(), run...); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("without the capability: %s %v, want %s", out, err, want)
	}
	h.configure("openvswitch.conf", "[Service]\nCapabilityBoundingSet=CAP_DAC_OVERRIDE\n")
	h.systemctl("restart", "kuryr.service")
	h.docker(e, run...)
	h.docker(e, "network", "rm", "blue")
	h.Kuryr.AssertNothingLeft(t, before, patience)
}
