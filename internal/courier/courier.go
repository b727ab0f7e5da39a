package courier

import (
	"context"
	"log/slog"
	"net/netip"
	"sync"
	"time"
)

// Needs are the rooms that the courier works through. All are required.
type Needs struct {
	Neutron Neutron
	Binder  Binder
	Linker  Linker
	Journal Journal
}

// Options are the operator's choices.
type Options struct {
	Host           string // binding:host_id of every port; required
	DefaultPoolV4  string // name of the subnetpool that IPv4 CIDRs are cut from
	DefaultPoolV6  string // the same for IPv6
	PoolNamePrefix string // subnetpools are named PREFIX-CIDR
	EnableDHCP     bool   // enable_dhcp of the subnets
	CompatTags     bool   // write the Python Kuryr's tags too
	// VIFPluggingIsFatal has a Join fail whose port does not become ACTIVE.
	VIFPluggingIsFatal bool
	// VIFPluggingTimeout is how long a Join waits for that. 0: as long as its call may take.
	VIFPluggingTimeout time.Duration
	ExposePorts        bool // Expose has an effect
	// ForwardFrom is the address of the floating IP from which published ports
	// are forwarded. The zero Addr: they are not.
	ForwardFrom netip.Addr
	// LostFor is how long what a request to Neutron may have made whose answer was
	// lost is looked for. What comes later, Reconcile finds. 0: 30 s.
	LostFor time.Duration
	// Drained tells whether this host is taken out of service: new endpoints
	// are refused. What exists goes on, and can be joined, left and removed; so
	// can what has its address already. nil: it never is.
	Drained func() bool
	// PortPool is how many ports are kept ready. With CompatTags there are none:
	// the Python Kuryr would not know them.
	PortPool PortPool
	Log      *slog.Logger
}

// Courier carries an engine's requests to Neutron and the kernel. Its methods
// are safe for any number of concurrent callers.
type Courier struct {
	Needs
	opt      Options
	log      *slog.Logger
	identity string // the journal's; set by Start, and constant from then on

	mu          sync.Mutex // guards all that follows, and the record in each life
	pools       map[PoolID]*pool
	networks    map[EngineNetworkID]*network
	attachments map[string]*attachment // by intent
	endpoints   map[EndpointID]*attachment
	exposed     map[string]*exposedGroup // by intent
	exposers    map[*attachment]*exposer // those at work
	unguarded   map[NetworkID]bool       // networks that the log has told to be without port security
	removing    map[*life]string         // the last error of each removal under way, "" before there is one
	losses      map[string]Loss          // of the journal, by the entry's ID
	poolsMoved  chan struct{}            // closed and replaced when a pool is claimed or released
	departed    chan struct{}            // closed and replaced when an attachment is gone
	// releases are what Detach gave up and the engine has still to release
	// itself: the next ReleaseAddress of one means the attachment that is gone,
	// not the one that has the address now.
	releases map[heldAddress]time.Time

	// busy are the engine's IDs that something is being made for; a channel is
	// closed when that has ended.
	busy map[string]chan struct{}

	waiters   map[*waiter]bool // for ports to become ACTIVE; those that are not decided
	looking   bool             // somebody asks Neutron for their ports
	lookErr   error            // why Neutron did not answer the last time
	newWaiter chan struct{}    // wakes who asks; capacity 1

	restoring    chan struct{}           // capacity 1: one network or pool is found again at a time
	absent       map[*attachment]absence // those whose container was not there at the last look
	reconciled   Reconciled
	reconcileErr error         // why the last comparison failed
	reconciling  chan struct{} // capacity 1: one reconciles at a time
	compareSoon  chan struct{} // capacity 1

	portPools map[EngineNetworkID]*portPool
	posting   int           // requests for pooled ports under way
	poolSoon  chan struct{} // wakes who keeps them; capacity 1
	resumed   chan struct{} // closed and replaced by Resume

	cutting     chan struct{} // capacity 1: one CIDR is chosen from the default subnetpool at a time
	background  sync.WaitGroup
	kernelSlots chan struct{} // limits removals at work in the kernel
	cloudSlots  chan struct{} // and in Neutron
	stop        context.CancelFunc
	stopped     context.Context
}

// heldAddress is an address as the engine holds it.
type heldAddress struct {
	pool    PoolID
	address netip.Addr
}

// How many removals work at once: deleting a link takes the kernel some 20 ms,
// and links that are deleted at the same time take it hardly longer together;
// a Neutron that does not answer must not keep links from going.
const (
	kernelSlots = 64
	cloudSlots  = 16
)

const defaultLostFor = 30 * time.Second

// New returns a courier that has nothing yet. Call Start before anything else.
func New(n Needs, o Options) *Courier {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.LostFor == 0 {
		o.LostFor = defaultLostFor
	}
	if o.CompatTags {
		o.PortPool = PortPool{}
	}
	stopped, stop := context.WithCancel(context.Background())
	return &Courier{
		Needs: n, opt: o, log: o.Log,
		pools:       map[PoolID]*pool{},
		networks:    map[EngineNetworkID]*network{},
		attachments: map[string]*attachment{},
		endpoints:   map[EndpointID]*attachment{},
		exposed:     map[string]*exposedGroup{},
		exposers:    map[*attachment]*exposer{},
		unguarded:   map[NetworkID]bool{},
		removing:    map[*life]string{},
		losses:      map[string]Loss{},
		poolsMoved:  make(chan struct{}),
		departed:    make(chan struct{}),
		releases:    map[heldAddress]time.Time{},
		busy:        map[string]chan struct{}{},
		waiters:     map[*waiter]bool{},
		newWaiter:   make(chan struct{}, 1),
		restoring:   make(chan struct{}, 1),
		absent:      map[*attachment]absence{},
		reconciled:  Reconciled{Findings: []Finding{}},
		reconciling: make(chan struct{}, 1),
		compareSoon: make(chan struct{}, 1),
		portPools:   map[EngineNetworkID]*portPool{},
		poolSoon:    make(chan struct{}, 1),
		resumed:     make(chan struct{}),
		cutting:     make(chan struct{}, 1),
		kernelSlots: make(chan struct{}, kernelSlots),
		cloudSlots:  make(chan struct{}, cloudSlots),
		stop:        stop, stopped: stopped,
	}
}

// Close stops the background work and waits for it. What is still to be
// removed stays in the journal, for the next Start.
func (c *Courier) Close() {
	c.stop()
	c.background.Wait()
}

// readyNetwork returns the ready network, or a NotFound or Conflict error.
func (c *Courier) readyNetwork(ctx context.Context, op string, id EngineNetworkID) (*network, error) {
	n, err := c.knownNetwork(ctx, id)
	if err != nil {
		return nil, because(op, "on network "+id.Short(), err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if n == nil {
		return nil, &Error{Kind: NotFound, Op: op, Subject: "on network " + id.Short(),
			Public: "Kuryr does not know this network on this host",
			Hint:   "remove the Docker network and create it again"}
	}
	if n.rec.State != ready {
		return nil, &Error{Kind: Conflict, Op: op, Subject: "on network " + n.rec.Name,
			Public: "the network is " + string(n.rec.State)}
	}
	return n, nil
}

// oneAtATime waits until nothing is being made for an ID of the engine's any
// more: a repeated call gets the first one's answer. done lets the next one in.
func (c *Courier) oneAtATime(ctx context.Context, id string) (done func(), err error) {
	for {
		c.mu.Lock()
		before := c.busy[id]
		if before == nil {
			ended := make(chan struct{})
			c.busy[id] = ended
			c.mu.Unlock()
			return func() {
				c.mu.Lock()
				delete(c.busy, id)
				c.mu.Unlock()
				close(ended)
			}, nil
		}
		c.mu.Unlock()
		select {
		case <-before:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// mark is what resources made for an intent carry.
func (c *Courier) mark(intent string) Mark { return Mark{Host: c.opt.Host, Intent: intent} }

// pause waits for d, or less when the courier is closed (false) or poked.
func (c *Courier) pause(d time.Duration, poke <-chan struct{}) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-poke:
		return true
	case <-c.stopped.Done():
		return false
	}
}
