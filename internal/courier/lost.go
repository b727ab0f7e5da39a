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
}

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
// is half done is forgotten, and left where it is.
func (c *Courier) noteLosses(ctx context.Context) error {
	c.mu.Lock()
	var entries []Entry
	for id, l := range c.losses {
		if l.Noted {
			continue
		}
		l.Noted = true
		data, err := json.Marshal(l)
		if err != nil {
			c.mu.Unlock()
			return &Error{Kind: Internal, Op: "write the journal", Err: err}
		}
		c.losses[id] = l
		entries = append(entries, Entry{Kind: KindLoss, ID: id, Data: data})
	}
	if len(entries) == 0 {
		c.mu.Unlock()
		return nil
	}
	for _, e := range c.halfDone() {
		kind, id := e.key()
		entries = append(entries, Entry{Kind: kind, ID: id})
		c.log.Warn("a record is let go, since the journal was damaged: its step may have been finished", "kind", kind, "intent", id)
	}
	c.mu.Unlock()
	return c.journal(ctx, durable, entries)
}

// halfDone takes what looks half done out of the tables. Called with mu held.
func (c *Courier) halfDone() (out []entity) {
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
		if a.rec.State == creating || a.rec.State == attaching {
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
