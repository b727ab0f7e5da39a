package binding

import (
	"context"
	"errors"
	"io/fs"
	"strings"
	"time"

	"kuryr/internal/courier"
	"kuryr/internal/link"
	"kuryr/internal/ovsdb"
)

// view is what there is at one moment: a dump of the interfaces, and, where
// somebody asks for it, one of the switch's ports.
type view struct {
	links map[string]link.Link
	ports map[string]ovsdb.Port
}

// lookTimeout bounds the wait for a database that nobody serves.
const lookTimeout = 3 * time.Second

func (b *Binder) view(ctx context.Context) (v view, err error) {
	all, err := b.bridges.links.List(ctx)
	if err != nil {
		return v, err
	}
	v.links = make(map[string]link.Link, len(all))
	for _, l := range all {
		v.links[l.Name] = l
	}
	return v, nil
}

// addPorts adds what the switch has, if there is one.
func (b *Binder) addPorts(ctx context.Context, v *view) error {
	v.ports = map[string]ovsdb.Port{}
	if b.switches == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	all, err := b.switches.Ports(ctx)
	for _, p := range all {
		v.ports[p.Name] = p
	}
	return err
}

// on tells whether an interface is a port of the bridge.
func (v view) on(name, bridge string) bool {
	_, there := v.links[bridge]
	return there && v.links[name].Master == bridge
}

// Unplugged implements courier.Binder.
func (b *Binder) Unplugged(ctx context.Context, plugs []courier.Plug) (missing []courier.Plug, err error) {
	v, err := b.view(ctx)
	if err != nil {
		return nil, err
	}
	var unknown error
	for _, p := range plugs {
		switch p.Binding.VIFType {
		case "bridge":
			if !v.on(p.HostEnd, nameOf(p)) {
				missing = append(missing, p)
			}
		case "ovs":
			if v.ports == nil && unknown == nil {
				unknown = b.addPorts(ctx, &v)
			}
			if unknown == nil && !v.switched(p) {
				missing = append(missing, p)
			}
		}
	}
	return missing, unknown
}

// switched tells whether a port of Open vSwitch is as ovsPlug leaves it. One
// that the Python Kuryr plugged has no mark, and may be on a bridge of its own.
func (v view) switched(p courier.Plug) bool {
	row, there := v.ports[portName(p)]
	if !there || row.ID != p.Port {
		return false
	}
	if !isHybrid(p.Binding) {
		return true
	}
	n := hybridNames(p.Port)
	return v.on(p.HostEnd, n.bridge) && v.on(n.bridgeEnd, n.bridge) && v.links[n.bridgeEnd].Up && v.links[n.portEnd].Up
}

// Plugged implements courier.Binder.
func (b *Binder) Plugged(ctx context.Context) ([]courier.Plug, error) {
	v, err := b.view(ctx)
	if err != nil {
		return nil, err
	}
	if b.switches != nil && b.switches.Exists() {
		if err = b.addPorts(ctx, &v); errors.Is(err, fs.ErrNotExist) {
			err = nil // Open vSwitch was stopped just now
		}
	}
	all := v.switchPorts()
	all = append(all, v.hybridBridges()...)
	return append(all, v.idleBridges()...), err
}

// switchPorts are Kuryr's ports of Open vSwitch.
func (v view) switchPorts() (all []courier.Plug) {
	for name, row := range v.ports {
		p := courier.Plug{Port: row.ID, MAC: row.MAC, Device: row.Device, Mark: row.Mark, HostEnd: name,
			Binding: courier.Binding{VIFType: "ovs", VIFDetails: map[string]any{}}}
		if x, ok := strings.CutPrefix(name, portEndPrefix); ok {
			p.HostEnd, p.Binding.VIFDetails["ovs_hybrid_plug"] = "tap"+x, true
		}
		if portName(p) != name || courier.HostEnd(p.Port) != p.HostEnd {
			continue // its ID is another's: nothing of it could be found again
		}
		all = append(all, p)
	}
	return all
}

// hybridBridges are what is between a link and a switch that has no such port.
func (v view) hybridBridges() (all []courier.Plug) {
	seen := map[string]bool{}
	for name, l := range v.links {
		mark, ofPort := courier.ParseMark(l.Alias)
		x, isBridge := strings.CutPrefix(name, bridgePrefix)
		if !isBridge {
			x, _ = strings.CutPrefix(name, portEndPrefix)
		}
		_, switched := v.ports[portEndPrefix+x]
		if !ofPort || x == name || switched || seen[x] {
			continue
		}
		seen[x] = true
		all = append(all, courier.Plug{Port: courier.PortID(x), Mark: mark, HostEnd: courier.HostEnd(courier.PortID(x)),
			Binding: courier.Binding{VIFType: "ovs", VIFDetails: map[string]any{"ovs_hybrid_plug": true}}})
	}
	return all
}

// idleBridges are networks' bridges of Kuryr's with nothing on them.
func (v view) idleBridges() (all []courier.Plug) {
	used := map[string]bool{}
	for _, l := range v.links {
		used[l.Master] = true
	}
	for name, l := range v.links {
		network, ours := networkOf(l)
		if !ours || used[name] {
			continue
		}
		all = append(all, courier.Plug{Network: network,
			Binding: courier.Binding{VIFType: "bridge", VIFDetails: map[string]any{"bridge_name": name}}})
	}
	return all
}
