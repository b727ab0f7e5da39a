package link

import (
	"context"
	"errors"
	"net/netip"
	"sync"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"kuryr/internal/crash"
)

// Every interface made by this package is in an interface group (IFLA_GROUP)
// that is Group under GroupMask, from its first moment on and to its last.
const (
	Group     = ownGroup & GroupMask
	GroupMask = ^uint32(ownGroup ^ removalGroup)
)

// Flow is an entry of the kernel's connection tracking, as its first packet
// was.
type Flow struct {
	Zone         uint16
	Protocol     uint8
	Source, Dest netip.Addr
	DestPort     uint16 // 0: the protocol has none
}

// CutFlows forgets the flows of IPv4 and IPv6 that cut returns true for, and
// returns how many. Packets of such a flow are judged as those of a new one.
func (l *Links) CutFlows(ctx context.Context, cut func(Flow) bool) (int, error) {
	h, err := l.flows.open(l.space)
	if err != nil {
		return 0, kernelError("open", "connection tracking", err)
	}
	total := 0
	for _, family := range []netlink.InetFamily{unix.AF_INET, unix.AF_INET6} {
		err := retryDump(ctx, func() error {
			crash.Before(crash.LinkFlows)
			defer crash.After(crash.LinkFlows)
			n, err := h.ConntrackDeleteFilters(netlink.ConntrackTable, family, flowFilter(cut))
			total += int(n)
			return err
		})
		if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
			return total, kernelError("forget", "flows", err)
		}
	}
	return total, nil
}

// flowHandle is the handle for the connection tracking. It is opened by its first
// use, as a kernel may have no such family, and stays open: when a socket of
// that family is closed, the kernel waits for what nftables has still to free,
// with the lock held that the removal of an interface needs (Linux 6.18,
// nft_rcv_nl_event).
type flowHandle struct {
	mu     sync.Mutex
	handle *netlink.Handle // guarded by mu
}

func (f *flowHandle) open(space *namespace) (*netlink.Handle, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.handle != nil {
		return f.handle, nil
	}
	h, err := space.handle(unix.NETLINK_NETFILTER)
	if err != nil {
		return nil, err
	}
	f.handle = h
	return h, nil
}

func (f *flowHandle) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.handle != nil {
		f.handle.Close()
	}
}

// flowFilter is the library's form of a function over flows.
type flowFilter func(Flow) bool

// MatchConntrackFlow implements netlink.CustomConntrackFilter.
func (f flowFilter) MatchConntrackFlow(c *netlink.ConntrackFlow) bool {
	source, _ := netip.AddrFromSlice(c.Forward.SrcIP)
	dest, _ := netip.AddrFromSlice(c.Forward.DstIP)
	return f(Flow{
		Zone: c.Zone, Protocol: c.Forward.Protocol,
		Source: source.Unmap(), Dest: dest.Unmap(), DestPort: c.Forward.DstPort,
	})
}

// SetUp sets an interface up or down.
func (l *Links) SetUp(ctx context.Context, name string, up bool) error {
	found, err := l.byName(ctx, name)
	if err != nil {
		return kernelError("find", "interface "+name, err)
	}
	change := l.change(found.Attrs().Index)
	change.info.Change |= unix.IFF_UP
	if up {
		change.info.Flags |= unix.IFF_UP
	}
	return kernelError("set", "interface "+name, change.do(ctx, crash.LinkUp))
}
