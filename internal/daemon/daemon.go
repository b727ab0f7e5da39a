package daemon

import (
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"

	"kuryr/internal/binding"
	"kuryr/internal/config"
	"kuryr/internal/courier"
	"kuryr/internal/docker"
	"kuryr/internal/journal"
	"kuryr/internal/link"
	"kuryr/internal/neutron"
	"kuryr/internal/observe"
	"kuryr/internal/ovsdb"
)

// Options of Run.
type Options struct {
	Log     *slog.Logger // required
	Version string       // as the admin API tells it
	Ready   func()       // called once, when all sockets are served; may be nil
	// Load reads the configuration anew, for the cloud's credentials. nil: they stay.
	Load func() (config.Config, error)
	// Reload asks for that, and for a new token, at each value.
	Reload <-chan os.Signal // may be nil
	// Export receives the spans of all calls; nil: nobody.
	Export trace.Tracer
}

// daemon is one run. Its fields are set while it starts, by one goroutine, and
// read only from then on.
type daemon struct {
	cfg     config.Config
	opt     Options
	log     *slog.Logger
	started time.Time

	journal   *journal.Journal
	links     *link.Links
	neutron   *neutron.Client
	kind      string // of Neutron: "embedded" or "real"
	api       http.Handler
	courier   *courier.Courier
	opened    chan struct{} // closed when the courier has started
	telemetry *observe.Telemetry
	parts     []*part
	probe     *probe
	socket    *socket   // Docker's
	held      []*socket // of systemd's, those that are not served yet
	systemd   *manager
	drain     *drain

	background context.Context // of the parts
	halt       context.CancelFunc
	running    sync.WaitGroup // the parts
	closers    []closer
}

// closer undoes one step of the start.
type closer struct {
	what  string
	close func() error
}

// Run serves container engines until ctx ends, then answers what is in flight,
// and returns nil. It returns an error when it can't start, or can't go on.
func Run(ctx context.Context, cfg config.Config, o Options) error {
	d := &daemon{cfg: cfg, opt: o, log: o.Log, started: time.Now(), opened: make(chan struct{}), systemd: &manager{log: o.Log},
		telemetry: observe.NewTelemetry(observe.TelemetryOptions{Version: o.Version, Export: o.Export})}
	d.background, d.halt = context.WithCancel(context.WithoutCancel(ctx))
	defer d.halt()
	defer d.close()
	if err := d.takeHeld(activated()); err != nil {
		return err
	}
	if err := d.open(ctx); err != nil {
		if ctx.Err() != nil {
			return nil // stopped while it started
		}
		return err
	}
	return d.serve(ctx)
}

// open brings up all that stands behind the sockets.
func (d *daemon) open(ctx context.Context) error {
	if err := d.openState(); err != nil {
		return err
	}
	if err := d.openLinks(); err != nil {
		return err
	}
	if err := d.openNeutron(ctx); err != nil {
		return err
	}
	switches, err := ovsdb.New(ovsdb.Options{Connection: d.cfg.OVSDBConnection, Tracer: d.telemetry.Tracer(), Log: d.log})
	if err != nil {
		return err
	}
	d.onClose("the Open vSwitch database", func() error { switches.Close(); return nil })
	binder := binding.New(d.links, binding.Options{
		Host: d.cfg.Host, Switches: switches, IntegrationBridge: d.cfg.IntegrationBridge, Programs: d.cfg.BindDir,
		Linger: bridgeLinger, Log: d.log})
	d.keep("firewall", binder.Run, binder.Health)
	d.courier = courier.New(
		courier.Needs{
			Neutron: d.neutron,
			Binder:  tracedBinder{binder, d.telemetry.Tracer()},
			Linker:  tracedLinker{d.links, d.telemetry.Tracer()},
			Journal: tracedJournal{d.journal, d.telemetry.Tracer()},
		},
		courier.Options{
			Host:           d.cfg.Host,
			DefaultPoolV4:  d.cfg.DefaultPoolV4,
			DefaultPoolV6:  d.cfg.DefaultPoolV6,
			PoolNamePrefix: d.cfg.SubnetPoolPrefix,
			EnableDHCP:     d.cfg.EnableDHCP,
			CompatTags:     d.cfg.CompatTags,
			ExposePorts:    d.cfg.ProcessExternalConnectivity,
			ForwardFrom:    forwardFrom(d.cfg),

			VIFPluggingIsFatal: d.cfg.VIFPluggingIsFatal,
			VIFPluggingTimeout: d.cfg.VIFPluggingTimeout,
			LostFor:            d.lostFor(),
			Drained:            func() bool { return !d.drain.began().IsZero() },
			PortPool: courier.PortPool{Max: d.cfg.PortPoolMax, Min: d.cfg.PortPoolMin, Batch: d.cfg.PortPoolBatch,
				CoolDown: d.cfg.PortPoolCoolDown, Idle: d.cfg.PortPoolIdle, TellAfter: tellAfter},
			Log: d.log,
		})
	d.onClose("the courier", func() error { d.courier.Close(); return nil })
	if err := d.telemetry.Register(newStateMetrics(d.courier.Status, d.ownConditions)); err != nil {
		return &courier.Error{Kind: courier.Internal, Op: "register", Subject: "the metrics", Err: err}
	}
	if err := d.courier.Start(ctx); err != nil {
		return err
	}
	close(d.opened)
	d.keep("reconciler", func(ctx context.Context) error { return d.courier.Watch(ctx, d.cfg.ReconcileInterval) }, d.courier.ReconcileHealth)
	return nil
}

// bridgeLinger is longer than a container takes to start again.
const bridgeLinger = 3 * time.Second

// forwardFrom is the address of the floating IP, checked already; or none.
func forwardFrom(cfg config.Config) netip.Addr {
	a, _ := netip.ParseAddr(cfg.PortForwardingIP)
	return a
}

// openState takes the state directory for this process alone.
func (d *daemon) openState() error {
	dir := filepath.Join(d.cfg.StateDir, "journal")
	if err := makeStateDirs(d.cfg.StateDir, dir); err != nil {
		return err
	}
	var err error
	if d.drain, err = openDrain(d.cfg.StateDir); err != nil {
		return err
	}
	d.journal, err = journal.Open(filepath.Join(dir, "entries"), journal.Options{Log: d.log})
	if err != nil {
		return err
	}
	d.onClose("the journal", d.journal.Close)
	return nil
}

// makeStateDirs makes directories that are root's alone.
func makeStateDirs(dirs ...string) error {
	for _, dir := range dirs {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return &courier.Error{Op: "make the state directory", Subject: dir, Public: cause(err), Err: err}
		}
	}
	return nil
}

func (d *daemon) openLinks() error {
	var err error
	d.links, err = link.New(link.Options{Log: d.log})
	if err != nil {
		return err
	}
	d.onClose("the links", func() error { d.links.Close(); return nil })
	return nil
}

// engine is what Docker calls.
func (d *daemon) engine() http.Handler {
	return docker.New(tracedCourier{d.courier, d.telemetry.Tracer()}, docker.Options{
		Scope:              d.cfg.CapabilityScope,
		LocalAddressSpace:  d.cfg.LocalAddressSpace,
		GlobalAddressSpace: d.cfg.GlobalAddressSpace,
		LinkPrefix:         d.cfg.VethDstPrefix,
		RequiresMACAddress: d.cfg.RequiresMACAddress,
		Allowed:            d.cfg.AllowedOptions,
		Timeout:            d.cfg.RequestTimeout,
		Tracer:             d.telemetry.Tracer(),
		Log:                d.log,
	})
}

func (d *daemon) onClose(what string, f func() error) {
	d.closers = append(d.closers, closer{what, f})
}

// close undoes the start, the last step first.
func (d *daemon) close() {
	for len(d.closers) > 0 {
		c := d.closers[len(d.closers)-1]
		d.closers = d.closers[:len(d.closers)-1]
		if err := c.close(); err != nil {
			d.log.Error("cannot close "+c.what, observe.Err, err)
		}
	}
}

// tellAfter is how long a container has its pooled port before Neutron is told
// whose it is. Many containers are gone by then; of the others the start is over,
// which the cloud's work for the request would slow where it runs on this host.
const tellAfter = time.Second
