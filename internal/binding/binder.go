package binding

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"sync"
	"time"

	"kuryr/internal/courier"
	"kuryr/internal/link"
	"kuryr/internal/ovsdb"
)

var _ courier.Binder = (*Binder)(nil)

// Binder implements courier.Binder. Its methods may be called at once by
// several goroutines; those on one bridge wait for each other.
type Binder struct {
	plugs    map[string]plug // by vif_type
	bridges  *bridgePlug
	forward  *forward
	switches *ovsdb.Client // nil: there is none
	links    *link.Links
	programs string // their folder
}

// DefaultIntegrationBridge is the Open vSwitch bridge that Neutron's agent and
// OVN's controller make.
const DefaultIntegrationBridge = "br-int"

// Options are New's settings.
type Options struct {
	// Host is in the marks of what is this Kuryr's, as Neutron knows the machine.
	Host string
	// Switches is Open vSwitch's database; nil: vif_type ovs can't be plugged.
	Switches *ovsdb.Client
	// IntegrationBridge is where ports go whose binding names no bridge; "":
	// DefaultIntegrationBridge.
	IntegrationBridge string
	// Programs is the folder of executables for vif_types that are not built in;
	// "": there are none.
	Programs string
	// Linger is how long a Linux bridge of Kuryr's stays without a port, if Run
	// runs. 0: it goes with its last port.
	Linger time.Duration
	Log    *slog.Logger // optional
}

// plug is how ports of one vif_type are plugged; its methods have the
// contracts of courier.Binder's.
type plug interface {
	check(courier.PortID, courier.Binding) error
	bind(context.Context, courier.Plug) error
	unbind(context.Context, courier.Plug) error
}

// New returns a Binder for the namespace of links. Run keeps the firewall's
// rules in place; without it they are only set when a bridge gets a port.
func New(links *link.Links, o Options) *Binder {
	log := o.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	fwd := newForward(links, o.Host, log)
	bridges := newBridgePlug(links, fwd, o.Linger, log)
	b := &Binder{
		forward: fwd, bridges: bridges, switches: o.Switches, links: links, programs: o.Programs,
		plugs: map[string]plug{
			"bridge": bridges,
			"tap":    &tapPlug{links: links},
		},
	}
	if o.Switches != nil {
		if o.IntegrationBridge == "" {
			o.IntegrationBridge = DefaultIntegrationBridge
		}
		b.plugs["ovs"] = &ovsPlug{
			links: links, switches: o.Switches, integration: o.IntegrationBridge,
			hybrid: &hybrid{links: links, forward: fwd, log: log},
		}
	}
	return b
}

// plugFor returns how ports with this binding are plugged, or why they can't be.
func (b *Binder) plugFor(port courier.PortID, how courier.Binding) (plug, error) {
	p, ok := b.plugs[how.VIFType]
	if !ok {
		if !b.hasProgram(how.VIFType) {
			return nil, refuse(port, how, b.programs)
		}
		p = &programPlug{links: b.links, dir: b.programs, name: how.VIFType}
	}
	if err := p.check(port, how); err != nil {
		return nil, err
	}
	return p, nil
}

// hasProgram tells whether there is an executable for a vif_type, or something
// in its place.
func (b *Binder) hasProgram(vifType string) bool {
	if vifType == unbound || vifType == bindingFailed { // those are no ways to be plugged
		return false
	}
	f, err := openProgram(b.programs, vifType)
	if err == nil {
		f.Close()
	}
	return !errors.Is(err, os.ErrNotExist)
}

// Check implements courier.Binder.
func (b *Binder) Check(port courier.PortID, how courier.Binding) error {
	_, err := b.plugFor(port, how)
	return err
}

// FailsOpen implements courier.Binder. Neutron's linuxbridge agent sets its
// rules up some seconds after it has found the device. Open vSwitch lets
// nothing pass without flows, and the embedded Neutron, which says who it is,
// drops what it does not know.
func (b *Binder) FailsOpen(how courier.Binding) bool {
	return how.VIFType == "bridge" && how.VIFDetails["port_filter"] == true && !byKuryr(how)
}

// byKuryr tells whether the embedded Neutron bound the port.
func byKuryr(how courier.Binding) bool {
	drivers, _ := how.VIFDetails["bound_drivers"].(map[string]any)
	return drivers["0"] == "kuryr"
}

// Bind implements courier.Binder. A Bind that fails leaves nothing behind.
func (b *Binder) Bind(ctx context.Context, p courier.Plug) error {
	how, err := b.plugFor(p.Port, p.Binding)
	if err != nil {
		return err
	}
	return how.bind(ctx, p)
}

// Unbind implements courier.Binder. A port of a type that Bind refuses has
// nothing to undo.
func (b *Binder) Unbind(ctx context.Context, p courier.Plug) error {
	how, err := b.plugFor(p.Port, p.Binding)
	if err != nil {
		return nil
	}
	return how.unbind(ctx, p)
}

// Anonymous implements courier.Namer. An executable is told at its start what
// the port is for.
func (b *Binder) Anonymous(how courier.Binding) bool { return b.plugs[how.VIFType] != nil }

// Name implements courier.Namer. Only Open vSwitch's rows have a place for it.
func (b *Binder) Name(ctx context.Context, p courier.Plug) error {
	if p.Binding.VIFType != "ovs" || b.switches == nil {
		return nil
	}
	return b.switches.NamePort(ctx, portName(p), p.Port, p.Device)
}

// Dissolve implements courier.Binder. A bridge that Neutron's linuxbridge agent
// uses has a port of the agent's, and stays.
func (b *Binder) Dissolve(ctx context.Context, network courier.NetworkID, inherited bool) error {
	return b.bridges.dissolve(ctx, network, inherited)
}

// Run takes over the bridges that are in use, removes the rules of those that
// are gone, and then keeps the rules in place whatever dockerd does to its
// chains, until the context ends: it returns nil then. Bridges that nobody uses
// go when they have lingered, and when it ends.
func (b *Binder) Run(ctx context.Context) error {
	sweeping, stop := context.WithCancel(ctx)
	var sweeper sync.WaitGroup
	sweeper.Go(func() { b.bridges.sweep(sweeping) })
	defer sweeper.Wait()
	defer stop()
	return b.forward.run(ctx)
}

// Health returns why a rule could not be put in place the last time it was
// tried, or nil.
func (b *Binder) Health() error { return b.forward.health() }
