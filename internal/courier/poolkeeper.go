package courier

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// tendSoon has pools looked at before a second is over.
func (c *Courier) tendSoon() {
	select {
	case c.poolSoon <- struct{}{}:
	default:
	}
}

// drained tells whether this host is taken out of service.
func (c *Courier) drained() bool { return c.opt.Drained != nil && c.opt.Drained() }

// keepPools fills pools and shrinks them, each second and when one was taken from.
func (c *Courier) keepPools() {
	for c.pause(time.Second, c.poolSoon) {
		c.tendPools(time.Now())
	}
}

// tendPools looks at each pool once.
func (c *Courier) tendPools(now time.Time) {
	var surplus []entity
	c.mu.Lock()
	ports, out := map[EngineNetworkID][]*attachment{}, map[EngineNetworkID]int{}
	for _, a := range c.attachments {
		switch {
		case a.rec.inPool():
			ports[a.rec.Network] = append(ports[a.rec.Network], a)
		case a.isOut(now):
			out[a.rec.Network]++
		}
	}
	for id, p := range c.portPools {
		surplus = append(surplus, c.tendPool(id, p, ports[id], out[id], now)...)
	}
	for id, have := range ports {
		if c.portPools[id] == nil { // its network goes, or nobody has asked for long
			surplus = append(surplus, leastRested(have, len(have))...)
		}
	}
	for _, e := range surplus {
		e.enter(removing)
	}
	c.mu.Unlock()
	if len(surplus) > 0 {
		c.discard(surplus...)
	}
}

// tendPool has ports made if there are too few, and returns those that are too
// many. out is how many more its endpoints may bring back. Called with mu held.
func (c *Courier) tendPool(id EngineNetworkID, p *portPool, have []*attachment, out int, now time.Time) (surplus []entity) {
	o, n := c.opt.PortPool, c.networks[id]
	if n == nil || n.rec.State != ready {
		delete(c.portPools, id)
		return nil
	}
	room := n.rec.room()
	want, idle := p.target(o, room, now), now.Sub(p.last) > o.Idle
	if want == 0 && len(have) == 0 && idle {
		delete(c.portPools, id)
		return nil
	}
	if c.drained() || p.never {
		want = 0
	}
	k := p.lacking(o, have, out, want, p.most(o, room, now), now)
	switch {
	case k > 0 && !p.filling && c.posting < postsAtOnce && !now.Before(p.not) && n.rec.noSettings() == nil:
		c.posting++
		p.filling, p.begun = true, now
		c.background.Go(func() { c.fill(n, p, k) })
	case len(have) > want && (want == 0 || idle || now.Before(p.grow)):
		surplus = leastRested(have, len(have)-want)
	}
	return surplus
}

// postsAtOnce is for how many pools Neutron is asked at the same time. What was asked
// for a pool can wait; what a container, or the engine, waits for shares Neutron with it.
const postsAtOnce = 2

// posted takes note that a request for pooled ports was answered: it is another pool's turn.
func (c *Courier) posted() {
	c.mu.Lock()
	c.posting--
	c.mu.Unlock()
	c.tendSoon()
}

// inPool tells whether the port is in a pool, or on its way into it.
func (r attachmentRecord) inPool() bool {
	switch r.State {
	case pooled, cooling:
		return true
	case creating, attaching:
		return r.Pooled && r.Endpoint == ""
	}
	return false
}

// leastRested returns n of the ports that are ready or cool down, those first
// that an endpoint would get last. What is being made is left to become ready.
func leastRested(ports []*attachment, n int) (out []entity) {
	ports = slices.DeleteFunc(slices.Clone(ports), func(a *attachment) bool { return a.rec.State != pooled && a.rec.State != cooling })
	slices.SortFunc(ports, func(x, y *attachment) int { return y.rec.Touched.Compare(x.rec.Touched) })
	for _, a := range ports[:min(n, len(ports))] {
		out = append(out, a)
	}
	return out
}

// fill adds k ports to a network's pool.
func (c *Courier) fill(n *network, p *portPool, k int) {
	err := c.makePorts(n, k)
	now := time.Now()
	c.mu.Lock()
	p.filled(k, err, now)
	if KindOf(err) == Exhausted { // others may need what is left
		p.limit, p.grow = c.poolSize(n.rec.ID)/2, now.Add(limitFor)
	}
	c.mu.Unlock()
	if err != nil && !errors.Is(err, ErrAway) && c.stopped.Err() == nil {
		c.log.Info("no ports were made ahead of need", "network", n.rec.Neutron, "ports", k, "err", err)
	}
	c.tendSoon() // there may be more to do
}

// makePorts makes k ports in one request, and makes each ready.
func (c *Courier) makePorts(n *network, k int) error {
	made := make([]*attachment, k)
	entities := make([]entity, k)
	for i := range made {
		a := c.newAttachment(n, nil)
		c.mu.Lock()
		a.rec.Pooled = true
		c.mu.Unlock()
		a.op.Lock()
		made[i], entities[i] = a, a
	}
	err := c.postPooled(n, made, entities)
	c.posted()
	if err != nil {
		for _, a := range made {
			c.abandon(a, &a.rec.Unanswered, err)
		}
	} else if err = c.save(c.stopped, durable, slices.Clone(entities)...); err != nil {
		c.discard(entities...)
	}
	if err != nil {
		for _, a := range made {
			a.op.Unlock()
		}
		return err
	}
	errs := make([]error, k)
	var all sync.WaitGroup
	for i, a := range made {
		all.Go(func() {
			defer a.op.Unlock() // a container that gets it does not wait for the others
			if errs[i] = c.makeReady(a); errs[i] != nil {
				c.discard(a)
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

// postPooled asks Neutron for the ports, with the intents written first. Called
// with the op of all held.
func (c *Courier) postPooled(n *network, made []*attachment, entities []entity) error {
	if err := take(c.stopped, c.cloudSlots); err != nil {
		return err
	}
	defer func() { <-c.cloudSlots }()
	ctx, cancel := context.WithTimeout(c.stopped, readyTimeout)
	defer cancel()
	if err := c.save(ctx, durable, slices.Clone(entities)...); err != nil {
		return err
	}
	want := c.wish(n, AttachRequest{})
	specs := make([]PortSpec, len(made))
	for i, a := range made {
		specs[i] = c.portSpec(a, want, MAC{})
	}
	ports, err := c.Neutron.CreatePorts(ctx, specs)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, a := range made {
		a.rec.take(ports[i], n)
	}
	return nil
}

// resumePools goes on with the pools that the journal has. A link that is gone,
// as after a restart of the machine, is made anew. Called by Start.
func (c *Courier) resumePools(ctx context.Context) error {
	var ready, cool, untold []*attachment
	c.mu.Lock()
	for _, a := range c.attachments {
		switch {
		case a.rec.State == pooled:
			ready = append(ready, a)
		case a.rec.State == cooling:
			cool = append(cool, a)
		case a.rec.untold():
			untold = append(untold, a)
		}
		if a.rec.inPool() && c.portPools[a.rec.Network] == nil {
			c.portPools[a.rec.Network] = &portPool{last: time.Now()}
		}
	}
	c.mu.Unlock()
	if len(ready) > 0 {
		pairs, err := c.Linker.Pairs(ctx)
		if err != nil {
			return err
		}
		cool = append(cool, c.unlinked(ready, byHostEnd(pairs))...)
	}
	for _, a := range cool {
		c.background.Go(func() { c.coolDown(a) })
	}
	for _, a := range untold {
		c.tellLater(a)
	}
	c.background.Go(c.keepPools)
	c.background.Go(c.keepSubnets)
	return nil
}

// relink has the links of pooled ports that somebody removed made anew.
func (c *Courier) relink(pairs map[string]Pair) {
	var ready []*attachment
	c.mu.Lock()
	for _, a := range c.attachments {
		if a.rec.State == pooled {
			ready = append(ready, a)
		}
	}
	c.mu.Unlock()
	for _, a := range c.unlinked(ready, pairs) {
		c.background.Go(func() { c.coolDown(a) })
	}
}

// unlinked enters those into state cooling, and returns them, whose link is not
// there; a container can't get them before it is made anew.
func (c *Courier) unlinked(ready []*attachment, pairs map[string]Pair) (out []*attachment) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, a := range ready {
		_, there := pairs[HostEnd(a.rec.Port)]
		a.fresh = there
		if !there && a.rec.State == pooled {
			a.rec.State = cooling
			out = append(out, a)
		}
	}
	return out
}
