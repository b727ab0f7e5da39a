package courier

import (
	"context"
	"slices"
	"strings"
	"time"
)

// remains are what Neutron and the kernel have on a network of this host's and
// the tables have not.
type remains struct {
	pools       []*pool
	attachments []*attachment
	groups      []*exposedGroup
	auxiliary   []PortID

	ports []Port // all of this host's
	pairs []Pair
}

// has tells whether a port, or its link, is there.
func (s remains) has(id PortID) bool {
	return slices.ContainsFunc(s.ports, func(p Port) bool { return p.ID == id }) ||
		slices.ContainsFunc(s.pairs, func(p Pair) bool { return p.HostEnd == HostEnd(id) })
}

// remainsOn looks for all of it. The network's own record need not be in the tables.
func (c *Courier) remainsOn(ctx context.Context, n networkRecord, subnets []Subnet) (remains, error) {
	var look remains
	var err error
	if look.pools, err = c.remainingPools(ctx, n, subnets); err != nil {
		return look, err
	}
	if look.ports, err = c.Neutron.PortsOfHost(ctx, c.opt.Host); err != nil {
		return look, err
	}
	if look.pairs, err = c.Linker.Pairs(ctx); err != nil {
		return look, err
	}
	for _, p := range look.ports {
		intent, ours := c.marked(p.Description)
		switch {
		case p.Network != n.Neutron || !ours:
		case p.DeviceOwner == ownerAuxiliary && intent == n.Intent:
			look.auxiliary = append(look.auxiliary, p.ID)
		case p.DeviceOwner == ownerEndpoint:
			a := c.restored(n, intent, p, look.pairs)
			for _, x := range look.pools {
				if a.rec.State == attached {
					a.rec.holdThrough(x.rec)
				}
			}
			look.attachments = append(look.attachments, a)
		}
	}
	look.groups, err = c.remainingGroups(ctx, look.attachments)
	return look, err
}

// remainingPools returns the pools that became the network's subnets, as far as
// that can be told without the engine's ID of them: those with a subnetpool of
// their own, and those whose ID, a tag, is also the intent in the subnet's mark.
func (c *Courier) remainingPools(ctx context.Context, n networkRecord, subnets []Subnet) (pools []*pool, err error) {
	own, err := c.Neutron.SubnetPoolsOfHost(ctx, c.opt.Host)
	if err != nil {
		return nil, err
	}
	for _, s := range subnets {
		intent, ours := c.marked(s.Description)
		if !ours || !n.hasSubnet(s.ID) {
			continue
		}
		id := intent
		if i := slices.IndexFunc(s.Tags, pyPoolTag); i >= 0 {
			id = s.Tags[i]
		}
		r := poolRecord{Intent: intent, State: ready, ID: PoolID(id), CIDR: s.CIDR, SubnetPool: s.Pool, Adopted: true,
			Gateway: s.Gateway, Network: n.ID, Subnet: s.ID, Touched: time.Now()}
		i := slices.IndexFunc(own, func(sp SubnetPool) bool {
			of, ours := c.ownPool(sp)
			return ours && sp.Prefixes[0] == s.CIDR && (sp.ID == s.Pool || of == intent)
		})
		if i >= 0 {
			r.Intent, _ = c.ownPool(own[i])
			r.ID, r.SubnetPool, r.Adopted = PoolID(own[i].ID), own[i].ID, false
		} else {
			found, err := c.Neutron.FindSubnetPools(ctx, Reference{ID: string(s.Pool)})
			if err != nil {
				return nil, err
			}
			if len(found) == 0 || !slices.Contains(found[0].Tags, id) {
				continue // the engine's call will tell
			}
		}
		r.Python = slices.Contains(s.Tags, string(r.ID))
		pools = append(pools, &pool{life: newLife(), rec: r})
	}
	return pools, nil
}

// restored is the record of a port. Whether a container has it, its link tells:
// a port whose link is gone, or was never made, is to go too.
func (c *Courier) restored(n networkRecord, intent string, p Port, pairs []Pair) *attachment {
	a := &attachment{life: newLife(), settings: n.Ports, rec: attachmentRecord{Intent: intent, State: attached, Network: n.ID, Neutron: n.Neutron,
		Endpoint: EndpointID(p.DeviceID), MTU: n.MTU, Python: slices.Contains(p.Tags, pyPort), Touched: time.Now()}}
	a.rec.take(p, &network{rec: n})
	i := slices.IndexFunc(pairs, func(x Pair) bool { return x.HostEnd == HostEnd(p.ID) && x.Ours })
	a.rec.Linked = i >= 0
	switch {
	case p.DeviceID == "":
		a.rec.State = reserved // it expires unless it is claimed
	case i < 0:
		a.rec.State = removing
	default:
		a.rec.Joined = pairs[i].Away()
		a.rec.Closed = !pairs[i].Up && c.Binder.FailsOpen(p.Binding)
	}
	return a
}

// remainingGroups finds which security groups of exposed ports the ports of
// attachments have, and writes that into their records.
func (c *Courier) remainingGroups(ctx context.Context, attachments []*attachment) (groups []*exposedGroup, err error) {
	found, err := c.Neutron.SecurityGroupsOfHost(ctx, c.opt.Host)
	if err != nil {
		return nil, err
	}
	byID := map[SecurityGroupID]*exposedGroup{}
	for _, f := range found {
		intent, ours := c.marked(f.Description)
		if !ours || !strings.HasPrefix(f.Name, groupPrefix) {
			continue
		}
		g := &exposedGroup{life: newLife(), touched: time.Now(), rec: exposedGroupRecord{Intent: intent, State: ready, ID: f.ID}}
		all, err := c.Neutron.SecurityGroupsByName(ctx, f.Name)
		if err != nil {
			return nil, err
		}
		for _, x := range all {
			if x.ID == f.ID {
				g.rec.Project, g.rec.Ports = x.Project, openedBy(x)
			}
		}
		byID[f.ID] = g
		groups = append(groups, g)
	}
	for _, a := range attachments {
		if len(byID) == 0 || a.rec.State != attached {
			continue
		}
		s, err := c.Neutron.PortSecurity(ctx, a.rec.Port)
		if err != nil {
			return nil, err
		}
		for _, id := range s.Groups {
			if g := byID[id]; g != nil {
				a.rec.Exposed.Ports, a.rec.Exposed.Done = g.rec.Ports, true
				a.rec.Exposed.Groups = append(a.rec.Exposed.Groups, id)
			}
		}
	}
	return groups, nil
}

// openedBy returns the ports that a group's rules open.
func openedBy(g SecurityGroup) PortSet {
	var all []PortRange
	for _, r := range g.Rules {
		if isMarked(r.Description) && r.Opens.Family == IPv4 {
			all = append(all, r.Opens.Ports)
		}
	}
	return NewPortSet(all...)
}

// enterRemains enters into the tables what is not in them, and returns it.
// Called with mu held.
func (c *Courier) enterRemains(id EngineNetworkID, look remains) (entered []entity) {
	for _, p := range look.pools {
		if c.pools[p.rec.ID] == nil {
			c.pools[p.rec.ID] = p
			entered = append(entered, p)
		}
	}
	for _, a := range look.attachments {
		if c.attachments[a.rec.Intent] != nil || a.rec.Endpoint != "" && c.endpoints[a.rec.Endpoint] != nil {
			continue
		}
		c.attachments[a.rec.Intent] = a
		if a.rec.Endpoint != "" {
			c.endpoints[a.rec.Endpoint] = a
		}
		entered = append(entered, a)
	}
	for _, g := range look.groups {
		if c.exposed[g.rec.Intent] == nil {
			c.exposed[g.rec.Intent] = g
			entered = append(entered, g)
		}
	}
	// A pool of which an earlier record was back has its network again.
	for _, p := range look.pools {
		if known := c.pools[p.rec.ID]; known != p && known.rec.State == ready && (known.rec.Network == "" || known.rec.Subnet == "") {
			known.rec.Network, known.rec.Subnet, known.rec.Gateway = id, p.rec.Subnet, p.rec.Gateway
			entered = append(entered, known)
		}
	}
	return entered
}
