package courier

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"slices"
	"time"
)

// Removals are tried again after a delay that doubles from firstRetry to
// lastRetry, for as long as it takes: the engine has forgotten the thing and
// will not ask again. attemptTimeout bounds one try. While the cloud is known
// to be away they wait for Resume, with awayRetry in case that it is missed.
const (
	firstRetry     = 100 * time.Millisecond
	lastRetry      = 15 * time.Second
	attemptTimeout = 20 * time.Second
	awayRetry      = time.Minute
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

// refused tells whether Neutron said no, or was not asked: then there is
// nothing to look for.
func refused(err error) bool {
	if errors.Is(err, ErrAway) || errors.Is(err, ErrUnsent) {
		return true
	}
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
		away := errors.Is(err, ErrAway)
		if !errors.Is(err, errWaiting) {
			c.mu.Lock()
			c.removing[l] = err.Error()
			c.mu.Unlock()
		}
		if !errors.Is(err, errWaiting) && !away { // that is for one to tell, not for each
			kind, id := e.key()
			c.log.Warn("removal will be tried again", "kind", kind, "intent", id, slog.Duration("after", wait), "err", err)
		}
		pause := wait/2 + rand.N(wait)
		if away {
			pause, wait = awayRetry, firstRetry
		}
		if !c.pause(pause, l.poke) {
			return
		}
	}
}

// Resume has all that waits for the cloud, or to try it again, go on now: it
// answers again. Removals go through cloudSlots, however many there are.
func (c *Courier) Resume() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for l := range c.removing {
		l.wake()
	}
	for a := range c.exposers {
		c.pokeExposer(a)
	}
	close(c.resumed)
	c.resumed = make(chan struct{})
	c.ReconcileSoon()
}

func (c *Courier) tryRemoval(e entity) error {
	e.base().op.Lock()
	defer e.base().op.Unlock()
	if c.isForgotten(e) { // another has taken its place
		return nil
	}
	if a, ok := e.(*attachment); ok {
		if err := c.resolveAttachment(a); err != nil {
			return err
		}
		if err := c.eraseLinks(c.stopped, a); err != nil {
			return err
		}
	}
	if err := take(c.stopped, c.cloudSlots); err != nil {
		return err
	}
	defer func() { <-c.cloudSlots }()
	ctx, cancel := context.WithTimeout(c.stopped, attemptTimeout) // from here on: the turn may be long in coming
	defer cancel()
	switch e := e.(type) {
	case *attachment:
		return c.eraseAttachment(ctx, e)
	case *network:
		return c.eraseNetwork(ctx, e)
	case *exposedGroup:
		return c.eraseGroup(ctx, e)
	default:
		return c.erasePool(ctx, e.(*pool))
	}
}

func (c *Courier) isForgotten(e entity) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return e.base().forgotten
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
func wake(e entity) { e.base().wake() }

func (l *life) wake() {
	select {
	case l.poke <- struct{}{}:
	default:
	}
}

// patience bounds how long a request waits for what is leaving: half of the
// time that it has. A busy cloud takes seconds to remove a port, and as many to
// make the next; one that does not answer is told of in time.
func patience(ctx context.Context) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return context.WithTimeout(ctx, attemptTimeout/2)
	}
	return context.WithTimeout(ctx, time.Until(deadline)/2)
}

// insist asks Neutron by try, and again for as long as what was missing (an
// address, a MAC) may be what is just being released on this network, or what its
// pool has. What is leaving is looked up before Neutron is asked: it may be gone
// by the time that Neutron's refusal arrives.
func (c *Courier) insist(ctx context.Context, id EngineNetworkID, self *attachment, wish []FixedIP, mac MAC, try func() error) error {
	patient, cancel := patience(ctx)
	defer cancel()
	for {
		before := c.leaving(id, self)
		err := try()
		switch KindOf(err) {
		case Conflict:
			ceded := c.cede(patient, id, wish, mac)
			if !c.settleAll(patient, slices.Concat(before.attachments, ceded, c.leaving(id, self).attachments), wish, mac) {
				return err
			}
		case Exhausted:
			if !settleAny(patient, before, c.leaving(id, self)) {
				return err
			}
		default:
			return err
		}
	}
}

// departures are a network's attachments that are being removed, and a
// channel that is closed when the next attachment is gone.
type departures struct {
	attachments []*attachment
	next        <-chan struct{}
}

func (c *Courier) leaving(id EngineNetworkID, self *attachment) departures {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.departing(id, self)
}

// departing is leaving for who holds mu.
func (c *Courier) departing(id EngineNetworkID, self *attachment) departures {
	d := departures{next: c.departed}
	for _, a := range c.attachments {
		if a != self && a.rec.Network == id && a.rec.State == removing {
			d.attachments = append(d.attachments, a)
		}
	}
	return d
}

// settleAll waits for those that have a wished address or the MAC. It tells
// whether there were any, and all are gone.
func (c *Courier) settleAll(ctx context.Context, leaving []*attachment, wish []FixedIP, mac MAC) bool {
	waited := false
	for _, a := range leaving {
		if !c.snapshot(a).holds(wish, mac) {
			continue
		}
		waited = true
		wake(a)
		select {
		case <-a.gone:
		case <-ctx.Done():
			return false
		}
	}
	return waited
}

// settleAny waits for the first to be gone, since Neutron was asked.
func settleAny(ctx context.Context, before, now departures) bool {
	if len(before.attachments)+len(now.attachments) > 0 {
		for _, a := range now.attachments {
			wake(a)
		}
		select {
		case <-before.next:
			return true
		case <-ctx.Done():
			return false
		}
	}
	select {
	case <-before.next: // it came and went meanwhile
		return true
	default:
		return false
	}
}

// holds tells whether the attachment has one of the wished addresses, or the MAC.
func (r attachmentRecord) holds(wish []FixedIP, mac MAC) bool {
	return !mac.IsZero() && r.MAC == mac ||
		slices.ContainsFunc(wish, func(f FixedIP) bool { return f.Address.IsValid() && r.has(f.Address) })
}

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
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	p := c.plugOf(r)
	if r.Inherited {
		if err := c.Linker.Adopt(ctx, p.HostEnd, c.mark(r.Intent).String()); err != nil {
			return err
		}
	}
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
	if r.Origin == adopted {
		if err := c.returnPort(ctx, r); err != nil {
			return err
		}
		return c.finishAttachment(ctx, a)
	}
	ids := []PortID{r.Port}
	if r.Port == "" && r.Inherited {
		return c.finishAttachment(ctx, a) // Neutron knows no such endpoint
	}
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
	if r.Exposed.Python && r.Port != "" {
		if err := c.erasePythonGroup(ctx, r.Port); err != nil {
			return err
		}
	}
	for _, id := range ids {
		if err := c.deletePort(ctx, a, id); err != nil {
			return err
		}
	}
	if r.Port == "" && c.mayAppear(r.Unanswered) {
		return errWaiting // a request for a singular port was sent twice: one that is gone makes room for the other
	}
	return c.finishAttachment(ctx, a)
}

// finishAttachment forgets an attachment of which nothing is left.
func (c *Courier) finishAttachment(ctx context.Context, a *attachment) error {
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
	c.pokeExposer(a)
	if c.endpoints[a.rec.Endpoint] == a {
		delete(c.endpoints, a.rec.Endpoint)
	}
	if a.rec.State == removing { // not one that Neutron never made
		close(c.departed)
		c.departed = make(chan struct{})
	}
	if n := c.networks[a.rec.Network]; n != nil && n.rec.State == removing {
		wake(n)
	}
}
