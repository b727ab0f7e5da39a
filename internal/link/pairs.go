package link

import (
	"context"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"kuryr/internal/courier"
)

// Pairs implements courier.Linker. It is one dump. The kernel tells where the
// other end of a pair is by IFLA_LINK_NETNSID, which is there only if that is
// another namespace, so of two ends on this host each is the other's: the
// container's is told apart by having neither alias nor group.
func (l *Links) Pairs(ctx context.Context) ([]courier.Pair, error) {
	all, err := l.dump(ctx)
	if err != nil {
		return nil, kernelError("list", "pairs of interfaces", err)
	}
	byIndex := make(map[int]*netlink.LinkAttrs, len(all))
	for _, a := range all {
		byIndex[a.Attrs().Index] = a.Attrs()
	}
	var pairs []courier.Pair
	for _, found := range all {
		if found.Type() != "veth" {
			continue
		}
		a := found.Attrs()
		peer := here(byIndex, a)
		if peer != nil && isOwn(peer) && !isOwn(a) {
			continue // it is the container's end of the other
		}
		p := courier.Pair{HostEnd: a.Name, Alias: a.Alias, Ours: isOwn(a), Up: a.RawFlags&unix.IFF_UP != 0}
		if master := byIndex[a.MasterIndex]; master != nil {
			p.Master = master.Name
		}
		if peer != nil {
			p.Peer = peer.Name
		}
		pairs = append(pairs, p)
	}
	return pairs, nil
}

// here returns the other end of a pair, or nil if that is in another namespace.
func here(byIndex map[int]*netlink.LinkAttrs, a *netlink.LinkAttrs) *netlink.LinkAttrs {
	if a.NetNsID >= 0 {
		return nil
	}
	return byIndex[a.ParentIndex]
}
