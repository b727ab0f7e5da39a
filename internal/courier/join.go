package courier

import (
	"context"
	"net/netip"
	"slices"
	"time"
)

// Join tells how to finish the attachment inside its sandbox. Routes are the
// subnets' host routes as Neutron has them now.
func (c *Courier) Join(ctx context.Context, network EngineNetworkID, endpoint EndpointID) (Joined, error) {
	a, n, err := c.attachmentOf(ctx, "join", network, endpoint)
	if err != nil {
		return Joined{}, err
	}
	c.mu.Lock()
	a.rec.Joined, a.rec.Touched = true, time.Now()
	c.mu.Unlock()
	rec := c.snapshot(a)
	if err := c.save(ctx, noted, a); err != nil {
		return Joined{}, because("join endpoint "+endpoint.Short(), "to network "+n.rec.Name, err)
	}
	if err := c.open(ctx, a); err != nil {
		return Joined{}, because("join endpoint "+endpoint.Short(), "to network "+n.rec.Name, err)
	}
	routes, gateways := c.routes(ctx, n, rec)
	return Joined{Link: ContainerEnd(rec.Port), Gateways: gateways, Routes: routes}, nil
}

// refreshTimeout bounds what Join can do without.
const refreshTimeout = 2 * time.Second

// routes returns the host routes and gateways. A default route is the gateway's
// business, and one through the container itself would go nowhere.
func (c *Courier) routes(ctx context.Context, n *network, r attachmentRecord) ([]Route, []netip.Addr) {
	net := c.freshSubnets(ctx, n)
	var routes []Route
	for _, x := range r.Addresses {
		s, _ := net.subnetOf(x.Address)
		for _, route := range s.Routes {
			if route.Destination.Bits() > 0 && !r.has(route.NextHop) {
				routes = append(routes, route)
			}
		}
	}
	return routes, net.gateways(r.addresses())
}

// freshSubnets returns a network's record with its subnets as Neutron has them, or
// had them a moment ago where whoever keeps port pools asks for them; and as
// they were when Neutron does not answer.
func (c *Courier) freshSubnets(ctx context.Context, n *network) networkRecord {
	c.mu.Lock()
	net, age := n.rec, time.Since(n.refreshed)
	c.mu.Unlock()
	if age < staleAfter {
		return net
	}
	ctx, cancel := context.WithTimeout(ctx, refreshTimeout)
	defer cancel()
	began := time.Now()
	now, err := c.Neutron.SubnetsOfNetwork(ctx, net.Neutron)
	if err != nil {
		c.log.Warn("host routes not refreshed", "network", net.Neutron, "err", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	n.rec.Subnets = refreshed(n.rec.Subnets, now)
	if err == nil && c.portPools[n.rec.ID] != nil {
		n.refreshed = began
	}
	return n.rec
}

// What Join tells of subnets is asked for each refreshEvery where many containers
// start, and each refreshSeldom where few do, in one request for all networks with a
// pool: an operator's new host route is in the containers that start so much
// later. So it is a small part of the calls for a container however they follow
// each other. Join asks itself when that has failed for staleAfter.
const (
	refreshEvery  = 10 * time.Second
	refreshSeldom = 3 * refreshEvery
	manyStarts    = 20
	staleAfter    = 2 * refreshSeldom
)

// keepSubnets asks for what Join tells of subnets, beside keepPools: neither
// waits for the other where a cloud takes seconds for each request.
func (c *Courier) keepSubnets() {
	var took time.Duration
	for c.pause(refreshEvery-took, nil) {
		began := time.Now()
		if ids := c.toRefresh(began); len(ids) > 0 {
			c.refreshSubnets(began, ids)
		}
		took = time.Since(began)
	}
}

// toRefresh returns all networks with a pool, if it is time to ask for their subnets.
func (c *Courier) toRefresh(now time.Time) (ids []NetworkID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	starts, due := 0, false
	for id, p := range c.portPools {
		if n := c.networks[id]; n != nil {
			ids = append(ids, n.rec.Neutron)
			starts += p.starts
			due = due || now.Sub(n.refreshed) >= refreshSeldom
		}
	}
	if !due && starts < manyStarts {
		return nil
	}
	return ids
}

// refreshSubnets asks Neutron for the subnets of networks with a pool.
// Nobody waits for it: it has as long as the answer is of use.
func (c *Courier) refreshSubnets(now time.Time, ids []NetworkID) {
	ctx, cancel := context.WithTimeout(c.stopped, refreshEvery)
	defer cancel()
	found, err := c.Neutron.SubnetsOfNetworks(ctx, ids)
	if err != nil {
		return // Join will say so
	}
	byNetwork := map[NetworkID][]Subnet{}
	for _, s := range found {
		byNetwork[s.Network] = append(byNetwork[s.Network], s)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for id, p := range c.portPools {
		if n := c.networks[id]; n != nil && slices.Contains(ids, n.rec.Neutron) {
			p.starts = 0
			n.rec.Subnets, n.refreshed = refreshed(n.rec.Subnets, byNetwork[n.rec.Neutron]), now
		}
	}
}

// refreshed returns the subnets, in their order, with what Neutron says of them now.
func refreshed(known []subnetRecord, now []Subnet) []subnetRecord {
	out := slices.Clone(known)
	for _, s := range now {
		i := slices.IndexFunc(out, func(k subnetRecord) bool { return k.ID == s.ID })
		if i >= 0 {
			out[i].Gateway, out[i].Routes = s.Gateway, s.HostRoutes
		}
	}
	return out
}

// attachmentOf returns an endpoint's attachment, one of the Python Kuryr's too.
func (c *Courier) attachmentOf(ctx context.Context, op string, network EngineNetworkID, endpoint EndpointID) (*attachment, *network, error) {
	n, err := c.knownNetwork(ctx, network)
	if err != nil {
		return nil, nil, because(op+" endpoint "+endpoint.Short(), "on network "+network.Short(), err)
	}
	c.mu.Lock()
	a := c.endpoints[endpoint]
	foreign := a == nil && n != nil && n.rec.Inherited
	c.mu.Unlock()
	if foreign {
		if a, err = c.inheritAttachment(ctx, n, endpoint); err != nil {
			return nil, nil, because(op+" endpoint "+endpoint.Short(), "on network "+network.Short(), err)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if a == nil || n == nil || a.rec.Network != network || a.rec.State != attached {
		return nil, nil, &Error{Kind: NotFound, Op: op + " endpoint " + endpoint.Short(), Subject: "on network " + network.Short(),
			Public: "it is not attached on this host"}
	}
	return a, n, nil
}

// askPatience is how long what takes away waits for Neutron to tell of
// something that is not in the tables: the Python Kuryr's, or of a lost
// journal. What it does not tell in that time is looked for later.
const askPatience = time.Second

// attachedHere returns an endpoint's attachment for what must not wait; nil:
// there is none, or it is not known in time.
func (c *Courier) attachedHere(ctx context.Context, op string, network EngineNetworkID, endpoint EndpointID) *attachment {
	ctx, cancel := context.WithTimeout(ctx, askPatience)
	defer cancel()
	a, _, err := c.attachmentOf(ctx, op, network, endpoint)
	if err != nil {
		return nil
	}
	return a
}

// Leave takes note that an endpoint has left its sandbox; its link stays until
// Detach. Should that be lost, ReleaseAddress serves for it from now on.
// Unknown endpoints are no error.
func (c *Courier) Leave(ctx context.Context, network EngineNetworkID, endpoint EndpointID) error {
	a := c.attachedHere(ctx, "leave", network, endpoint)
	if a == nil {
		return nil
	}
	c.mu.Lock()
	a.rec.Joined, a.rec.Touched = false, time.Now()
	news := a.rec.expose(Exposure{})
	c.mu.Unlock()
	if news {
		c.startExposing(a)
	}
	return because("leave with endpoint "+endpoint.Short(), "network "+network.Short(), c.save(ctx, noted, a))
}

// Detach gives an attachment up: its link and port go in the background, and
// the engine need not wait. Unknown endpoints are no error.
func (c *Courier) Detach(ctx context.Context, network EngineNetworkID, endpoint EndpointID) error {
	op, subject := "detach endpoint "+endpoint.Short(), "from network "+network.Short()
	c.mu.Lock()
	n, renamed := c.tabled(network)
	a := c.endpoints[endpoint]
	if a == nil && (n == nil || n.rec.Inherited || n.rec.Partial) {
		c.mu.Unlock()
		return because(op, subject, c.detachInherited(ctx, network, endpoint))
	}
	if a == nil || a.rec.Network != network || a.rec.State == removing {
		c.mu.Unlock()
		return because(op, subject, c.save(ctx, durable, renamed...))
	}
	for _, x := range a.rec.Addresses {
		if x.Pool != "" {
			c.releases[heldAddress{x.Pool, x.Address}] = time.Now()
		}
	}
	goOn := c.letGo(a)
	c.mu.Unlock()
	err := c.save(context.WithoutCancel(ctx), durable, renamed...)
	if e := goOn(ctx); err == nil {
		err = e
	}
	return because(op, subject, err)
}

// Describe tells what an endpoint has; NotFound when it is not attached here.
func (c *Courier) Describe(ctx context.Context, network EngineNetworkID, endpoint EndpointID) (AttachmentInfo, error) {
	a, _, err := c.attachmentOf(ctx, "describe", network, endpoint)
	if err != nil {
		return AttachmentInfo{}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return a.rec.info(), nil
}
