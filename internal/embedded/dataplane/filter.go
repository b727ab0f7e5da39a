package dataplane

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/google/nftables"
	"github.com/mdlayher/netlink"

	"kuryr/internal/crash"
	"kuryr/internal/link"
	"kuryr/internal/observe"
)

// filter keeps the kernel's tables as the policy says. One goroutine uses it.
type filter struct {
	links *link.Links
	log   *slog.Logger
	kind  kind // nil until it was found out
	// inForce is what the kernel has; nil: not known, or nothing.
	inForce *ruleset
	state   State             // that inForce is of
	ports   map[string]bool   // the taps of state
	zones   map[string]uint16 // by bridge
	groups  map[string]*compiled
	uncut   bool // less is permitted, and flows were not looked through since
	// conn stays open from one transaction to the next: see use.
	conn *nftables.Conn
}

// firstZone is the first of the zones that networks get, far from those that
// other programs begin to count at.
const firstZone = 0x6b00

// buffers is what the sockets of a transaction may hold, in bytes: the kernel
// takes a transaction as one message, and answers before we read.
const buffers = 256 << 20

// apply puts the policy in force, in one transaction; if it fails, what was in
// force is still. It then forgets the flows that are no longer permitted.
func (f *filter) apply(ctx context.Context, s State, strangers []string) error {
	if f.kind == nil {
		k, err := detect(f.links)
		if err != nil {
			return err
		}
		f.kind = k
		f.log.DebugContext(ctx, "bridged connections are tracked", "by", k.String())
	}
	before := f.inForce
	if before == nil {
		found, err := f.read()
		if err != nil {
			return err
		}
		if f.zones == nil {
			f.zones = f.kind.zonesOf(zonesIn(found), s)
		}
		before = found
	}
	unknown := before.unknown
	zones := f.assignZones(s)
	now, groups := compile(s, strangers, f.kind, zones, f.groups)
	if f.inForce == nil && !before.becomes(now) {
		before = nil
	}
	begin := time.Now()
	t, err := f.change(before, now)
	if err != nil && before != nil {
		// Somebody else had their hands in our table, or another version of ours made it.
		f.log.DebugContext(ctx, "the kernel refuses the change; the tables are made anew", observe.Err, err)
		t, err = f.change(nil, now)
	}
	if err != nil {
		return err
	}
	if unknown != nil {
		f.log.WarnContext(ctx, "another program had put something unknown into the filter's tables; they were made anew", observe.Err, unknown)
	}
	f.log.DebugContext(ctx, "the filter is changed", "changes", t.count, "took", time.Since(begin).String())
	f.inForce, f.state, f.zones, f.groups = now, s, zones, groups
	f.ports = make(map[string]bool, len(s.Ports))
	for _, p := range s.Ports {
		f.ports[p.HostEnd] = true
	}
	f.uncut = f.uncut || t.less
	if !f.uncut {
		return nil
	}
	if err := f.cut(ctx); err != nil {
		return err
	}
	f.uncut = false
	return nil
}

// change makes one transaction of what differs. Without a before, the tables
// are made anew: the kernel puts the old and the new ones in and out of force
// at once, but drops a packet that looks something up in an old one meanwhile.
func (f *filter) change(before, now *ruleset) (*transaction, error) {
	t := &transaction{}
	err := f.use(func(conn *nftables.Conn) error {
		t.conn = conn
		if before == nil {
			before = newRuleset()
			t.less = true
			removeTables(conn)
		}
		if before != f.inForce { // the tables may not be there
			conn.AddTable(table(nftables.TableFamilyBridge))
			if _, inet := f.kind.(netfilterTracking); inet {
				conn.AddTable(table(nftables.TableFamilyINet))
			}
		}
		t.between(before, now)
		if t.err != nil {
			return t.err
		}
		crash.Before(crash.EmbeddedFilter)
		defer crash.After(crash.EmbeddedFilter)
		return conn.Flush()
	})
	return t, err
}

// use calls fn with the connection to nftables. It stays open: to close one,
// the kernel waits with its lock on all tables held until it has freed what the
// last transaction took away (Linux 6.18, nft_rcv_nl_event: some 20 ms). Who
// removes an interface waits for that lock, with the one on all interfaces
// held, and every start of a container behind him.
func (f *filter) use(fn func(*nftables.Conn) error) (err error) {
	if f.conn == nil {
		if f.conn, err = f.connect(); err != nil {
			return err
		}
	}
	if err := fn(f.conn); err != nil {
		f.hangUp() // there may be messages in it that were not sent, and answers that nobody has read
		return err
	}
	return nil
}

func (f *filter) connect() (*nftables.Conn, error) {
	return nftables.New(nftables.AsLasting(), nftables.WithNetNSFd(f.links.Fd()), nftables.WithSockOptions(func(c *netlink.Conn) error {
		// Without CAP_NET_ADMIN in the first user namespace, as much as is allowed.
		return errors.Join(c.SetReadBuffer(buffers), c.SetWriteBuffer(buffers))
	}))
}

// hangUp closes the connection; the next use opens another.
func (f *filter) hangUp() {
	if f.conn == nil {
		return
	}
	_ = f.conn.CloseLasting() // nothing depends on it
	f.conn = nil
}

// removeTables removes our tables, whether they are there or not.
func removeTables(conn *nftables.Conn) {
	for _, family := range []nftables.TableFamily{nftables.TableFamilyBridge, nftables.TableFamilyINet} {
		conn.AddTable(table(family))
		conn.DelTable(table(family))
	}
}

// remove leaves nothing of ours, when there is nothing to filter.
func (f *filter) remove() error {
	if f.inForce == nil && f.zones != nil {
		return nil
	}
	err := f.use(func(conn *nftables.Conn) error {
		there, err := tablesThere(conn)
		if err != nil || !there {
			return err
		}
		removeTables(conn)
		crash.Before(crash.EmbeddedFilterRemove)
		defer crash.After(crash.EmbeddedFilterRemove)
		return conn.Flush()
	})
	if err != nil {
		return err
	}
	f.inForce, f.state, f.ports, f.zones = nil, State{}, nil, map[string]uint16{}
	return nil
}

func tablesThere(conn *nftables.Conn) (bool, error) {
	tables, err := conn.ListTables()
	return slices.ContainsFunc(tables, func(t *nftables.Table) bool { return t.Name == tableName }), err
}

// lost reports whether our tables have gone without our doing.
func (f *filter) lost() (bool, error) {
	if f.inForce == nil {
		return false, nil
	}
	var tables []*nftables.Table
	err := f.use(func(conn *nftables.Conn) (err error) {
		tables, err = conn.ListTables()
		return err
	})
	if err != nil {
		return false, err
	}
	want := map[nftables.TableFamily]bool{}
	for _, c := range f.inForce.chains {
		want[c.family] = true
	}
	for _, t := range tables {
		if t.Name == tableName {
			delete(want, t.Family)
		}
	}
	return len(want) > 0, nil
}

// forget makes the next apply read what there is of the tables.
func (f *filter) forget() { f.inForce = nil }

// assignZones returns the zones of the networks that have ports: what they
// had, or one that nobody has.
func (f *filter) assignZones(s State) map[string]uint16 {
	zones := map[string]uint16{}
	taken := map[uint16]bool{}
	for _, z := range f.zones {
		taken[z] = true // those of networks that go, too: their flows are cut first
	}
	next := uint16(firstZone)
	for _, p := range s.Ports {
		bridge := bridgeOf(p)
		if _, done := zones[bridge]; done {
			continue
		}
		z, had := f.zones[bridge]
		for !had {
			z, had = next, !taken[next]
			next = max(next+1, 1) // zone 0 is everybody's
		}
		zones[bridge], taken[z] = z, true
	}
	return zones
}
