package docker

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"kuryr/internal/testkit"
)

// shortPools has the ports of a container that is gone rest for a moment only.
const shortPools = "\n[vif_pool]\nports_pool_min = 2\nports_pool_cooldown = 1\n"

// pool returns what is ready of the network.
func (n network) pool() testkit.PortPool {
	n.h.t.Helper()
	s, err := n.h.kuryr.Status(n.h.t.Context())
	if err != nil {
		n.h.t.Fatal(err)
	}
	i := slices.IndexFunc(s.Courier.PortPools, func(p testkit.PortPool) bool { return p.Docker == n.id })
	if i < 0 {
		return testkit.PortPool{}
	}
	return s.Courier.PortPools[i]
}

// warm waits until ports are ready of a network that has had a container.
func (n network) warm(ports int) {
	n.h.t.Helper()
	n.h.within(time.Minute, fmt.Sprintf("%d ports of %s are ready", ports, n.name), func() bool { return n.pool().Ready >= ports })
}

// A container from the pool is as one that waited for its port: it reaches the
// others and they reach it, Neutron knows whose the port is, and whoever gets its
// address after it is reached there at once.
func TestPortPool(t *testing.T) {
	h := newSpecialHost(t, testkit.KuryrOptions{Config: shortPools})
	n := h.network("net", "--subnet", "10.65.0.0/24", "--ipv6", "--subnet", "fd65::/64")
	if p := n.pool(); p.Ready+p.Resting > 0 {
		t.Errorf("a network that nobody uses has ports: %+v", p)
	}
	first := n.run("first")
	n.warm(2)
	second := n.run("second")
	if p := n.pool(); p.Hits != 1 || p.Misses != 1 {
		t.Errorf("the first container waited for its port, the second did not: %+v", p)
	}
	first.reaches(second.ip4())
	second.reaches(first.ip6())
	port := n.port(second.ip4())
	if nic := second.nic(); port.MAC != nic.MAC || port.Host != h.kuryr.Host {
		t.Errorf("the port is %+v, the container has %+v", port, nic)
	}
	endpoint := second.endpoint(n)
	h.eventually("Neutron knows whose the port is", func() bool { return n.port(second.ip4()).DeviceID == endpoint })

	address := second.ip4()
	second.remove()
	for i := range 20 {
		n.warm(2)
		c := n.run(fmt.Sprintf("next%d", i))
		found := c.ip4() == address
		first.reaches(c.ip4())
		if found {
			if got := n.port(address); got.ID != port.ID {
				t.Errorf("the address is on port %s, was on %s", got.ID, port.ID)
			}
			return
		}
		c.remove()
	}
	t.Errorf("20 containers later nobody has got the address %s again", address)
}

// endpoint returns the ID of the container's endpoint on a network.
func (c container) endpoint(n network) string {
	c.h.t.Helper()
	return get[struct {
		NetworkSettings struct {
			Networks map[string]struct{ EndpointID string }
		}
	}](c.h, "/containers/"+c.name+"/json").NetworkSettings.Networks[n.name].EndpointID
}
