package courier

import (
	"context"
	"net/netip"
	"slices"
)

// ReleaseAddress gives an address up. An attachment that has joined a sandbox
// keeps its addresses until Detach: no mistake about a pool may cut a running
// container off. Unknown pools and addresses are no error.
func (c *Courier) ReleaseAddress(ctx context.Context, id PoolID, addr netip.Addr) error {
	op, subject := "release address "+addr.String(), ""
	p, err := c.poolInTime(ctx, id)
	if err != nil {
		return because(op, "of pool "+string(id), c.releaseInherited(ctx, poolRecord{ID: id, Inherited: true}, addr))
	}
	if p == nil {
		return nil
	}
	c.mu.Lock()
	if held := (heldAddress{id, addr}); !c.releases[held].IsZero() {
		delete(c.releases, held)
		c.mu.Unlock()
		return nil
	}
	if p.rec.Network == "" {
		if p.rec.Gateway == addr {
			p.rec.Gateway = netip.Addr{}
		}
		p.rec.Auxiliary = slices.DeleteFunc(slices.Clone(p.rec.Auxiliary), func(x netip.Addr) bool { return x == addr })
		c.mu.Unlock()
		return because(op, subject, c.save(ctx, noted, p))
	}
	a := c.releasable(p.rec.Network, addr)
	if a == nil {
		rec := p.rec
		c.mu.Unlock()
		return because(op, subject, c.releaseInherited(ctx, rec, addr))
	}
	held := false
	for i := range a.rec.Addresses {
		if a.rec.Addresses[i].Address == addr {
			a.rec.Addresses[i].Pool = ""
		}
		held = held || a.rec.Addresses[i].Pool != ""
	}
	held = held && a.rec.Endpoint == ""
	goOn := func(ctx context.Context) error { return c.save(ctx, noted, a) }
	if !held {
		goOn = c.letGo(a)
	}
	c.mu.Unlock()
	return because(op, subject, goOn(ctx))
}

// releasable returns the attachment whose address the engine may give up: a
// reservation, or one that never joined, since the engine did not get
// Attach's answer. Called with mu held.
func (c *Courier) releasable(id EngineNetworkID, addr netip.Addr) *attachment {
	for _, a := range c.attachments {
		unused := a.rec.State == reserved || a.rec.State == attached && !a.rec.Joined
		if a.rec.Network == id && unused && a.rec.has(addr) {
			return a
		}
	}
	return nil
}

// letGo enters an attachment that its endpoint leaves, or never claimed, into the
// state that follows: it rests for the next endpoint, or is removed. What it
// returns writes that down, and sees to it. Called with mu held.
func (c *Courier) letGo(a *attachment) (goOn func(context.Context) error) {
	c.left(a)
	if c.reusable(a) {
		c.restNow(a)
		return func(ctx context.Context) error { return c.rested(ctx, a) }
	}
	a.rec.State = removing
	return func(ctx context.Context) error { return c.removeLater(ctx, a) }
}
