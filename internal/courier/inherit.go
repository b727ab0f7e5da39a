package courier

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// An engine may know networks, pools and endpoints that the Python Kuryr made
// on this host. When a call names one that is not in the tables, Neutron is
// asked for it, and what is found is written down as if it had been made here.
// From then on nothing is different, except that it carries no mark.

// inheritNetwork returns the network that the Python Kuryr made, or adopted,
// for an engine's; nil: there is none.
func (c *Courier) inheritNetwork(ctx context.Context, id EngineNetworkID) (*network, error) {
	found, err := c.Neutron.NetworksByTags(ctx, pyTags(string(id))...)
	if err == nil && len(found) == 0 {
		// Where Neutron had no tags the network got the engine's ID for a name,
		// one that was there before too: whether it was, nothing says.
		found, err = c.Neutron.FindNetworks(ctx, Reference{Name: string(id)})
	}
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return c.takeOver(ctx, id, found[0])
}

// takeOver writes down a Neutron network as an engine's, with its subnets.
func (c *Courier) takeOver(ctx context.Context, id EngineNetworkID, found Network) (*network, error) {
	subnets, err := c.Neutron.SubnetsOfNetwork(ctx, found.ID)
	if err != nil {
		return nil, err
	}
	n := &network{life: newLife(), rec: networkRecord{Intent: c.newIntent(), State: ready, ID: id, Neutron: found.ID, MTU: found.MTU,
		Name: found.Name, Python: true, Inherited: true}}
	if slices.Contains(found.Tags, pyNetExisting+id.Short()) || !slices.Contains(found.Tags, pyTags(string(id))[0]) {
		n.rec.Origin = adopted
	}
	for _, s := range subnets {
		if n.rec.Origin == created || pyOwns(s) {
			n.rec.Subnets = append(n.rec.Subnets, subnetRecord{ID: s.ID, CIDR: s.CIDR, Gateway: s.Gateway, Routes: s.HostRoutes, Origin: n.rec.Origin})
		}
	}
	c.mu.Lock()
	if known := c.networks[id]; known != nil { // a call that came at the same time
		c.mu.Unlock()
		return known, nil
	}
	c.networks[id] = n
	c.mu.Unlock()
	return n, c.save(ctx, durable, n)
}

// knownNetwork returns the engine's network, one that the journal has lost and
// the Python Kuryr's too; nil: there is none.
func (c *Courier) knownNetwork(ctx context.Context, id EngineNetworkID) (*network, error) {
	c.mu.Lock()
	n := c.networks[id]
	whole := n != nil && !n.rec.Partial
	c.mu.Unlock()
	switch {
	case whole:
		return n, nil
	case n != nil:
		return n, c.complete(ctx, n)
	}
	if n, err := c.restoreNetwork(ctx, id); n != nil || err != nil {
		return n, err
	}
	return c.inheritNetwork(ctx, id)
}

// knownPool returns the pool of an ID, one that the journal has lost and the
// Python Kuryr's too; nil: there is none.
func (c *Courier) knownPool(ctx context.Context, id PoolID) (*pool, error) {
	c.mu.Lock()
	p := c.pools[id]
	c.mu.Unlock()
	if p != nil || !pyPoolTag(string(id)) {
		return p, nil
	}
	sp, own, err := c.subnetPoolOf(ctx, id)
	if err != nil || sp == nil {
		return nil, err
	}
	if own || slices.Contains(sp.Tags, string(id)) {
		return c.restorePool(ctx, id, *sp, own)
	}
	return c.inheritPool(ctx, id, *sp)
}

// subnetPoolOf returns the subnetpool that has the pool's ID, or has it as a
// tag, and whether it was made for the pool; nil: there is none.
func (c *Courier) subnetPoolOf(ctx context.Context, id PoolID) (sp *SubnetPool, own bool, err error) {
	found, err := c.Neutron.FindSubnetPools(ctx, Reference{ID: string(id)})
	if err == nil && len(found) == 0 {
		found, err = c.Neutron.SubnetPoolsByTags(ctx, string(id))
	}
	if err != nil || len(found) == 0 {
		return nil, false, err
	}
	_, own = c.ownPool(found[0])
	return &found[0], own && found[0].ID == SubnetPoolID(id), nil
}

// inheritPool finds the subnetpool that the Python Kuryr gave to the engine as
// a pool, and the subnet and network that it became.
func (c *Courier) inheritPool(ctx context.Context, id PoolID, sp SubnetPool) (*pool, error) {
	if len(sp.Prefixes) == 0 {
		return nil, nil
	}
	p := &pool{life: newLife(), rec: poolRecord{Intent: c.newIntent(), State: ready, ID: id, CIDR: sp.Prefixes[0], SubnetPool: sp.ID,
		Adopted: c.foreign(sp), Python: true, Inherited: true, Touched: time.Now()}}
	if err := c.findSubnetOf(ctx, p, sp); err != nil {
		return nil, err
	}
	c.mu.Lock()
	if known := c.pools[id]; known != nil {
		c.mu.Unlock()
		return known, nil
	}
	c.pools[id] = p
	c.mu.Unlock()
	return p, c.save(ctx, durable, p)
}

// foreign tells whether the Python Kuryr would keep a subnetpool: it was there before.
func (c *Courier) foreign(sp SubnetPool) bool {
	return slices.Contains(sp.Tags, pyPoolExisting) || !strings.HasPrefix(sp.Name, c.opt.PoolNamePrefix+"-")
}

// poolInTime is knownPool for what must not wait.
func (c *Courier) poolInTime(ctx context.Context, id PoolID) (*pool, error) {
	ctx, cancel := context.WithTimeout(ctx, askPatience)
	defer cancel()
	return c.knownPool(ctx, id)
}

// unresolvedPool enters a pool that Neutron could not be asked for in time, so
// that it can be given up now and looked for later.
func (c *Courier) unresolvedPool(id PoolID) *pool {
	p := &pool{life: newLife(), rec: poolRecord{Intent: c.newIntent(), State: ready, ID: id, Python: true, Inherited: true, Touched: time.Now()}}
	c.mu.Lock()
	defer c.mu.Unlock()
	if known := c.pools[id]; known != nil {
		return known
	}
	c.pools[id] = p
	return p
}

// resolvePool finds the subnetpool of an unresolved one.
func (c *Courier) resolvePool(ctx context.Context, p *pool) error {
	c.mu.Lock()
	r := p.rec
	c.mu.Unlock()
	if !r.Inherited || r.SubnetPool != "" {
		return nil
	}
	sp, own, err := c.subnetPoolOf(ctx, r.ID)
	if err != nil || sp == nil {
		return err
	}
	if own || slices.Contains(sp.Tags, string(r.ID)) {
		return c.rekey(ctx, p, func() {
			p.rec.SubnetPool, p.rec.Adopted, p.rec.Inherited, p.rec.Python, p.rec.Sought = sp.ID, !own, false, false, true
			if p.rec.Intent = string(r.ID); own {
				p.rec.Intent, _ = c.ownPool(*sp)
			}
		})
	}
	subnets, err := c.Neutron.SubnetsByTags(ctx, string(r.ID))
	if err != nil {
		return err
	}
	c.mu.Lock()
	p.rec.SubnetPool, p.rec.Adopted = sp.ID, c.foreign(*sp)
	if len(subnets) == 1 {
		p.rec.Subnet = subnets[0].ID
	}
	c.mu.Unlock()
	return c.save(ctx, durable, p)
}

// findSubnetOf fills in what became of an inherited pool: the subnet that is
// tagged with it or, untagged, the only one that was cut from it.
func (c *Courier) findSubnetOf(ctx context.Context, p *pool, sp SubnetPool) error {
	subnets, err := c.Neutron.SubnetsByTags(ctx, string(p.rec.ID))
	if err == nil && len(subnets) == 0 {
		subnets, err = c.Neutron.SubnetsOfPool(ctx, sp.ID)
	}
	if err != nil || len(subnets) != 1 {
		return err
	}
	s := subnets[0]
	p.rec.CIDR, p.rec.Subnet, p.rec.Gateway = s.CIDR, s.ID, s.Gateway
	networks, err := c.Neutron.FindNetworks(ctx, Reference{ID: string(s.Network)})
	if err != nil || len(networks) == 0 {
		return err
	}
	n, err := c.inheritedOn(ctx, networks[0])
	if err != nil || n == nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	p.rec.Network = n.rec.ID
	n.rec.addSubnet(s)
	return nil
}

// inheritedOn returns this host's network on a Neutron network: one that is
// known, or the only one that its tags name.
func (c *Courier) inheritedOn(ctx context.Context, found Network) (*network, error) {
	c.mu.Lock()
	for _, n := range c.networks {
		if n.rec.Inherited && n.rec.Neutron == found.ID {
			c.mu.Unlock()
			return n, nil
		}
	}
	c.mu.Unlock()
	id, ok := pyEngineNetwork(found.Tags)
	if !ok {
		return nil, nil
	}
	return c.takeOver(ctx, id, found)
}

// addSubnet adds a subnet that a pool stands for. Called with Courier.mu held.
func (r *networkRecord) addSubnet(s Subnet) {
	if !r.hasSubnet(s.ID) {
		r.Subnets = append(slices.Clone(r.Subnets), subnetRecord{ID: s.ID, CIDR: s.CIDR, Gateway: s.Gateway, Routes: s.HostRoutes, Origin: r.Origin})
	}
}

// inheritAttachment finds the port that the Python Kuryr gave to an endpoint;
// nil: there is none. Its tags tell or, where a fault of the Python Kuryr's
// left them out, its device.
func (c *Courier) inheritAttachment(ctx context.Context, n *network, id EndpointID) (*attachment, error) {
	port, err := c.findEndpointPort(ctx, id)
	if err != nil || port == nil {
		return nil, err
	}
	a := &attachment{life: newLife(), rec: attachmentRecord{Intent: c.newIntent(), State: attached, Network: n.rec.ID, Endpoint: id, MTU: n.rec.MTU, Touched: time.Now()}}
	c.mu.Lock()
	a.rec.inherit(*port)
	for i, x := range a.rec.Addresses {
		for _, p := range c.pools {
			if p.rec.Subnet == x.Subnet && p.rec.Network == n.rec.ID {
				a.rec.Addresses[i].Pool = p.rec.ID
			}
		}
	}
	if known := c.endpoints[id]; known != nil {
		c.mu.Unlock()
		return known, nil
	}
	c.attachments[a.rec.Intent], c.endpoints[id] = a, a
	c.mu.Unlock()
	return a, c.save(ctx, durable, a)
}

// inherit makes the record that of a port of the Python Kuryr's, which has a
// link. One that only its device leads to, and has no name of Kuryr's, was there
// before: it may be this Kuryr's, of a journal that was lost.
func (r *attachmentRecord) inherit(p Port) {
	r.take(p, nil)
	r.Neutron, r.Linked, r.Joined, r.Python, r.Inherited = p.Network, true, true, true, true
	tagged := slices.ContainsFunc(p.Tags, func(t string) bool { return strings.HasPrefix(t, pyLow) || t == pyPort })
	named := p.Name == p.DeviceID+"-port" || p.Name == pyUnbound
	if slices.Contains(p.Tags, pyPortExisting) || !tagged && !named {
		r.Origin = adopted
	}
}

func (c *Courier) findEndpointPort(ctx context.Context, id EndpointID) (*Port, error) {
	found, err := c.Neutron.FindPorts(ctx, PortQuery{Tags: pyTags(string(id))})
	if err == nil && len(found) == 0 {
		found, err = c.Neutron.FindPorts(ctx, PortQuery{DeviceID: string(id)})
		found = slices.DeleteFunc(found, func(p Port) bool { return p.DeviceOwner != ownerEndpoint && p.Name != string(id)+"-port" })
	}
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return &found[0], nil
}

// releaseInherited gives up the port, if there is one, that the Python Kuryr
// made, or found, for an address that no endpoint has claimed, or whose
// endpoint it has given up. It is looked for in the background.
func (c *Courier) releaseInherited(ctx context.Context, p poolRecord, addr netip.Addr) error {
	if !p.Inherited || !pyPoolTag(string(p.ID)) || addr == p.Gateway {
		return nil
	}
	a := &attachment{life: newLife(), rec: attachmentRecord{Intent: c.newIntent(), State: removing, Network: p.Network, Inherited: true,
		Addresses: []addressRecord{{Subnet: p.Subnet, Address: addr, Pool: p.ID}}, Touched: time.Now()}}
	c.mu.Lock()
	c.attachments[a.rec.Intent] = a
	c.mu.Unlock()
	return c.removeLater(ctx, a)
}

// findReleased finds the port of an address that releaseInherited gave up; nil:
// there is none, or an endpoint has it.
func (c *Courier) findReleased(ctx context.Context, x addressRecord) (*Port, error) {
	if x.Subnet == "" {
		subnets, err := c.Neutron.SubnetsByTags(ctx, string(x.Pool))
		if err == nil && len(subnets) == 0 {
			subnets, err = c.Neutron.SubnetsOfPool(ctx, SubnetPoolID(x.Pool))
		}
		if err != nil || len(subnets) != 1 || subnets[0].Gateway == x.Address {
			return nil, err
		}
		x.Subnet = subnets[0].ID
	}
	found, err := c.Neutron.FindPorts(ctx, PortQuery{Subnet: x.Subnet, Address: x.Address})
	if err != nil || len(found) != 1 {
		return nil, err
	}
	tags := found[0].Tags
	claimed := slices.ContainsFunc(tags, func(t string) bool { return strings.HasPrefix(t, pyLow) })
	if claimed || !slices.Contains(tags, pyPort) && !slices.Contains(tags, pyPortExisting) || c.holdsPort(found[0].ID) {
		return nil, nil
	}
	return &found[0], nil
}

// holdsPort tells whether an attachment of this host, which is to stay, has the port.
func (c *Courier) holdsPort(id PortID) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, a := range c.attachments {
		if a.rec.Port == id && a.rec.State != removing {
			return true
		}
	}
	return false
}

// inheritedLeaving tells whether a network of the Python Kuryr's is being removed.
func (c *Courier) inheritedLeaving() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, n := range c.networks {
		if n.rec.Inherited && n.rec.State == removing {
			return true
		}
	}
	return false
}

// detachInherited gives up an endpoint that is not in the tables. The port is
// looked for in the background: the engine will not ask again.
func (c *Courier) detachInherited(ctx context.Context, id EngineNetworkID, endpoint EndpointID) error {
	a := &attachment{life: newLife(), rec: attachmentRecord{Intent: c.newIntent(), State: removing, Network: id, Endpoint: endpoint, Inherited: true, Touched: time.Now()}}
	c.mu.Lock()
	if c.endpoints[endpoint] != nil {
		c.mu.Unlock()
		return nil
	}
	c.attachments[a.rec.Intent], c.endpoints[endpoint] = a, a
	c.mu.Unlock()
	return c.removeLater(ctx, a)
}

// resolveAttachment finds the port of what detachInherited or releaseInherited
// gave up.
func (c *Courier) resolveAttachment(a *attachment) error {
	r := c.snapshot(a)
	if !r.Inherited || r.Port != "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(c.stopped, attemptTimeout)
	defer cancel()
	var port *Port
	var err error
	if r.Endpoint != "" {
		port, err = c.findEndpointPort(ctx, r.Endpoint)
	} else if len(r.Addresses) == 1 {
		port, err = c.findReleased(ctx, r.Addresses[0])
	}
	if err != nil || port == nil {
		return err
	}
	if intent, ours := c.marked(port.Description); ours {
		return c.rekey(ctx, a, func() {
			a.rec.take(*port, nil)
			a.rec.Intent, a.rec.Neutron, a.rec.Inherited, a.rec.Linked, a.rec.Joined = intent, port.Network, false, true, true
		})
	}
	c.mu.Lock()
	a.rec.inherit(*port)
	if r.Endpoint == "" {
		a.rec.Endpoint = EndpointID(port.DeviceID) // so that an adopted port is known for the Python Kuryr's
	}
	c.mu.Unlock()
	return c.save(ctx, durable, a)
}

// deleteInheritedNetwork gives up a network that is not in the tables.
func (c *Courier) deleteInheritedNetwork(ctx context.Context, id EngineNetworkID) error {
	n := &network{life: newLife(), rec: networkRecord{Intent: c.newIntent(), State: removing, ID: id, Name: id.Short(), Python: true, Inherited: true}}
	c.mu.Lock()
	c.networks[id] = n
	c.mu.Unlock()
	return c.removeLater(ctx, n)
}

// resolveNetwork finds the Neutron network that deleteInheritedNetwork gave up.
func (c *Courier) resolveNetwork(ctx context.Context, n *network) error {
	c.mu.Lock()
	r := n.rec
	c.mu.Unlock()
	if r.Partial {
		return c.giveUpPartial(ctx, n)
	}
	if !r.Inherited || r.Neutron != "" {
		return nil
	}
	lost, err := c.lostNetwork(ctx, r.ID)
	if err != nil {
		return err
	}
	if lost != nil {
		err := c.rekey(ctx, n, func() {
			_, n.rec.Python = pyEngineNetwork(lost.Tags)
			n.rec.Intent, _ = c.marked(lost.Description)
			n.rec.Neutron, n.rec.Name, n.rec.Inherited, n.rec.Partial = lost.ID, lost.Name, false, true
		})
		if err != nil {
			return err
		}
		return c.giveUpPartial(ctx, n)
	}
	found, err := c.Neutron.NetworksByTags(ctx, pyTags(string(r.ID))...)
	if err != nil || len(found) == 0 {
		return err
	}
	c.mu.Lock()
	n.rec.Neutron = found[0].ID
	if slices.Contains(found[0].Tags, pyNetExisting+r.ID.Short()) {
		n.rec.Origin = adopted
	}
	c.mu.Unlock()
	return c.save(ctx, durable, n)
}
