package link

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"kuryr/internal/courier"
	"kuryr/internal/crash"
)

// ownGroup is the interface group (IFLA_GROUP) of everything this package
// makes: the word "kury" in ASCII, which nobody picks by chance.
const ownGroup = 0x6b757279

const (
	// removers is how many interfaces are removed at once by requests of their
	// own. Each waits about 20 ms for the kernel's readers (RCU), holding no lock
	// but its own socket's: the waits overlap, and a Create never stands behind
	// them.
	removers = 8
	// answerTimeout bounds the wait for an answer of the kernel. It answers
	// within the request; only a fault of its own, or ours, lets it run out.
	answerTimeout = 5 * time.Second
)

var _ courier.Linker = (*Links)(nil)

// Links are the interfaces of one network namespace. All methods may be called
// at once by several goroutines. A request that the kernel has begun is not
// interrupted when its context ends; it is refused before that.
type Links struct {
	log   *slog.Logger
	space *namespace
	// handle does what the library has a call for, sockets what it has not.
	// Both serialise their requests; the kernel would too (RTNL). dumps are read
	// one by one as well, and keep no other request waiting.
	handle  *netlink.Handle
	sockets map[int]*nl.SocketHandle
	dumps   map[int]*nl.SocketHandle
	// remove lends out the handles that delete interfaces.
	remove    chan *netlink.Handle
	deletions deletions // the pairs that are to be removed
	flows     flowHandle
	closed    atomic.Bool
}

// Options are New's settings.
type Options struct {
	Log *slog.Logger // optional
}

// New binds to the network namespace of the calling thread.
func New(o Options) (*Links, error) {
	space, err := currentNamespace()
	if err != nil {
		return nil, kernelError("open", "the network namespace", err)
	}
	l := &Links{log: o.Log, space: space, remove: make(chan *netlink.Handle, removers)}
	if l.log == nil {
		l.log = slog.New(slog.DiscardHandler)
	}
	if err := l.open(); err != nil {
		l.Close()
		return nil, kernelError("open", "netlink", err)
	}
	return l, nil
}

func (l *Links) open() (err error) {
	if l.handle, err = l.space.handle(unix.NETLINK_ROUTE); err != nil {
		return err
	}
	if l.sockets, err = l.space.sockets(); err != nil {
		return err
	}
	if l.dumps, err = l.space.sockets(); err != nil {
		return err
	}
	l.deletions.deleter.links = l
	if l.deletions.deleter.sockets, err = l.space.sockets(); err != nil {
		return err
	}
	for range removers {
		h, err := l.space.handle(unix.NETLINK_ROUTE)
		if err != nil {
			return err
		}
		l.remove <- h
	}
	return nil
}

// Close releases the sockets. No method may be in progress or follow, but a
// second Close does nothing.
func (l *Links) Close() {
	if l.closed.Swap(true) {
		return
	}
	if l.handle != nil {
		l.handle.Close()
	}
	closeSockets(l.sockets)
	closeSockets(l.dumps)
	l.deletions.close()
	for len(l.remove) > 0 {
		(<-l.remove).Close()
	}
	l.flows.close()
	l.space.close()
}

// Fd is the open descriptor of the namespace, for netlink sockets of other
// families. It stays the Links', and is valid until Close.
func (l *Links) Fd() int { return int(l.space.fd) }

// Do runs fn on a thread that is in the namespace: what fn reads from
// /proc/thread-self/net, and the processes it starts, are of that namespace.
// Goroutines that fn starts are not.
func (l *Links) Do(fn func() error) error { return l.space.do(fn) }

// Link is an interface as the kernel tells it.
type Link struct {
	Index  int
	Name   string
	Kind   string // veth, bridge, tun …; "" for hardware
	Alias  string
	Master string // the name of the bridge it is a port of; ""
	MTU    int    // bytes
	Up     bool   // set up by its administrator; says nothing of its peer
}

// Ours reports whether the link has Kuryr's mark.
func (l Link) Ours() bool { return marked(l.Alias) }

// Link returns the interface of that name, or an Error of kind NotFound.
func (l *Links) Link(ctx context.Context, name string) (Link, error) {
	found, err := l.byName(ctx, name)
	if err != nil {
		return Link{}, kernelError("find", "interface "+name, err)
	}
	link := describe(found)
	if master := found.Attrs().MasterIndex; master != 0 {
		m, err := l.handle.LinkByIndex(master)
		if err != nil && !gone(err) {
			return Link{}, kernelError("find", "the bridge of "+name, err)
		}
		if err == nil {
			link.Master = m.Attrs().Name
		}
	}
	return link, nil
}

// List returns all interfaces of the namespace. It is a dump: start-up only.
func (l *Links) List(ctx context.Context) ([]Link, error) {
	all, err := l.dump(ctx)
	if err != nil {
		return nil, kernelError("list", "interfaces", err)
	}
	names := make(map[int]string, len(all))
	for _, a := range all {
		names[a.Attrs().Index] = a.Attrs().Name
	}
	links := make([]Link, 0, len(all))
	for _, a := range all {
		link := describe(a)
		link.Master = names[a.Attrs().MasterIndex]
		links = append(links, link)
	}
	return links, nil
}

// byName asks for one interface; the error is the library's.
func (l *Links) byName(ctx context.Context, name string) (netlink.Link, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return l.handle.LinkByName(name)
}

func (l *Links) dump(ctx context.Context) (all []netlink.Link, err error) {
	err = retryDump(ctx, func() error {
		all, err = l.newDump().links()
		return err
	})
	return all, err
}

// retryDump repeats a dump that the kernel says changed under its hands
// (NLM_F_DUMP_INTR). All dumps go through here.
func retryDump(ctx context.Context, dump func() error) error {
	const tries = 20 // a host that creates interfaces without a pause interrupts a few
	var err error
	for range tries {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err = dump(); !errors.Is(err, netlink.ErrDumpInterrupted) {
			return err
		}
	}
	return fmt.Errorf("interrupted %d times: %w", tries, err)
}

// deleteByIndex removes an interface, with that effect; one that is gone is no error.
func (l *Links) deleteByIndex(ctx context.Context, index int, e crash.Effect) error {
	var h *netlink.Handle
	select {
	case <-ctx.Done():
		return ctx.Err()
	case h = <-l.remove:
	}
	defer func() { l.remove <- h }()
	crash.Before(e)
	defer crash.After(e)
	err := h.LinkDel(&netlink.Device{LinkAttrs: netlink.LinkAttrs{Index: index}})
	if gone(err) {
		return nil
	}
	return err
}

func describe(n netlink.Link) Link {
	a := n.Attrs()
	kind := n.Type()
	if kind == "device" { // the library's word for none
		kind = ""
	}
	return Link{Index: a.Index, Name: a.Name, Kind: kind, Alias: a.Alias, MTU: a.MTU, Up: a.RawFlags&unix.IFF_UP != 0}
}
