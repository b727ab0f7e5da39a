//go:build !openstack

package docker

import (
	"fmt"
	"testing"
)

// With Neutron away containers start, and talk, as long as the pool lasts; it is
// told of them when it is back.
func TestPortPoolOutlastsNeutron(t *testing.T) {
	h, _, server := newFaultyHostWith(t, fleet.bare, shortPools)
	n := h.network("net", "--subnet", "10.66.0.0/24")
	first := n.run("first")
	n.warm(2)
	server.Kill()
	late := n.run("late")
	first.reaches(late.ip4())
	late.reaches(first.ip4())
	n.run("later").reaches(late.ip4())
	for ready := n.pool().Ready; ready > 0; ready-- {
		n.run(fmt.Sprint("one-of-", ready))
	}
	h.fails([]string{"cannot ", "Neutron"}, h.runArgs("latest", "--network", n.name)...)
	h.docker("rm", "latest")
	if err := server.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	endpoint := late.endpoint(n)
	h.within(recovery, "Neutron knows whose the port is", func() bool {
		return h.kuryr.Ready(t.Context()) == nil && n.port(late.ip4()).DeviceID == endpoint
	})
}
