package courier

import (
	"context"
	"slices"
	"strings"
)

// mendKernel puts right what somebody has done to the links of attachments:
// taken them off their bridge, removed the bridge or a row of Open vSwitch's,
// set the host's end down, taken the alias away. All of it is idempotent. What
// the Python Kuryr plugged is left as it was.
func (c *Courier) mendKernel(ctx context.Context, act bool) ([]Finding, error) {
	pairs, err := c.Linker.Pairs(ctx)
	if err != nil {
		return nil, err
	}
	return c.mendLinks(ctx, byHostEnd(pairs), act)
}

func byHostEnd(pairs []Pair) map[string]Pair {
	all := make(map[string]Pair, len(pairs))
	for _, p := range pairs {
		all[p.HostEnd] = p
	}
	return all
}

func (c *Courier) mendLinks(ctx context.Context, pairs map[string]Pair, act bool) (out []Finding, err error) {
	links := c.plugged(pairs)
	plugs := make([]Plug, 0, len(links))
	for _, l := range links {
		plugs = append(plugs, c.plugOf(l.rec))
	}
	missing, err := c.Binder.Unplugged(ctx, plugs)
	loose := map[string]bool{}
	for _, p := range missing {
		loose[p.HostEnd] = true
	}
	for _, l := range links {
		f := Finding{Kind: "link", ID: HostEnd(l.rec.Port), Name: string(l.rec.Port)}
		if l.pair.Alias == "" {
			f.Problem, f.Action = "its alias was taken away", "give it the alias again"
			out = c.mend(ctx, out, l, act, f, func(ctx context.Context, r attachmentRecord) error {
				return c.Linker.Adopt(ctx, HostEnd(r.Port), c.mark(r.Intent).String())
			})
		}
		if loose[f.ID] {
			f.Problem, f.Action = "it is not, or not wholly, plugged into the layer 2", "plug it again"
			out = c.mend(ctx, out, l, act, f, func(ctx context.Context, r attachmentRecord) error { return c.Binder.Bind(ctx, c.plugOf(r)) })
		}
		if !l.pair.Up && !l.rec.Closed {
			f.Problem, f.Action = "the host's end is down", "set it up"
			out = c.mend(ctx, out, l, act, f, func(ctx context.Context, r attachmentRecord) error { return c.Linker.Up(ctx, HostEnd(r.Port)) })
		}
	}
	return out, err
}

// pluggedLink is an attachment whose pair exists.
type pluggedLink struct {
	a    *attachment
	rec  attachmentRecord
	pair Pair
}

func (c *Courier) plugged(pairs map[string]Pair) (all []pluggedLink) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, a := range c.attachments {
		p, there := pairs[HostEnd(a.rec.Port)]
		if (a.rec.State == attached || a.rec.State == pooled) && a.rec.Linked && !a.rec.Inherited && there && (p.Ours || p.Alias == "") {
			all = append(all, pluggedLink{a, a.rec, p})
		}
	}
	slices.SortFunc(all, func(x, y pluggedLink) int { return strings.Compare(x.rec.Intent, y.rec.Intent) })
	return all
}

// mend does one thing to an attachment, unless somebody works on it, or it has
// gone on since it was looked at.
func (c *Courier) mend(ctx context.Context, out []Finding, l pluggedLink, act bool, f Finding, do func(context.Context, attachmentRecord) error) []Finding {
	if !act {
		return append(out, f)
	}
	if !l.a.op.TryLock() {
		return out
	}
	defer l.a.op.Unlock()
	now := c.snapshot(l.a)
	if now.State != l.rec.State || now.Port != l.rec.Port || now.Closed != l.rec.Closed {
		return out
	}
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	err := take(ctx, c.kernelSlots)
	if err == nil {
		err = do(ctx, now)
		<-c.kernelSlots
	}
	switch {
	case KindOf(err) == NotFound && err != nil: // its link has gone: that is another matter
		return out
	case err != nil:
		f.Error = err.Error()
	}
	return append(out, f)
}
