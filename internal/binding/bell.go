package binding

import (
	"context"
	"errors"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// bell rings after each change of the nftables ruleset. It is no list of what
// changed: several changes may be one ring.
type bell struct {
	conn   *netlink.Conn
	rung   chan struct{} // holds one ring
	broken chan error    // why no more rings will come
	done   chan struct{}
}

func newBell(ctx context.Context, netns int) (*bell, error) {
	conn, err := netlink.Dial(unix.NETLINK_NETFILTER, &netlink.Config{NetNS: netns})
	if err != nil {
		return nil, err
	}
	if err := conn.JoinGroup(unix.NFNLGRP_NFTABLES); err != nil {
		conn.Close()
		return nil, err
	}
	b := &bell{conn: conn, rung: make(chan struct{}, 1), broken: make(chan error, 1), done: make(chan struct{})}
	go b.listen(ctx)
	return b, nil
}

func (b *bell) listen(ctx context.Context) {
	defer close(b.done)
	for {
		_, err := b.conn.Receive()
		// Notices that did not fit in the buffer are changes too.
		if err != nil && !errors.Is(err, unix.ENOBUFS) {
			b.broken <- err
			return
		}
		select {
		case b.rung <- struct{}{}:
		case <-ctx.Done():
			return
		default: // it rings already
		}
	}
}

func (b *bell) close() {
	b.conn.Close()
	<-b.done
}
