package binding

import (
	"context"
	"fmt"

	"kuryr/internal/courier"
	"kuryr/internal/link"
	"kuryr/internal/ovsdb"
)

// ovsPlug is vif_type ovs: a port of an Open vSwitch bridge, with the
// external_ids by which Neutron's agent (ML2/OVS), or OVN's controller, knows
// it. Both let nothing pass before they have set up its flows.
//
// What the port is called follows from the port's ID and its binding alone, so
// that unbind needs no more than the journal has.
type ovsPlug struct {
	links       *link.Links
	switches    *ovsdb.Client
	integration string // the bridge, where Neutron names none
	hybrid      *hybrid
}

func (o *ovsPlug) check(port courier.PortID, how courier.Binding) error {
	refuse := func(format string, args ...any) error {
		return &courier.Error{Kind: courier.Unsupported, Op: "plug", Subject: "port " + string(port),
			Public: "in its binding:vif_details, " + fmt.Sprintf(format, args...)}
	}
	d := how.VIFDetails
	if name, ok := d["bridge_name"]; ok {
		if s, ok := name.(string); !ok || !link.ValidName(s) {
			return refuse("bridge_name can't be an interface's name")
		}
	}
	switch d["datapath_type"] {
	case nil, "", "system", "netdev":
	default:
		return refuse("datapath_type is %.40q, and neither system nor netdev", fmt.Sprint(d["datapath_type"]))
	}
	switch d["connectivity"] {
	case nil, "", "l2", "legacy":
	default:
		return refuse("connectivity is %.40q, and not l2", fmt.Sprint(d["connectivity"]))
	}
	if hybrid, ok := d["ovs_hybrid_plug"]; ok && hybrid != nil {
		if _, ok := hybrid.(bool); !ok {
			return refuse("ovs_hybrid_plug is neither true nor false")
		}
	}
	return nil
}

func (o *ovsPlug) bridge(how courier.Binding) string {
	if name, ok := how.VIFDetails["bridge_name"].(string); ok {
		return name
	}
	return o.integration
}

func isHybrid(how courier.Binding) bool { return how.VIFDetails["ovs_hybrid_plug"] == true }

// portName is the kernel's interface that is the switch's port.
func portName(p courier.Plug) string {
	if isHybrid(p.Binding) {
		return hybridNames(p.Port).portEnd
	}
	return p.HostEnd
}

func (o *ovsPlug) bind(ctx context.Context, p courier.Plug) error {
	if !isHybrid(p.Binding) {
		return o.addPort(ctx, p)
	}
	err := o.hybrid.join(ctx, p)
	if err == nil {
		err = o.addPort(ctx, p)
	}
	if err != nil {
		o.hybrid.undo(ctx, p)
	}
	return err
}

// addPort makes the switch's port. Where the switch takes frames out of the
// kernel, their checksums have to be there: vif_details tell so for ML2/OVS,
// for OVN only the bridge itself does.
func (o *ovsPlug) addPort(ctx context.Context, p courier.Plug) error {
	bridge, err := o.switches.AddPort(ctx, ovsdb.Port{
		Bridge: o.bridge(p.Binding), Name: portName(p),
		ID: p.Port, MAC: p.MAC, Device: p.Device, Mark: p.Mark,
	})
	if err != nil {
		return err
	}
	if bridge.Userspace || p.Binding.VIFDetails["datapath_type"] == "netdev" {
		err = o.links.ChecksumInSoftware(ctx, courier.ContainerEnd(p.Port))
		if courier.KindOf(err) == courier.NotFound {
			err = nil // it is in its container, and took that along: a lost port is made anew
		}
	}
	if err == nil {
		return nil
	}
	undo, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTimeout)
	defer cancel()
	if left := o.switches.DeletePorts(undo, portName(p)); left != nil {
		return fmt.Errorf("%w (and it could not be unplugged: %w)", err, left)
	}
	return err
}

func (o *ovsPlug) unbind(ctx context.Context, p courier.Plug) error {
	if err := o.switches.DeletePorts(ctx, portName(p)); err != nil {
		return err
	}
	if isHybrid(p.Binding) {
		return o.hybrid.part(ctx, p)
	}
	return nil
}
