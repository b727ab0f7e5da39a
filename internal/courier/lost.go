package courier

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"time"
)

// A journal that was damaged, and salvaged, may lack entries, have entries that
// were forgotten, and have earlier ones in the place of later ones. What such a
// journal says of things that are settled is still a good guess, since Neutron
// and the kernel are asked before they are touched. That something was half
// done is none: what looks like a link that is about to be made may have been
// a container's for days. So nothing is undone on its word.

// KindLoss is the kind of the entry that a journal writes itself when it has
// lost others, with a Loss as its data.
const KindLoss = "loss"

// Loss tells of a damaged journal: what can't be read of it any more has to be
// found again in Neutron and the kernel.
type Loss struct {
	At    time.Time `json:"at"`              // when it was found out
	What  string    `json:"what"`            // the damage, and what could be saved
	File  string    `json:"file,omitempty"`  // where the damaged file is now
	Noted bool      `json:"noted,omitempty"` // what follows from it has been written down
	Found bool      `json:"found,omitempty"` // all that this host has was looked for since
}

// lossTold is how long a loss is told of at least.
const lossTold = 24 * time.Hour

// loadLoss enters a loss. Called with mu held.
func (c *Courier) loadLoss(e Entry) error {
	var l Loss
	if err := json.Unmarshal(e.Data, &l); err != nil {
		return err
	}
	c.losses[e.ID] = l
	return nil
}

// noteLosses draws the consequences of losses that are new, all or none: what
// is half done is forgotten, and left where it is; each network is to be looked
// at; and the journal is another from now on, since what carries its identity
// and has no record need not be garbage.
func (c *Courier) noteLosses(ctx context.Context) error {
	c.mu.Lock()
	fresh := slices.ContainsFunc(c.lossesNow(), func(l Loss) bool { return !l.Noted })
	c.mu.Unlock()
	if !fresh {
		return nil
	}
	pairs, err := c.Linker.Pairs(ctx)
	if err != nil {
		return because("look for links", "", err)
	}
	c.mu.Lock()
	var entries []Entry
	for id, l := range c.losses {
		l.Noted = true
		data, err := json.Marshal(l)
		if err != nil {
			c.mu.Unlock()
			return &Error{Kind: Internal, Op: "write the journal", Err: err}
		}
		c.losses[id] = l
		entries = append(entries, Entry{Kind: KindLoss, ID: id, Data: data})
	}
	for _, e := range c.halfDone(pairs) {
		kind, id := e.key()
		entries = append(entries, Entry{Kind: kind, ID: id})
		c.log.Warn("a record is let go, since the journal was damaged: its step may have been finished", "kind", kind, "intent", id)
	}
	for _, e := range c.doubted(pairs) {
		kind, id := e.key()
		data, err := json.Marshal(e.record())
		if err != nil {
			c.mu.Unlock()
			return &Error{Kind: Internal, Op: "write the journal", Err: err}
		}
		entries = append(entries, Entry{Kind: kind, ID: id, Data: data})
	}
	c.identity = ""
	entries = append(entries, Entry{Kind: kindIdentity, ID: identityID})
	c.mu.Unlock()
	return c.journal(ctx, durable, entries)
}

// doubted are the records that need a second look. An endpoint whose link is in
// a sandbox has joined it, whatever its record says. Called with mu held.
func (c *Courier) doubted(pairs []Pair) (out []entity) {
	for _, n := range c.networks {
		if n.rec.State == ready {
			n.rec.Partial = true
			out = append(out, n)
		}
	}
	for _, a := range c.attachments {
		away := func(p Pair) bool { return p.HostEnd == HostEnd(a.rec.Port) && p.Away() }
		if a.rec.State == attached && !a.rec.Joined && slices.ContainsFunc(pairs, away) {
			a.rec.Joined = true
			out = append(out, a)
		}
	}
	return out
}

// makeGood looks for what was lost, until Neutron has answered, and takes note
// of that.
func (c *Courier) makeGood() {
	for wait := firstRetry; ; wait = min(2*wait, lastRetry) {
		ctx, cancel := context.WithTimeout(c.stopped, attemptTimeout)
		err := c.tryMakeGood(ctx)
		cancel()
		if err == nil || c.stopped.Err() != nil {
			return
		}
		c.log.Warn("what a damaged journal has lost is still to be looked for", "after", wait, "err", err)
		if !c.pause(wait, nil) {
			return
		}
	}
}

func (c *Courier) tryMakeGood(ctx context.Context) error {
	for _, id := range c.incomplete() {
		if _, err := c.knownNetwork(ctx, id); err != nil {
			return err
		}
	}
	c.mu.Lock()
	var entries []Entry
	for id, l := range c.losses {
		if l.Found {
			continue
		}
		l.Found = true
		data, err := json.Marshal(l)
		if err != nil {
			c.mu.Unlock()
			return err
		}
		c.losses[id] = l
		entries = append(entries, Entry{Kind: KindLoss, ID: id, Data: data})
	}
	c.mu.Unlock()
	return c.journal(ctx, noted, entries)
}

// incomplete returns the networks of which something is missing.
func (c *Courier) incomplete() []EngineNetworkID {
	c.mu.Lock()
	defer c.mu.Unlock()
	found := map[EngineNetworkID]bool{}
	if len(c.losses) > 0 {
		for _, a := range c.attachments {
			found[a.rec.Network] = c.networks[a.rec.Network] == nil
		}
		for _, p := range c.pools {
			found[p.rec.Network] = p.rec.Network != "" && c.networks[p.rec.Network] == nil
		}
	}
	for id, n := range c.networks {
		found[id] = n.rec.Partial
	}
	maps.DeleteFunc(found, func(_ EngineNetworkID, missing bool) bool { return !missing })
	return slices.Sorted(maps.Keys(found))
}

// tellNoMore drops losses that have been told of for long enough.
func (c *Courier) tellNoMore(ctx context.Context, now time.Time) {
	c.mu.Lock()
	var entries []Entry
	for id, l := range c.losses {
		if l.Found && now.Sub(l.At) > lossTold {
			delete(c.losses, id)
			entries = append(entries, Entry{Kind: KindLoss, ID: id})
		}
	}
	c.mu.Unlock()
	if err := c.journal(ctx, noted, entries); err != nil {
		c.log.Warn("the journal still tells of a loss", "err", err)
	}
}

// halfDone takes what looks half done out of the tables: a reservation, too, of
// which the kernel has a link. Called with mu held.
func (c *Courier) halfDone(pairs []Pair) (out []entity) {
	for id, n := range c.networks {
		if n.rec.State == creating {
			delete(c.networks, id)
			out = append(out, n)
		}
	}
	for id, p := range c.pools {
		if p.rec.State == creating {
			delete(c.pools, id)
			out = append(out, p)
		}
	}
	for intent, a := range c.attachments {
		linked := func(p Pair) bool { return a.rec.Port != "" && p.HostEnd == HostEnd(a.rec.Port) }
		if a.rec.State == creating || a.rec.State == attaching || a.rec.State == reserved && slices.ContainsFunc(pairs, linked) {
			delete(c.attachments, intent)
			delete(c.endpoints, a.rec.Endpoint)
			out = append(out, a)
		}
	}
	return out
}

// lossesNow returns the losses that have not been made good yet, the oldest
// first. Called with mu held.
func (c *Courier) lossesNow() []Loss {
	return slices.SortedFunc(maps.Values(c.losses), func(a, b Loss) int { return a.At.Compare(b.At) })
}
