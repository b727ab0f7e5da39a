package courier

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"time"
)

// A request whose answer was lost may still be on its way. What it makes is
// looked for after firstLook, doubled up to lastLook and jittered, for
// lookPatience and no longer than half of what the call has left.
const (
	firstLook    = 100 * time.Millisecond
	lastLook     = time.Second
	lookPatience = 2 * time.Second
)

// post sends a request that makes something. If its answer is lost, what it
// made is looked up by its mark, and is as good as an answer. Where that does
// not appear the request is sent again if it is singular: Neutron itself
// keeps it from having its effect twice. Anything else could appear twice,
// and the first error is the caller's.
func post[T any](ctx context.Context, singular bool, send func() (T, error), look func(context.Context) (T, bool, error)) (T, error) {
	made, err := send()
	if err == nil || refused(err) {
		return made, err
	}
	if found, ok := await(ctx, look); ok {
		return found, nil
	}
	if !singular || ctx.Err() != nil {
		return made, err
	}
	again, againErr := send()
	if againErr == nil {
		return again, nil
	}
	if KindOf(againErr) == Conflict && !errors.Is(againErr, ErrAway) { // perhaps with the first, which came late
		if found, ok := await(ctx, look); ok {
			return found, nil
		}
	}
	return made, err // not the second: what became of the first is still not known
}

// await looks until there is something, a look-up fails, or patience ends.
func await[T any](ctx context.Context, look func(context.Context) (T, bool, error)) (T, bool) {
	patience := lookPatience
	if end, bounded := ctx.Deadline(); bounded {
		patience = min(patience, time.Until(end)/2)
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for pause := firstLook; ; pause = min(2*pause, lastLook) {
		found, ok, err := look(ctx)
		if ok || err != nil {
			return found, ok
		}
		t := time.NewTimer(pause/2 + rand.N(pause))
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return found, false
		}
	}
}

// theOne is a look-up's answer where there can be one thing at most.
func theOne[T any](found []T, err error) (one T, ok bool, _ error) {
	if err != nil || len(found) == 0 {
		return one, false, err
	}
	return found[0], true, nil
}

// postPort makes a port. One with a wished address or MAC is singular. A port
// that is found before Neutron has bound it is looked at again.
func (c *Courier) postPort(ctx context.Context, s PortSpec) (Port, error) {
	return post(ctx, singular(s.FixedIPs, s.MAC), func() (Port, error) { return c.Neutron.CreatePort(ctx, s) },
		func(ctx context.Context) (Port, bool, error) {
			p, ok, err := theOne(c.Neutron.PortsByMark(ctx, s.Mark))
			unbound := p.Binding.VIFType == "" || p.Binding.VIFType == "unbound"
			return p, ok && !unbound, err
		})
}

// singular tells whether only one port can have what is wished for.
func singular(wish []FixedIP, mac MAC) bool {
	return !mac.IsZero() || slices.ContainsFunc(wish, func(f FixedIP) bool { return f.Address.IsValid() })
}

// postNetwork makes a network.
func (c *Courier) postNetwork(ctx context.Context, s NetworkSpec) (Network, error) {
	return post(ctx, false, func() (Network, error) { return c.Neutron.CreateNetwork(ctx, s) },
		func(ctx context.Context) (Network, bool, error) { return theOne(c.Neutron.NetworksByMark(ctx, s.Mark)) })
}

// postPool makes a subnetpool.
func (c *Courier) postPool(ctx context.Context, s SubnetPoolSpec) (SubnetPool, error) {
	return post(ctx, false, func() (SubnetPool, error) { return c.Neutron.CreateSubnetPool(ctx, s) },
		func(ctx context.Context) (SubnetPool, bool, error) {
			return theOne(c.Neutron.SubnetPoolsByMark(ctx, s.Mark))
		})
}

// postSubnet makes a subnet. No network has two of one CIDR.
func (c *Courier) postSubnet(ctx context.Context, s SubnetSpec) (Subnet, error) {
	return post(ctx, true, func() (Subnet, error) { return c.Neutron.CreateSubnet(ctx, s) },
		func(ctx context.Context) (Subnet, bool, error) {
			all, err := c.Neutron.SubnetsOfNetwork(ctx, s.Network)
			ours := func(x Subnet) bool { return x.CIDR == s.CIDR && x.Description == s.Mark.String() }
			return theOne(slices.DeleteFunc(all, func(x Subnet) bool { return !ours(x) }), err)
		})
}

// postAuxiliary makes the ports that hold auxiliary addresses: all or none.
func (c *Courier) postAuxiliary(ctx context.Context, specs []PortSpec) ([]Port, error) {
	return post(ctx, true, func() ([]Port, error) { return c.Neutron.CreatePorts(ctx, specs) },
		func(ctx context.Context) ([]Port, bool, error) {
			found, err := c.Neutron.PortsByMark(ctx, specs[0].Mark)
			return found, len(found) == len(specs), err
		})
}
