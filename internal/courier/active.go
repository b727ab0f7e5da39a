package courier

import (
	"context"
	"fmt"
	"time"
)

// Ports become ACTIVE some time after they are plugged: when Neutron's agent,
// or OVN's controller, on this host has set them up, security groups included.
// Neutron tells nobody, so it is asked: in one request for all ports that are
// waited for, by one goroutine, as long as there are any.

// A port is looked for after a quarter of the time that the newest has waited,
// within these bounds: it is noticed soon, and one that never becomes ACTIVE
// costs little.
const (
	shortestLook = 250 * time.Millisecond
	longestLook  = 15 * time.Second
	lookTimeout  = 10 * time.Second
)

// answerReserve is left of a call's time for what comes after a wait.
const answerReserve = time.Second

// waiter waits for a port to become ACTIVE.
type waiter struct {
	port  PortID
	since time.Time
	done  chan error // gets nil, or why the port never will
}

// awaitActive returns nil once the port is ACTIVE; an Unavailable error when
// the context ends before that.
func (c *Courier) awaitActive(ctx context.Context, id PortID) error {
	w := &waiter{port: id, since: time.Now(), done: make(chan error, 1)}
	c.mu.Lock()
	c.waiters[w] = true
	if !c.looking {
		c.looking = true
		c.background.Go(c.look)
	}
	c.mu.Unlock()
	select {
	case c.newWaiter <- struct{}{}:
	default: // one is noted already
	}
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.waiters, w)
	}()
	select {
	case err := <-w.done:
		return err
	case <-ctx.Done():
	case <-c.stopped.Done():
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return &Error{Kind: Unavailable, Op: "wait", Subject: "for port " + string(id),
		Public: fmt.Sprintf("Neutron has not reported port %s ACTIVE in %.1f s", id, time.Since(w.since).Seconds()), Err: c.lookErr,
		Hint: "see that Neutron's agent on this host is alive (openstack network agent list) and its log, or raise [neutron] vif_plugging_timeout"}
}

// look asks for the ports that are waited for until there are none.
func (c *Courier) look() {
	for last := time.Now(); ; {
		waiting, newest := c.waiting()
		if waiting == nil {
			return
		}
		due := last.Add(min(max(last.Sub(newest)/4, shortestLook), longestLook))
		if early := time.Until(due); early > 0 {
			c.pause(early, c.newWaiter)
			continue
		}
		c.lookOnce(waiting)
		last = time.Now()
	}
}

// waiting returns all waiters and when the newest began, or nil if nobody has
// to look any more.
func (c *Courier) waiting() (all []*waiter, newest time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.waiters) == 0 || c.stopped.Err() != nil {
		c.looking = false
		return nil, newest
	}
	for w := range c.waiters {
		all = append(all, w)
		if w.since.After(newest) {
			newest = w.since
		}
	}
	return all, newest
}

// lookOnce asks for the ports' states, and answers those that are decided.
func (c *Courier) lookOnce(waiting []*waiter) {
	ctx, cancel := context.WithTimeout(c.stopped, lookTimeout)
	defer cancel()
	seen := map[PortID]bool{}
	var ids []PortID
	for _, w := range waiting {
		if !seen[w.port] {
			seen[w.port] = true
			ids = append(ids, w.port)
		}
	}
	statuses, err := c.Neutron.PortStatuses(ctx, ids)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lookErr = err; err != nil {
		return
	}
	for _, w := range waiting {
		status, exists := statuses[w.port]
		switch {
		case !c.waiters[w]:
			continue // it has given up
		case !exists:
			w.done <- &Error{Kind: NotFound, Op: "wait", Subject: "for port " + string(w.port),
				Public: fmt.Sprintf("port %s was deleted in Neutron", w.port)}
		case status == "ACTIVE":
			w.done <- nil
		case status == "ERROR":
			w.done <- &Error{Kind: Conflict, Op: "wait", Subject: "for port " + string(w.port),
				Public: fmt.Sprintf("Neutron reports port %s in status ERROR", w.port), Hint: "see the log of Neutron's agent on this host"}
		default:
			continue
		}
		delete(c.waiters, w)
	}
}

// open waits for the port of an attachment, as far as the operator and the
// layer 2 ask for that, and sets its link up if that was left closed. One that
// has taken too long is opened later, unless it is fatal.
func (c *Courier) open(ctx context.Context, a *attachment) error {
	rec := c.snapshot(a)
	if !rec.Closed && (rec.Active || !c.opt.VIFPluggingIsFatal) {
		return nil
	}
	wait, cancel := c.pluggingTime(ctx)
	defer cancel()
	err := c.awaitActive(wait, rec.Port)
	switch {
	case err == nil:
		return c.setUp(ctx, a)
	case !c.opt.VIFPluggingIsFatal && KindOf(err) == Unavailable:
		c.log.Warn("a container starts without its network, which is opened as soon as Neutron reports the port ACTIVE", "port", string(rec.Port), "err", err)
		c.openLater(a)
		return nil
	}
	return err
}

// pluggingTime bounds a wait within a call of the engine.
func (c *Courier) pluggingTime(ctx context.Context) (context.Context, context.CancelFunc) {
	end, bounded := ctx.Deadline()
	end = end.Add(-answerReserve)
	if t := c.opt.VIFPluggingTimeout; t > 0 && (!bounded || time.Until(end) > t) {
		return context.WithTimeout(ctx, t)
	}
	if !bounded {
		return context.WithCancel(ctx)
	}
	return context.WithDeadline(ctx, end)
}

// setUp opens the link of an attachment, unless that is given up.
func (c *Courier) setUp(ctx context.Context, a *attachment) error {
	if err := a.op.await(ctx); err != nil {
		return err
	}
	defer a.op.Unlock()
	rec := c.snapshot(a)
	if !rec.Closed || rec.State != attached {
		return nil
	}
	if err := c.Linker.Up(ctx, HostEnd(rec.Port)); err != nil {
		return err
	}
	c.mu.Lock()
	a.rec.Closed = false
	c.mu.Unlock()
	return c.save(ctx, noted, a)
}

// openLater opens an attachment's link in the background, once its port is
// ACTIVE. It gives up when the port is gone, or the courier is closed.
func (c *Courier) openLater(a *attachment) {
	c.background.Go(func() {
		rec := c.snapshot(a)
		for {
			err := c.awaitActive(c.stopped, rec.Port)
			if err == nil {
				ctx, cancel := context.WithTimeout(c.stopped, attemptTimeout)
				err = c.setUp(ctx, a)
				cancel()
			}
			if err == nil || c.stopped.Err() != nil || KindOf(err) == NotFound {
				return
			}
			c.log.Warn("a link is still closed", "port", string(rec.Port), "err", err)
			if !c.pause(lastRetry, a.poke) {
				return
			}
		}
	})
}
