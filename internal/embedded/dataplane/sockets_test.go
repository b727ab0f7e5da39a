package dataplane_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kuryr/internal/testkit"
)

// netfilterSockets returns the inodes of the namespace's sockets for netfilter.
func netfilterSockets(t *testing.T, ns *testkit.NS) []string {
	t.Helper()
	var table []byte
	var err error
	ns.Do(func() { table, err = os.ReadFile("/proc/thread-self/net/netlink") })
	if err != nil {
		t.Fatal(err)
	}
	const family, owner, inode = 1, 2, 9 // the columns
	var inodes []string
	for line := range strings.Lines(string(table)) {
		if f := strings.Fields(line); len(f) > inode && f[family] == "12" && f[owner] != "0" {
			inodes = append(inodes, f[inode])
		}
	}
	slices.Sort(inodes)
	return inodes
}

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
	before := netfilterSockets(t, w.ns)
	if len(before) != 3 {
		t.Errorf("%d sockets stay open, want those of the filter, of the flows and of the watch over tables", len(before))
	}
	for i := range 3 {
		w.group("server", rule(proto(17), ports(100+i, 200+i)))
		w.group(fmt.Sprint("g", i), rule(remote("client")))
		b.port.Groups = []string{"server", fmt.Sprint("g", i)}
		w.apply()
	}
	if diff := cmp.Diff(before, netfilterSockets(t, w.ns)); diff != "" {
		t.Errorf("sockets for netfilter (-before +after three changes):\n%s", diff)
	}
	w.stop()
	w.links.Close()
	if left := netfilterSockets(t, w.ns); len(left) > 0 {
		t.Errorf("sockets are left: %q", left)
	}
}
