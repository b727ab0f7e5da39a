package dataplane

import (
	"errors"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// bell rings when a table of nftables was removed, ours or another.
type bell struct {
	conn *netlink.Conn
	rung chan struct{} // holds one ring
	done chan struct{}
}

func newBell(netns int) (*bell, error) {
	conn, err := netlink.Dial(unix.NETLINK_NETFILTER, &netlink.Config{NetNS: netns})
	if err != nil {
		return nil, err
	}
	if err := conn.JoinGroup(unix.NFNLGRP_NFTABLES); err != nil {
		conn.Close()
		return nil, err
	}
	b := &bell{conn: conn, rung: make(chan struct{}, 1), done: make(chan struct{})}
	go b.listen()
	return b, nil
}

func (b *bell) listen() {
	defer close(b.done)
	for {
		messages, err := b.conn.Receive()
		if err != nil && !errors.Is(err, unix.ENOBUFS) {
			return
		}
		rings := err != nil // notices were lost
		for _, m := range messages {
			rings = rings || m.Header.Type == unix.NFNL_SUBSYS_NFTABLES<<8|unix.NFT_MSG_DELTABLE
		}
		if rings {
			select {
			case b.rung <- struct{}{}:
			default: // it rings already
			}
		}
	}
}

func (b *bell) close() {
	b.conn.Close()
	<-b.done
}
