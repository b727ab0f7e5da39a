package courier

import (
	"context"
	"errors"
	"time"
)

// A port pool is what a network has ready on this host: attachments in state
// pooled, whose ports are made, plugged and, where that is waited for, ACTIVE,
// with their links made. An endpoint gets one from memory; Neutron is told of
// it afterwards. docs/decisions/0020-port-pools.md says why it is as it is.

// PortPool says how many ports are kept ready for each network. The zero value
// keeps none.
type PortPool struct {
	Min       int           // kept of each network that had a container lately, beyond as many as it asked for
	Max       int           // never more; 0: none
	Batch     int           // made in one request at most
	CoolDown  time.Duration // how long an address rests before another container gets it
	Idle      time.Duration // after which a pool shrinks to Min, and after 12 times this to nothing
	TellAfter time.Duration // how long an endpoint has a port before Neutron is told whose it is
}

// takePooled returns a pooled attachment for an endpoint to be, entered into
// state reserved; nil: there is none that fits. One that cools down is taken for
// its address, since whoever names that wants the very one.
func (c *Courier) takePooled(ctx context.Context, p poolRecord, r AddressRequest) (*attachment, error) {
	c.mu.Lock()
	a := c.claimPooled(p, r, r.Address.IsValid())
	c.mu.Unlock()
	if a == nil {
		return nil, nil
	}
	return c.takeClaimed(ctx, a)
}

// takeClaimed writes down that a pooled attachment was claimed. A link that a
// container had goes first.
func (c *Courier) takeClaimed(ctx context.Context, a *attachment) (*attachment, error) {
	err := a.op.await(ctx) // until its old link is gone
	if err != nil {
		c.discard(a)
		return nil, err
	}
	defer a.op.Unlock()
	err = c.save(ctx, noted, a)
	if err == nil && !c.isFresh(a) {
		err = c.eraseLinks(ctx, a)
	}
	if err != nil {
		c.discard(a)
		return nil, err
	}
	return a, nil
}

// claimPooled enters the one that has rested longest into state reserved.
// Called with mu held.
func (c *Courier) claimPooled(p poolRecord, r AddressRequest, cool bool) *attachment {
	var best *attachment
	for _, a := range c.attachments {
		fits := a.rec.State == pooled || cool && a.rec.State == cooling
		if !fits || a.rec.Network != p.Network || !a.rec.serves(p.Subnet, r) {
			continue
		}
		if best == nil || a.rec.Touched.Before(best.rec.Touched) {
			best = a
		}
	}
	if best == nil {
		return nil
	}
	best.fresh = best.rec.State == pooled
	best.rec.State, best.rec.Touched = reserved, time.Now()
	best.rec.Addresses[best.rec.spare(p.Subnet)].Pool = p.ID
	return best
}

// reserveOrLast makes a port or, where Neutron has no address left, takes what
// the pool of this host has: no pool may keep the last address from a container.
// What the pool gave up meanwhile Neutron has again, and is asked once more.
// pooled tells whether the port was the pool's.
func (c *Courier) reserveOrLast(ctx context.Context, n *network, p poolRecord, r AddressRequest) (a *attachment, pooled bool, err error) {
	patient, cancel := patience(ctx)
	defer cancel()
	for {
		before := c.leaving(p.Network, nil)
		if a, err = c.reservePort(ctx, n, p, r); KindOf(err) != Exhausted {
			return a, false, err
		}
		last, again := c.lastResort(patient, before, p, r)
		if last != nil {
			a, err = c.takeClaimed(ctx, last)
			return a, true, err
		}
		if !again {
			return nil, false, err
		}
	}
}

// lastResort claims a port of the pool, also one that cools down; it waits for
// those that are just being made. Where there is none it tells whether an address
// was given up since before, and waits for one that is being. What the pool has
// and what leaves is seen at one instant: a port that goes from the one to the
// other is in either.
func (c *Courier) lastResort(ctx context.Context, before departures, p poolRecord, r AddressRequest) (last *attachment, again bool) {
	for waited := false; ; waited = true {
		c.mu.Lock()
		last = c.claimPooled(p, r, true)
		making, now := c.making(p.Network), c.departing(p.Network, nil)
		c.mu.Unlock()
		switch {
		case last != nil:
			return last, false
		case !making: // what was made is another's by now, or was refused
			return nil, settleAny(ctx, before, now) || waited && ctx.Err() == nil
		}
		select {
		case <-ctx.Done():
			return nil, false
		case <-before.next:
			return nil, true
		case <-time.After(firstLook):
		}
	}
}

// making tells whether ports of a network's pool are about to be ready. Called
// with mu held.
func (c *Courier) making(id EngineNetworkID) bool {
	for _, a := range c.attachments {
		if a.rec.Network == id && a.rec.inPool() && !a.rec.settled() {
			return true
		}
	}
	return false
}

// cede gives up the ports of a network's pool that have a wished address or the
// MAC, since no pool may keep these from a container. Which addresses those get
// that are just being made is not known before, so they are waited for.
func (c *Courier) cede(ctx context.Context, id EngineNetworkID, wish []FixedIP, mac MAC) (ceded []*attachment) {
	for {
		making := false
		c.mu.Lock()
		for _, a := range c.attachments {
			if a.rec.Network != id || !a.rec.inPool() || !a.rec.mayHold(wish, mac) {
				continue
			}
			if !a.rec.settled() {
				making = true
				continue
			}
			a.enter(removing)
			ceded = append(ceded, a)
		}
		c.mu.Unlock()
		for _, a := range ceded {
			c.discard(a)
		}
		if len(ceded) > 0 || !making {
			return ceded
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(firstLook):
		}
	}
}

// mayHold is holds of a port that may be still to be made.
func (r attachmentRecord) mayHold(wish []FixedIP, mac MAC) bool {
	return r.holds(wish, mac) || r.Port == "" && singular(wish, mac)
}

// serves tells whether what is asked for of a subnet is what the port has.
func (r attachmentRecord) serves(s SubnetID, want AddressRequest) bool {
	i := r.spare(s)
	return i >= 0 && (!want.Address.IsValid() || r.Addresses[i].Address == want.Address) && (want.MAC.IsZero() || want.MAC == r.MAC)
}

// isFresh tells whether the link was made for the next endpoint.
func (c *Courier) isFresh(a *attachment) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return a.fresh && a.rec.Linked
}

// asWished tells whether the port is one of a pool's kind, and what an endpoint
// asks for, but for settings.
func (r attachmentRecord) asWished(want AttachRequest) bool {
	return r.Pooled && (want.MAC.IsZero() || want.MAC == r.MAC) && sameAddresses(r, want.Addresses)
}

// handOver gives a port that is plugged already to its endpoint. What the
// endpoint asks of the port beyond its network's settings goes to Neutron before
// the answer, and keeps the port from being used again; who has it, after.
// Called with a.op held.
func (c *Courier) handOver(ctx context.Context, a *attachment, own PortSettings) error {
	if !own.isZero() {
		if err := c.handOverWith(ctx, a, own); err != nil {
			return err
		}
	}
	c.mu.Lock()
	a.fresh = false
	c.mu.Unlock()
	if err := c.finish(ctx, a, attached); err != nil {
		return err
	}
	c.tellLater(a)
	return nil
}

func (c *Courier) handOverWith(ctx context.Context, a *attachment, own PortSettings) error {
	c.mu.Lock()
	a.rec.Told = a.rec.Endpoint
	port, device := a.rec.Port, string(a.rec.Endpoint)
	c.mu.Unlock()
	if err := c.save(ctx, durable, a); err != nil {
		return err
	}
	_, err := c.Neutron.UpdatePort(ctx, port, PortUpdate{DeviceID: &device, Settings: own})
	return err
}

// tellLater has Neutron be told in the background which endpoint has a pooled
// port, as often as it takes. An endpoint that is gone by then costs no request.
func (c *Courier) tellLater(a *attachment) {
	c.background.Go(func() {
		if !c.pause(c.opt.PortPool.TellAfter, nil) {
			return
		}
		for wait := firstRetry; ; wait = min(2*wait, lastRetry) {
			err := c.tell(a)
			if err == nil || c.stopped.Err() != nil {
				return
			}
			if !c.pause(wait, c.untilResumed()) {
				return
			}
		}
	})
}

// tell writes the endpoint into its port's device_id, and names it to the layer 2,
// unless that is done, or the endpoint has gone. A port that is gone is the reconciler's to tell of.
func (c *Courier) tell(a *attachment) error {
	a.op.Lock()
	defer a.op.Unlock()
	r := c.snapshot(a)
	if !r.untold() {
		return nil
	}
	if err := take(c.stopped, c.cloudSlots); err != nil {
		return err
	}
	defer func() { <-c.cloudSlots }()
	ctx, cancel := context.WithTimeout(c.stopped, attemptTimeout)
	defer cancel()
	device := string(r.Endpoint)
	_, err := c.Neutron.UpdatePort(ctx, r.Port, PortUpdate{DeviceID: &device})
	if err != nil && KindOf(err) != NotFound {
		return err
	}
	if err := c.Binder.Name(ctx, c.plugOf(r)); err != nil {
		return err
	}
	c.mu.Lock()
	a.rec.Told = r.Endpoint
	c.mu.Unlock()
	return c.save(ctx, noted, a)
}

// untilResumed is closed when the cloud answers again.
func (c *Courier) untilResumed() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.resumed
}

// untold tells whether Neutron is still to be told whose the port is.
func (r attachmentRecord) untold() bool {
	return r.State == attached && r.Pooled && r.Told != r.Endpoint
}

// reusable tells whether an attachment that an endpoint leaves can go back to
// its pool: its port is as it was made. Called with mu held.
func (c *Courier) reusable(a *attachment) bool {
	r := a.rec
	n := c.networks[r.Network]
	left := r.Pooled && r.Port != "" && (r.State == attached || r.State == reserved)
	return left && c.asMade(a) && n != nil && n.rec.State == ready && !c.drained() && c.poolSize(r.Network) < c.opt.PortPool.Max
}

// asMade tells whether nothing was done to the port that its next endpoint must
// not find, nor is being done: an exposer at work may yet give it a group. Called
// with mu held.
func (c *Courier) asMade(a *attachment) bool {
	x := a.rec.Exposed
	return c.exposers[a] == nil && len(x.Ports)+len(x.Groups) == 0 && a.rec.Forwarded.settled()
}

// poolSize counts a pool's ports, ready or not. Called with mu held.
func (c *Courier) poolSize(id EngineNetworkID) (n int) {
	for _, a := range c.attachments {
		if a.rec.Network == id && a.rec.inPool() {
			n++
		}
	}
	return n
}

// restNow takes an attachment from its endpoint. A link that no container had
// stays, and is ready at once; another is made anew. Called with mu held.
func (c *Courier) restNow(a *attachment) {
	if c.endpoints[a.rec.Endpoint] == a {
		delete(c.endpoints, a.rec.Endpoint)
	}
	a.rec.State = cooling
	if a.fresh {
		a.rec.State = pooled
	}
	a.rec.Endpoint, a.rec.Joined, a.rec.Published, a.rec.Touched = "", false, 0, time.Now()
	for i := range a.rec.Addresses {
		a.rec.Addresses[i].Pool = ""
	}
}

// rested writes down what restNow did, and has what is to cool down do so. What
// could not be written down is given up instead.
func (c *Courier) rested(ctx context.Context, a *attachment) error {
	if err := c.save(context.WithoutCancel(ctx), noted, a); err != nil {
		c.discard(a)
		return err
	}
	if c.snapshot(a).State == cooling {
		c.background.Go(func() { c.coolDown(a) })
	}
	return nil
}

// coolDown takes the link that a container had away, and makes another when the
// address has rested. What fails is given up: the removal does not.
func (c *Courier) coolDown(a *attachment) {
	err := c.whileIn(a, cooling, func() error {
		if err := c.eraseLinks(c.stopped, a); err != nil {
			return err
		}
		return c.save(c.stopped, noted, a)
	})
	rest := time.Until(c.snapshot(a).Touched.Add(c.opt.PortPool.CoolDown))
	if err == nil && c.pause(rest, nil) {
		err = c.whileIn(a, cooling, func() error { return c.makeReady(a) })
	}
	if err != nil && !errors.Is(err, errMoved) && c.stopped.Err() == nil {
		c.log.Info("a port does not go back to its pool", "port", a.rec.Port, "err", err)
		c.discard(a)
	}
}

// errMoved says that an attachment has gone on to another state meanwhile.
var errMoved = errors.New("it has gone on")

// whileIn does something to an attachment that is still in a state.
func (c *Courier) whileIn(a *attachment, s state, do func() error) error {
	a.op.Lock()
	defer a.op.Unlock()
	if c.snapshot(a).State != s {
		return errMoved
	}
	return do()
}

// readyTimeout bounds how long a port may take to become ready: on ML2/OVN it
// is ACTIVE up to 16 s after the first router was added.
const readyTimeout = time.Minute

// makeReady makes the link of a port that nobody has, plugs it, and enters state
// pooled. Where frames would pass unfiltered, or the operator wants it, it waits
// for the port to be ACTIVE. Called with a.op held.
func (c *Courier) makeReady(a *attachment) error {
	ctx, cancel := context.WithTimeout(c.stopped, readyTimeout)
	defer cancel()
	rec, err := c.beginPlug(ctx, a)
	if err != nil {
		return err
	}
	if err := c.plugInTurn(ctx, rec); err != nil {
		return err
	}
	if rec.Closed || c.opt.VIFPluggingIsFatal {
		if err := c.awaitActive(ctx, rec.Port); err != nil {
			return err
		}
	}
	if rec.Closed {
		if err := c.Linker.Up(ctx, HostEnd(rec.Port)); err != nil {
			return err
		}
	}
	c.mu.Lock()
	a.rec.Closed, a.rec.Active, a.fresh = false, c.opt.VIFPluggingIsFatal, true
	c.mu.Unlock()
	return c.finish(ctx, a, pooled)
}

func (c *Courier) plugInTurn(ctx context.Context, r attachmentRecord) error {
	if err := take(ctx, c.kernelSlots); err != nil {
		return err
	}
	defer func() { <-c.kernelSlots }()
	return c.makeLink(ctx, r)
}

// takeOut gives up a pooled port that no container should get.
func (c *Courier) takeOut(a *attachment) error {
	c.mu.Lock()
	there := a.rec.State == pooled
	if there {
		a.enter(removing)
	}
	c.mu.Unlock()
	if !there {
		return nil
	}
	return c.removeLater(c.stopped, a)
}
