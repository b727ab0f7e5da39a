package link

import "context"

// WatchBuffered is Watch with a receive buffer of that many bytes, so that a
// test can make it overrun.
func (l *Links) WatchBuffered(ctx context.Context, buffer int, fn func(Event)) error {
	return l.watch(ctx, buffer, fn)
}
