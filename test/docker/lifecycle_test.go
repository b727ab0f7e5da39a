package docker

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	"kuryr/internal/testkit"
)

// One container on several networks has a port on each.
func TestSeveralNetworks(t *testing.T) {
	h := newHost(t)
	x := h.network("x", "--subnet", "10.30.0.0/24")
	y := h.network("y", "--subnet", "10.31.0.0/24")
	onX, onY := x.run("on-x"), y.run("on-y")
	h.docker("create", "--name", "both", "--network", "x", "--ip", "10.30.0.40", "kuryr-test/busybox")
	h.docker("network", "connect", "--ip", "10.31.0.40", "y", "both")
	h.docker("start", "both")
	both := container{h, "both"}
	if got := len(both.nics()); got != 2 {
		t.Errorf("%d interfaces, want 2: %+v", got, both.nics())
	}
	both.reaches(onX.ip4())
	both.reaches(onY.ip4())
	onX.reaches("10.30.0.40")
	onY.reaches("10.31.0.40")
	if a, b := x.port("10.30.0.40"), y.port("10.31.0.40"); a.ID == b.ID || a.MAC == b.MAC {
		t.Errorf("the two attachments share a port or a MAC address: %+v, %+v", a, b)
	}
}

// A running container is connected to a network and disconnected again, and
// what it keeps goes on working.
func TestConnectDisconnect(t *testing.T) {
	h := newHost(t)
	x := h.network("x", "--subnet", "10.32.0.0/24")
	y := h.network("y", "--subnet", "10.33.0.0/24")
	c, onX, onY := x.run("carol"), x.run("on-x"), y.run("on-y")
	for range 2 {
		h.docker("network", "connect", "y", "carol")
		c.reaches(onX.ip4())
		c.reaches(onY.ip4())
		if got := len(c.nics()); got != 2 {
			t.Errorf("%d interfaces while connected, want 2", got)
		}
		h.docker("network", "disconnect", "y", "carol")
		c.reaches(onX.ip4())
		c.isCutOff(onY.ip4())
		h.eventually("only on-y has a port on y", func() bool { return len(y.ports()) == 1 })
	}
	// Away from the network that it started on, too.
	h.docker("network", "connect", "y", "carol")
	h.docker("network", "disconnect", "x", "carol")
	c.reaches(onY.ip4())
	c.isCutOff(onX.ip4())
}

// Each start is a new endpoint; nothing of the earlier one stays.
func TestRestart(t *testing.T) {
	h := newHost(t)
	n := h.network("net", "--subnet", "10.34.0.0/24")
	a, b := n.run("alice"), n.run("bob")
	for range 2 {
		h.docker("restart", "--time", "1", "alice")
		a.reaches(b.ip4())
		b.reaches(a.ip4())
		if p := n.port(a.ip4()); p.MAC != a.nic().MAC {
			t.Errorf("the port has %s, the container %s", p.MAC, a.nic().MAC)
		}
	}
	h.eventually("only alice and bob have ports", func() bool { return len(n.ports()) == 2 })
	h.docker("stop", "--time", "1", "alice")
	h.eventually("alice's port is gone", func() bool { return len(n.ports()) == 1 })
}

// A fixed address and MAC address come back at once after a stop, while their
// port may still be on its way out.
func TestRestartFixed(t *testing.T) {
	h := newHost(t)
	n := h.network("net", "--subnet", "10.35.0.0/24", "--ipv6", "--subnet", "fd35::/64")
	b := n.run("bob")
	a := n.run("alice", "--ip", "10.35.0.50", "--ip6", "fd35::50", "--mac-address", "02:35:00:00:00:50")
	for range 2 {
		h.docker("restart", "--time", "1", "alice")
	}
	nic := a.nic()
	if nic.MAC != "02:35:00:00:00:50" || a.ip4() != "10.35.0.50" || a.ip6() != "fd35::50" {
		t.Errorf("after restarts: %+v", nic)
	}
	b.reaches("10.35.0.50")
	b.reaches("fd35::50")
	// Another container takes the address over as soon as it is free.
	for _, name := range []string{"next", "last"} {
		a.remove()
		a = n.run(name, "--ip", "10.35.0.50", "--mac-address", "02:35:00:00:00:50")
		b.reaches("10.35.0.50")
	}
}

// A pool that is full has room again as soon as a container is gone.
func TestFullPoolHasRoomAfterRemoval(t *testing.T) {
	h := newHost(t)
	n := h.network("net", "--subnet", "10.36.0.0/30") // the gateway and one more
	for range 2 {
		c := n.run("carol")
		if got := c.ip4(); got != "10.36.0.2" {
			t.Errorf("the only free address is 10.36.0.2, not %s", got)
		}
		c.remove()
	}
}

// A crashed container that Docker restarts is attached again.
func TestRestartPolicy(t *testing.T) {
	h := newHost(t)
	n := h.network("net", "--subnet", "10.37.0.0/24")
	b := n.run("bob")
	a := n.run("alice", "--restart", "always")
	pid, _ := a.state()
	if _, err := h.machine.Output(t.Context(), "kill", "-9", strconv.Itoa(pid)); err != nil {
		t.Fatal(err)
	}
	h.eventually("the container runs again", func() bool {
		now, running := a.state()
		return running && now != pid
	})
	a.reaches(b.ip4())
	h.eventually("only alice and bob have ports", func() bool { return len(n.ports()) == 2 })
}

// Containers that share another one's network have no port of their own.
func TestContainerNetworkMode(t *testing.T) {
	h := newHost(t)
	n := h.network("net", "--subnet", "10.38.0.0/24")
	a := n.run("alice")
	guest := h.run("guest", "--network", "container:alice")
	if got, want := guest.nic().MAC, a.nic().MAC; got != want {
		t.Errorf("the guest's interface is %s, want %s", got, want)
	}
	if got := len(n.ports()); got != 1 {
		t.Errorf("%d ports, want alice's alone", got)
	}
}

// Links and ports are gone within 5 s of docker rm, and the network with its
// subnets, pools, bridge and rule within 5 s of docker network rm.
func TestRemovalIsSwift(t *testing.T) {
	h := newSpecialHost(t, testkit.KuryrOptions{Config: testkit.NoPortPools})
	n := h.network("net", "--subnet", "10.39.0.0/24", "--ipv6", "--subnet", "fd39::/64")
	empty := h.take()
	var all []string
	for _, name := range []string{"alice", "bob", "carol", "dave"} {
		all = append(all, n.run(name).name)
	}
	if full := h.take(); !slices.ContainsFunc(full, func(line string) bool { return strings.HasPrefix(line, "link tap") }) {
		t.Errorf("no link while containers run: %v", full)
	}
	h.docker(append([]string{"rm", "--force"}, all...)...)
	// The bridge and its rule may stay until the network goes, or go with the
	// last container: both are right, so only what is additional counts.
	h.eventually("nothing of the containers is left", func() bool {
		return len(added(empty, h.take())) == 0
	})
	n.remove()
	h.kuryr.AssertNothingLeft(t, h.before, gone)
}
