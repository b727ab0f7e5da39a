package docker

import (
	"strings"
	"testing"

	"kuryr/internal/testkit"
)

// What can't be had is refused in one line that says what and why, and leaves
// nothing behind.
func TestRefusals(t *testing.T) {
	h := newSpecialHost(t, testkit.KuryrOptions{Config: testkit.NoPortPools})
	n := h.network("net", "--subnet", "10.40.0.0/29", "--gateway", "10.40.0.1")
	n.run("holder", "--ip", "10.40.0.4", "--mac-address", "02:40:00:00:00:04")

	tests := []struct {
		name string
		args []string
		want []string // in the line that docker shows
	}{
		{"address taken", h.runArgs("guest", "--network", "net", "--ip", "10.40.0.4"), []string{"cannot", "10.40.0.4"}},
		{"gateway's address", h.runArgs("guest", "--network", "net", "--ip", "10.40.0.1"), []string{"cannot", "10.40.0.1"}},
		{"address outside", h.runArgs("guest", "--network", "net", "--ip", "10.41.0.4"), []string{"10.41.0.4"}},
		{"network's own address", h.runArgs("guest", "--network", "net", "--ip", "10.40.0.0"), []string{"cannot", "10.40.0.0"}},
		{"broadcast address", h.runArgs("guest", "--network", "net", "--ip", "10.40.0.7"), []string{"cannot", "10.40.0.7"}},
		{"MAC address taken", h.runArgs("guest", "--network", "net", "--mac-address", "02:40:00:00:00:04"), []string{"cannot", "02:40:00:00:00:04"}},
		{"multicast MAC address", h.runArgs("guest", "--network", "net", "--mac-address", "03:40:00:00:00:04"), []string{"cannot", "03:40:00:00:00:04"}},
		{"subnet too small", h.networkArgs("x", "--subnet", "10.42.0.0/32"), []string{"10.42.0.0/32"}},
		{"gateway outside", h.networkArgs("x", "--subnet", "10.42.0.0/24", "--gateway", "10.43.0.1"), []string{"10.43.0.1"}},
		{"auxiliary address twice", h.networkArgs("x", "--subnet", "10.42.0.0/24", "--gateway", "10.42.0.1", "--aux-address", "a=10.42.0.1"), []string{"10.42.0.1"}},
		{"multicast subnet", h.networkArgs("x", "--subnet", "224.1.0.0/24"), []string{"cannot", "224.1.0.0/24"}},
		{"loopback subnet", h.networkArgs("x", "--subnet", "127.1.0.0/24"), []string{"cannot", "127.1.0.0/24"}},
		{"MTU that is no number", h.networkArgs("x", "--opt", "com.docker.network.driver.mtu=big"), []string{"cannot", "big"}},
		{"MTU that is too small", h.networkArgs("x", "--opt", "com.docker.network.driver.mtu=10"), []string{"cannot", "10"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := h.in(t)
			before := h.take()
			h.fails(tt.want, tt.args...)
			if tt.args[0] == "run" { // Docker keeps a container that did not start
				h.docker("rm", "--force", "guest")
			}
			h.kuryr.AssertNothingLeft(t, before, gone)
		})
	}
}

// A full pool is refused in one line that says what helps.
func TestPoolExhausted(t *testing.T) {
	h := newHost(t)
	n := h.network("net", "--subnet", "10.44.0.0/30") // the gateway and one more
	n.run("alice")
	line := h.fails([]string{"cannot", "No more IP addresses", "use a larger subnet"}, h.runArgs("bob", "--network", "net")...)
	if strings.Contains(line, "{") {
		t.Errorf("a raw body is shown to the user: %s", line)
	}
}

// A published port is no reason to fail, but `kuryr status` says that nothing
// listens on the host.
func TestPublishedPortIsNoticed(t *testing.T) {
	h := newHost(t)
	n := h.network("net", "--subnet", "10.45.0.0/24")
	notices := func() string {
		s, err := h.kuryr.Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return strings.ToLower(strings.Join(s.Notices, "\n"))
	}
	if got := notices(); strings.Contains(got, "publish") {
		t.Errorf("before a port is published the notices are: %s", got)
	}
	c := n.run("carol", "--publish", "18080:80")
	if got := notices(); !strings.Contains(got, "publish") {
		t.Errorf("while a port is published the notices are: %q", got)
	}
	c.remove()
	h.eventually("the notice is gone with the container", func() bool { return !strings.Contains(notices(), "publish") })
}

// `kuryr status` prints tables for people.
func TestStatusForPeople(t *testing.T) {
	h := newHost(t)
	n := h.network("net", "--subnet", "10.46.0.0/24")
	c := n.run("carol")
	out, err := h.kuryr.CLI(t.Context(), "status", "--admin-socket", h.kuryr.AdminSocket())
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{c.ip4(), c.nic().MAC, "10.46.0.0/24"} {
		if !strings.Contains(out, want) {
			t.Errorf("kuryr status does not show %s:\n%s", want, out)
		}
	}
}
