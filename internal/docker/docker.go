package docker

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"kuryr/internal/courier"
)

// Courier carries out what Docker asks for. Errors are courier.Errors; those
// of kind NotFound count as success where something is to be removed.
type Courier interface {
	Pools
	Networks
	Endpoints
}

// Pools are the address pools of the IPAM driver.
type Pools interface {
	RequestPool(context.Context, courier.PoolRequest) (courier.Pool, error)
	ReleasePool(context.Context, courier.PoolID) error
	RequestAddress(context.Context, courier.AddressRequest) (netip.Prefix, error)
	ReleaseAddress(context.Context, courier.PoolID, netip.Addr) error
}

// Networks are the networks of the network driver.
type Networks interface {
	CreateNetwork(context.Context, courier.NetworkRequest) error
	DeleteNetwork(context.Context, courier.EngineNetworkID) error
}

// Endpoints are the attachments of the network driver.
type Endpoints interface {
	Attach(context.Context, courier.AttachRequest) (courier.Attached, error)
	Join(context.Context, courier.EngineNetworkID, courier.EndpointID) (courier.Joined, error)
	Leave(context.Context, courier.EngineNetworkID, courier.EndpointID) error
	Detach(context.Context, courier.EngineNetworkID, courier.EndpointID) error
	Describe(context.Context, courier.EngineNetworkID, courier.EndpointID) (courier.AttachmentInfo, error)
	Expose(context.Context, courier.EngineNetworkID, courier.EndpointID, courier.Exposure) (forwarded int, err error)
	Conceal(context.Context, courier.EngineNetworkID, courier.EndpointID) error
}

// Options of the driver. What Docker is told at its handshake must not change
// while a dockerd lives: it asks once only, and never again when Kuryr restarts.
type Options struct {
	// Scope is the driver's scope as Docker is told it: "global", or "local",
	// which every other value stands for.
	Scope string
	// LocalAddressSpace and GlobalAddressSpace name the IPAM driver's default
	// address spaces; empty: "no_address_space".
	LocalAddressSpace, GlobalAddressSpace string
	// LinkPrefix starts the names of interfaces inside containers; empty: "eth".
	LinkPrefix string
	// RequiresMACAddress has Docker choose an endpoint's MAC before it asks for its address.
	RequiresMACAddress bool
	// Allowed are the options that users of Docker may give of those that choose
	// or make something in Neutron: by name, as "neutron.port.*", or "safe" for
	// all that let nobody spoof; nil: all.
	Allowed []string
	// Timeout is each call's deadline; zero: 20 s. Docker's own, where it has one, is 30 s.
	Timeout time.Duration
	// Tracer starts a trace for each call; nil: nobody does.
	Tracer trace.Tracer
	// Log takes one Debug line a call, at level Warn when it failed; nil: none.
	Log *slog.Logger
}

const (
	defaultTimeout      = 20 * time.Second
	defaultAddressSpace = "no_address_space"
	defaultLinkPrefix   = "eth"
)

// server is the protocol's face of a Courier.
type server struct {
	courier Courier
	opts    Options
	log     *slog.Logger
	methods map[string]method // by "Interface.Method"; read only
	noted   *notes
}

// New returns the driver: POST /Interface.Method for each method of
// NetworkDriver and IpamDriver, and /Plugin.Activate.
func New(c Courier, o Options) http.Handler {
	if o.Scope != "global" {
		o.Scope = "local"
	}
	if o.LocalAddressSpace == "" {
		o.LocalAddressSpace = defaultAddressSpace
	}
	if o.GlobalAddressSpace == "" {
		o.GlobalAddressSpace = defaultAddressSpace
	}
	if o.LinkPrefix == "" {
		o.LinkPrefix = defaultLinkPrefix
	}
	if o.Timeout <= 0 {
		o.Timeout = defaultTimeout
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Tracer == nil {
		o.Tracer = noop.Tracer{}
	}
	s := &server{courier: c, opts: o, log: o.Log, noted: newNotes(o.Log)}
	s.methods = map[string]method{
		"Plugin.Activate": plain("activate the plugin", activateResponse{Implements: []string{"NetworkDriver", "IpamDriver"}}),
	}
	s.addNetworkDriver()
	s.addIPAMDriver()
	return s
}
