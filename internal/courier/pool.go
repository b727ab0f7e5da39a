package courier

import (
	"context"
	"net/netip"
	"slices"
	"time"
)

// unclaimedPatience is how long a pool waits for the same CIDR's previous
// pool to be taken by its network. CreateNetwork names pools by their CIDR
// only, and follows RequestPool within milliseconds: one at a time, each
// finds its own.
const unclaimedPatience = 5 * time.Second

// RequestPool makes an address pool. With a CIDR it is a subnetpool of its
// own; without, a free CIDR cut from the default subnetpool, another one each
// time. The pool waits for CreateNetwork to name its CIDR.
func (c *Courier) RequestPool(ctx context.Context, r PoolRequest) (Pool, error) {
	if r.CIDR.IsValid() {
		return c.makePool(ctx, r)
	}
	return c.cutPool(ctx, r)
}

func (c *Courier) makePool(ctx context.Context, r PoolRequest) (Pool, error) {
	if err := checkPool(r); err != nil {
		return Pool{}, err
	}
	op, subject := "make an address pool", "of "+r.CIDR.String()
	p := &pool{life: newLife(), rec: poolRecord{
		Intent: newIntent(), State: creating, CIDR: r.CIDR, Range: r.Range, Touched: time.Now()}}
	p.op.Lock()
	defer p.op.Unlock()
	if err := c.admitPool(ctx, p); err != nil {
		return Pool{}, because(op, subject, err)
	}
	if err := c.save(ctx, durable, p); err != nil {
		c.dropPool(p)
		return Pool{}, because(op, subject, err)
	}
	made, err := c.Neutron.CreateSubnetPool(ctx, SubnetPoolSpec{
		Name:             c.opt.PoolNamePrefix + "-" + r.CIDR.String(),
		Prefixes:         []netip.Prefix{r.CIDR},
		DefaultPrefixLen: r.CIDR.Bits(),
		Mark:             c.mark(p.rec.Intent),
	})
	if err != nil {
		c.abandon(p, &p.rec.Unanswered, err)
		return Pool{}, because(op, subject, err)
	}
	return c.openPool(ctx, p, PoolID(made.ID), made.ID)
}

// admitPool enters p into the table once no pool of the same CIDR is about to
// be taken by a network. The table has no ID for it yet: its intent serves.
func (c *Courier) admitPool(ctx context.Context, p *pool) error {
	patience := time.NewTimer(unclaimedPatience)
	defer patience.Stop()
	for {
		c.mu.Lock()
		moved := c.poolsMoved
		if !c.contested(p.rec.CIDR) {
			c.pools[PoolID(p.rec.Intent)] = p
			c.mu.Unlock()
			return nil
		}
		c.mu.Unlock()
		select {
		case <-moved:
		case <-patience.C: // its engine died on the way: the newest pool is the right one then
			c.mu.Lock()
			c.pools[PoolID(p.rec.Intent)] = p
			c.mu.Unlock()
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// contested tells whether a pool of this CIDR was requested just now and has
// no network yet. Called with mu held.
func (c *Courier) contested(cidr netip.Prefix) bool {
	for _, p := range c.pools {
		if p.rec.CIDR == cidr && p.rec.Network == "" && p.rec.State != removing &&
			time.Since(p.rec.Touched) < unclaimedPatience {
			return true
		}
	}
	return false
}

// cutPool reserves a free CIDR of the default subnetpool: the subnet itself
// is cut by CreateNetwork, since Neutron cuts subnets for a network only.
func (c *Courier) cutPool(ctx context.Context, r PoolRequest) (Pool, error) {
	op, subject := "cut an address pool", "from subnetpool "+c.defaultPool(r.Family)
	if err := take(ctx, c.cutting); err != nil {
		return Pool{}, because(op, subject, err)
	}
	defer func() { <-c.cutting }()
	from, err := c.findDefaultPool(ctx, r.Family)
	if err != nil {
		return Pool{}, err
	}
	used, err := c.usedCIDRs(ctx, from.ID)
	if err != nil {
		return Pool{}, because(op, subject, err)
	}
	cidr, ok := firstFree(from.Prefixes, used, from.DefaultPrefixLen)
	if !ok {
		return Pool{}, &Error{Kind: Exhausted, Op: op, Subject: subject, Public: "no CIDR of it is free",
			Hint: "name one with --subnet, or add prefixes to the subnetpool"}
	}
	p := &pool{life: newLife(), rec: poolRecord{
		Intent: newIntent(), State: creating, CIDR: cidr, SubnetPool: from.ID, Adopted: true, Touched: time.Now()}}
	p.rec.ID = PoolID(newIntent())
	p.op.Lock()
	defer p.op.Unlock()
	c.mu.Lock()
	c.pools[p.rec.ID] = p
	c.mu.Unlock()
	if err := c.save(ctx, durable, p); err != nil {
		c.dropPool(p)
		return Pool{}, because(op, subject, err)
	}
	if err := c.Neutron.TagSubnetPool(ctx, from.ID, string(p.rec.ID)); err != nil {
		c.abandon(p, &p.rec.Unanswered, err)
		return Pool{}, because(op, subject, err)
	}
	return c.openPool(ctx, p, p.rec.ID, from.ID)
}

func (c *Courier) defaultPool(f Family) string {
	if f == IPv6 {
		return c.opt.DefaultPoolV6
	}
	return c.opt.DefaultPoolV4
}

func (c *Courier) findDefaultPool(ctx context.Context, f Family) (SubnetPool, error) {
	name := c.defaultPool(f)
	op, subject := "cut an address pool", "from subnetpool "+name
	found, err := c.Neutron.SubnetPoolsByName(ctx, name)
	if err != nil {
		return SubnetPool{}, because(op, subject, err)
	}
	found = slices.DeleteFunc(found, func(p SubnetPool) bool {
		return len(p.Prefixes) == 0 || FamilyOf(p.Prefixes[0].Addr()) != f
	})
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return SubnetPool{}, &Error{Kind: NotFound, Op: op, Subject: subject, Public: "Neutron has no such subnetpool",
			Hint: "name a subnet with --subnet, or create the subnetpool"}
	default:
		return SubnetPool{}, &Error{Kind: Conflict, Op: op, Subject: subject, Public: "Neutron has several of that name",
			Hint: "rename all but one, or set default_subnetpool_v4 and _v6 in kuryr.conf"}
	}
}

// usedCIDRs returns what can't be cut again: the subnetpool's subnets, and
// every CIDR that this host holds.
func (c *Courier) usedCIDRs(ctx context.Context, id SubnetPoolID) ([]netip.Prefix, error) {
	subnets, err := c.Neutron.SubnetsOfPool(ctx, id)
	if err != nil {
		return nil, err
	}
	var used []netip.Prefix
	for _, s := range subnets {
		used = append(used, s.CIDR)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range c.pools {
		used = append(used, p.rec.CIDR)
	}
	return used, nil
}

// openPool makes p ready under the ID that the engine will use.
func (c *Courier) openPool(ctx context.Context, p *pool, id PoolID, from SubnetPoolID) (Pool, error) {
	c.mu.Lock()
	delete(c.pools, PoolID(p.rec.Intent))
	p.rec.ID, p.rec.SubnetPool, p.rec.State, p.rec.Touched = id, from, ready, time.Now()
	c.pools[id] = p
	c.mu.Unlock()
	if err := c.save(ctx, durable, p); err != nil {
		c.discard(p)
		return Pool{}, because("make an address pool", "of "+p.rec.CIDR.String(), err)
	}
	return Pool{ID: id, CIDR: p.rec.CIDR}, nil
}

// ReleasePool gives a pool up. Docker does so before it deletes the network:
// the pool goes then with its network. Unknown pools are no error.
func (c *Courier) ReleasePool(ctx context.Context, id PoolID) error {
	c.mu.Lock()
	p := c.pools[id]
	if p == nil || p.rec.State == removing {
		c.mu.Unlock()
		return nil
	}
	if p.rec.Network != "" {
		p.rec.Released, p.rec.Touched = true, time.Now()
		c.mu.Unlock()
		return because("release the address pool", string(id), c.save(ctx, durable, p))
	}
	p.rec.State = removing
	c.announcePools()
	c.mu.Unlock()
	return because("release the address pool", string(id), c.removeLater(ctx, p))
}

// announcePools wakes who waits in admitPool. Called with mu held.
func (c *Courier) announcePools() {
	close(c.poolsMoved)
	c.poolsMoved = make(chan struct{})
}

// dropPool takes a pool that was never made out of the table.
func (c *Courier) dropPool(p *pool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.pools, p.rec.ID)
	delete(c.pools, PoolID(p.rec.Intent))
	c.announcePools()
}

// erasePool carries a removal out.
func (c *Courier) erasePool(ctx context.Context, p *pool) error {
	c.mu.Lock()
	r := p.rec
	c.mu.Unlock()
	switch {
	case r.Adopted:
		err := c.Neutron.UntagSubnetPool(ctx, r.SubnetPool, string(r.ID))
		if KindOf(err) == NotFound && c.mayAppear(r.Unanswered) {
			return errWaiting
		}
		if err != nil && KindOf(err) != NotFound {
			return err
		}
	case r.SubnetPool != "":
		if err := c.Neutron.DeleteSubnetPool(ctx, r.SubnetPool); err != nil && KindOf(err) != NotFound {
			return err
		}
	default: // Neutron's answer was lost
		found, err := c.Neutron.SubnetPoolsByMark(ctx, c.mark(r.Intent))
		if err != nil {
			return err
		}
		if len(found) == 0 && c.mayAppear(r.Unanswered) {
			return errWaiting
		}
		for _, sp := range found {
			if err := c.Neutron.DeleteSubnetPool(ctx, sp.ID); err != nil && KindOf(err) != NotFound {
				return err
			}
		}
	}
	if err := c.forget(ctx, p); err != nil {
		return err
	}
	c.dropPool(p)
	return nil
}
