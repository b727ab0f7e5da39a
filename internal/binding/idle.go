package binding

import (
	"context"
	"sync"
	"time"

	"kuryr/internal/courier"
	"kuryr/internal/observe"
)

// idle are the bridges that may have no ports, and stay for a moment. To remove
// a bridge the kernel waits, with its lock on all interfaces held, until every
// processor has let go of it; a start that comes right after its network's last
// container has stopped waits behind that: without the moment the slowest in a
// hundred such starts take half as long again (docs/benchmarks.md). The removal
// of a link holds that lock for a millisecond only.
type idle struct {
	linger time.Duration // 0: none stays

	mu       sync.Mutex
	sweeping bool                 // somebody will remove them; guarded by mu
	due      map[string]time.Time // by the bridge's name; guarded by mu
}

// sweepEvery is how often it is looked for bridges that have lingered.
const sweepEvery = time.Second

func newIdle(linger time.Duration) *idle {
	return &idle{linger: linger, due: map[string]time.Time{}}
}

// keep notes that the bridge may have lost its last port. It tells whether that
// is looked after, so that the bridge can stay.
func (i *idle) keep(bridge string) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.linger == 0 || !i.sweeping {
		return false
	}
	i.due[bridge] = time.Now().Add(i.linger)
	return true
}

// take returns the bridges that have lingered long enough by now.
func (i *idle) take(now time.Time) []string {
	i.mu.Lock()
	defer i.mu.Unlock()
	var ripe []string
	for name, at := range i.due {
		if !now.Before(at) {
			ripe = append(ripe, name)
			delete(i.due, name)
		}
	}
	return ripe
}

// begin has keep accept bridges from now on; end has it no more, and returns
// those that are left.
func (i *idle) begin() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.sweeping = true
}

func (i *idle) end() []string {
	i.mu.Lock()
	i.sweeping = false
	i.mu.Unlock()
	return i.take(time.Now().Add(i.linger))
}

// sweep removes bridges that have lingered, until the context ends: then all of
// them, at once. First come those that a Kuryr left that was killed.
func (b *bridgePlug) sweep(ctx context.Context) {
	b.idle.begin()
	b.findIdle(ctx)
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for ctx.Err() == nil {
		select {
		case now := <-tick.C:
			b.removeIdle(ctx, b.idle.take(now))
		case <-ctx.Done():
		}
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTimeout)
	defer cancel()
	b.removeIdle(last, b.idle.end())
}

// findIdle has all bridges of Kuryr's looked at.
func (b *bridgePlug) findIdle(ctx context.Context) {
	all, err := b.links.List(ctx)
	if err != nil {
		b.log.WarnContext(ctx, "cannot look for bridges that nobody uses", observe.Err, err)
		return
	}
	for _, l := range all {
		if _, ours := networkOf(l); ours { // a bridge for one port goes with it
			b.idle.keep(l.Name)
		}
	}
}

func (b *bridgePlug) removeIdle(ctx context.Context, names []string) {
	for _, name := range names {
		if err := b.removeUnused(ctx, name); err != nil && courier.KindOf(err) != courier.NotFound {
			b.log.WarnContext(ctx, "a bridge that nobody uses could not be removed; it is tried again", observe.Bridge, name, observe.Err, err)
			b.idle.keep(name)
		}
	}
}

// removeUnused removes the bridge unless it has got a port.
func (b *bridgePlug) removeUnused(ctx context.Context, name string) error {
	unlock, err := b.locks.lock(ctx, "bridge "+name)
	if err != nil {
		return err
	}
	defer unlock()
	return b.tidy(ctx, name)
}
