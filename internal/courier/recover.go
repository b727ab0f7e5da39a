package courier

import (
	"context"
	"encoding/json"
	"slices"
	"time"
)

// reservationLife is how long an address waits for its endpoint. Docker sends
// CreateEndpoint within milliseconds of RequestAddress, and nothing at all
// when it gives up in between. A late endpoint still gets its address, if
// nobody took it.
const reservationLife = 30 * time.Second

// Of two calls that Docker sends within milliseconds, the second is lost when
// one of the two processes dies in between. So long the first is good for:
// a pool without a network, an attachment outside of a sandbox, a network
// whose pools are all released; and so long Detach remembers which releases
// are still to come.
const idleLife = 45 * time.Second

// Start reads the journal: what was ready is so again, what was half-way is
// undone (the engine was told nothing and does not ask again), and removals
// go on. Call it once, before any other method.
func (c *Courier) Start(ctx context.Context) error {
	entries, err := c.Journal.Load(ctx)
	if err != nil {
		return because("read the journal", "", err)
	}
	c.mu.Lock()
	for _, e := range entries {
		if err := c.load(e); err != nil {
			c.mu.Unlock()
			return &Error{Kind: KindOf(err), Op: "read the journal's", Subject: e.Kind + " " + e.ID, Public: publicOf(err), Err: err,
				Hint: "start the Kuryr that wrote it, or give this one another state directory"}
		}
	}
	c.mu.Unlock()
	if err := c.noteLosses(ctx); err != nil {
		return err
	}
	c.mu.Lock()
	searching := slices.ContainsFunc(c.lossesNow(), func(l Loss) bool { return !l.Found })
	doomed, halfDone := c.toRemove()
	var closed []*attachment
	for _, a := range c.attachments {
		if a.rec.State == attached && a.rec.Joined && a.rec.Closed {
			closed = append(closed, a)
		}
	}
	c.mu.Unlock()
	if err := c.ensureIdentity(ctx); err != nil {
		return err
	}
	c.discard(halfDone...)
	for _, e := range doomed {
		c.startRemoval(e)
	}
	for _, a := range closed {
		c.openLater(a)
	}
	c.resumeExposing()
	if err := c.resumePools(ctx); err != nil {
		return err
	}
	if searching || len(c.incomplete()) > 0 {
		c.background.Go(c.makeGood)
	}
	c.background.Go(c.expiry)
	return nil
}

// load enters one record into the tables. Called with mu held.
func (c *Courier) load(e Entry) error {
	switch e.Kind {
	case kindIdentity:
		return c.loadIdentity(e.Data)
	case kindPool:
		p := &pool{life: newLife()}
		if err := json.Unmarshal(e.Data, &p.rec); err != nil {
			return err
		}
		p.rec.Touched = time.Now()
		id := p.rec.ID
		if id == "" {
			id = PoolID(p.rec.Intent)
		}
		c.pools[id] = p
	case kindNetwork:
		n := &network{life: newLife()}
		if err := json.Unmarshal(e.Data, &n.rec); err != nil {
			return err
		}
		c.networks[n.rec.ID] = n
	case kindAttachment:
		a := &attachment{life: newLife()}
		if err := json.Unmarshal(e.Data, &a.rec); err != nil {
			return err
		}
		a.rec.Touched = time.Now()
		a.asked = a.rec.State == removing // by the one before, perhaps
		c.attachments[a.rec.Intent] = a
		if a.rec.Endpoint != "" {
			c.endpoints[a.rec.Endpoint] = a
		}
	case kindExposed:
		g := &exposedGroup{life: newLife()}
		if err := json.Unmarshal(e.Data, &g.rec); err != nil {
			return err
		}
		g.touched = time.Now()
		c.exposed[g.rec.Intent] = g
	case KindLoss:
		return c.loadLoss(e)
	default:
		// It stands for something outside, of which nothing here takes care.
		return &Error{Kind: Unsupported, Op: "use it", Public: "a newer Kuryr wrote it"}
	}
	return nil
}

// toRemove returns what is written down as to be removed and, apart from it,
// what has to go as well: steps that were under way, and what hangs on a
// network that is no more. A request of theirs may still be on its way
// through Neutron. Called with mu held.
func (c *Courier) toRemove() (doomed, halfDone []entity) {
	sort := func(e entity, s state) {
		if s == removing {
			doomed = append(doomed, e)
		} else {
			halfDone = append(halfDone, e)
		}
	}
	now := time.Now()
	lossy := len(c.losses) > 0 // a network's record may be what was lost
	for _, n := range c.networks {
		if n.rec.State != ready {
			n.rec.Unanswered = now
			sort(n, n.rec.State)
		}
	}
	for _, a := range c.attachments {
		n := c.networks[a.rec.Network]
		settled := a.rec.settled()
		if settled && (n == nil && lossy || n != nil && n.rec.State == ready) {
			continue
		}
		a.rec.Unanswered = now
		sort(a, a.rec.State)
	}
	for _, p := range c.pools {
		_, used := c.networks[p.rec.Network]
		used = used || lossy && p.rec.Network != ""
		if !used {
			p.rec.unclaim()
		}
		if p.rec.State == creating {
			p.rec.Unanswered = now
		}
		if p.rec.State != ready || p.rec.Released && !used {
			sort(p, p.rec.State)
		}
	}
	for _, g := range c.exposed {
		if g.rec.State == creating {
			g.rec.Unanswered = now // its ports ask for it again, or it expires
		}
		if g.rec.State == removing {
			doomed = append(doomed, g)
		}
	}
	return doomed, halfDone
}

// expiry gives up, each second, what the engine has let fall.
func (c *Courier) expiry() {
	for c.pause(time.Second, nil) {
		if old := c.expired(time.Now()); len(old) > 0 {
			c.discard(old...)
		}
		c.dropSurplus(time.Now())
		c.tellNoMore(c.stopped, time.Now())
	}
}

// expired enters what has expired by now into state removing, and returns it.
func (c *Courier) expired(now time.Time) []entity {
	c.mu.Lock()
	defer c.mu.Unlock()
	old := c.expiredAttachments(now)
	old = append(old, c.expiredPools(now)...)
	old = append(old, c.expiredGroups(now)...)
	for _, e := range old {
		e.enter(removing)
	}
	for held, at := range c.releases {
		if now.Sub(at) > idleLife {
			delete(c.releases, held)
		}
	}
	return old
}

func (c *Courier) expiredAttachments(now time.Time) (old []entity) {
	for _, a := range c.attachments {
		age := now.Sub(a.rec.Touched)
		outside := a.rec.State == attached && !a.rec.Joined
		if a.rec.State == reserved && age > reservationLife || outside && age > idleLife {
			old = append(old, a)
		}
	}
	return old
}

// expiredPools returns pools, and the networks that the engine was deleting.
func (c *Courier) expiredPools(now time.Time) (old []entity) {
	kept := map[EngineNetworkID]bool{} // the engine holds a pool of it, or something is attached
	for _, a := range c.attachments {
		if !a.rec.inPool() {
			kept[a.rec.Network] = true
		}
	}
	var empty []EngineNetworkID
	for _, p := range c.pools {
		age := now.Sub(p.rec.Touched)
		switch {
		case p.rec.Network == "" && p.rec.State == ready && age > idleLife:
			old = append(old, p)
		case p.rec.Released && age > idleLife:
			empty = append(empty, p.rec.Network)
		default:
			kept[p.rec.Network] = true
		}
	}
	for _, id := range empty {
		if n := c.networks[id]; n != nil && n.rec.State == ready && !kept[id] {
			old = append(old, n)
			kept[id] = true // once is enough
		}
	}
	return old
}
