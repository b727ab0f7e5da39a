package link

import "context"

// WatchBuffered is Watch with a receive buffer of that many bytes, so that a
// test can make it overrun.
func (l *Links) WatchBuffered(ctx context.Context, buffer int, fn func(Event)) error {
	return l.watch(ctx, buffer, fn)
}

// RemovalGroup is the group of pairs that are about to be removed.
const RemovalGroup = removalGroup

// HoldDeletions lets pairs that are to be removed wait until release, which may
// be called once; waiting returns how many do.
func (l *Links) HoldDeletions() (waiting func() int, release func()) {
	d := &l.deletions
	d.mu.Lock()
	defer d.mu.Unlock()
	d.busy = true
	waiting = func() int {
		d.mu.Lock()
		defer d.mu.Unlock()
		return len(d.waiting)
	}
	return waiting, func() { d.work.Go(d.empty) }
}
