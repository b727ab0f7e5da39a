package courier_test

import (
	"context"
	"errors"
	"net/netip"

	"kuryr/internal/courier"
)

// reuseStory is a day with what an operator has prepared: a network with a
// subnet, a port on it, and a subnetpool; and with a network for all who name it.
func reuseStory(w *world) func(context.Context, *engine) error {
	o := operator{w}
	net := o.network("tenant")
	sub := o.subnet(net, "10.120.0.0/24", "10.120.0.254")
	o.port(courier.PortSpec{Network: net.ID, Name: "mine", FixedIPs: []courier.FixedIP{{Subnet: sub.ID, Address: addrOf("10.120.0.7")}}})
	_, err := w.neutron.CreateSubnetPool(w.t.Context(), courier.SubnetPoolSpec{Name: "mine", Prefixes: []netip.Prefix{prefixOf("10.121.0.0/16")}, DefaultPrefixLen: 24})
	o.check(err)
	w.before = o.show()
	return func(ctx context.Context, e *engine) error {
		var failures []error
		run := func(id string, edit func(*courier.NetworkRequest), wish string, specs ...poolSpec) {
			n, err := e.networkWith(ctx, id, edit, specs...)
			failures = append(failures, err)
			if err != nil {
				return
			}
			k, err := e.start(ctx, n, "e-"+id, "", wish)
			failures = append(failures, err)
			e.stop(ctx, k)
		}
		run("adopted", network(courier.Reference{Name: "tenant"}), "10.120.0.7", poolSpec{cidr: "10.120.0.0/24"})
		run("both", network(courier.Reference{ID: string(net.ID)}), "", poolSpec{cidr: "10.120.0.0/24"}, poolSpec{cidr: "fd00:120::/64"})
		run("subnet", nil, "", poolSpec{family: 4, subnet: courier.Reference{ID: string(sub.ID)}})
		run("named", create("blue"), "", poolSpec{family: 4, subnetPool: courier.Reference{Name: "mine"}})
		run("again", create("blue"), "", poolSpec{cidr: "10.121.0.0/24"})
		for _, n := range e.networks {
			e.networkRemove(ctx, n)
		}
		return errors.Join(failures...)
	}
}

// switchStory is the end of what the Python Kuryr began.
func switchStory(w *world) func(context.Context, *engine) error {
	p := &python{operator: operator{w}}
	w.before = p.show()
	p.createNetwork(pyNet, "10.150.0.0/24")
	n := p.engineNetwork(pyNet)
	one, two := p.container(n, pyEP, p.start(pyEP, true)), p.container(n, pyEP2, p.start(pyEP2, false))
	return func(ctx context.Context, e *engine) error {
		_, err := e.c().Describe(ctx, n.id, one.endpoint)
		k, startErr := e.start(ctx, n, "new", "")
		e.stop(ctx, one)
		e.stop(ctx, k)
		e.stop(ctx, two)
		e.networkRemove(ctx, n)
		return errors.Join(err, startErr)
	}
}
