//go:build openstack

package docker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"kuryr/internal/testkit"
	"kuryr/test/openstack/cloud"
)

// The southbound of this build: the lab's Keystone and Neutron. Its compute
// hosts are the machines, so no more tests run at once than there are hosts.
const (
	// gone is how long removals may take to arrive everywhere: a cloud on one
	// busy machine takes a second for each call.
	gone = time.Minute
	// settles is how long two containers may need until they find each other:
	// OVN answers ARP in their place, so that nobody hears when an address has
	// got another MAC, and the kernel trusts what it knows for up to 45 s.
	settles = time.Minute
	// many is how many containers start at once where a test is about that. A
	// Neutron of this size makes two ports a second, and Docker's calls have 20 s.
	many = 8
)

// vifType is the binding:vif_type of the lab's ports.
var vifType = map[cloud.Mechanism]string{
	cloud.OVN: "ovs", cloud.OVS: "ovs", cloud.OVSHybrid: "ovs", cloud.LinuxBridge: "bridge",
}[openLab().Mechanism]

// openLab reads which lab the tests are to use. It is up, or no test can run.
var openLab = sync.OnceValue(func() *cloud.Lab {
	l, err := cloud.Open(os.Getenv(cloud.Variable))
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
	return l
})

// slots are the compute hosts that nobody uses.
var slots = newSlots(openLab().Hosts)

type slotQueue struct{ free chan string }

func newSlots(hosts []string) slotQueue {
	q := slotQueue{free: make(chan string, len(hosts))}
	for _, h := range hosts {
		q.free <- h
	}
	return q
}

// take returns a host with a Kuryr of the plain kind: one that idles, or one
// that is started on a machine that nobody uses. It waits for either.
func (f *machines) take(ctx context.Context) (*host, error) {
	for {
		if h := f.popIdle(); h != nil {
			return h, nil
		}
		select {
		case name := <-slots.free:
			return f.start(ctx, name, testkit.KuryrOptions{})
		case <-time.After(100 * time.Millisecond): // a host may idle again
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// special returns a host whose Kuryr has these options. An idle host makes room.
func (f *machines) special(ctx context.Context, o testkit.KuryrOptions) (*host, error) {
	for {
		if h := f.popIdle(); h != nil {
			if err := h.closeInTime(); err != nil {
				return nil, err
			}
		}
		select {
		case name := <-slots.free:
			return f.start(ctx, name, o)
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// leftInCommon waits until the security groups of exposed ports are gone,
// which hosts share, while there are still Kuryrs to remove them.
func leftInCommon() error {
	fleet.mu.Lock()
	defer fleet.mu.Unlock()
	if len(fleet.idle) == 0 {
		return nil // every test has failed, and said more than this can
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*gone)
	defer cancel()
	for {
		groups, err := fleet.idle[0].kuryr.Neutron.SecurityGroups(ctx)
		groups = slices.DeleteFunc(groups, func(g testkit.Resource) bool { return !strings.HasPrefix(g.Description, "kuryr:") })
		if err != nil || len(groups) == 0 {
			return err
		}
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return fmt.Errorf("security groups %+v", groups)
		}
	}
}

func (f *machines) popIdle() *host {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.idle) == 0 {
		return nil
	}
	h := f.idle[0]
	f.idle = slices.Delete(f.idle, 0, 1)
	return h
}

// start starts an engine and a Kuryr on a compute host.
func (f *machines) start(ctx context.Context, name string, o testkit.KuryrOptions) (*host, error) {
	back := func() { slots.free <- name }
	binary, err := f.built(ctx)
	if err != nil {
		back()
		return nil, err
	}
	lab := openLab()
	m, err := lab.Guest(ctx, name)
	if err != nil {
		back()
		return nil, err
	}
	o.Name = "kuryr-" + name
	o.Cloud = lab.Southbound(name, m, token())
	if err := ensureDefaultPools(ctx, o.Cloud.Neutron); err != nil {
		back()
		return nil, err
	}
	h, err := startHost(ctx, m, binary, o)
	if err != nil {
		back()
		return nil, err
	}
	h.closed = back
	return h, nil
}

// built is the path of the binary, which it builds at first.
func (f *machines) built(ctx context.Context) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	err := f.build(ctx)
	return f.binary, err
}

// token is one of Kuryr's, good for an hour, or no test can run.
var token = sync.OnceValue(func() string {
	c, err := openLab().Client(context.Background(), cloud.Kuryr)
	if err != nil {
		fmt.Fprintln(os.Stderr, "error: no token:", err)
		os.Exit(1)
	}
	return c.Token()
})

// poolsMade guards ensureDefaultPools: hosts start beside each other.
var poolsMade sync.Mutex

// ensureDefaultPools makes what an operator makes once in a cloud: the
// subnetpools that networks without a --subnet are cut from.
func ensureDefaultPools(ctx context.Context, n *testkit.Neutron) error {
	poolsMade.Lock()
	defer poolsMade.Unlock()
	have, err := n.SubnetPools(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for name, spec := range map[string]fields{
		"kuryr":  {"name": "kuryr", "prefixes": []string{"10.96.0.0/12"}, "default_prefixlen": 24},
		"kuryr6": {"name": "kuryr6", "prefixes": []string{"fd96::/48"}, "default_prefixlen": 64},
	} {
		if slices.ContainsFunc(have, func(r testkit.Resource) bool { return r.Name == name }) {
			continue
		}
		errs = append(errs, n.Post(ctx, "subnetpools", fields{"subnetpool": spec}, nil))
	}
	return errors.Join(errs...)
}
