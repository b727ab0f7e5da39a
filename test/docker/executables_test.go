//go:build !openstack

package docker

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kuryr/internal/testkit"
)

// fabricBridge is the layer 2 of the operator's executables.
const fabricBridge = "br-fabric"

// fabric plugs into that bridge, and keeps a list of the ports that it has
// plugged: a file for each, named after the port.
const fabric = `#!/bin/sh
case $1 in
bind) ip link set "$3" master br-fabric && echo "$@" > "DIR/plugged/$2" ;;
unbind) rm -f "DIR/plugged/$2" ;;
esac
`

// programHost is a host with a folder of executables for vif_types.
type programHost struct {
	*host
	dir   string // of the executables
	proxy *testkit.FaultProxy
}

func newProgramHost(t *testing.T) *programHost {
	t.Helper()
	testkit.NeedRoot(t)
	// Not in /tmp, which everybody may write.
	dir, err := os.MkdirTemp("/run", "kuryr-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	h, proxy, _ := newFaultyHostWith(t, fleet.bare, "\nbindir = "+dir+testkit.NoPortPools)
	p := &programHost{h, dir, proxy}
	if err := os.Mkdir(filepath.Join(dir, "plugged"), 0o755); err != nil {
		t.Fatal(err)
	}
	p.onMachine("ip", "link", "add", fabricBridge, "up", "type", "bridge")
	// Docker drops what bridges forward that no rule accepts: an operator's rule.
	p.onMachine("iptables", "-I", "DOCKER-USER", "-i", fabricBridge, "-j", "ACCEPT")
	t.Cleanup(func() {
		p.onMachine("iptables", "-D", "DOCKER-USER", "-i", fabricBridge, "-j", "ACCEPT")
		p.onMachine("ip", "link", "del", fabricBridge)
	})
	return p
}

// onMachine runs a program there, also when the test's own context has ended.
func (p *programHost) onMachine(args ...string) string {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	out, err := p.machine.Output(ctx, args[0], args[1:]...)
	if err != nil {
		p.t.Error(err)
	}
	return out
}

// install puts an executable into the folder.
func (p *programHost) install(name, text string, mode os.FileMode) {
	p.t.Helper()
	path := filepath.Join(p.dir, name)
	err := os.WriteFile(path, []byte(strings.ReplaceAll(text, "DIR", p.dir)), 0o700)
	if err == nil {
		err = os.Chmod(path, mode) // whatever the umask
	}
	if err != nil {
		p.t.Fatal(err)
	}
}

// bindWith has Neutron bind ports with that vif_type from now on.
func (p *programHost) bindWith(vifType string) {
	p.proxy.Rewrite(func(answer []byte) []byte { return testkit.Rebind(answer, vifType, object{"vlan": 7}) })
}

// plugged lists the ports that the executable has plugged and not unplugged.
func (p *programHost) plugged() (ports []string) {
	p.t.Helper()
	entries, err := os.ReadDir(filepath.Join(p.dir, "plugged"))
	if err != nil {
		p.t.Fatal(err)
	}
	for _, e := range entries {
		ports = append(ports, e.Name())
	}
	return ports
}

// Containers run on a network that only an executable of the operator's can
// plug, and it is told when they go.
func TestExecutablePlugs(t *testing.T) {
	h := newProgramHost(t)
	h.install("fabric_7", fabric, 0o755)
	h.bindWith("fabric_7")
	before := h.take()
	n := h.network("net", "--subnet", "10.97.0.0/24", "--ipv6", "--subnet", "fd97::/64")
	alice, bob := n.run("alice"), n.run("bob")
	alice.reaches(bob.ip4())
	alice.reaches(bob.ip6())
	for _, c := range []container{alice, bob} {
		port := n.port(c.ip4())
		got, err := os.ReadFile(filepath.Join(h.dir, "plugged", port.ID))
		want := strings.Join([]string{"bind", port.ID, "tap" + port.ID[:11], port.DeviceID, port.MAC, port.NetworkID, ""}, " ")
		if err != nil || !strings.HasPrefix(string(got), want) || !strings.HasSuffix(string(got), ` "{'vlan': 7}"`+"\n") {
			t.Errorf("%s was bound with %q, %v, want %q", c.name, got, err, want)
		}
	}

	if err := h.kuryr.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	bob.remove()
	h.eventually("one port is plugged", func() bool { return len(h.plugged()) == 1 })
	n.run("carol").reaches(alice.ip4())
	h.docker("rm", "--force", "alice", "carol")
	h.docker("network", "rm", "net")
	h.kuryr.AssertNothingLeft(t, before, gone)
	if left := h.plugged(); len(left) > 0 {
		t.Errorf("the executable was not told to unplug %q", left)
	}
}

// An executable that must not be run, is not there, or fails is named in one
// line, and nothing is left of the container's attachment.
func TestExecutableFails(t *testing.T) {
	h := newProgramHost(t)
	n := h.network("net", "--subnet", "10.98.0.0/24")
	const ran = "#!/bin/sh\n> DIR/plugged/ran\n"
	for _, tt := range []struct {
		name, vifType, text string
		mode                os.FileMode
		want                string
	}{
		{"writable by everybody", "wide", ran, 0o757, "the executable of its vif_type can't be run: DIR/wide can be written by others (mode 0757) " +
			"(it and the folders above it must be root's, and writable by nobody else)"},
		{"writable by its group", "shared", ran, 0o775, "the executable of its vif_type can't be run: DIR/shared can be written by others (mode 0775)"},
		{"not executable", "plain", ran, 0o644, "the executable of its vif_type can't be run: DIR/plain is not executable"},
		{"a name that is not plain", "Fabric-7", ran, 0o755, "this version has no way to plug vif_type Fabric-7 (the vif_types that can be plugged are bridge, ovs and tap)"},
		{"absent", "absent", "", 0, "this version has no way to plug vif_type absent (the vif_types that can be plugged are bridge, ovs and tap; another one takes an executable DIR/absent"},
		{"failing", "failing", "#!/bin/sh\n[ $1 = unbind ] && exit\necho looking\necho 'there is no fabric here' >&2\nexit 3\n", 0o755, "DIR/failing bind failed: there is no fabric here (it is this host's operator's, not Kuryr's: docs/bindings.md"},
		{"failing half-way", "half", fabric + "[ $1 = unbind ] || exit 4\n", 0o755, "DIR/half bind failed: exit status 4"},
		{"hanging", "hanging", "#!/bin/sh\n[ $1 = unbind ] && exit\nsleep 600\n", 0o755, "DIR/hanging bind failed: it took too long"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := &programHost{h.in(t), h.dir, h.proxy}
			if tt.text != "" {
				h.install(tt.vifType, tt.text, tt.mode)
			}
			h.bindWith(tt.vifType)
			before := h.take()
			line := h.fails([]string{"cannot", "network net", strings.ReplaceAll(tt.want, "DIR", h.dir)}, h.runArgs("guest", "--network", n.name)...)
			t.Log(line)
			h.docker("rm", "--force", "guest")
			h.kuryr.AssertNothingLeft(t, before, gone)
			if left := h.plugged(); len(left) > 0 {
				t.Errorf("the executable has left %q", left)
			}
			if left := h.onMachine("ip", "-o", "link", "show", "master", fabricBridge); left != "" {
				t.Errorf("plugged still: %s", left)
			}
		})
	}
}

// A container goes at once even when the executable can't unplug it: that is
// tried again, and said in the status, until it succeeds.
func TestExecutableUnplugsLater(t *testing.T) {
	h := newProgramHost(t)
	h.install("sticky", "#!/bin/sh\nif [ $1 = unbind ] && [ ! -e DIR/loose ]; then echo 'it sticks' >&2; exit 1; fi\n"+strings.TrimPrefix(fabric, "#!/bin/sh\n"), 0o755)
	h.bindWith("sticky")
	n := h.network("net", "--subnet", "10.99.0.0/24")
	before := h.take()
	n.run("alice").remove()
	h.eventually("the status has the reason", func() bool {
		s, err := h.kuryr.Status(t.Context())
		return err == nil && s.Courier.Pending == 1 && strings.Contains(s.Courier.LastError, h.dir+"/sticky unbind failed: it sticks")
	})
	if got := h.plugged(); len(got) != 1 {
		t.Errorf("plugged are %q, not one port", got)
	}
	h.install("loose", "", 0o644)
	h.kuryr.AssertNothingLeft(t, before, recovery)
	if left := h.plugged(); len(left) > 0 {
		t.Errorf("the executable has left %q", left)
	}
}
