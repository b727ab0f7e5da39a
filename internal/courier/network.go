package courier

import (
	"context"
	"maps"
	"net/netip"
	"slices"
	"time"
)

// deviceOwner marks the ports that hold auxiliary addresses; an endpoint's
// port has "compute:kuryr", as with the Python Kuryr.
const (
	ownerEndpoint  = "compute:kuryr"
	ownerAuxiliary = "kuryr:auxiliary"
)

// CreateNetwork makes a Neutron network with a subnet per pool, and really
// reserves the gateways and auxiliary addresses that were promised. Pools
// that were not requested from Kuryr (another IPAM driver's) become subnets
// that no subnetpool knows. A repeated call succeeds.
func (c *Courier) CreateNetwork(ctx context.Context, r NetworkRequest) error {
	name := networkName(r.ID)
	done, err := c.oneAtATime(ctx, string(r.ID))
	if err != nil {
		return because("create network", name, err)
	}
	defer done()
	n := &network{life: newLife(), rec: networkRecord{
		Intent: c.newIntent(), State: creating, ID: r.ID, Name: name, Internal: r.Internal, MTU: r.MTU}}
	n.op.Lock()
	defer n.op.Unlock()
	if done, err := c.admitNetwork(n); done || err != nil {
		return err
	}
	pools := c.claimPools(r)
	entities := []entity{n}
	for _, p := range pools {
		if p != nil {
			entities = append(entities, p)
		}
	}
	err = c.save(ctx, durable, entities...)
	if err == nil {
		err = c.buildNetwork(ctx, n, r, pools)
	}
	if err == nil {
		err = c.openNetwork(ctx, n, entities)
	}
	if err != nil {
		c.discard(n)
		return because("create network", name, err)
	}
	return nil
}

// openNetwork makes n ready, unless it was given up meanwhile.
func (c *Courier) openNetwork(ctx context.Context, n *network, entities []entity) error {
	c.mu.Lock()
	if n.rec.State == removing {
		c.mu.Unlock()
		return &Error{Kind: Conflict, Op: "open the network", Public: "it is being deleted"}
	}
	n.rec.State = ready
	c.mu.Unlock()
	return c.save(ctx, durable, entities...)
}

func head8(id EngineNetworkID) string {
	if len(id) > 8 {
		return string(id[:8])
	}
	return string(id)
}

// admitNetwork enters n into the table; done when it is there already.
func (c *Courier) admitNetwork(n *network) (done bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	old := c.networks[n.rec.ID]
	switch {
	case old == nil:
		c.networks[n.rec.ID] = n
		return false, nil
	case old.rec.State == ready:
		return true, nil
	default:
		return false, &Error{Kind: Conflict, Op: "create network", Subject: n.rec.Name,
			Public: "a network of this ID is " + string(old.rec.State)}
	}
}

// claimPools finds the pool behind each of r's, by what it holds, and gives
// it to the network. Of several that fit the newest is meant: an older one
// was left by an engine that died between RequestPool and CreateNetwork.
// Nil stands for pools that are not Kuryr's.
func (c *Courier) claimPools(r NetworkRequest) []*pool {
	c.mu.Lock()
	defer c.mu.Unlock()
	claimed := make([]*pool, len(r.Pools))
	for i, want := range r.Pools {
		var best *pool
		for _, p := range c.pools {
			if p.rec.State != ready || p.rec.Network != "" || p.rec.CIDR != want.CIDR || !p.promised(want) {
				continue
			}
			if best == nil || best.rec.Touched.Before(p.rec.Touched) {
				best = p
			}
		}
		if best != nil {
			best.rec.Network = r.ID
			claimed[i] = best
		}
	}
	c.announcePools()
	return claimed
}

// promised tells whether p holds the gateway and auxiliary addresses of want.
func (p *pool) promised(want NetworkPool) bool {
	if p.rec.Gateway.IsValid() && want.Gateway != p.rec.Gateway {
		return false
	}
	for _, a := range want.Auxiliary {
		if !slices.Contains(p.rec.Auxiliary, a) {
			return false
		}
	}
	return true
}

// buildNetwork makes, or finds, the network's resources in Neutron.
func (c *Courier) buildNetwork(ctx context.Context, n *network, r NetworkRequest, pools []*pool) error {
	specs, err := c.subnetSpecs(r, pools)
	if err != nil {
		return err
	}
	todo, err := c.planNetwork(ctx, r, pools)
	if err != nil {
		return err
	}
	c.mu.Lock()
	n.rec.Ports = todo.ports
	c.mu.Unlock()
	if err := c.obtainNetwork(ctx, n, r, todo); err != nil {
		return err
	}
	var auxiliary []PortSpec
	for i, want := range r.Pools {
		specs[i].Network = n.rec.Neutron
		if todo.from[i] != "" {
			specs[i].Pool = todo.from[i]
		}
		if n.rec.Origin != created && todo.from[i] == "" && pools[i] != nil && !pools[i].rec.Adopted {
			specs[i].Pool = "" // a subnetpool of this host's alone could not go while others use the subnet
		}
		// The mark says which pool the subnet was, should the journal be lost.
		specs[i].Mark = c.mark(n.rec.Intent)
		if pools[i] != nil {
			specs[i].Mark = c.mark(pools[i].rec.Intent)
		}
		s, err := c.obtainSubnet(ctx, n, specs[i], todo.chosen[i])
		if err != nil {
			return err
		}
		if err := sameGateway(s, want, pools[i]); err != nil {
			return err
		}
		c.mu.Lock()
		if pools[i] != nil {
			pools[i].rec.Subnet, pools[i].rec.Gateway = s.ID, s.Gateway
		}
		c.mu.Unlock()
		for _, name := range slices.Sorted(maps.Keys(want.Auxiliary)) {
			auxiliary = append(auxiliary, PortSpec{
				Network: n.rec.Neutron, Name: "kuryr-aux-" + name, DeviceOwner: ownerAuxiliary, Mark: c.mark(n.rec.Intent),
				FixedIPs: []FixedIP{{Subnet: s.ID, Address: want.Auxiliary[name]}}})
		}
	}
	if err := c.reserveAuxiliary(ctx, n, auxiliary); err != nil {
		return err
	}
	return c.writePython(ctx, n, pools)
}

// obtainNetwork adopts the network that was named, or makes one.
func (c *Courier) obtainNetwork(ctx context.Context, n *network, r NetworkRequest, todo plan) error {
	switch {
	case todo.network != nil:
		return c.adoptNetwork(ctx, n, *todo.network)
	case r.CreateName != "":
		return c.joinNetwork(ctx, n, r, todo.qos)
	}
	made, err := c.postNetwork(ctx, NetworkSpec{Name: n.rec.Name, MTU: r.MTU, Shared: r.Shared != nil && *r.Shared,
		QoSPolicy: todo.qos, Mark: c.mark(n.rec.Intent)})
	if err != nil {
		c.noteUnanswered(&n.rec.Unanswered, err)
		return err
	}
	c.mu.Lock()
	n.rec.Neutron, n.rec.MTU = made.ID, made.MTU
	c.mu.Unlock()
	return c.tag(ctx, Resource{NetworkResource, string(made.ID)}, n.rec.hidden())
}

// hidden returns the tags for what nobody could tell from a network and what is
// on it, should the journal be lost.
func (r networkRecord) hidden() (tags []string) {
	if r.Internal {
		tags = append(tags, internalTag)
	}
	if !r.Ports.isZero() {
		tags = append(tags, settingsTag)
	}
	return tags
}

// obtainSubnet makes a subnet on a new network, or sees which there is on
// another.
func (c *Courier) obtainSubnet(ctx context.Context, n *network, spec SubnetSpec, chosen SubnetID) (Subnet, error) {
	if n.rec.Origin != created {
		spec.Mark = c.mark(n.rec.Intent).common()
		return c.shareSubnet(ctx, n, spec, chosen)
	}
	s, err := c.postSubnet(ctx, spec)
	if err != nil {
		return s, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	n.rec.Subnets = append(n.rec.Subnets, subnetRecord{ID: s.ID, CIDR: s.CIDR, Gateway: s.Gateway, Routes: s.HostRoutes})
	return s, nil
}

func (c *Courier) reserveAuxiliary(ctx context.Context, n *network, specs []PortSpec) error {
	if len(specs) == 0 {
		return nil
	}
	ports, err := c.postAuxiliary(ctx, specs)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range ports {
		n.rec.Reserved = append(n.rec.Reserved, p.ID)
	}
	return nil
}

// subnetSpecs describes the subnets of r.Pools, whose pools are pools where
// they are Kuryr's.
func (c *Courier) subnetSpecs(r NetworkRequest, pools []*pool) ([]SubnetSpec, error) {
	specs := make([]SubnetSpec, len(r.Pools))
	for i, want := range r.Pools {
		s := SubnetSpec{Name: "kuryr-subnet-" + want.CIDR.String(), CIDR: want.CIDR, Gateway: want.Gateway, DHCP: c.opt.EnableDHCP}
		if p := pools[i]; p != nil {
			if part := p.rec.Range; part.IsValid() {
				s.AllocationPools = allocationPools(want.CIDR, part, want.Gateway)
				if len(s.AllocationPools) == 0 { // to Neutron none would mean all
					return nil, &Error{Kind: Invalid, Op: "make the subnet", Public: "the range " + part.String() + " holds nothing but the gateway",
						Hint: "take a larger --ip-range, or a --gateway outside of it"}
				}
			}
			// Neutron wants all subnets of one family on a network from one
			// subnetpool: where the engine brings several, they come from none.
			if countFamily(r.Pools, FamilyOf(want.CIDR.Addr())) == 1 {
				s.Pool = p.rec.SubnetPool
			}
		}
		specs[i] = s
	}
	return specs, nil
}

func countFamily(pools []NetworkPool, f Family) int {
	n := 0
	for _, p := range pools {
		if FamilyOf(p.CIDR.Addr()) == f {
			n++
		}
	}
	return n
}

// DeleteNetwork gives a network up, with whatever is still attached to it.
// Unknown networks are no error.
func (c *Courier) DeleteNetwork(ctx context.Context, id EngineNetworkID) error {
	c.mu.Lock()
	n, renamed := c.tabled(id)
	if n == nil {
		c.mu.Unlock()
		return because("delete network", id.Short(), c.deleteInheritedNetwork(ctx, id))
	}
	if n.rec.State == removing {
		c.mu.Unlock()
		return nil
	}
	name := n.rec.Name
	n.rec.State = removing
	var left []*attachment
	for _, a := range c.attachments {
		if a.rec.Network == id && a.rec.State != removing {
			a.rec.State = removing
			left = append(left, a)
		}
	}
	c.mu.Unlock()
	err := c.save(context.WithoutCancel(ctx), durable, renamed...) // before n: its pools go with it
	if e := c.removeLater(ctx, n); err == nil {
		err = e
	}
	for _, a := range left {
		if e := c.removeLater(ctx, a); err == nil {
			err = e
		}
	}
	return because("delete network", name, err)
}

// eraseNetwork carries a removal out, once nothing is attached any more.
func (c *Courier) eraseNetwork(ctx context.Context, n *network) error {
	if err := c.resolveNetwork(ctx, n); err != nil {
		return err
	}
	c.mu.Lock()
	r := n.rec
	for _, a := range c.attachments {
		if a.rec.Network == r.ID {
			c.mu.Unlock()
			return errWaiting
		}
	}
	c.mu.Unlock()
	if err := c.eraseAuxiliary(ctx, r); err != nil {
		return err
	}
	if r.Neutron != "" {
		if err := c.Binder.Dissolve(ctx, r.Neutron, r.Inherited); err != nil {
			return err
		}
	}
	if err := c.giveUpNetwork(ctx, r); err != nil {
		return err
	}
	if err := c.forget(ctx, n); err != nil {
		return err
	}
	c.dropNetwork(ctx, n)
	return nil
}

// giveUpNetwork deletes what was made for the network alone, and leaves the rest.
func (c *Courier) giveUpNetwork(ctx context.Context, r networkRecord) error {
	if r.Neutron != "" && r.Origin == created {
		deleted, err := c.deleteUnused(ctx, r)
		if err == nil && !deleted {
			c.log.Info("a network is left: others use it", "network", r.Neutron)
			err = c.leavePython(ctx, r)
		}
		return err
	}
	if r.Neutron != "" {
		if err := c.leavePython(ctx, r); err != nil {
			return err
		}
		if err := c.leaveNetwork(ctx, r); err != nil {
			return err
		}
		if r.Python && c.mayAppear(r.Unanswered) {
			return errWaiting // tags that may still appear
		}
	}
	// What is not in the record: Neutron's answer was lost, or another host's
	// network was chosen, and deleting ours failed.
	found, err := c.Neutron.NetworksByMark(ctx, c.mark(r.Intent).common())
	if err == nil && r.Neutron == "" {
		var more []Network
		more, err = c.Neutron.NetworksByMark(ctx, c.mark(r.Intent))
		found = append(found, more...)
	}
	if err != nil {
		return err
	}
	if r.Neutron == "" && len(found) == 0 && c.mayAppear(r.Unanswered) {
		return errWaiting
	}
	for _, f := range found {
		if _, err := c.deleteUnused(ctx, networkRecord{Intent: r.Intent, Neutron: f.ID}); err != nil {
			return err
		}
	}
	return nil
}

// eraseAuxiliary deletes the ports that hold auxiliary addresses. When the
// network never became ready their IDs may be lost: the mark finds them.
func (c *Courier) eraseAuxiliary(ctx context.Context, r networkRecord) error {
	ids := r.Reserved
	if len(ids) == 0 {
		ports, err := c.Neutron.PortsByMark(ctx, c.mark(r.Intent))
		if err != nil {
			return err
		}
		for _, p := range ports {
			ids = append(ids, p.ID)
		}
	}
	for _, id := range ids {
		if err := c.Neutron.DeletePort(ctx, id); err != nil && KindOf(err) != NotFound {
			return err
		}
	}
	return nil
}

// dropNetwork takes n out of the table; its pools go too if the engine has
// released them, and are free for it to release otherwise.
func (c *Courier) dropNetwork(ctx context.Context, n *network) {
	c.mu.Lock()
	delete(c.networks, n.rec.ID)
	var released, kept []*pool
	for _, p := range c.pools {
		if p.rec.Network != n.rec.ID || p.rec.State == removing {
			continue
		}
		if p.rec.Released {
			released = append(released, p)
		} else {
			// Its promises went with the network: it expires if the engine,
			// which releases pools first, has let it fall.
			p.rec.unclaim()
			p.rec.Gateway, p.rec.Auxiliary, p.rec.Touched = netip.Addr{}, nil, time.Now()
			kept = append(kept, p)
		}
	}
	for _, p := range c.pools {
		if p.rec.Inherited && p.rec.State == removing {
			wake(p) // it may wait for this network
		}
	}
	c.announcePools()
	c.mu.Unlock()
	for _, p := range released {
		c.discard(p)
	}
	for _, p := range kept {
		if err := c.save(ctx, noted, p); err != nil {
			c.log.Warn("pool not journaled", "pool", p.rec.ID, "err", err)
		}
	}
}

// gateways returns the gateways of the subnets that addresses lie on.
func (r networkRecord) gateways(addresses []netip.Addr) []netip.Addr {
	if r.Internal {
		return nil
	}
	var out []netip.Addr
	for _, a := range addresses {
		if s, ok := r.subnetOf(a); ok && s.Gateway.IsValid() {
			out = append(out, s.Gateway)
		}
	}
	return out
}
