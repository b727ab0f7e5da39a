package courier

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
)

// reservationLife is how long an address waits for its endpoint. Docker sends
// CreateEndpoint within milliseconds of RequestAddress, and nothing at all
// when it gives up in between. A late endpoint still gets its address, if
// nobody took it.
const reservationLife = 30 * time.Second

// poolLife is how long a pool that nothing was promised of waits for its
// network, and a network for its deletion once all its pools are released:
// Docker sends the second of the two within milliseconds, unless this process
// died over it.
const poolLife = time.Minute

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
			return &Error{Kind: Internal, Op: "read the journal", Subject: e.Kind + " " + e.ID, Err: err,
				Hint: "it was written by another version, or damaged; move the state directory away to start afresh"}
		}
	}
	doomed := c.halfDone()
	c.mu.Unlock()
	for _, e := range doomed {
		if err := c.removeLater(ctx, e); err != nil {
			return err
		}
	}
	c.background.Go(c.expiry)
	return nil
}

// load enters one record into the tables. Called with mu held.
func (c *Courier) load(e Entry) error {
	switch e.Kind {
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
		c.attachments[a.rec.Intent] = a
		if a.rec.Endpoint != "" {
			c.endpoints[a.rec.Endpoint] = a
		}
	default:
		return fmt.Errorf("unknown kind of entry %q", e.Kind)
	}
	return nil
}

// halfDone returns what has to go: steps that were under way, removals, and
// what hangs on a network that is no more. Called with mu held.
func (c *Courier) halfDone() []entity {
	var doomed []entity
	for _, n := range c.networks {
		if n.rec.State != ready {
			doomed = append(doomed, n)
		}
	}
	for _, a := range c.attachments {
		n := c.networks[a.rec.Network]
		if a.rec.State == reserved || a.rec.State == attached {
			if n != nil && n.rec.State == ready {
				continue
			}
		}
		doomed = append(doomed, a)
	}
	for _, p := range c.pools {
		_, used := c.networks[p.rec.Network]
		if !used {
			p.rec.Network, p.rec.Subnet = "", ""
		}
		if p.rec.State != ready || p.rec.Released && !used {
			doomed = append(doomed, p)
		}
	}
	return doomed
}

// expiry gives up, each second, what the engine has let fall.
func (c *Courier) expiry() {
	for c.pause(time.Second, nil) {
		for _, e := range c.expired(time.Now()) {
			if err := c.removeLater(context.Background(), e); err != nil {
				c.log.Warn("removal not journaled", "err", err)
			}
		}
	}
}

// expired enters what has expired by now into state removing, and returns it.
func (c *Courier) expired(now time.Time) []entity {
	c.mu.Lock()
	defer c.mu.Unlock()
	var old []entity
	attachments := map[EngineNetworkID]bool{}
	for _, a := range c.attachments {
		if a.rec.State == reserved && now.Sub(a.rec.Touched) > reservationLife {
			old = append(old, a)
		} else {
			attachments[a.rec.Network] = true
		}
	}
	awaited := map[EngineNetworkID]bool{} // by an engine that still holds a pool of it
	empty := map[EngineNetworkID]bool{}
	for _, p := range c.pools {
		promised := p.rec.Gateway.IsValid() || len(p.rec.Auxiliary) > 0
		stale := p.rec.State == ready && now.Sub(p.rec.Touched) > poolLife
		switch {
		case p.rec.Network == "" && stale && !promised:
			old = append(old, p)
		case p.rec.Released && stale:
			empty[p.rec.Network] = true
		default:
			awaited[p.rec.Network] = true
		}
	}
	for id := range empty {
		n := c.networks[id]
		if n != nil && n.rec.State == ready && !awaited[id] && !attachments[id] {
			old = append(old, n)
		}
	}
	for _, e := range old {
		e.enter(removing)
	}
	return old
}
