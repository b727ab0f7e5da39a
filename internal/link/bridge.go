package link

import (
	"context"
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"kuryr/internal/courier"
	"kuryr/internal/crash"
)

// maxBridgePorts is what the kernel numbers a bridge's ports up to
// (BR_PORT_BITS 10; port 0 is none).
const maxBridgePorts = 1023

// BridgeSpec describes a Linux bridge.
type BridgeSpec struct {
	Name  string
	Alias string // starts with courier.MarkPrefix
	MTU   int    // bytes; 0: the kernel's default
}

// Bridge is a Linux bridge as EnsureBridge found or made it.
type Bridge struct {
	Index int
	Name  string
	// Ours tells that Kuryr made it, and may change and delete it.
	Ours bool
}

// EnsureBridge makes the bridge unless there is one, sets it up and puts its
// MTU right. A bridge that another program made is returned as it is.
//
// It is plain layer 2, as Neutron's linuxbridge agent and os-vif set theirs
// up: no spanning tree and no forwarding delay, so that a port forwards at
// once. The host has no address on it and doesn't speak IPv6 there. Snooping
// of multicast is off: Neutron promises a network on which all multicast
// arrives, and the bridge would forget IPv6 neighbours whose reports a querier
// has not asked for.
func (l *Links) EnsureBridge(ctx context.Context, spec BridgeSpec) (Bridge, error) {
	subject := "bridge " + spec.Name
	if !ValidName(spec.Name) || !marked(spec.Alias) || len(spec.Alias) > maxAlias {
		return Bridge{}, &courier.Error{Kind: courier.Invalid, Op: "create", Subject: subject,
			Public: fmt.Sprintf("the kernel can't take the name %q with the alias %q", spec.Name, spec.Alias)}
	}
	found, err := l.byName(ctx, spec.Name)
	if gone(err) {
		if err = l.addBridge(ctx, spec.Name); err == nil || errors.Is(err, unix.EEXIST) {
			found, err = l.byName(ctx, spec.Name)
		}
	}
	if err != nil {
		return Bridge{}, kernelError("create", subject, err)
	}
	a := found.Attrs()
	if found.Type() != "bridge" {
		return Bridge{}, &courier.Error{Kind: courier.Conflict, Op: "create", Subject: subject,
			Public: "an interface of that name exists, and is no bridge"}
	}
	bridge := Bridge{Index: a.Index, Name: a.Name, Ours: isOwn(a)}
	if !bridge.Ours {
		return bridge, nil
	}
	return bridge, kernelError("set up", subject, l.finishBridge(ctx, spec, a))
}

// addBridge makes a bridge, down, that finishBridge will complete.
func (l *Links) addBridge(ctx context.Context, name string) error {
	r := l.newRequest(unix.RTM_NEWLINK, unix.NLM_F_CREATE|unix.NLM_F_EXCL|unix.NLM_F_ACK, 0).
		name(name).uint32(unix.IFLA_GROUP, ownGroup)
	info := nl.NewRtAttr(unix.IFLA_LINKINFO, nil)
	info.AddRtAttr(nl.IFLA_INFO_KIND, nl.NonZeroTerminated("bridge"))
	data := info.AddRtAttr(nl.IFLA_INFO_DATA, nil)
	data.AddRtAttr(nl.IFLA_BR_STP_STATE, nl.Uint32Attr(0))
	data.AddRtAttr(nl.IFLA_BR_FORWARD_DELAY, nl.Uint32Attr(0))
	data.AddRtAttr(nl.IFLA_BR_MCAST_SNOOPING, nl.Uint8Attr(0))
	r.AddData(info)
	return r.do(ctx, crash.BridgeAdd)
}

// finishBridge brings a bridge of ours to what the spec says; it costs nothing
// when that is so already.
func (l *Links) finishBridge(ctx context.Context, spec BridgeSpec, a *netlink.LinkAttrs) error {
	complete := marked(a.Alias) && a.RawFlags&unix.IFF_UP != 0
	if complete && (spec.MTU == 0 || a.MTU == spec.MTU) {
		return nil
	}
	// Before the MTU and after it: an interface gets its IPv6 settings, with
	// the defaults, as its MTU rises to 1280 or more.
	if err := l.configureIPv6(a.Name, ipv6Off()); err != nil {
		return err
	}
	if err := l.setBridgeMTU(ctx, a.Index, a.MTU, spec.MTU); err != nil {
		return err
	}
	if err := l.configureIPv6(a.Name, ipv6Off()); err != nil {
		return err
	}
	r := l.change(a.Index).up()
	if !marked(a.Alias) {
		r = r.alias(spec.Alias)
	}
	return r.do(ctx, crash.BridgeFinish)
}

// setBridgeMTU fixes the bridge's MTU. Until it is changed once by request, a
// bridge takes the smallest of its ports' (br_mtu_auto_adjust, since Linux
// 4.17), and a request for the value that it has is not taken for a change.
func (l *Links) setBridgeMTU(ctx context.Context, index, has, want int) error {
	if want == 0 {
		return nil
	}
	if has == want {
		other := want - 1
		if want == minMTU {
			other = want + 1
		}
		if err := l.change(index).uint32(unix.IFLA_MTU, uint32(other)).do(ctx, crash.BridgeMTU); err != nil {
			return err
		}
	}
	return l.change(index).uint32(unix.IFLA_MTU, uint32(want)).do(ctx, crash.BridgeMTU)
}

// Enslave makes an interface a port of the bridge; one that is already stays
// so. A full bridge is an Error of kind Exhausted, one that has gone NotFound.
func (l *Links) Enslave(ctx context.Context, b Bridge, port string) error {
	err := l.change(0).name(port).uint32(unix.IFLA_MASTER, uint32(b.Index)).do(ctx, crash.BridgeEnslave)
	if errors.Is(err, unix.EXFULL) {
		return &courier.Error{
			Kind: courier.Exhausted, Op: "plug", Subject: port + " into bridge " + b.Name,
			Public: fmt.Sprintf("the bridge has all the %d ports that the kernel allows", maxBridgePorts),
			Hint:   "remove containers from this network on this host, or start the new ones elsewhere",
			Err:    err,
		}
	}
	if errors.Is(err, unix.EINVAL) { // the kernel's word for a bridge that has gone, too
		if _, missing := l.handle.LinkByIndex(b.Index); gone(missing) {
			err = missing
		}
	}
	return kernelError("plug", port+" into bridge "+b.Name, err)
}

// Release takes an interface off the bridge of that name. It is no error when
// the interface is gone, or no port of that bridge.
func (l *Links) Release(ctx context.Context, bridge, port string) error {
	found, err := l.Link(ctx, port)
	if courier.KindOf(err) == courier.NotFound {
		return nil
	}
	if err != nil {
		return err
	}
	if found.Master != bridge {
		return nil
	}
	err = l.change(found.Index).uint32(unix.IFLA_MASTER, 0).do(ctx, crash.BridgeRelease)
	if gone(err) {
		return nil
	}
	return kernelError("unplug", port+" from bridge "+bridge, err)
}

// BridgePorts returns the bridge of that name and its ports. A bridge that
// does not exist is an Error of kind NotFound.
func (l *Links) BridgePorts(ctx context.Context, name string) (Bridge, []Link, error) {
	found, err := l.byName(ctx, name)
	if err != nil {
		return Bridge{}, nil, kernelError("list", "the ports of bridge "+name, err)
	}
	a := found.Attrs()
	var ports []Link
	err = retryDump(ctx, func() error {
		ports, err = l.ports(ctx, a)
		return err
	})
	bridge := Bridge{Index: a.Index, Name: name, Ours: isOwn(a)}
	return bridge, ports, kernelError("list", "the ports of bridge "+name, err)
}

// ports lists the ports of a bridge; the kernel picks them (IFLA_MASTER).
func (l *Links) ports(ctx context.Context, bridge *netlink.LinkAttrs) ([]Link, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	found, err := l.newDump().uint32(unix.IFLA_MASTER, uint32(bridge.Index)).links()
	if err != nil {
		return nil, err
	}
	var ports []Link
	for _, n := range found {
		// A kernel that doesn't filter answers with all interfaces.
		if n.Attrs().MasterIndex != bridge.Index {
			continue
		}
		port := describe(n)
		port.Master = bridge.Name
		ports = append(ports, port)
	}
	return ports, nil
}

// AdoptBridge gives the alias to a bridge that another program made and that
// nothing uses: it has no alias, no port, no address but link-local ones, and
// no interface above it. It is Kuryr's from then on. Any other is left as it
// is; one that is gone is no error.
func (l *Links) AdoptBridge(ctx context.Context, name, alias string) error {
	subject := "bridge " + name
	if !ValidName(name) || !marked(alias) || len(alias) > maxAlias {
		return &courier.Error{Kind: courier.Invalid, Op: "adopt", Subject: subject, Public: fmt.Sprintf("the kernel can't take the name, or the alias %q", alias)}
	}
	found, err := l.byName(ctx, name)
	if gone(err) || err == nil && (found.Type() != "bridge" || found.Attrs().Alias != "") {
		return nil
	}
	used := false
	if err == nil {
		used, err = l.inUse(ctx, found)
	}
	if err != nil || used {
		return kernelError("adopt", subject, err)
	}
	err = l.change(found.Attrs().Index).alias(alias).do(ctx, crash.BridgeAdopt)
	if gone(err) {
		return nil
	}
	return kernelError("adopt", subject, err)
}

// HandOverBridge takes Kuryr's mark off a bridge: it is another program's from
// then on. It is no error when the bridge
// is gone, or another's already.
func (l *Links) HandOverBridge(ctx context.Context, b Bridge) error {
	if !b.Ours {
		return nil
	}
	err := l.change(b.Index).alias("").uint32(unix.IFLA_GROUP, 0).do(ctx, crash.BridgeHandOver)
	if gone(err) {
		return nil
	}
	return kernelError("hand over", "bridge "+b.Name, err)
}

// inUse tells whether a bridge has ports, addresses of its own or interfaces
// above it (a VLAN's, a macvlan).
func (l *Links) inUse(ctx context.Context, bridge netlink.Link) (bool, error) {
	all, err := l.dump(ctx)
	if err != nil {
		return false, err
	}
	index := bridge.Attrs().Index
	for _, other := range all {
		a := other.Attrs()
		if a.MasterIndex == index || a.ParentIndex == index && a.NetNsID < 0 {
			return true, nil
		}
	}
	var addresses []netlink.Addr
	err = retryDump(ctx, func() error {
		addresses, err = l.handle.AddrList(bridge, netlink.FAMILY_ALL)
		return err
	})
	for _, a := range addresses {
		if !a.IP.IsLinkLocalUnicast() {
			return true, err
		}
	}
	return false, err
}

// DeleteBridge removes a bridge that Kuryr made; it is no error when that is
// gone. The kernel would release the ports: see that there are none.
func (l *Links) DeleteBridge(ctx context.Context, b Bridge) error {
	subject := "bridge " + b.Name
	if !b.Ours {
		return &courier.Error{Kind: courier.Conflict, Op: "delete", Subject: subject, Public: "it is another program's"}
	}
	return kernelError("delete", subject, l.deleteByIndex(ctx, b.Index, crash.BridgeDelete))
}
