package link

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"kuryr/internal/courier"
	"kuryr/internal/crash"
)

// The kernel's limits.
const (
	maxName  = unix.IFNAMSIZ - 1
	maxAlias = 255   // IFALIASZ - 1
	minMTU   = 68    // ETH_MIN_MTU
	maxMTU   = 65535 // ETH_MAX_MTU
)

// Create implements courier.Linker. On the host's end the host's own IPv6 is
// off; on the container's end only router advertisements are, and these only
// for as long as it stays in this namespace: the kernel forgets an interface's
// IPv6 settings when it moves to another one (Linux 6.18,
// dev_change_net_namespace: the move is an unregister and a register), where
// the defaults of the sandbox hold.
func (l *Links) Create(ctx context.Context, spec courier.LinkSpec) error {
	return l.create(ctx, spec, routerAdvertisementsOff())
}

// CreatePatch makes a pair of which both ends stay on the host, to join two
// bridges: on neither the host has IPv6. It is otherwise as Create, and Delete
// removes it.
func (l *Links) CreatePatch(ctx context.Context, spec courier.LinkSpec) error {
	return l.create(ctx, spec, ipv6Off())
}

// create makes the pair; far is the settings of the container's end.
func (l *Links) create(ctx context.Context, spec courier.LinkSpec, far []setting) error {
	subject := "link " + spec.HostEnd
	if err := checkSpec(spec); err != nil {
		return &courier.Error{Kind: courier.Invalid, Op: "create", Subject: subject, Err: err}
	}
	host, err := l.addPair(ctx, spec)
	if errors.Is(err, unix.EEXIST) {
		return l.keepPair(ctx, spec, far)
	}
	if err != nil {
		return kernelError("create", subject, err)
	}
	if err := l.finishPair(ctx, spec, host, far); err != nil {
		// Nobody has seen the pair yet: leave nothing, whatever ended ctx.
		undo, cancel := context.WithTimeout(context.WithoutCancel(ctx), answerTimeout)
		defer cancel()
		return kernelError("create", subject, errors.Join(err, l.deleteByIndex(undo, host, crash.LinkDelete)))
	}
	return nil
}

// Up implements courier.Linker.
func (l *Links) Up(ctx context.Context, hostEnd string) error {
	return kernelError("set up", "link "+hostEnd, l.change(0).name(hostEnd).up().do(ctx, crash.LinkUp))
}

// Delete implements courier.Linker. The container's end goes with the host's,
// in whatever namespace it is. What is deleted at the same time, the kernel is
// asked to remove together.
func (l *Links) Delete(ctx context.Context, hostEnd string) error {
	subject := "link " + hostEnd
	found, err := l.byName(ctx, hostEnd)
	if gone(err) {
		return nil
	}
	if err != nil {
		return kernelError("delete", subject, err)
	}
	if found.Type() != "veth" || !isOwn(found.Attrs()) {
		return notOurs("delete", found)
	}
	return kernelError("delete", subject, l.deletions.remove(ctx, found.Attrs().Index))
}

// Adopt implements courier.Linker.
func (l *Links) Adopt(ctx context.Context, hostEnd, alias string) error {
	subject := "link " + hostEnd
	if !ValidName(hostEnd) || !marked(alias) || len(alias) > maxAlias {
		return &courier.Error{Kind: courier.Invalid, Op: "adopt", Subject: subject, Public: fmt.Sprintf("the kernel can't take the name, or the alias %q", alias)}
	}
	found, err := l.byName(ctx, hostEnd)
	switch {
	case gone(err):
		return nil
	case err != nil:
		return kernelError("adopt", subject, err)
	case found.Type() != "veth" || found.Attrs().Alias != "" && !marked(found.Attrs().Alias):
		return notOurs("adopt", found)
	case marked(found.Attrs().Alias):
		return nil
	}
	return kernelError("adopt", subject, l.change(found.Attrs().Index).alias(alias).do(ctx, crash.LinkAdopt))
}

func checkSpec(s courier.LinkSpec) error {
	for _, name := range []string{s.HostEnd, s.ContainerEnd} {
		if !ValidName(name) {
			return fmt.Errorf("%q is not an interface name (1 to %d characters of ASCII, no space, slash, colon or percent sign)", name, maxName)
		}
	}
	if s.MTU != 0 && (s.MTU < minMTU || s.MTU > maxMTU) {
		return fmt.Errorf("an MTU of %d is not possible (%d to %d)", s.MTU, minMTU, maxMTU)
	}
	if !marked(s.Alias) || len(s.Alias) > maxAlias {
		return fmt.Errorf("the alias %q does not start with %q, or is longer than %d bytes", s.Alias, courier.MarkPrefix, maxAlias)
	}
	return nil
}

// ValidName reports whether the kernel can take name for an interface
// (dev_valid_name), as a plain word: ASCII, and no pattern ("%d").
func ValidName(name string) bool {
	if name == "" || name == "." || name == ".." || len(name) > maxName {
		return false
	}
	for i := range len(name) {
		switch c := name[i]; {
		case c <= ' ', c >= 0x7f, c == '/', c == ':', c == '%':
			return false
		}
	}
	return true
}

// addPair makes both ends, down, in one request, and returns the index of the
// host's.
func (l *Links) addPair(ctx context.Context, spec courier.LinkSpec) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MTU, attrs.Group = spec.HostEnd, spec.MTU, ownGroup
	pair := &netlink.Veth{LinkAttrs: attrs, PeerName: spec.ContainerEnd, PeerTxQLen: attrs.TxQLen}
	if !spec.MAC.IsZero() {
		pair.PeerHardwareAddr = net.HardwareAddr(spec.MAC[:])
	}
	crash.Before(crash.LinkAdd)
	err := l.handle.LinkAdd(pair)
	crash.After(crash.LinkAdd)
	if err != nil {
		return 0, err
	}
	if pair.Index == 0 { // the library could not look it up: removed meanwhile
		return 0, unix.ENODEV
	}
	return pair.Index, nil
}

// finishPair does what the request that made the pair can't: the settings of
// IPv6, and then the alias, which says that all else is done. The container's
// end gets none if far is nil.
func (l *Links) finishPair(ctx context.Context, spec courier.LinkSpec, host int, far []setting) error {
	if err := l.configureIPv6(spec.HostEnd, ipv6Off()); err != nil {
		return err
	}
	if err := l.configureIPv6(spec.ContainerEnd, far); err != nil {
		return err
	}
	return l.change(host).alias(spec.Alias).do(ctx, crash.LinkAlias)
}

// keepPair puts an existing pair right, if it is this attachment's: after a
// repeated Create, or one that a crash interrupted.
func (l *Links) keepPair(ctx context.Context, spec courier.LinkSpec, far []setting) error {
	subject := "link " + spec.HostEnd
	found, err := l.byName(ctx, spec.HostEnd)
	if gone(err) {
		return &courier.Error{Kind: courier.Conflict, Op: "create", Subject: subject,
			Public: "an interface " + spec.ContainerEnd + " exists already", Err: unix.EEXIST}
	}
	if err != nil {
		return kernelError("create", subject, err)
	}
	a := found.Attrs()
	if found.Type() != "veth" || !isOwn(a) || a.Alias != "" && a.Alias != spec.Alias {
		return notOurs("create", found)
	}
	peer, err := l.peerOf(found)
	if err != nil {
		return kernelError("create", subject, err)
	}
	if peer != nil && peer.Attrs().Name != spec.ContainerEnd {
		return &courier.Error{Kind: courier.Conflict, Op: "create", Subject: subject,
			Public: "it exists already, and its other end is " + peer.Attrs().Name}
	}
	if err := l.repairPair(ctx, spec, found, peer, far); err != nil {
		return kernelError("create", subject, err)
	}
	return nil
}

// repairPair gives an existing pair the MTU, MAC and settings of the spec. The
// peer is nil when it is in a sandbox, which is the engine's to configure.
func (l *Links) repairPair(ctx context.Context, spec courier.LinkSpec, host, peer netlink.Link, far []setting) error {
	if host.Attrs().Group == removalGroup { // by a crash
		if err := l.change(host.Attrs().Index).uint32(unix.IFLA_GROUP, ownGroup).do(ctx, crash.LinkRepair); err != nil {
			return err
		}
	}
	ends := []netlink.Link{host}
	if peer != nil {
		ends = append(ends, peer)
	} else {
		far = nil
	}
	for _, end := range ends {
		if a := end.Attrs(); spec.MTU != 0 && a.MTU != spec.MTU {
			if err := l.change(a.Index).uint32(unix.IFLA_MTU, uint32(spec.MTU)).do(ctx, crash.LinkRepair); err != nil {
				return err
			}
		}
	}
	if peer != nil && !spec.MAC.IsZero() && !bytes.Equal(peer.Attrs().HardwareAddr, spec.MAC[:]) {
		crash.Before(crash.LinkRepair)
		err := l.handle.LinkSetHardwareAddr(peer, net.HardwareAddr(spec.MAC[:]))
		crash.After(crash.LinkRepair)
		if err != nil {
			return err
		}
	}
	return l.finishPair(ctx, spec, host.Attrs().Index, far)
}

// peerOf returns the other end of a pair, or nil if that is in another
// namespace.
func (l *Links) peerOf(end netlink.Link) (netlink.Link, error) {
	a := end.Attrs()
	if a.NetNsID >= 0 { // IFLA_LINK_NETNSID: only where it is not this namespace
		return nil, nil
	}
	peer, err := l.handle.LinkByIndex(a.ParentIndex)
	if gone(err) { // moved or removed just now
		return nil, nil
	}
	return peer, err
}

func notOurs(op string, found netlink.Link) error {
	a := found.Attrs()
	why := "an interface of that name exists, and " + ownerOf(a)
	if isOwn(a) && found.Type() != "veth" {
		why = "it is a " + found.Type() + ", not a link"
	}
	return &courier.Error{
		Kind: courier.Conflict, Op: op, Subject: "link " + a.Name, Public: why,
		Hint: "if nothing uses it any more, remove it with: ip link del " + a.Name,
	}
}
