package daemon

import (
	"context"
	"net/netip"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"kuryr/internal/courier"
	"kuryr/internal/docker"
	"kuryr/internal/observe"
)

// The courier knows of no tracing: what it is called by, and what it calls, is
// wrapped here. Methods that are not wrapped are cheap, or not of a call's path.

// tracedCourier is what Docker's calls go through.
type tracedCourier struct {
	docker.Courier
	tracer trace.Tracer
}

func (c tracedCourier) span(ctx context.Context, operation string) (context.Context, func(error)) {
	return observe.Span(ctx, c.tracer, observe.Name(observe.AreaCourier, operation))
}

func (c tracedCourier) RequestPool(ctx context.Context, r courier.PoolRequest) (p courier.Pool, err error) {
	ctx, end := c.span(ctx, "request pool")
	defer func() { end(err) }()
	return c.Courier.RequestPool(ctx, r)
}

func (c tracedCourier) ReleasePool(ctx context.Context, id courier.PoolID) (err error) {
	ctx, end := c.span(ctx, "release pool")
	defer func() { end(err) }()
	return c.Courier.ReleasePool(ctx, id)
}

func (c tracedCourier) RequestAddress(ctx context.Context, r courier.AddressRequest) (p netip.Prefix, err error) {
	ctx, end := c.span(ctx, "request address")
	defer func() { end(err) }()
	return c.Courier.RequestAddress(ctx, r)
}

func (c tracedCourier) ReleaseAddress(ctx context.Context, id courier.PoolID, a netip.Addr) (err error) {
	ctx, end := c.span(ctx, "release address")
	defer func() { end(err) }()
	return c.Courier.ReleaseAddress(ctx, id, a)
}

func (c tracedCourier) CreateNetwork(ctx context.Context, r courier.NetworkRequest) (err error) {
	ctx, end := c.span(ctx, "create network")
	defer func() { end(err) }()
	return c.Courier.CreateNetwork(ctx, r)
}

func (c tracedCourier) DeleteNetwork(ctx context.Context, id courier.EngineNetworkID) (err error) {
	ctx, end := c.span(ctx, "delete network")
	defer func() { end(err) }()
	return c.Courier.DeleteNetwork(ctx, id)
}

func (c tracedCourier) Attach(ctx context.Context, r courier.AttachRequest) (a courier.Attached, err error) {
	ctx, end := c.span(ctx, "attach")
	defer func() { end(err) }()
	return c.Courier.Attach(ctx, r)
}

func (c tracedCourier) Join(ctx context.Context, n courier.EngineNetworkID, e courier.EndpointID) (j courier.Joined, err error) {
	ctx, end := c.span(ctx, "join")
	defer func() { end(err) }()
	return c.Courier.Join(ctx, n, e)
}

func (c tracedCourier) Leave(ctx context.Context, n courier.EngineNetworkID, e courier.EndpointID) (err error) {
	ctx, end := c.span(ctx, "leave")
	defer func() { end(err) }()
	return c.Courier.Leave(ctx, n, e)
}

func (c tracedCourier) Detach(ctx context.Context, n courier.EngineNetworkID, e courier.EndpointID) (err error) {
	ctx, end := c.span(ctx, "detach")
	defer func() { end(err) }()
	return c.Courier.Detach(ctx, n, e)
}

func (c tracedCourier) Expose(ctx context.Context, n courier.EngineNetworkID, e courier.EndpointID, x courier.Exposure) (forwarded int, err error) {
	ctx, end := c.span(ctx, "expose")
	defer func() { end(err) }()
	return c.Courier.Expose(ctx, n, e, x)
}

// tracedLinker is the kernel's interfaces.
type tracedLinker struct {
	courier.Linker
	tracer trace.Tracer
}

func (l tracedLinker) span(ctx context.Context, operation, link string) (context.Context, func(error)) {
	return observe.Span(ctx, l.tracer, observe.Name(observe.AreaLink, operation), trace.WithAttributes(attribute.String(observe.Link, link)))
}

func (l tracedLinker) Create(ctx context.Context, spec courier.LinkSpec) (err error) {
	ctx, end := l.span(ctx, "create", spec.HostEnd)
	defer func() { end(err) }()
	return l.Linker.Create(ctx, spec)
}

func (l tracedLinker) Up(ctx context.Context, hostEnd string) (err error) {
	ctx, end := l.span(ctx, "up", hostEnd)
	defer func() { end(err) }()
	return l.Linker.Up(ctx, hostEnd)
}

func (l tracedLinker) Delete(ctx context.Context, hostEnd string) (err error) {
	ctx, end := l.span(ctx, "delete", hostEnd)
	defer func() { end(err) }()
	return l.Linker.Delete(ctx, hostEnd)
}

// tracedBinder is how links are plugged.
type tracedBinder struct {
	courier.Binder
	tracer trace.Tracer
}

func (b tracedBinder) span(ctx context.Context, operation string, p courier.Plug) (context.Context, func(error)) {
	return observe.Span(ctx, b.tracer, observe.Name(observe.AreaBinding, operation), trace.WithAttributes(
		attribute.String(observe.VIFType, p.Binding.VIFType), attribute.String(observe.Port, string(p.Port))))
}

func (b tracedBinder) Bind(ctx context.Context, p courier.Plug) (err error) {
	ctx, end := b.span(ctx, "bind", p)
	defer func() { end(err) }()
	return b.Binder.Bind(ctx, p)
}

func (b tracedBinder) Name(ctx context.Context, p courier.Plug) (err error) {
	ctx, end := b.span(ctx, "name", p)
	defer func() { end(err) }()
	return b.Binder.Name(ctx, p)
}

func (b tracedBinder) Unbind(ctx context.Context, p courier.Plug) (err error) {
	ctx, end := b.span(ctx, "unbind", p)
	defer func() { end(err) }()
	return b.Binder.Unbind(ctx, p)
}

// tracedJournal is what a step waits for before it is taken.
type tracedJournal struct {
	courier.Journal
	tracer trace.Tracer
}

func (j tracedJournal) Write(ctx context.Context, es ...courier.Entry) (err error) {
	ctx, end := observe.Span(ctx, j.tracer, observe.Name(observe.AreaJournal, "write"))
	defer func() { end(err) }()
	return j.Journal.Write(ctx, es...)
}

func (j tracedJournal) Note(ctx context.Context, es ...courier.Entry) (err error) {
	ctx, end := observe.Span(ctx, j.tracer, observe.Name(observe.AreaJournal, "note"))
	defer func() { end(err) }()
	return j.Journal.Note(ctx, es...)
}
