package dataplane_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Changes close no socket: whoever removes an interface would wait for it.
func TestChangesKeepTheirSockets(t *testing.T) {
	w := newWorld(t)
	w.group("client", rule(egress))
	w.group("server", rule(proto(6), ports(80, 80)))
	w.host(networkA, 1, "client")
	b := w.host(networkA, 2, "server")
	w.apply()
	w.group("server") // less than before: flows are looked through
	w.apply()
	before := w.ns.NetfilterSockets()
	if len(before) != 3 {
		t.Errorf("%d sockets stay open, want those of the filter, of the flows and of the watch over tables", len(before))
	}
	for i := range 3 {
		w.group("server", rule(proto(17), ports(100+i, 200+i)))
		w.group(fmt.Sprint("g", i), rule(remote("client")))
		b.port.Groups = []string{"server", fmt.Sprint("g", i)}
		w.apply()
	}
	if diff := cmp.Diff(before, w.ns.NetfilterSockets()); diff != "" {
		t.Errorf("sockets for netfilter (-before +after three changes):\n%s", diff)
	}
	w.stop()
	w.links.Close()
	if left := w.ns.NetfilterSockets(); len(left) > 0 {
		t.Errorf("sockets are left: %q", left)
	}
}
