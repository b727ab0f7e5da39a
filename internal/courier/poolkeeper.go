package courier

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// portPool is what is known of a network's demand for ports, and of its pool.
// All of it is guarded by Courier.mu.
type portPool struct {
	took    []time.Time // when addresses were asked for, within demandWindow
	last    time.Time   // the latest, or when the pool was found in the journal
	hits    int         // endpoints that got a pooled port
	misses  int         // and those that did not
	filling bool
	never   bool          // its ports can't be plugged before it is known what they are for
	batch   int           // how many are made at once: less where Neutron did not answer in time; 0: as many as may be
	pause   time.Duration // after the last failure; doubled by the next
	not     time.Time     // before this it is not filled: Neutron refused, or did not answer
	limit   int           // what Neutron's refusal left of Max, until grow
	grow    time.Time
}

// How far back demand is counted, and how long a refusal counts: a quota or a
// subnet that is used up stays so until somebody acts. What fails is tried again
// after fillRetry, doubled up to limitFor: each try makes work for the cloud.
const (
	demandWindow = 20 * time.Second
	fillRetry    = 10 * time.Second
	limitFor     = 10 * time.Minute
	forgetAfter  = 12 // times Idle
)

// headroom is the part of a subnet, and of what a host may keep of it, that
// pools may take: several hosts share it with each other, and with others.
const headroom = 8

// demand takes note that an endpoint got a port, whether it was the pool's, and how
// it is bound.
func (c *Courier) demand(id EngineNetworkID, hit bool, how Binding) {
	if c.opt.PortPool.Max == 0 {
		return
	}
	now, never := time.Now(), !c.Binder.Anonymous(how)
	c.mu.Lock()
	p := c.portPools[id]
	if p == nil {
		p = &portPool{}
		c.portPools[id] = p
	}
	p.never = p.never || never
	p.last = now
	p.took = append(p.took, now)
	if hit {
		p.hits++
	} else {
		p.misses++
	}
	c.mu.Unlock()
	c.tendSoon()
}

// tendSoon has pools looked at before a second is over.
func (c *Courier) tendSoon() {
	select {
	case c.poolSoon <- struct{}{}:
	default:
	}
}

// target is how many ports the pool is to have, those that rest among them: the
// minimum beyond what was asked for lately, which may all be resting, within the
// operator's limits and the network's room. Called with mu held.
func (p *portPool) target(o PortPool, room int, now time.Time) int {
	p.took = slices.DeleteFunc(p.took, func(t time.Time) bool { return now.Sub(t) > demandWindow })
	if now.Sub(p.last) > forgetAfter*o.Idle {
		return 0
	}
	most := min(o.Max, room)
	if now.Before(p.grow) {
		most = min(most, p.limit)
	}
	return min(len(p.took)+o.Min, most)
}

// room is how many ports of the network this host may keep ready: a part of its
// smallest subnet, and none of a very small one.
func (r networkRecord) room() int {
	room := maxRoom
	for _, s := range r.Subnets {
		if bits := s.CIDR.Addr().BitLen() - s.CIDR.Bits(); bits < maxRoomBits {
			room = min(room, 1<<bits/headroom-1)
		}
	}
	return room
}

// A subnet of so many bits or more has room for any pool.
const (
	maxRoomBits = 20
	maxRoom     = 1 << maxRoomBits / headroom
)

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
	ports := map[EngineNetworkID][]*attachment{}
	for _, a := range c.attachments {
		if a.rec.inPool() {
			ports[a.rec.Network] = append(ports[a.rec.Network], a)
		}
	}
	for id, p := range c.portPools {
		surplus = append(surplus, c.tendPool(id, p, ports[id], now)...)
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
// many. Called with mu held.
func (c *Courier) tendPool(id EngineNetworkID, p *portPool, have []*attachment, now time.Time) (surplus []entity) {
	o, n := c.opt.PortPool, c.networks[id]
	if n == nil || n.rec.State != ready {
		delete(c.portPools, id)
		return nil
	}
	want, idle := p.target(o, n.rec.room(), now), now.Sub(p.last) > o.Idle
	if want == 0 && len(have) == 0 && idle {
		delete(c.portPools, id)
		return nil
	}
	if c.drained() || p.never {
		want = 0
	}
	switch {
	case o.short(have, want) && !p.filling && !now.Before(p.not) && n.rec.noSettings() == nil:
		p.filling = true
		k := min(want-len(have), o.Batch)
		if p.batch > 0 {
			k = min(k, p.batch)
		}
		c.background.Go(func() { c.fill(n, p, k) })
	case len(have) > want && (want == 0 || idle || now.Before(p.grow)):
		surplus = leastRested(have, len(have)-want)
	}
	return surplus
}

// short tells whether it is time to make ports: few are left to be had, or so
// many are missing that they fill a request. Each request costs the cloud about
// as much as ten ports do. Called with Courier.mu held.
func (o PortPool) short(have []*attachment, want int) bool {
	ready := 0
	for _, a := range have {
		if a.rec.State != cooling {
			ready++
		}
	}
	missing := want - len(have)
	return missing > 0 && (ready < max(1, o.Min) || missing >= o.Batch)
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

// filled takes note of how the making of k ports ended. A cloud that is slow may
// have time for fewer at once. Called with Courier.mu held.
func (p *portPool) filled(k int, err error, now time.Time) {
	p.filling = false
	if err == nil {
		p.pause, p.not = 0, time.Time{}
		if p.batch > 0 {
			p.batch = max(p.batch, 2*k)
		}
		return
	}
	p.batch = max(1, k/2)
	p.pause = min(max(2*p.pause, fillRetry), limitFor)
	p.not = now.Add(p.pause)
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
		defer a.op.Unlock()
		made[i], entities[i] = a, a
	}
	if err := c.postPooled(n, made, entities); err != nil {
		for _, a := range made {
			c.abandon(a, &a.rec.Unanswered, err)
		}
		return err
	}
	if err := c.save(c.stopped, durable, slices.Clone(entities)...); err != nil {
		c.discard(entities...)
		return err
	}
	errs := make([]error, k)
	var all sync.WaitGroup
	for i, a := range made {
		all.Go(func() {
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
