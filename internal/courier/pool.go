package courier

import (
	"context"
	"fmt"
	"net/netip"
	"time"
)

// unclaimedPatience is how long a pool waits for the same CIDR's previous
// pool to be taken by its network. CreateNetwork names pools by their CIDR
// only, and follows RequestPool within milliseconds: one at a time, each
// finds its own.
const unclaimedPatience = 5 * time.Second

// RequestPool makes an address pool. With a CIDR it is a subnetpool of its
// own; without, a free CIDR cut from the default subnetpool, another one each
// time. An existing subnet, or subnetpool, that was named takes their place.
// The pool waits for CreateNetwork to name its CIDR.
func (c *Courier) RequestPool(ctx context.Context, r PoolRequest) (Pool, error) {
	switch {
	case !r.Subnet.IsZero():
		return c.subnetAsPool(ctx, r)
	case r.CIDR.IsValid() && !r.SubnetPool.IsZero():
		return c.poolWithin(ctx, r)
	case r.CIDR.IsValid():
		return c.makePool(ctx, r)
	}
	return c.cutPool(ctx, r)
}

// subnetAsPool takes an existing subnet. Nothing is made for it: the pool is
// known by an ID of its own, and stands for the subnet.
func (c *Courier) subnetAsPool(ctx context.Context, r PoolRequest) (Pool, error) {
	s, err := c.findSubnet(ctx, r.Subnet, r.Family)
	if err != nil {
		return Pool{}, because("make an address pool", "of a subnet", err)
	}
	op, subject := "use subnet "+string(s.ID), "as an address pool"
	switch {
	case r.CIDR.IsValid() && r.CIDR != s.CIDR:
		return Pool{}, &Error{Kind: Conflict, Op: op, Subject: subject, Public: "it is " + s.CIDR.String() + ", not " + r.CIDR.String(),
			Hint: "leave --subnet out, or give it as " + s.CIDR.String()}
	case r.Range.IsValid():
		return Pool{}, because(op, subject, notNarrowed(s.ID))
	case !r.CIDR.IsValid() && c.offered(s.ID):
		// Docker asks again, without end, for as long as what it gets overlaps what it has.
		return Pool{}, &Error{Kind: Conflict, Op: op, Subject: subject, Public: s.CIDR.String() + " overlaps another network, or a route, of this host",
			Hint: "give --subnet " + s.CIDR.String() + " if that is meant"}
	}
	p := &pool{life: newLife(), rec: poolRecord{Intent: c.newIntent(), State: creating, CIDR: s.CIDR, Existing: true,
		Subnet: s.ID, Promised: s.Gateway, Touched: time.Now()}}
	p.op.Lock()
	defer p.op.Unlock()
	if err := c.admitPool(ctx, p); err != nil {
		return Pool{}, because(op, subject, err)
	}
	return c.openPool(ctx, p, c.pythonPool(s.Pool, c.newIntent()), "")
}

// offered tells whether a subnet is a pool that no network has taken yet.
func (c *Courier) offered(id SubnetID) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range c.pools {
		if p.rec.Existing && p.rec.Subnet == id && p.rec.Network == "" && p.rec.State != removing && time.Since(p.rec.Touched) < unclaimedPatience {
			return true
		}
	}
	return false
}

// poolWithin takes a CIDR of an existing subnetpool.
func (c *Courier) poolWithin(ctx context.Context, r PoolRequest) (Pool, error) {
	if err := checkPool(r); err != nil {
		return Pool{}, err
	}
	from, err := c.findPoolToCut(ctx, r)
	if err != nil {
		return Pool{}, err
	}
	if err := within(from, r.CIDR); err != nil {
		return Pool{}, because("make an address pool", "of "+r.CIDR.String(), err)
	}
	p := c.adoptedPool(from.ID, r.CIDR)
	p.rec.Range = r.Range
	p.op.Lock()
	defer p.op.Unlock()
	if err := c.admitPool(ctx, p); err != nil {
		return Pool{}, because("use subnetpool", from.Name, err)
	}
	return c.tagPool(ctx, p, from)
}

// adoptedPool is a CIDR of a subnetpool that was there before. Its ID is going
// to be a tag of that, and the intent in the mark of the subnet.
func (c *Courier) adoptedPool(from SubnetPoolID, cidr netip.Prefix) *pool {
	intent := c.newIntent()
	return &pool{life: newLife(), rec: poolRecord{Intent: intent, State: creating, ID: c.pythonPool(from, intent),
		CIDR: cidr, SubnetPool: from, Adopted: true, Touched: time.Now()}}
}

// tagPool writes an adopted pool down and tags its subnetpool. Called with p.op held.
func (c *Courier) tagPool(ctx context.Context, p *pool, from SubnetPool) (Pool, error) {
	op, subject := "cut an address pool", "from subnetpool "+from.Name
	if err := c.save(ctx, durable, p); err != nil {
		c.dropPool(p)
		return Pool{}, because(op, subject, err)
	}
	if err := c.Neutron.Tag(ctx, Resource{SubnetPoolResource, string(from.ID)}, string(p.rec.ID)); err != nil {
		c.abandon(p, &p.rec.Unanswered, err)
		return Pool{}, because(op, subject, err)
	}
	return c.openPool(ctx, p, p.rec.ID, from.ID)
}

func (c *Courier) makePool(ctx context.Context, r PoolRequest) (Pool, error) {
	if err := checkPool(r); err != nil {
		return Pool{}, err
	}
	op, subject := "make an address pool", "of "+r.CIDR.String()
	p := &pool{life: newLife(), rec: poolRecord{
		Intent: c.newIntent(), State: creating, CIDR: r.CIDR, Range: r.Range, Touched: time.Now()}}
	p.op.Lock()
	defer p.op.Unlock()
	if err := c.admitPool(ctx, p); err != nil {
		return Pool{}, because(op, subject, err)
	}
	if err := c.save(ctx, durable, p); err != nil {
		c.dropPool(p)
		return Pool{}, because(op, subject, err)
	}
	made, err := c.postPool(ctx, SubnetPoolSpec{
		Name:             c.opt.PoolNamePrefix + "-" + r.CIDR.String(),
		Prefixes:         []netip.Prefix{r.CIDR},
		DefaultPrefixLen: r.CIDR.Bits(),
		Shared:           r.Shared != nil && *r.Shared,
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

// cutPool reserves a free CIDR of a subnetpool, the default one unless another
// is named: the subnet itself is cut by CreateNetwork, since Neutron cuts
// subnets for a network only.
func (c *Courier) cutPool(ctx context.Context, r PoolRequest) (Pool, error) {
	op := "cut an address pool"
	if err := take(ctx, c.cutting); err != nil {
		return Pool{}, because(op, "", err)
	}
	defer func() { <-c.cutting }()
	from, err := c.findPoolToCut(ctx, r)
	if err != nil {
		return Pool{}, err
	}
	subject := "from subnetpool " + from.Name
	used, err := c.usedCIDRs(ctx, from.ID)
	if err != nil {
		return Pool{}, because(op, subject, err)
	}
	cidr, ok := firstFree(from.Prefixes, used, from.DefaultPrefixLen)
	if !ok {
		return Pool{}, &Error{Kind: Exhausted, Op: op, Subject: subject, Public: "no CIDR of it is free",
			Hint: "name one with --subnet, or add prefixes to the subnetpool"}
	}
	p := c.adoptedPool(from.ID, cidr)
	p.op.Lock()
	defer p.op.Unlock()
	c.mu.Lock()
	c.pools[p.rec.ID] = p
	c.mu.Unlock()
	return c.tagPool(ctx, p, from)
}

// findPoolToCut returns the subnetpool that was named, the default one of the
// configuration, or Neutron's own default.
func (c *Courier) findPoolToCut(ctx context.Context, r PoolRequest) (SubnetPool, error) {
	op := "cut an address pool"
	if !r.SubnetPool.IsZero() {
		p, err := c.findSubnetPool(ctx, op, r.SubnetPool, r.Family)
		if err == nil && r.Shared != nil && *r.Shared != p.Shared {
			err = &Error{Kind: Conflict, Op: op, Subject: "from subnetpool " + r.SubnetPool.String(), Public: fmt.Sprintf("shared is %t there, and what exists is not changed", p.Shared),
				Hint: "leave neutron.net.shared out"}
		}
		return p, err
	}
	name := c.opt.DefaultPoolV4
	if r.Family == IPv6 {
		name = c.opt.DefaultPoolV6
	}
	p, err := c.findSubnetPool(ctx, op, Reference{Name: name}, r.Family)
	if KindOf(err) != NotFound {
		return p, err
	}
	found, err := c.Neutron.DefaultSubnetPools(ctx, r.Family)
	if err != nil {
		return SubnetPool{}, because(op, "from Neutron's default subnetpool", err)
	}
	if len(found) == 0 || len(found[0].Prefixes) == 0 {
		return SubnetPool{}, &Error{Kind: NotFound, Op: op, Subject: "from subnetpool " + name, Public: "Neutron has no such subnetpool, and no default one",
			Hint: "name a subnet with --subnet, or create the subnetpool"}
	}
	return found[0], nil
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
// the pool goes then with its network. Unknown pools are no error: Neutron is
// asked for one of the Python Kuryr's later.
func (c *Courier) ReleasePool(ctx context.Context, id PoolID) error {
	p, err := c.poolInTime(ctx, id)
	if err != nil { // the engine will not ask again
		p = c.unresolvedPool(id)
	}
	if p == nil {
		return nil
	}
	c.mu.Lock()
	if p.rec.State == removing {
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
	if err := c.resolvePool(ctx, p); err != nil {
		return err
	}
	c.mu.Lock()
	r := p.rec
	c.mu.Unlock()
	if err := c.leavePythonPool(ctx, r); err != nil {
		return err
	}
	switch {
	case r.Existing, r.Inherited && (r.Adopted || r.SubnetPool == ""):
	case r.Adopted:
		err := c.Neutron.Untag(ctx, Resource{SubnetPoolResource, string(r.SubnetPool)}, string(r.ID))
		if KindOf(err) == NotFound && c.mayAppear(r.Unanswered) {
			return errWaiting
		}
		if err != nil && KindOf(err) != NotFound {
			return err
		}
	case r.SubnetPool != "":
		if err := c.deletePool(ctx, r); err != nil {
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
			if err := c.deletePool(ctx, poolRecord{SubnetPool: sp.ID}); err != nil {
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

// deletePool deletes a subnetpool of Kuryr's. If it has subnets still, its
// network was left to others, and so is it.
func (c *Courier) deletePool(ctx context.Context, r poolRecord) error {
	err := c.Neutron.DeleteSubnetPool(ctx, r.SubnetPool)
	switch KindOf(err) {
	case NotFound:
		return nil
	case Conflict:
		left, lookErr := c.Neutron.SubnetsOfPool(ctx, r.SubnetPool)
		switch {
		case lookErr != nil || len(left) == 0:
			return err
		case r.Sought && time.Since(r.Touched) < idleLife, r.Inherited && (time.Since(r.Touched) < idleLife || c.inheritedLeaving()):
			return errWaiting // Docker deletes the network after its pools
		}
		c.log.Info("a subnetpool is left: others use its subnets", "subnetpool", r.SubnetPool)
		return nil
	}
	return err
}
