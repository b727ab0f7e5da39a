//go:build !openstack

package docker

import (
	"slices"
	"strings"
	"testing"

	"kuryr/internal/testkit"
)

// Docker lets bridged frames fall into its FORWARD chain, which drops them.
// Ours pass by a rule in DOCKER-USER, which comes back when somebody flushes
// the chain, and goes with the last bridge.
func TestFirewallRule(t *testing.T) {
	h := newHost(t)
	x := h.network("x", "--subnet", "10.50.0.0/24")
	y := h.network("y", "--subnet", "10.51.0.0/24")
	a, b := x.run("alice"), x.run("bob")
	a.reaches(b.ip4())
	if len(h.rules()) == 0 {
		t.Error("no rule in DOCKER-USER while containers run")
	}
	for range 2 {
		h.iptables("-F", "DOCKER-USER")
		h.iptables("-A", "DOCKER-USER", "-j", "RETURN") // as Docker does when it starts
		h.eventually("the rule is back", func() bool { return len(h.rules()) > 0 })
		a.reaches(b.ip4())
	}
	a.remove()
	b.remove()
	x.remove()
	// The other network's containers still need theirs.
	c, d := y.run("carol"), y.run("dave")
	c.reaches(d.ip4())
	c.remove()
	d.remove()
	y.remove()
	h.eventually("the rule is gone with the last bridge", func() bool { return len(h.rules()) == 0 })
}

// rules returns Kuryr's rules: those that were not there before.
func (h *host) rules() []string {
	h.t.Helper()
	return slices.DeleteFunc(added(h.before, h.take()), func(line string) bool { return !strings.Contains(line, "rule ip filter DOCKER-USER:") })
}

// A rule that the user has put into DOCKER-USER stays.
func TestUsersRuleStays(t *testing.T) {
	h := newSpecialHost(t, testkit.KuryrOptions{})
	rule := []string{"DOCKER-USER", "-s", "198.51.100.0/24", "-j", "DROP"}
	h.iptables(append([]string{"-I"}, rule...)...)
	n := h.network("net", "--subnet", "10.52.0.0/24")
	a, b := n.run("alice"), n.run("bob")
	a.reaches(b.ip4())
	a.remove()
	b.remove()
	n.remove()
	h.eventually("Kuryr's rule is gone", func() bool { return len(h.rules()) == 1 })
	h.iptables(append([]string{"-C"}, rule...)...)
	h.iptables(append([]string{"-D"}, rule...)...)
}

func (h *host) iptables(args ...string) {
	h.t.Helper()
	if _, err := h.machine.Output(h.t.Context(), "iptables", args...); err != nil {
		h.t.Fatal(err)
	}
}
