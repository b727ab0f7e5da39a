package courier

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"time"
)

// Removals are tried again after a delay that doubles from firstRetry to
// lastRetry, for as long as it takes: the engine has forgotten the thing and
// will not ask again. attemptTimeout bounds one try.
const (
	firstRetry     = 100 * time.Millisecond
	lastRetry      = 15 * time.Second
	attemptTimeout = 60 * time.Second
)

// errWaiting says that a removal has to let others finish first. They poke it.
var errWaiting = errors.New("something that is on it is still being removed")

// removeLater writes down that nobody wants e any more, and starts its
// removal. An error is the journal's; the removal goes ahead all the same.
func (c *Courier) removeLater(ctx context.Context, e entity) error {
	c.mu.Lock()
	e.enter(removing)
	c.mu.Unlock()
	err := c.save(context.WithoutCancel(ctx), durable, e)
	c.startRemoval(e)
	return err
}

// discard undoes a step that failed half-way. Its intent is in the journal
// already, so that a crash from here on ends the same way.
func (c *Courier) discard(e entity) {
	if err := c.removeLater(context.Background(), e); err != nil {
		c.log.Warn("removal not journaled", "err", err)
	}
}

func (c *Courier) startRemoval(e entity) {
	c.mu.Lock()
	_, running := c.removing[e.base()]
	if running || c.stopped.Err() != nil {
		c.mu.Unlock()
		return
	}
	c.removing[e.base()] = ""
	c.mu.Unlock()
	c.background.Go(func() { c.removal(e) })
}

// removal tries until e is gone or the courier is closed.
func (c *Courier) removal(e entity) {
	l := e.base()
	for wait := firstRetry; ; wait = min(2*wait, lastRetry) {
		err := c.tryRemoval(e)
		if err == nil {
			c.mu.Lock()
			delete(c.removing, l)
			c.mu.Unlock()
			close(l.gone)
			return
		}
		if c.stopped.Err() != nil {
			return
		}
		if !errors.Is(err, errWaiting) {
			c.mu.Lock()
			c.removing[l] = err.Error()
			c.mu.Unlock()
			kind, id := e.key()
			c.log.Warn("removal will be tried again", "kind", kind, "intent", id, slog.Duration("after", wait), "err", err)
		}
		if !c.pause(wait/2+rand.N(wait), l.poke) {
			return
		}
	}
}

func (c *Courier) tryRemoval(e entity) error {
	select {
	case c.slots <- struct{}{}:
		defer func() { <-c.slots }()
	case <-c.stopped.Done():
		return c.stopped.Err()
	}
	ctx, cancel := context.WithTimeout(c.stopped, attemptTimeout)
	defer cancel()
	e.base().op.Lock()
	defer e.base().op.Unlock()
	switch e := e.(type) {
	case *attachment:
		return c.eraseAttachment(ctx, e)
	case *network:
		return c.eraseNetwork(ctx, e)
	default:
		return c.erasePool(ctx, e.(*pool))
	}
}

// wake lets a removal that is waiting try at once.
func wake(e entity) {
	select {
	case e.base().poke <- struct{}{}:
	default:
	}
}

// settle waits until all removals on a network that are under way are done,
// or ctx ends. It is what a wish for a thing that is just being released
// waits for. It tells whether there were any.
func (c *Courier) settle(ctx context.Context, id EngineNetworkID) bool {
	c.mu.Lock()
	var leaving []*attachment
	for _, a := range c.attachments {
		if a.rec.Network == id && a.rec.State == removing {
			leaving = append(leaving, a)
		}
	}
	c.mu.Unlock()
	for _, a := range leaving {
		wake(a)
	}
	for _, a := range leaving {
		select {
		case <-a.gone:
		case <-ctx.Done():
			return false
		case <-c.stopped.Done():
			return false
		}
	}
	return len(leaving) > 0
}

// eraseAttachment removes an attachment's link, then its port.
func (c *Courier) eraseAttachment(ctx context.Context, a *attachment) error {
	r := c.snapshot(a)
	plugs := []Plug{r.plug()}
	if r.Port == "" { // Neutron's answer was lost
		ports, err := c.Neutron.PortsByMark(ctx, c.mark(r.Intent))
		if err != nil {
			return err
		}
		plugs = plugs[:0]
		for _, p := range ports {
			plugs = append(plugs, Plug{Port: p.ID, Network: p.Network, MAC: p.MAC, HostEnd: HostEnd(p.ID), Binding: p.Binding})
		}
	}
	for _, p := range plugs {
		if err := c.erasePort(ctx, p, r.Linked); err != nil {
			return err
		}
	}
	if err := c.forget(ctx, a); err != nil {
		return err
	}
	c.dropAttachment(a)
	return nil
}

func (c *Courier) erasePort(ctx context.Context, p Plug, linked bool) error {
	if linked {
		if err := c.Linker.Delete(ctx, p.HostEnd); err != nil && KindOf(err) != NotFound {
			return err
		}
		if err := c.Binder.Unbind(ctx, p); err != nil {
			return err
		}
	}
	if err := c.Neutron.DeletePort(ctx, p.Port); err != nil && KindOf(err) != NotFound {
		return err
	}
	return nil
}

// dropAttachment takes a out of the tables and lets its network's removal go on.
func (c *Courier) dropAttachment(a *attachment) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.attachments, a.rec.Intent)
	if c.endpoints[a.rec.Endpoint] == a {
		delete(c.endpoints, a.rec.Endpoint)
	}
	if n := c.networks[a.rec.Network]; n != nil && n.rec.State == removing {
		wake(n)
	}
}
