package courier

import (
	"context"
	"time"
)

// A container is gone when its link is, or when the container's end is on the
// host: it was so for goneGrace, and at goneLooks looks in a row, and the engine
// has said nothing of it for engineGrace. Docker moves the end into the sandbox
// within milliseconds of Join, and sends DeleteEndpoint right after it has
// brought it back. An engine that is away is no evidence: links stay in their
// sandboxes meanwhile.
const (
	goneGrace   = 15 * time.Second
	goneLooks   = 3
	engineGrace = 30 * time.Second
)

// absence is how long an attachment's container has been gone, as far as it
// was looked for.
type absence struct {
	since time.Time
	looks int
}

// lookAtKernel mends links, and gives up the attachments whose container is
// gone. Only Watch calls it.
func (c *Courier) lookAtKernel(ctx context.Context, now time.Time) {
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	pairs, err := c.Linker.Pairs(ctx)
	if err != nil {
		c.log.Warn("links can't be looked at", "err", err)
		return
	}
	byName := byHostEnd(pairs)
	c.relink(byName)
	for _, a := range c.abandoned(byName, now) {
		c.discard(a)
	}
	found, err := c.mendLinks(ctx, byName, true)
	if err != nil && KindOf(err) != Unavailable {
		c.log.Warn("what links are plugged into can't be looked at", "err", err)
	}
	c.noteMended(found)
}

// noteMended counts what was put right; failures are told by the next comparison.
func (c *Courier) noteMended(found []Finding) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, f := range found {
		if !f.Open() {
			c.reconciled.Mended++
			c.logFinding(f)
		}
	}
}

// abandoned enters into state removing, and returns, the attachments whose
// container has been gone long enough by now.
func (c *Courier) abandoned(pairs map[string]Pair, now time.Time) (old []entity) {
	c.mu.Lock()
	defer c.mu.Unlock()
	missing := map[*attachment]absence{}
	for _, a := range c.attachments {
		if a.rec.State != attached || !a.rec.Linked {
			continue
		}
		p, there := pairs[HostEnd(a.rec.Port)]
		if there && p.Away() {
			continue
		}
		x, known := c.absent[a]
		if !known {
			x.since = now
		}
		x.looks++
		if x.looks < goneLooks || now.Sub(x.since) < goneGrace || now.Sub(a.rec.Touched) < engineGrace {
			missing[a] = x
			continue
		}
		why := "its link is gone"
		if there {
			why = "the container's end of its link is back on the host"
		}
		c.log.Warn("an attachment is given up: its container is gone, and the engine has not said so",
			"port", a.rec.Port, "endpoint", a.rec.Endpoint, "evidence", why)
		a.enter(removing)
		old = append(old, a)
	}
	c.absent = missing
	return old
}
