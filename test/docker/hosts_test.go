//go:build openstack

package docker

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"kuryr/internal/testkit"
)

// newTwoHosts gives a test both hosts of the lab. It runs alone, as that of
// newQuietHost does, so nobody waits for a host that has the other.
func newTwoHosts(t *testing.T) (one, two *host) {
	t.Helper()
	return newQuietHost(t), newQuietHost(t)
}

// newQuietSpecialHost is newQuietHost with a Kuryr that has options of its own.
func newQuietSpecialHost(t *testing.T, o testkit.KuryrOptions) *host {
	t.Helper()
	testkit.NeedRoot(t)
	h, err := fleet.special(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	h.begin(t, gone, func(h *host) { h.discard(t) })
	return h
}

// One network of the cloud's is used from Docker networks on two hosts. Their
// containers reach each other, with packets as large as the network takes.
func TestTwoHosts(t *testing.T) {
	everywhere := newOperator(t).tenant("everywhere", "10.80.0.0/24", "fd80::/64")
	one, two := newTwoHosts(t)
	here, there := one.network("here", everywhere.flags...), two.network("there", everywhere.flags...)
	for _, n := range []network{here, there} {
		if got := n.neutron(); got != everywhere.id {
			t.Fatalf("%s is %s in Neutron, not %s", n.name, got, everywhere.id)
		}
	}
	from := here.run("from")
	for name, to := range map[string]container{"same host": here.run("near"), "other host": there.run("far")} {
		t.Run(name, func(t *testing.T) {
			from := container{h: from.h.in(t), name: from.name}
			port := here.port(to.ip4())
			if port.Host != to.h.kuryr.Host || port.VIFType != vifType {
				t.Errorf("the port is bound to %q with vif_type %q, not to %s with %s", port.Host, port.VIFType, to.h.kuryr.Host, vifType)
			}
			from.h.eventually("the port is ACTIVE", func() bool { return here.port(to.ip4()).Status == "ACTIVE" })
			sum := to.offers(1)
			for _, family := range []struct {
				address string
				headers int // of IP and ICMP
			}{{to.ip4(), 28}, {to.ip6(), 48}} {
				full := from.nic().MTU - family.headers
				from.h.eventually(fmt.Sprintf("ping %s passes with %d bytes", family.address, full), func() bool {
					return from.pings(family.address, full)
				})
				if from.pings(family.address, full+1) {
					t.Errorf("ping %s passes with a byte more than the MTU", family.address)
				}
				if got := from.downloads(family.address, 1); got != sum {
					t.Errorf("over TCP from %s comes %q, not %q", family.address, got, sum)
				}
			}
		})
	}
}

// pings tells whether an echo with a payload of this size, which nobody may
// fragment, comes back.
func (c container) pings(address string, size int) bool {
	c.h.t.Helper()
	_, err := c.inside("ping", "-n", "-c", "1", "-W", "1", "-M", "do", "-s", strconv.Itoa(size), address)
	return err == nil
}

// offers has the container serve some random mebibytes to who downloads them,
// and returns their checksum.
func (c container) offers(mebibytes int) (sum string) {
	c.h.t.Helper()
	sum = c.h.docker("exec", c.name, "sh", "-c",
		fmt.Sprintf("mkdir /offer && dd if=/dev/urandom of=/offer/data bs=1M count=%d 2>/dev/null && sha256sum < /offer/data", mebibytes))
	c.h.docker("exec", "--detach", c.name, "httpd", "-f", "-p", "8000", "-h", "/offer")
	return strings.TrimSpace(sum)
}

// downloads fetches, over TCP, what a container offers at an address, and
// returns its checksum.
func (c container) downloads(address string, mebibytes int) (sum string) {
	c.h.t.Helper()
	out, err := c.h.try("exec", c.name, "sh", "-c",
		fmt.Sprintf(`printf 'GET /data HTTP/1.0\r\n\r\n' | nc -w 20 %s 8000 | tail -c %d | sha256sum`, address, mebibytes<<20))
	if err != nil {
		c.h.t.Error(err)
	}
	return strings.TrimSpace(out)
}
