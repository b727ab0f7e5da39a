package courier

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// A journal can be lost, wholly or in part, while the engine's networks and
// containers go on. When a call names a network or a pool that is not in the
// tables, Neutron is asked whether this host made it: by its mark, and a name
// or a tag that the engine's ID leads to. What is found is written down again,
// with the intents of its marks, before the call goes on. The call is the
// proof that the engine of this host knows it; without one nothing is taken
// over, since another Kuryr may be called like this host by mistake.

// Tags on a network that Kuryr made, of what its resources do not show.
const (
	internalTag = "kuryr.internal" // it has no way out
	settingsTag = "kuryr.settings" // its ports are to have attributes of their own
)

// marked returns the intent of what this host's Kuryr made for one engine's
// network or endpoint.
func (c *Courier) marked(description string) (intent string, ok bool) {
	m, ok := ParseMark(description)
	return m.Intent, ok && m.Host == c.opt.Host && !isCommon(description)
}

// ownPool returns the intent of a subnetpool that this host made for one pool:
// its one prefix is what was asked for. The default ones may carry a mark too.
func (c *Courier) ownPool(sp SubnetPool) (intent string, ok bool) {
	intent, ok = c.marked(sp.Description)
	standard := sp.Name == c.opt.DefaultPoolV4 || sp.Name == c.opt.DefaultPoolV6
	return intent, ok && !standard && len(sp.Prefixes) == 1 && sp.Prefixes[0].Bits() == sp.DefaultPrefixLen
}

// restoreNetwork finds the network that this host made for an engine's; nil:
// there is none.
func (c *Courier) restoreNetwork(ctx context.Context, id EngineNetworkID) (*network, error) {
	if err := take(ctx, c.restoring); err != nil {
		return nil, err
	}
	defer func() { <-c.restoring }()
	c.mu.Lock()
	n, renamed := c.tabled(id)
	c.mu.Unlock()
	if n != nil {
		return n, c.save(ctx, durable, renamed...)
	}
	found, err := c.lostNetwork(ctx, id)
	if err != nil || found == nil {
		return nil, err
	}
	return c.restoreAs(ctx, id, *found)
}

// tabled returns the network of an ID. The one that is known by the start of its
// ID only gets the whole, and is returned with all that has to be saved for it.
// Called with mu held.
func (c *Courier) tabled(id EngineNetworkID) (n *network, renamed []entity) {
	if n := c.networks[id]; n != nil {
		return n, nil
	}
	for _, x := range c.networks {
		if x.rec.Shortened && x.rec.Name == networkName(id) {
			if n != nil {
				return nil, nil // lostNetwork tells of both
			}
			n = x
		}
	}
	if n == nil {
		return nil, nil
	}
	short := n.rec.ID
	delete(c.networks, short)
	n.rec.ID, n.rec.Shortened = id, false
	c.networks[id] = n
	renamed = []entity{n}
	for _, p := range c.pools {
		if p.rec.Network == short {
			p.rec.Network = id
			renamed = append(renamed, p)
		}
	}
	for _, a := range c.attachments {
		if a.rec.Network == short {
			a.rec.Network = id
			renamed = append(renamed, a)
		}
	}
	return n, renamed
}

// lostNetwork looks for the network in Neutron. Its name has the start of the
// engine's ID: should there be two, only the Python Kuryr's tags can tell.
func (c *Courier) lostNetwork(ctx context.Context, id EngineNetworkID) (*Network, error) {
	name := networkName(id)
	found, err := c.Neutron.FindNetworks(ctx, Reference{Name: name})
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	known := map[NetworkID]bool{}
	for _, n := range c.networks {
		known[n.rec.Neutron] = !n.rec.Shortened
	}
	c.mu.Unlock()
	found = slices.DeleteFunc(found, func(n Network) bool {
		_, ours := c.marked(n.Description)
		tagged, ok := pyEngineNetwork(n.Tags)
		return !ours || known[n.ID] || ok && tagged != id
	})
	switch len(found) {
	case 0:
		return nil, nil
	case 1:
		return &found[0], nil
	}
	return nil, &Error{Kind: Conflict, Op: "find it again",
		Public: fmt.Sprintf("Kuryr's journal was lost, and %d networks of this host are named %s in Neutron: %s and %s", len(found), name, found[0].ID, found[1].ID),
		Hint:   "rename those in Neutron that are not this Docker network's"}
}

func networkName(id EngineNetworkID) string { return "kuryr-net-" + head8(id) }

// restoreAs writes a network down again, with all that is on it. Called with
// restoring held.
func (c *Courier) restoreAs(ctx context.Context, id EngineNetworkID, found Network) (*network, error) {
	subnets, err := c.Neutron.SubnetsOfNetwork(ctx, found.ID)
	if err != nil {
		return nil, err
	}
	intent, _ := c.marked(found.Description)
	_, whole := pyEngineNetwork(found.Tags)
	n := &network{life: newLife(), rec: networkRecord{Intent: intent, State: ready, ID: id, Neutron: found.ID, Name: found.Name, MTU: found.MTU,
		Internal: slices.Contains(found.Tags, internalTag), Unset: slices.Contains(found.Tags, settingsTag), Python: whole,
		Shortened: id == shortened(found)}}
	for _, s := range subnets {
		if _, ours := c.marked(s.Description); ours {
			n.rec.Subnets = append(n.rec.Subnets, subnetRecord{ID: s.ID, CIDR: s.CIDR, Gateway: s.Gateway, Routes: s.HostRoutes})
		}
	}
	slices.SortFunc(n.rec.Subnets, func(a, b subnetRecord) int { return a.CIDR.Addr().Compare(b.CIDR.Addr()) }) // IPv4 first
	look, err := c.remainsOn(ctx, n.rec, subnets)
	if err != nil {
		return nil, err
	}
	n.rec.Reserved = look.auxiliary
	c.mu.Lock()
	c.networks[id] = n
	entities := append(c.enterRemains(id, look), n)
	c.mu.Unlock()
	c.log.Warn("a network was not in the journal: it is written down again, with what is on it", "docker_network", string(id),
		"network", string(found.ID), "pools", len(look.pools), "attachments", len(look.attachments))
	return n, c.saveRestored(ctx, entities)
}

// giveUpPartial looks for what is on a network that is being removed, and has it
// removed too.
func (c *Courier) giveUpPartial(ctx context.Context, n *network) error {
	c.mu.Lock()
	r := n.rec
	c.mu.Unlock()
	subnets, err := c.Neutron.SubnetsOfNetwork(ctx, r.Neutron)
	if err != nil {
		return err
	}
	for _, s := range subnets {
		if _, ours := c.marked(s.Description); ours && !r.hasSubnet(s.ID) {
			r.Subnets = append(r.Subnets, subnetRecord{ID: s.ID, CIDR: s.CIDR})
		}
	}
	look, err := c.remainsOn(ctx, r, subnets)
	if err != nil {
		return err
	}
	c.mu.Lock()
	n.rec.Partial, n.rec.Reserved = false, look.auxiliary
	for _, a := range look.attachments {
		a.rec.State = removing
	}
	for _, p := range look.pools {
		p.rec.Released = true // the engine has done so before
	}
	entities := append(c.enterRemains(r.ID, look), n)
	c.mu.Unlock()
	return c.saveRestored(ctx, entities)
}

// saveRestored writes down what was found, and goes on with it.
func (c *Courier) saveRestored(ctx context.Context, entities []entity) error {
	err := c.save(ctx, durable, entities...)
	for _, e := range entities {
		a, ok := e.(*attachment)
		switch {
		case !ok:
		case a.rec.State == removing:
			c.startRemoval(a)
		case a.rec.Joined && a.rec.Closed:
			c.openLater(a)
		}
	}
	return err
}

// complete looks for what a network's records lack after a loss.
func (c *Courier) complete(ctx context.Context, n *network) error {
	if err := take(ctx, c.restoring); err != nil {
		return err
	}
	defer func() { <-c.restoring }()
	c.mu.Lock()
	r := n.rec
	c.mu.Unlock()
	if !r.Partial || r.State != ready {
		return nil
	}
	found, err := c.Neutron.FindNetworks(ctx, Reference{ID: string(r.Neutron)})
	if err != nil {
		return err
	}
	if len(found) == 0 {
		c.log.Warn("a network is let go: the journal was damaged, and Neutron does not have it", "docker_network", string(r.ID), "network", string(r.Neutron))
		c.discard(n)
		return nil
	}
	subnets, err := c.Neutron.SubnetsOfNetwork(ctx, r.Neutron)
	if err != nil {
		return err
	}
	look, err := c.remainsOn(ctx, r, subnets)
	if err != nil {
		return err
	}
	c.mu.Lock()
	n.rec.Partial = false
	entities := append(c.enterRemains(r.ID, look), n)
	for _, a := range c.attachments {
		if a.rec.Network == r.ID && a.rec.State == attached && a.rec.Origin == created && !look.has(a.rec.Port) {
			a.rec.State = removing // its record was back
			entities = append(entities, a)
		}
	}
	c.mu.Unlock()
	return c.saveRestored(ctx, entities)
}

// restorePool finds the pool of an ID that is a subnetpool's, or a tag on one;
// nil: there is none. The engine names no network with it: that of its subnet
// is restored too, and known by the start of its ID until a call has the whole.
func (c *Courier) restorePool(ctx context.Context, id PoolID, from SubnetPool, own bool) (*pool, error) {
	if err := take(ctx, c.restoring); err != nil {
		return nil, err
	}
	defer func() { <-c.restoring }()
	s, err := c.subnetOfLost(ctx, id, from, own)
	if err != nil {
		return nil, err
	}
	intent, _ := c.ownPool(from)
	if !own {
		intent = string(id)
	}
	if !own && s != nil && slices.Contains(s.Tags, string(id)) {
		if of, ours := c.marked(s.Description); ours {
			intent = of // with compat_tags the ID is another
		}
	}
	p := &pool{life: newLife(), rec: poolRecord{Intent: intent, State: ready, ID: id, SubnetPool: from.ID, Adopted: !own, Touched: time.Now()}}
	if own {
		p.rec.CIDR = from.Prefixes[0]
	}
	var n *network
	if s != nil {
		if n, err = c.networkOfLost(ctx, s.Network); err != nil {
			return nil, err
		}
		p.rec.CIDR, p.rec.Subnet, p.rec.Gateway, p.rec.Python = s.CIDR, s.ID, s.Gateway, slices.Contains(s.Tags, string(id))
	}
	c.mu.Lock()
	if n != nil {
		p.rec.Network = n.rec.ID
		n.rec.addSubnet(*s)
	}
	if known := c.pools[id]; known != nil { // it came with its network
		c.mu.Unlock()
		return known, nil
	}
	c.pools[id] = p
	entities := append(c.holdThrough(p), p)
	c.mu.Unlock()
	return p, c.save(ctx, durable, entities...)
}

// subnetOfLost returns the subnet that a pool became; nil: none yet.
func (c *Courier) subnetOfLost(ctx context.Context, id PoolID, from SubnetPool, own bool) (*Subnet, error) {
	subnets, err := c.Neutron.SubnetsOfPool(ctx, from.ID)
	if err == nil && own && len(subnets) == 0 {
		// Where a network has several subnets of a family they come from none.
		subnets, err = c.Neutron.SubnetsOfHost(ctx, c.opt.Host)
		subnets = slices.DeleteFunc(subnets, func(s Subnet) bool { return s.Pool != "" || !slices.Contains(from.Prefixes, s.CIDR) })
	}
	if err == nil && len(subnets) == 0 {
		subnets, err = c.Neutron.SubnetsByTags(ctx, string(id)) // as the Python Kuryr has them
	}
	if err != nil {
		return nil, err
	}
	intent := string(id)
	if own {
		intent, _ = c.ownPool(from)
	}
	c.mu.Lock()
	known := map[SubnetID]bool{}
	for _, p := range c.pools {
		known[p.rec.Subnet] = true
	}
	c.mu.Unlock()
	var candidates []Subnet
	for _, s := range subnets {
		of, ours := c.marked(s.Description)
		switch {
		case ours && of == intent, slices.Contains(s.Tags, string(id)):
			return &s, nil
		case ours && !known[s.ID]:
			candidates = append(candidates, s)
		}
	}
	switch len(candidates) {
	case 0:
		return nil, nil
	case 1:
		return &candidates[0], nil
	}
	return nil, &Error{Kind: Conflict, Op: "find its subnet again",
		Public: fmt.Sprintf("Kuryr's journal was lost, and the pool may stand for %d subnets of this host: %s, %s ...", len(candidates), candidates[0].CIDR, candidates[1].CIDR),
		Hint:   "start a container with --ip on each of the Docker networks but one, or create them again"}
}

// networkOfLost returns the network on a Neutron network, restored if need be;
// nil: it is not one that this host made, or that the Python Kuryr's tags name.
func (c *Courier) networkOfLost(ctx context.Context, id NetworkID) (*network, error) {
	c.mu.Lock()
	for _, n := range c.networks {
		if n.rec.Neutron == id {
			c.mu.Unlock()
			return n, nil
		}
	}
	c.mu.Unlock()
	found, err := c.Neutron.FindNetworks(ctx, Reference{ID: string(id)})
	if err != nil || len(found) == 0 {
		return nil, err
	}
	if _, ours := c.marked(found[0].Description); !ours || !strings.HasPrefix(found[0].Name, networkName("")) {
		return c.inheritedOn(ctx, found[0])
	}
	engineID, whole := pyEngineNetwork(found[0].Tags)
	if !whole {
		engineID = shortened(found[0])
	}
	return c.restoreAs(ctx, engineID, found[0])
}

// shortened is what a network is known by while no call has named the whole of
// its ID.
func shortened(n Network) EngineNetworkID {
	return EngineNetworkID(strings.TrimPrefix(n.Name, networkName("")) + "... (" + string(n.ID) + ")")
}

// holdThrough writes into attachments that the engine holds their addresses
// through p, and returns those. Called with mu held.
func (c *Courier) holdThrough(p *pool) (changed []entity) {
	if p.rec.Subnet == "" {
		return nil
	}
	for _, a := range c.attachments {
		if a.rec.Network == p.rec.Network && a.rec.State == attached && a.rec.holdThrough(p.rec) {
			changed = append(changed, a)
		}
	}
	return changed
}

func (r *attachmentRecord) holdThrough(p poolRecord) (changed bool) {
	r.Addresses = slices.Clone(r.Addresses)
	for i, x := range r.Addresses {
		if x.Subnet == p.Subnet && x.Pool == "" {
			r.Addresses[i].Pool = p.ID
			changed = true
		}
	}
	return changed
}

// rekey gives an entity the intent that its marks have, in place of the one
// that it was given up under. Called without mu.
func (c *Courier) rekey(ctx context.Context, e entity, change func()) error {
	e.base().disk.Lock()
	kind, old := e.key()
	c.mu.Lock()
	change()
	if a, ok := e.(*attachment); ok {
		delete(c.attachments, old)
		c.attachments[a.rec.Intent] = a
	}
	c.mu.Unlock()
	e.base().disk.Unlock()
	if err := c.save(ctx, durable, e); err != nil {
		return err
	}
	if _, now := e.key(); now == old {
		return nil
	}
	return c.journal(ctx, noted, []Entry{{Kind: kind, ID: old}})
}

// noSettings refuses a new port on a network whose own attributes for ports
// were lost: without them it might be open to what it was to be closed to.
//
// It reads what is constant once the network is in the tables, and no more:
// Join writes what Neutron tells of the subnets into the same record.
func (r *networkRecord) noSettings() error {
	if !r.Unset {
		return nil
	}
	return &Error{Kind: Conflict, Op: "make its port", Public: "Kuryr's journal was lost, and with it the network's neutron.port options",
		Hint: "remove the Docker network and create it again; what runs on it goes on"}
}
