package courier

import (
	"cmp"
	"slices"
	"time"
)

// Status returns a snapshot of what this host holds, sorted.
func (c *Courier) Status() Status {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := Status{Networks: []NetworkInfo{}, Pools: []PoolInfo{}, Attachments: []AttachmentInfo{}, Pending: len(c.removing), Reconciled: c.reconciled, Losses: c.lossesNow(),
		PortPools: c.poolStats()}
	for _, why := range c.removing {
		if why != "" {
			s.LastError = why
		}
	}
	for a, x := range c.exposers {
		if x.trouble != "" && a.rec.State == attached {
			s.Unexposed++
			s.ExposeError = x.trouble
		}
	}
	for _, n := range c.networks {
		info := NetworkInfo{ID: n.rec.ID, Neutron: n.rec.Neutron, Name: n.rec.Name, MTU: n.rec.MTU,
			Internal: n.rec.Internal, Origin: n.rec.Origin.String(), State: string(n.rec.State)}
		for _, x := range n.rec.Subnets {
			info.CIDRs = append(info.CIDRs, x.CIDR)
		}
		s.Networks = append(s.Networks, info)
	}
	for _, p := range c.pools {
		s.Pools = append(s.Pools, PoolInfo{ID: p.rec.ID, CIDR: p.rec.CIDR, Network: p.rec.Network, State: string(p.rec.State)})
	}
	for _, a := range c.attachments {
		if a.rec.inPool() {
			continue // PortPools has them
		}
		s.Attachments = append(s.Attachments, a.rec.info())
		if a.rec.Exposed.Unguarded {
			s.Unguarded++
		}
	}
	slices.SortFunc(s.Networks, func(a, b NetworkInfo) int { return cmp.Compare(a.ID, b.ID) })
	slices.SortFunc(s.Pools, func(a, b PoolInfo) int { return cmp.Compare(a.ID, b.ID) })
	slices.SortFunc(s.Attachments, func(a, b AttachmentInfo) int {
		return cmp.Or(cmp.Compare(a.Network, b.Network), cmp.Compare(a.Port, b.Port))
	})
	return s
}

func (r attachmentRecord) info() AttachmentInfo {
	i := AttachmentInfo{Network: r.Network, Endpoint: r.Endpoint, Port: r.Port, MAC: r.MAC, Addresses: r.addresses(),
		VIFType: r.Binding.VIFType, State: string(r.State), Published: r.Published,
		Forwarded: len(r.Forwarded.Want), Exposed: r.Exposed.Ports.String()}
	if r.Linked {
		i.Link = HostEnd(r.Port)
	}
	return i
}

// PoolStats tell of a network's port pool.
type PoolStats struct {
	Network EngineNetworkID `json:"docker_network_id"`
	Ready   int             `json:"ready"`   // plugged, for the next endpoints
	Resting int             `json:"resting"` // left by an endpoint a moment ago, or being made
	Target  int             `json:"target"`
	Hits    int             `json:"hits"`   // endpoints since Start that got a port of it
	Misses  int             `json:"misses"` // and that did not

	Ports []AttachmentInfo `json:"ports"` // those ready and resting
}

// poolStats returns what there is of each. Called with mu held.
func (c *Courier) poolStats() []PoolStats {
	now, out := time.Now(), []PoolStats{}
	byNetwork := map[EngineNetworkID]*PoolStats{}
	for id, p := range c.portPools {
		n := c.networks[id]
		if n == nil {
			continue
		}
		byNetwork[id] = &PoolStats{Network: id, Target: p.target(c.opt.PortPool, n.rec.room(), now), Hits: p.hits, Misses: p.misses, Ports: []AttachmentInfo{}}
	}
	for _, a := range c.attachments {
		s := byNetwork[a.rec.Network]
		if s == nil || !a.rec.inPool() {
			continue
		}
		s.Ports = append(s.Ports, a.rec.info())
		if a.rec.State == pooled {
			s.Ready++
		} else {
			s.Resting++
		}
	}
	for _, s := range byNetwork {
		slices.SortFunc(s.Ports, func(a, b AttachmentInfo) int { return cmp.Compare(a.Port, b.Port) })
		out = append(out, *s)
	}
	slices.SortFunc(out, func(a, b PoolStats) int { return cmp.Compare(a.Network, b.Network) })
	return out
}
