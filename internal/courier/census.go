package courier

import (
	"context"
	"maps"
	"slices"
	"time"
)

// censusTimeout bounds a look at Neutron: a list of some thousand ports takes a
// real one some seconds.
const censusTimeout = 2 * time.Minute

// census is what there was outside, between two looks at the tables: what is in
// neither has no record. It is not one that is about to be made, or removed.
type census struct {
	before   holdings
	pairs    []Pair
	plugs    []Plug
	networks []Network
	subnets  []Subnet
	pools    []SubnetPool
	ports    []Port
	groups   []SecurityGroup
	partly   error // why some of what is plugged is not known
}

// census asks the kernel first: what is cheap must not wait for what is not,
// and a link whose port comes later is a living one.
func (c *Courier) census(ctx context.Context) (s census, err error) {
	ctx, cancel := context.WithTimeout(ctx, censusTimeout)
	defer cancel()
	s.before = c.holdings()
	if s.pairs, err = c.Linker.Pairs(ctx); err != nil {
		return s, err
	}
	s.plugs, s.partly = c.Binder.Plugged(ctx)
	err = c.inCloud(ctx, func() (err error) {
		for _, list := range []func() error{
			func() (err error) { s.ports, err = c.Neutron.PortsOfHost(ctx, c.opt.Host); return err },
			func() (err error) { s.subnets, err = c.Neutron.SubnetsOfHost(ctx, c.opt.Host); return err },
			func() (err error) { s.networks, err = c.Neutron.NetworksOfHost(ctx, c.opt.Host); return err },
			func() (err error) { s.pools, err = c.Neutron.SubnetPoolsOfHost(ctx, c.opt.Host); return err },
			func() (err error) { s.groups, err = c.Neutron.SecurityGroupsOfHost(ctx, c.opt.Host); return err },
		} {
			if err = list(); err != nil {
				return err
			}
		}
		return nil
	})
	return s, err
}

// holdings are what the tables say that this host owns.
type holdings struct {
	intents map[string]holding
	ids     map[string]bool // of Neutron's resources that a record names
	links   map[string]bool // host's ends
	bridged map[NetworkID]bool
	lossy   bool // the journal lost entries: that there is none proves nothing
}

// holding is what the record of an intent names, if that is settled: anything
// else that was made for the intent is one too many.
type holding struct {
	settled bool
	port    PortID
	aux     []PortID
	network NetworkID
	pool    SubnetPoolID
}

func (c *Courier) holdings() holdings {
	h := holdings{intents: map[string]holding{}, ids: map[string]bool{}, links: map[string]bool{}, bridged: map[NetworkID]bool{}}
	c.mu.Lock()
	defer c.mu.Unlock()
	h.lossy = len(c.losses) > 0
	for _, a := range c.attachments {
		r := a.rec
		h.intents[r.Intent] = holding{settled: r.settled(), port: r.Port}
		h.ids[string(r.Port)], h.bridged[r.Neutron] = true, true
		h.links[HostEnd(r.Port)] = true
		for _, g := range r.Exposed.Groups {
			h.ids[string(g)] = true
		}
	}
	for _, n := range c.networks {
		h.intents[n.rec.Intent] = holding{settled: n.rec.State == ready, network: n.rec.Neutron, aux: slices.Clone(n.rec.Reserved)}
		h.ids[string(n.rec.Neutron)], h.bridged[n.rec.Neutron] = true, true
		for _, s := range n.rec.Subnets {
			h.ids[string(s.ID)] = true
		}
		for _, p := range n.rec.Reserved {
			h.ids[string(p)] = true
		}
	}
	for _, p := range c.pools {
		h.intents[p.rec.Intent] = holding{settled: p.rec.State == ready && !p.rec.Adopted && !p.rec.Existing, pool: p.rec.SubnetPool}
		h.ids[string(p.rec.SubnetPool)], h.ids[string(p.rec.Subnet)] = true, true
	}
	for _, g := range c.exposed {
		h.intents[g.rec.Intent] = holding{}
		h.ids[string(g.rec.ID)] = true
	}
	delete(h.ids, "") // of what has no port, subnetpool or subnet; so it is with links, which have no ID
	return h
}

// with adds what was held before. Of an intent that is held no more nothing is
// settled.
func (h holdings) with(before holdings) holdings {
	for intent := range before.intents {
		if _, there := h.intents[intent]; !there {
			h.intents[intent] = holding{}
		}
	}
	maps.Copy(h.ids, before.ids)
	maps.Copy(h.links, before.links)
	maps.Copy(h.bridged, before.bridged)
	h.lossy = h.lossy || before.lossy
	return h
}
