package binding

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"time"

	"kuryr/internal/courier"
	"kuryr/internal/link"
	"kuryr/internal/observe"
)

// undoTimeout bounds the undoing of a Bind whose own time is up.
const undoTimeout = 5 * time.Second

// bridgePlug is vif_type bridge: a Linux bridge for each network on this host,
// as Neutron's linuxbridge agent and Nova use it. Whoever comes first makes
// the bridge; one without Kuryr's alias is left alone when it has no ports.
type bridgePlug struct {
	links   *link.Links
	forward *forward
	log     *slog.Logger
	// locks are by the bridge's name: between the look at a bridge and what is
	// done about it, no other port of ours comes or goes.
	locks keyLock
	idle  *idle
}

func newBridgePlug(links *link.Links, fwd *forward, linger time.Duration, log *slog.Logger) *bridgePlug {
	return &bridgePlug{links: links, forward: fwd, idle: newIdle(linger), log: log}
}

func (b *bridgePlug) check(port courier.PortID, how courier.Binding) error {
	if name, ok := how.VIFDetails["bridge_name"]; ok {
		if s, ok := name.(string); !ok || !link.ValidName(s) {
			return &courier.Error{
				Kind: courier.Unsupported, Op: "plug", Subject: "port " + string(port),
				Public: "the bridge_name in its binding:vif_details can't be an interface's name",
			}
		}
	}
	return nil
}

// nameOf returns the bridge that Neutron names in the binding's details, or
// else the one that the linuxbridge agent would make for the network.
func nameOf(p courier.Plug) string {
	if name, ok := p.Binding.VIFDetails["bridge_name"].(string); ok {
		return name
	}
	return courier.BridgeName(p.Network)
}

func (b *bridgePlug) bind(ctx context.Context, p courier.Plug) error {
	name := nameOf(p)
	unlock, err := b.locks.lock(ctx, "bridge "+name)
	if err != nil {
		return err
	}
	defer unlock()
	if err := b.plugIn(ctx, name, p); err != nil {
		undo, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTimeout)
		defer cancel()
		if left := b.tidy(undo, name); left != nil {
			b.log.WarnContext(ctx, "a failed plug could not be undone; it is tried again as the port goes",
				observe.Bridge, name, observe.Port, string(p.Port), observe.Err, left)
		}
		return err
	}
	return nil
}

// plugIn makes the bridge and puts the link on it. Neutron's linuxbridge agent
// makes, and removes, the same bridge at its own pace: one that goes between
// the two is made again.
func (b *bridgePlug) plugIn(ctx context.Context, name string, p courier.Plug) error {
	const tries = 3
	var err error
	for range tries {
		if err = b.plugOnce(ctx, name, p); courier.KindOf(err) != courier.NotFound {
			return err
		}
		if _, missing := b.links.Link(ctx, p.HostEnd); missing != nil {
			return err // it is the link that isn't there
		}
	}
	return err
}

func (b *bridgePlug) plugOnce(ctx context.Context, name string, p courier.Plug) error {
	bridge, err := b.links.EnsureBridge(ctx, link.BridgeSpec{
		Name: name, Alias: courier.MarkPrefix + string(p.Network), MTU: p.MTU,
	})
	if err != nil {
		return err
	}
	// Before the first port: no frame is lost to Docker's firewall.
	if err := b.forward.allow(ctx, name); err != nil {
		return err
	}
	return b.links.Enslave(ctx, bridge, p.HostEnd)
}

func (b *bridgePlug) unbind(ctx context.Context, p courier.Plug) error {
	name := nameOf(p)
	unlock, err := b.locks.lock(ctx, "bridge "+name)
	if err != nil {
		return err
	}
	defer unlock()
	if p.HostEnd != "" { // else it is the bridge alone
		if err := b.links.Release(ctx, name, p.HostEnd); err != nil {
			return err
		}
	}
	if b.idle.keep(name) {
		return nil
	}
	return b.tidy(ctx, name)
}

// dissolve removes a network's bridge if nothing uses it any more: ours, and
// one that another program made where that was the Python Kuryr.
func (b *bridgePlug) dissolve(ctx context.Context, network courier.NetworkID, inherited bool) error {
	name := courier.BridgeName(network)
	unlock, err := b.locks.lock(ctx, "bridge "+name)
	if err != nil {
		return err
	}
	defer unlock()
	if inherited {
		if err := b.links.AdoptBridge(ctx, name, courier.MarkPrefix+string(network)); err != nil {
			return err
		}
	}
	if _, err := b.links.Link(ctx, name); courier.KindOf(err) == courier.NotFound && !b.forward.keeps(name) {
		return nil // a network of Open vSwitch's, or one that no container was on
	}
	return b.tidy(ctx, name)
}

// tidy removes the bridge if it is ours and has no ports, and its rule if no
// link of ours is left on it. One of ours on which nothing but the linuxbridge
// agent's tunnel is left becomes the agent's, who removes it as if he had made
// it; one that a virtual machine uses stays as it is.
func (b *bridgePlug) tidy(ctx context.Context, name string) error {
	bridge, ports, err := b.links.BridgePorts(ctx, name)
	switch {
	case courier.KindOf(err) == courier.NotFound:
	case err != nil:
		return err
	case bridge.Ours && len(ports) == 0:
		if err := b.links.DeleteBridge(ctx, bridge); err != nil {
			return err
		}
	case anyOurs(ports), bridge.Ours && !onlyTunnels(ports):
		return nil
	case bridge.Ours:
		if err := b.links.HandOverBridge(ctx, bridge); err != nil {
			return err
		}
	}
	return b.forward.forget(ctx, name)
}

// networkOf returns the network whose bridge a Kuryr made an interface as. Its
// alias tells, and is no mark, since hosts of one machine have it in common.
func networkOf(l link.Link) (courier.NetworkID, bool) {
	id, marked := strings.CutPrefix(l.Alias, courier.MarkPrefix)
	if !marked || l.Kind != "bridge" || len(id) != len("00000000-0000-0000-0000-000000000000") {
		return "", false
	}
	for i := range len(id) {
		dash := i == 8 || i == 13 || i == 18 || i == 23
		if dash != (id[i] == '-') || !dash && !strings.ContainsRune("0123456789abcdef", rune(id[i])) {
			return "", false
		}
	}
	return courier.NetworkID(id), true
}

func anyOurs(ports []link.Link) bool {
	for _, p := range ports {
		if p.Ours() {
			return true
		}
	}
	return false
}

// onlyTunnels tells whether all ports are tunnels to other hosts.
func onlyTunnels(ports []link.Link) bool {
	return !slices.ContainsFunc(ports, func(p link.Link) bool { return p.Kind != "vxlan" })
}
