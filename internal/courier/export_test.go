package courier

import (
	"context"
	"time"
)

// ExpireAt does now what expiry would do at the given time.
func (c *Courier) ExpireAt(now time.Time) {
	for _, e := range c.expired(now) {
		c.removeLater(context.Background(), e)
	}
}

// Exposing counts the attachments whose exposed ports are being seen to.
func (c *Courier) Exposing() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.exposers)
}

// Doubtful counts the groups of which there may be one too many.
func (c *Courier) Doubtful() (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, g := range c.exposed {
		if !g.rec.Unanswered.IsZero() {
			n++
		}
	}
	return n
}

// HoldTurns has all that is in the tables be at work on something, until release.
func (c *Courier) HoldTurns() (release func()) {
	var all []turn
	c.mu.Lock()
	for _, p := range c.pools {
		all = append(all, p.op)
	}
	for _, n := range c.networks {
		all = append(all, n.op)
	}
	for _, a := range c.attachments {
		all = append(all, a.op)
	}
	c.mu.Unlock()
	for _, t := range all {
		t.Lock()
	}
	return func() {
		for _, t := range all {
			t.Unlock()
		}
	}
}

// HadPythonKuryr has an attachment be one that the Python Kuryr made.
func (c *Courier) HadPythonKuryr(id EndpointID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.endpoints[id].rec.Exposed.Python = true
}

// Identity is the journal's.
func (c *Courier) Identity() string { return c.identity }

// LookAtKernelAt does now what Watch would do at the given time.
func (c *Courier) LookAtKernelAt(now time.Time) { c.lookAtKernel(context.Background(), now) }

// TendPoolsAt does now what whoever keeps port pools would do at the given time.
func (c *Courier) TendPoolsAt(now time.Time) { c.tendPools(now) }

// RefreshSubnetsAt does now what whoever keeps what Join tells of subnets would do
// at the given time.
func (c *Courier) RefreshSubnetsAt(now time.Time) {
	if ids := c.toRefresh(now); len(ids) > 0 {
		c.refreshSubnets(now, ids)
	}
}
