package binding

import (
	"context"
	"log/slog"

	"kuryr/internal/courier"
	"kuryr/internal/link"
	"kuryr/internal/observe"
)

// hybrid is ovs_hybrid_plug: Neutron's agent filters with iptables, which sees
// frames on a Linux bridge only. So each port has one of its own between the
// link and the switch, and Nova's names for all of it are what the agent's
// rules go by:
//
//	tapX ─ qbrX ─ qvbX ═ qvoX ─ br-int
type hybrid struct {
	links   *link.Links
	forward *forward
	log     *slog.Logger
}

// hybridParts are what a hybrid plug adds to the link.
type hybridParts struct{ bridge, bridgeEnd, portEnd string }

// What the names of two of them start with, before the port's.
const (
	bridgePrefix  = "qbr"
	portEndPrefix = "qvo"
)

func hybridNames(p courier.PortID) hybridParts {
	x := courier.HostEnd(p)[len("tap"):]
	return hybridParts{bridge: bridgePrefix + x, bridgeEnd: "qvb" + x, portEnd: portEndPrefix + x}
}

// join makes the bridge and the patch, and puts the link on it. What a failed
// join made, undo removes.
func (h *hybrid) join(ctx context.Context, p courier.Plug) error {
	n, mark := hybridNames(p.Port), p.Mark.String()
	bridge, err := h.links.EnsureBridge(ctx, link.BridgeSpec{Name: n.bridge, Alias: mark, MTU: p.MTU})
	if err != nil {
		return err
	}
	if !bridge.Ours {
		return &courier.Error{Kind: courier.Conflict, Op: "plug", Subject: p.HostEnd,
			Public: "a bridge " + n.bridge + " exists already, which is not Kuryr's",
			Hint:   "if nothing uses it any more, remove it with: ip link del " + n.bridge}
	}
	err = h.links.CreatePatch(ctx, courier.LinkSpec{HostEnd: n.portEnd, ContainerEnd: n.bridgeEnd, MTU: p.MTU, Alias: mark})
	if err != nil {
		return err
	}
	if err := h.forward.allow(ctx, n.bridge); err != nil {
		return err
	}
	for _, end := range []string{p.HostEnd, n.bridgeEnd} {
		if err := h.links.Enslave(ctx, bridge, end); err != nil {
			return err
		}
	}
	for _, end := range []string{n.bridgeEnd, n.portEnd} {
		if err := h.links.Up(ctx, end); err != nil {
			return err
		}
	}
	return nil
}

// part undoes join, that of the Python Kuryr too.
func (h *hybrid) part(ctx context.Context, p courier.Plug) error {
	n := hybridNames(p.Port)
	if p.Inherited {
		if err := h.links.Adopt(ctx, n.portEnd, p.Mark.String()); err != nil {
			return err
		}
	}
	if err := h.links.Delete(ctx, n.portEnd); err != nil {
		return err
	}
	if err := h.links.Release(ctx, n.bridge, p.HostEnd); err != nil {
		return err
	}
	if p.Inherited { // it has no port any more
		if err := h.links.AdoptBridge(ctx, n.bridge, p.Mark.String()); err != nil {
			return err
		}
	}
	bridge, ports, err := h.links.BridgePorts(ctx, n.bridge)
	switch {
	case courier.KindOf(err) == courier.NotFound:
	case err != nil:
		return err
	case !bridge.Ours || len(ports) > 0:
		return nil
	default:
		if err := h.links.DeleteBridge(ctx, bridge); err != nil {
			return err
		}
	}
	return h.forward.forget(ctx, n.bridge)
}

// undo is part after a bind that failed.
func (h *hybrid) undo(ctx context.Context, p courier.Plug) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTimeout)
	defer cancel()
	if left := h.part(ctx, p); left != nil {
		h.log.WarnContext(ctx, "a failed plug could not be undone; it is tried again as the port goes",
			observe.Port, string(p.Port), observe.Err, left)
	}
}
