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
	attemptTimeout = 20 * time.Second
)

// errWaiting says that a removal has to let something else happen first:
// others finish (they poke it), or a lost request take effect.
var errWaiting = errors.New("it can't be removed before something else has happened")

// removeLater writes down that nobody wants e any more, and starts its
// removal. An error is the journal's; the removal goes ahead all the same.
func (c *Courier) removeLater(ctx context.Context, es ...entity) error {
	c.mu.Lock()
	for _, e := range es {
		e.enter(removing)
	}
	c.mu.Unlock()
	err := c.save(context.WithoutCancel(ctx), durable, es...)
	for _, e := range es {
		c.startRemoval(e)
	}
	return err
}

// discard undoes a step that failed half-way. Its intent is in the journal
// already, so that a crash from here on ends the same way.
func (c *Courier) discard(es ...entity) {
	if err := c.removeLater(context.Background(), es...); err != nil {
		c.log.Warn("removal not journaled", "err", err)
	}
}

// abandon gives up an entity that Neutron was asked for and, because of err,
// did not make. Where the answer was lost it may still appear.
func (c *Courier) abandon(e entity, unanswered *time.Time, err error) {
	if !refused(err) {
		c.noteUnanswered(unanswered, err)
		c.discard(e)
		return
	}
	if c.forget(context.Background(), e) != nil {
		c.discard(e)
		return
	}
	switch e := e.(type) {
	case *attachment:
		c.dropAttachment(e)
	case *pool:
		c.dropPool(e)
	}
}

// refused tells whether Neutron said no: then there is nothing to look for.
func refused(err error) bool {
	switch KindOf(err) {
	case Conflict, Exhausted, Invalid, NotFound, Unauthorized:
		return true
	}
	return false
}

// noteUnanswered remembers when an answer was lost.
func (c *Courier) noteUnanswered(at *time.Time, err error) {
	if !refused(err) {
		c.mu.Lock()
		*at = time.Now()
		c.mu.Unlock()
	}
}

// mayAppear tells whether a request whose answer was lost at that time may
// still take effect. An empty look-up proves nothing so long.
func (c *Courier) mayAppear(lost time.Time) bool {
	return !lost.IsZero() && time.Since(lost) < c.opt.LostFor
}

func (c *Courier) startRemoval(e entity) {
	c.mu.Lock()
	_, running := c.removing[e.base()]
	if running || e.base().forgotten || c.stopped.Err() != nil {
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
	e.base().op.Lock()
	defer e.base().op.Unlock()
	ctx, cancel := context.WithTimeout(c.stopped, attemptTimeout)
	defer cancel()
	if a, ok := e.(*attachment); ok {
		if err := c.eraseLinks(ctx, a); err != nil {
			return err
		}
	}
	if err := take(c.stopped, c.cloudSlots); err != nil {
		return err
	}
	defer func() { <-c.cloudSlots }()
	switch e := e.(type) {
	case *attachment:
		return c.eraseAttachment(ctx, e)
	case *network:
		return c.eraseNetwork(ctx, e)
	default:
		return c.erasePool(ctx, e.(*pool))
	}
}

// take gets a place in slots, or ctx's error.
func take(ctx context.Context, slots chan struct{}) error {
	select {
	case slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// wake lets a removal that is waiting try at once.
func wake(e entity) {
	select {
	case e.base().poke <- struct{}{}:
	default:
	}
}

// settlePatience bounds how long a request waits for what is leaving.
const settlePatience = 5 * time.Second

// settle waits for attachments of a network that are being removed: for all
// those that concern the caller or, when concerns is nil, for the first of
// any. It tells whether it is worth asking Neutron again. It is what a wish
// for a thing that is just being released waits for.
func (c *Courier) settle(ctx context.Context, id EngineNetworkID, self *attachment, concerns func(attachmentRecord) bool) bool {
	ctx, cancel := context.WithTimeout(ctx, settlePatience)
	defer cancel()
	c.mu.Lock()
	var leaving []*attachment
	for _, a := range c.attachments {
		if a != self && a.rec.Network == id && a.rec.State == removing && (concerns == nil || concerns(a.rec)) {
			leaving = append(leaving, a)
		}
	}
	departed := c.departed
	c.mu.Unlock()
	for _, a := range leaving {
		wake(a)
	}
	if concerns == nil && len(leaving) > 0 {
		select {
		case <-departed:
			return true
		case <-ctx.Done():
			return false
		}
	}
	for _, a := range leaving {
		select {
		case <-a.gone:
		case <-ctx.Done():
			return false
		}
	}
	return len(leaving) > 0
}

// concerning returns what settle needs to wait for when Neutron answered err
// to a wish for these addresses and this MAC.
func concerning(err error, wish []FixedIP, mac MAC) func(attachmentRecord) bool {
	if KindOf(err) == Exhausted {
		return nil
	}
	return func(r attachmentRecord) bool {
		if !mac.IsZero() && r.MAC == mac {
			return true
		}
		for _, f := range wish {
			if f.Address.IsValid() && r.has(f.Address) {
				return true
			}
		}
		return false
	}
}

// scarce tells whether what is just being released may be what is missing.
func scarce(err error) bool { return KindOf(err) == Exhausted || KindOf(err) == Conflict }

// eraseLinks takes an attachment's link and binding away, once.
func (c *Courier) eraseLinks(ctx context.Context, a *attachment) error {
	r := c.snapshot(a)
	if !r.Linked || r.Port == "" {
		return nil
	}
	if err := take(ctx, c.kernelSlots); err != nil {
		return err
	}
	defer func() { <-c.kernelSlots }()
	p := r.plug()
	if err := c.Linker.Delete(ctx, p.HostEnd); err != nil && KindOf(err) != NotFound {
		return err
	}
	if err := c.Binder.Unbind(ctx, p); err != nil {
		return err
	}
	c.mu.Lock()
	a.rec.Linked = false
	c.mu.Unlock()
	return nil
}

// eraseAttachment deletes an attachment's port, once its link is gone.
func (c *Courier) eraseAttachment(ctx context.Context, a *attachment) error {
	r := c.snapshot(a)
	ids := []PortID{r.Port}
	if r.Port == "" { // Neutron's answer was lost
		ports, err := c.Neutron.PortsByMark(ctx, c.mark(r.Intent))
		if err != nil {
			return err
		}
		if len(ports) == 0 && c.mayAppear(r.Unanswered) {
			return errWaiting
		}
		ids = ids[:0]
		for _, p := range ports {
			ids = append(ids, p.ID)
		}
	}
	for _, id := range ids {
		if err := c.Neutron.DeletePort(ctx, id); err != nil && KindOf(err) != NotFound {
			return err
		}
	}
	if err := c.forget(ctx, a); err != nil {
		return err
	}
	c.dropAttachment(a)
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
	close(c.departed)
	c.departed = make(chan struct{})
	if n := c.networks[a.rec.Network]; n != nil && n.rec.State == removing {
		wake(n)
	}
}
