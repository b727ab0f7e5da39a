package link

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"syscall"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// watchBuffer is the receive buffer of a watch, in bytes: room for the events
// of about a thousand interfaces that come or go at once.
const watchBuffer = 4 << 20

// EventKind says what happened to a link.
type EventKind int

// The kinds of events.
const (
	// Present: the link is there as described; it is new or has changed.
	Present EventKind = iota
	// Removed: the link is gone (or bears another name now); as it was last.
	Removed
	// Synced: every link that existed when Watch began has been told.
	Synced
)

// Event is one change of the namespace's interfaces.
type Event struct {
	Kind EventKind
	Link Link
}

// Watch calls fn, one call after the other, with every interface that there
// is, then with Synced, and then with each change, until the context ends: it
// returns the context's error then. When the kernel has dropped events because
// they came too fast (ENOBUFS), all interfaces are listed again, and fn hears
// of what is different. So fn misses no lasting change, but may miss one that
// was undone at once, and may hear a state that a later event corrects.
func (l *Links) Watch(ctx context.Context, fn func(Event)) error {
	return l.watch(ctx, watchBuffer, fn)
}

func (l *Links) watch(ctx context.Context, buffer int, fn func(Event)) error {
	w := &watch{links: l, buffer: buffer, fn: fn, known: map[int]known{}}
	err := w.follow(ctx, func() { fn(Event{Kind: Synced}) })
	for errors.Is(err, unix.ENOBUFS) {
		l.log.WarnContext(ctx, "the kernel dropped events of interfaces; listing them again")
		err = w.follow(ctx, func() {})
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return kernelError("watch", "interfaces", err)
}

// watch is one Watch in progress; its goroutine owns it.
type watch struct {
	links  *Links
	buffer int // bytes
	fn     func(Event)
	known  map[int]known // by index
}

// known is a link as fn was told it last, and the index of its master.
type known struct {
	link   Link
	master int
}

// follow subscribes, tells what is different from what is known, and then each
// event, until the context ends or the kernel drops an event. A socket that
// dropped one is of no further use: until its queue has been seen empty, the
// kernel drops more without a word (NETLINK_S_CONGESTED).
func (w *watch) follow(ctx context.Context, synced func()) error {
	socket, err := w.subscribe()
	if err != nil {
		return err
	}
	defer socket.Close()
	defer context.AfterFunc(ctx, socket.Close)()
	if err := w.resync(ctx); err != nil {
		return err
	}
	synced()
	for {
		messages, _, err := socket.Receive()
		if err != nil {
			return err
		}
		for _, m := range messages {
			if err := w.take(m); err != nil {
				return err
			}
		}
	}
}

func (w *watch) subscribe() (*nl.NetlinkSocket, error) {
	socket, err := nl.SubscribeAt(w.links.space.fd, netns.None(), unix.NETLINK_ROUTE, unix.RTNLGRP_LINK)
	if err != nil {
		return nil, err
	}
	if err := socket.SetReceiveBufferSize(w.buffer, true); err != nil {
		// Beyond net.core.rmem_max only with CAP_NET_ADMIN in the first user
		// namespace. A smaller buffer overruns sooner, which is taken care of.
		if err := socket.SetReceiveBufferSize(w.buffer, false); err != nil {
			socket.Close()
			return nil, err
		}
	}
	return socket, nil
}

// take applies one message of the kernel.
func (w *watch) take(m syscall.NetlinkMessage) error {
	if m.Header.Type != unix.RTM_NEWLINK && m.Header.Type != unix.RTM_DELLINK {
		return nil
	}
	if len(m.Data) < unix.SizeofIfInfomsg || m.Data[0] != unix.AF_UNSPEC {
		// Bridges tell of their ports in the same group, as family AF_BRIDGE;
		// there, a DELLINK only means that the interface left the bridge.
		return nil
	}
	header := unix.NlMsghdr(m.Header)
	found, err := netlink.LinkDeserialize(&header, m.Data)
	if err != nil {
		return err
	}
	if m.Header.Type == unix.RTM_DELLINK {
		w.removed(found.Attrs().Index)
	} else {
		w.present(found)
	}
	return nil
}

// resync lists all interfaces and tells what is different.
func (w *watch) resync(ctx context.Context) error {
	all, err := w.links.dump(ctx)
	if err != nil {
		return err
	}
	exists := make(map[int]bool, len(all))
	for _, found := range all {
		exists[found.Attrs().Index] = true
	}
	for _, index := range slices.Sorted(maps.Keys(w.known)) {
		if !exists[index] {
			w.removed(index)
		}
	}
	// Masters first, so that their names are known when their ports are told.
	slices.SortStableFunc(all, func(a, b netlink.Link) int {
		return cmp.Compare(min(a.Attrs().MasterIndex, 1), min(b.Attrs().MasterIndex, 1))
	})
	for _, found := range all {
		w.present(found)
	}
	return nil
}

func (w *watch) present(found netlink.Link) {
	now := known{link: describe(found), master: found.Attrs().MasterIndex}
	now.link.Master = w.known[now.master].link.Name
	before, had := w.known[now.link.Index]
	if had && before == now {
		return
	}
	w.known[now.link.Index] = now
	if had && before.link.Name != now.link.Name {
		w.fn(Event{Kind: Removed, Link: before.link})
	}
	w.fn(Event{Kind: Present, Link: now.link})
}

func (w *watch) removed(index int) {
	before, had := w.known[index]
	if !had {
		return
	}
	delete(w.known, index)
	w.fn(Event{Kind: Removed, Link: before.link})
}
