package courier

import (
	"context"
	"encoding/json"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

// state is where a pool, network or attachment is in its life. It is written
// to the journal before the step that it names.
type state string

const (
	creating  state = "creating"  // Neutron has been, or is about to be, asked for it
	ready     state = "ready"     // a pool or network that is there to be used
	reserved  state = "reserved"  // an attachment: its port is there, no endpoint yet
	attaching state = "attaching" // an attachment: its link is being made
	attached  state = "attached"  // an attachment: plugged
	pooled    state = "pooled"    // an attachment: plugged, for the next endpoint
	cooling   state = "cooling"   // an attachment that its endpoint left: it rests before it is pooled again
	removing  state = "removing"  // nobody wants it any more; the remover has it
)

// origin is where what an engine uses came from, and so who may delete it. Its
// zero value is what every record of the first version means.
type origin string

const (
	created origin = ""        // Kuryr made it for this intent: it goes with it
	adopted origin = "adopted" // it was there before, or others made it: never deleted
	common  origin = "common"  // made for all who name it: the last to leave deletes it
)

func (o origin) String() string {
	if o == created {
		return "created"
	}
	return string(o)
}

// The kinds of journal entries.
const (
	kindPool       = "pool"
	kindNetwork    = "network"
	kindAttachment = "attachment"
	kindExposed    = "exposed"
)

// life is what pools, networks, attachments and exposed groups have in common.
type life struct {
	op   turn          // held by whoever works on it: one step at a time
	disk sync.Mutex    // held while its record goes to the journal: records arrive in order
	poke chan struct{} // wakes its removal before the next try is due
	gone chan struct{} // closed when its removal is done

	forgotten bool // its record has left the journal, and never comes back; guarded by Courier.mu
}

// turn is a lock that can be waited for as long as a call has time.
type turn chan struct{}

// await gets the lock, or ctx's error.
func (t turn) await(ctx context.Context) error {
	select {
	case t <- struct{}{}:
		return nil
	case <-ctx.Done():
		return &Error{Kind: Unavailable, Op: "go on", Public: "what was begun before has not ended in time", Err: ctx.Err(),
			Hint: "try again in a moment"}
	}
}

// Lock waits for ever: nothing of the engine's hangs on it.
func (t turn) Lock() { t <- struct{}{} }

// TryLock tells whether the lock was free.
func (t turn) TryLock() bool {
	select {
	case t <- struct{}{}:
		return true
	default:
		return false
	}
}

// Unlock lets the next one in.
func (t turn) Unlock() { <-t }

func newLife() life {
	return life{op: make(turn, 1), poke: make(chan struct{}, 1), gone: make(chan struct{})}
}

func (l *life) base() *life { return l }

// entity is a pool, network, attachment or exposed group.
type entity interface {
	base() *life
	key() (kind, intent string)
	record() any // the journal's text of it; called with Courier.mu held
	enter(state) // the same
}

// pool is an address pool that the engine holds.
type pool struct {
	life
	rec poolRecord
}

type poolRecord struct {
	Intent     string          `json:"intent"`
	State      state           `json:"state"`
	ID         PoolID          `json:"id,omitempty"`
	CIDR       netip.Prefix    `json:"cidr"`
	Range      netip.Prefix    `json:"range"`
	SubnetPool SubnetPoolID    `json:"subnetpool,omitempty"` // "" until Neutron has answered
	Adopted    bool            `json:"adopted,omitempty"`    // SubnetPool was there before; ID is a tag on it
	Existing   bool            `json:"existing,omitempty"`   // it stands for an adopted subnet: nothing was made for it
	Gateway    netip.Addr      `json:"gateway"`              // promised before the network exists
	Promised   netip.Addr      `json:"promised,omitzero"`    // the gateway of the existing subnet, the one to be promised
	Wished     bool            `json:"wished,omitempty"`     // the user named the gateway
	Auxiliary  []netip.Addr    `json:"auxiliary,omitempty"`  // likewise
	Python     bool            `json:"python,omitempty"`     // the Python Kuryr's tags are, or are about to be, on what it stands for
	Inherited  bool            `json:"inherited,omitempty"`  // the Python Kuryr made it
	Sought     bool            `json:"sought,omitempty"`     // it was given up before it was found again
	Network    EngineNetworkID `json:"network,omitempty"`    // which took it
	Subnet     SubnetID        `json:"subnet,omitempty"`
	Released   bool            `json:"released,omitempty"` // by the engine, while the network is still there
	Touched    time.Time       `json:"touched"`
	Unanswered time.Time       `json:"unanswered,omitzero"` // when Neutron's answer was lost
}

// unclaim takes the pool from its network.
func (r *poolRecord) unclaim() {
	if r.Network = ""; !r.Existing {
		r.Subnet = ""
	}
}

func (p *pool) key() (string, string) { return kindPool, p.rec.Intent }
func (p *pool) record() any           { return p.rec }
func (p *pool) enter(s state)         { p.rec.State = s }

// network is an engine's network.
type network struct {
	life
	rec       networkRecord
	refreshed time.Time // when Neutron was last asked for its subnets; guarded by Courier.mu
}

type networkRecord struct {
	Intent    string          `json:"intent"`
	State     state           `json:"state"`
	ID        EngineNetworkID `json:"id"`
	Neutron   NetworkID       `json:"network,omitempty"`
	Name      string          `json:"name"`
	MTU       int             `json:"mtu,omitempty"`
	Internal  bool            `json:"internal,omitempty"`
	Subnets   []subnetRecord  `json:"subnets,omitempty"`
	Reserved  []PortID        `json:"reserved,omitempty"` // ports that hold the auxiliary addresses
	Origin    origin          `json:"origin,omitempty"`
	Used      bool            `json:"used,omitempty"`      // it is, or is about to be, tagged as used
	Python    bool            `json:"python,omitempty"`    // likewise with the Python Kuryr's tags
	Inherited bool            `json:"inherited,omitempty"` // the Python Kuryr made it, or adopted it
	Ports     PortSettings    `json:"ports,omitzero"`      // of its attachments' ports
	Unset     bool            `json:"unset,omitempty"`     // Ports were lost with the journal
	Shortened bool            `json:"shortened,omitempty"` // ID is the start of it: no call has named the whole since the journal was lost
	Partial   bool            `json:"partial,omitempty"`   // pools and attachments may have been lost with the journal

	Unanswered time.Time `json:"unanswered,omitzero"` // when Neutron's answer was lost
}

type subnetRecord struct {
	ID      SubnetID     `json:"id"`
	CIDR    netip.Prefix `json:"cidr"`
	Gateway netip.Addr   `json:"gateway"`
	Routes  []Route      `json:"routes,omitempty"`
	Origin  origin       `json:"origin,omitempty"`
	Used    bool         `json:"used,omitempty"` // likewise
}

func (n *network) key() (string, string) { return kindNetwork, n.rec.Intent }
func (n *network) record() any           { return n.rec }
func (n *network) enter(s state)         { n.rec.State = s }

// subnetOf returns the subnet that a belongs to.
func (r networkRecord) subnetOf(a netip.Addr) (subnetRecord, bool) {
	i := slices.IndexFunc(r.Subnets, func(s subnetRecord) bool { return s.CIDR.Contains(a) })
	if i < 0 {
		return subnetRecord{}, false
	}
	return r.Subnets[i], true
}

func (r networkRecord) hasSubnet(id SubnetID) bool {
	return slices.ContainsFunc(r.Subnets, func(s subnetRecord) bool { return s.ID == id })
}

// attachment is a port with its addresses and, once an endpoint has claimed
// it, its link. Before that it is a reservation.
type attachment struct {
	life
	rec      attachmentRecord
	settings PortSettings // of its port, when it is made
	asked    bool         // Neutron may have been told to delete the port; guarded by Courier.mu
	fresh    bool         // no container has had its link; guarded by Courier.mu
	taken    time.Time    // when an endpoint got it, since Start; guarded by Courier.mu
}

type attachmentRecord struct {
	Intent    string          `json:"intent"`
	State     state           `json:"state"`
	Network   EngineNetworkID `json:"network"`
	Neutron   NetworkID       `json:"neutron_network"` // outlives the network's record
	Port      PortID          `json:"port,omitempty"`
	MAC       MAC             `json:"mac,omitzero"`
	Addresses []addressRecord `json:"addresses"`
	Binding   Binding         `json:"binding,omitzero"`
	Project   string          `json:"project,omitempty"` // whose the port is
	Endpoint  EndpointID      `json:"endpoint,omitempty"`
	Linked    bool            `json:"linked,omitempty"` // a link has been, or is about to be, made
	Closed    bool            `json:"closed,omitempty"` // the link is down until the port is ACTIVE
	Joined    bool            `json:"joined,omitempty"`
	Published int             `json:"published,omitempty"`
	MTU       int             `json:"mtu,omitempty"`
	Origin    origin          `json:"origin,omitempty"`      // of the port
	Host      string          `json:"former_host,omitempty"` // an adopted port's, before it was ours
	Python    bool            `json:"python,omitempty"`      // the Python Kuryr's tags are on the port
	Inherited bool            `json:"inherited,omitempty"`   // the Python Kuryr made it
	Exposed   exposedRecord   `json:"exposed,omitzero"`
	Forwarded forwardedRecord `json:"forwarded,omitzero"`
	Pooled    bool            `json:"pooled,omitempty"` // made for its network's port pool, and as it was made
	Told      EndpointID      `json:"told,omitempty"`   // of a pooled port: whose Neutron thinks that it is
	Own       bool            `json:"own,omitempty"`    // the port has settings that its endpoint asked for, and its network did not
	Active    bool            `json:"active,omitempty"` // Neutron has reported the port ACTIVE since its link was made: Join need not wait
	Touched   time.Time       `json:"touched"`

	Unanswered time.Time `json:"unanswered,omitzero"` // when Neutron's answer was lost
}

type addressRecord struct {
	Subnet  SubnetID   `json:"subnet"`
	Address netip.Addr `json:"address"`
	Pool    PoolID     `json:"pool,omitempty"` // through which the engine holds it; "": it does not
}

func (a *attachment) key() (string, string) { return kindAttachment, a.rec.Intent }
func (a *attachment) record() any           { return a.rec }
func (a *attachment) enter(s state)         { a.rec.State = s }

// settled tells whether no step is under way of which the record knows only
// that it began.
func (r attachmentRecord) settled() bool {
	switch r.State {
	case reserved, attached, pooled, cooling:
		return true
	}
	return false
}

func (r attachmentRecord) addresses() []netip.Addr {
	out := make([]netip.Addr, len(r.Addresses))
	for i, a := range r.Addresses {
		out[i] = a.Address
	}
	return out
}

func (r attachmentRecord) has(a netip.Addr) bool {
	return slices.ContainsFunc(r.Addresses, func(x addressRecord) bool { return x.Address == a })
}

// take copies what Neutron says of the port into the record, keeping which
// addresses the engine holds. Neutron may have added addresses of subnets that
// the engine's network does not have (SLAAC, on an adopted one).
func (r *attachmentRecord) take(p Port, n *network) {
	held := map[netip.Addr]PoolID{}
	for _, a := range r.Addresses {
		held[a.Address] = a.Pool
	}
	r.Port, r.MAC, r.Binding, r.Project = p.ID, p.MAC, p.Binding, p.Project
	addresses := make([]addressRecord, 0, len(p.FixedIPs))
	for _, f := range p.FixedIPs {
		if n != nil && !n.rec.hasSubnet(f.Subnet) {
			continue
		}
		addresses = append(addresses, addressRecord{Subnet: f.Subnet, Address: f.Address, Pool: held[f.Address]})
	}
	r.Addresses = addresses
}

// plugOf is all that a Binder needs to plug the link, and to unplug it.
func (c *Courier) plugOf(r attachmentRecord) Plug {
	return Plug{Port: r.Port, Network: r.Neutron, MAC: r.MAC, MTU: r.MTU, HostEnd: HostEnd(r.Port), Binding: r.Binding,
		Device: string(r.Endpoint), Project: r.Project, Mark: c.mark(r.Intent), Inherited: r.Inherited}
}

// durability says what a record must survive.
type durability bool

const (
	noted   durability = false // the death of this process
	durable durability = true  // a loss of power too
)

// save writes the records of es, as they are now, to the journal as one.
func (c *Courier) save(ctx context.Context, how durability, es ...entity) error {
	slices.SortFunc(es, func(a, b entity) int { // one order for all, or two savers could wait for each other
		_, ka := a.key()
		_, kb := b.key()
		return strings.Compare(ka, kb)
	})
	var entries []Entry
	for _, e := range es {
		e.base().disk.Lock()
		defer e.base().disk.Unlock()
	}
	c.mu.Lock()
	for _, e := range es {
		if e.base().forgotten {
			continue
		}
		kind, id := e.key()
		data, err := json.Marshal(e.record())
		if err != nil {
			c.mu.Unlock()
			return &Error{Kind: Internal, Op: "write the journal", Err: err}
		}
		entries = append(entries, Entry{Kind: kind, ID: id, Data: data})
	}
	c.mu.Unlock()
	return c.journal(ctx, how, entries)
}

// forget drops the record of e from the journal. It need not be durable: what
// comes back is in state removing and is found gone.
func (c *Courier) forget(ctx context.Context, e entity) error {
	e.base().disk.Lock()
	defer e.base().disk.Unlock()
	kind, id := e.key()
	if err := c.journal(ctx, noted, []Entry{{Kind: kind, ID: id}}); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	e.base().forgotten = true
	return nil
}

func (c *Courier) journal(ctx context.Context, how durability, entries []Entry) error {
	if len(entries) == 0 {
		return nil
	}
	write := c.Journal.Note
	if how == durable {
		write = c.Journal.Write
	}
	if err := write(ctx, entries...); err != nil {
		return because("write the journal", "", err)
	}
	return nil
}
