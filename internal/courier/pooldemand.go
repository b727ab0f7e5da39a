package courier

import (
	"slices"
	"time"
)

// portPool is what is known of a network's demand for ports, and of its pool.
// All of it is guarded by Courier.mu.
type portPool struct {
	took    []time.Time // when addresses were asked for, within demandWindow
	last    time.Time   // the latest, or when the pool was found in the journal
	hits    int         // endpoints that got a pooled port
	misses  int         // and those that did not
	starts  int         // both, since Neutron was last asked for subnets
	brief   bool        // the last endpoint that left gave its port back soon after it had come
	filling bool
	begun   time.Time     // when ports were last begun to be made
	never   bool          // its ports can't be plugged before it is known what they are for
	batch   int           // how many are made at once: less where Neutron did not answer in time; 0: as many as may be
	pause   time.Duration // after the last failure; doubled by the next
	not     time.Time     // before this it is not filled: Neutron refused, or did not answer
	limit   int           // what Neutron's refusal left of Max, until grow
	grow    time.Time
}

// How far back demand is counted, and how long a refusal counts: a quota or a
// subnet that is used up stays so until somebody acts. What fails is tried again
// after fillRetry, doubled up to limitFor: each try makes work for the cloud.
const (
	demandWindow = 20 * time.Second
	fillRetry    = 10 * time.Second
	limitFor     = 10 * time.Minute
	forgetAfter  = 12 // times Idle
)

// headroom is the part of a subnet, and of what a host may keep of it, that
// pools may take: several hosts share it with each other, and with others.
const headroom = 8

// demand takes note that an endpoint got a port, whether it was the pool's, and how
// it is bound.
func (c *Courier) demand(a *attachment, hit bool) {
	if c.opt.PortPool.Max == 0 {
		return
	}
	rec := c.snapshot(a)
	id, now, never := rec.Network, time.Now(), !c.Binder.Anonymous(rec.Binding)
	c.mu.Lock()
	a.taken = now
	p := c.portPools[id]
	if p == nil {
		p = &portPool{}
		c.portPools[id] = p
	}
	p.never = p.never || never
	p.last = now
	p.took = append(p.took, now)
	p.starts++
	if hit {
		p.hits++
	} else {
		p.misses++
	}
	c.mu.Unlock()
	c.tendSoon()
}

// target is how many ports the pool is to have, those that rest among them: the
// minimum beyond what was asked for lately, which may all be resting, within the
// operator's limits and the network's room. Called with Courier.mu held.
func (p *portPool) target(o PortPool, room int, now time.Time) int {
	p.took = slices.DeleteFunc(p.took, func(t time.Time) bool { return now.Sub(t) > demandWindow })
	if now.Sub(p.last) > forgetAfter*o.Idle {
		return 0
	}
	return min(len(p.took)+o.Min, p.most(o, room, now))
}

// most is how many ports the pool may have. Called with Courier.mu held.
func (p *portPool) most(o PortPool, room int, now time.Time) int {
	if now.Before(p.grow) {
		return min(o.Max, room, p.limit)
	}
	return min(o.Max, room)
}

// lacking is how many ports are to be made in one request, if it is time to. Each
// request costs the cloud about as much as ten ports do, so while somebody asks the
// pool is doubled, at most: demand that grows is met with few requests. Where
// endpoints stay for a short time only, there is room for what those bring back that
// are out: more would be deleted then, and made again at the next burst. Called with
// Courier.mu held, after target.
func (p *portPool) lacking(o PortPool, have []*attachment, out, want, most int, now time.Time) int {
	ready, least := 0, max(1, min(o.Min, few))
	for _, a := range have {
		if a.rec.State != cooling {
			ready++
		}
	}
	missing := max(want-len(have), o.Min-ready) // what rests is of no use yet
	if want == 0 || missing <= 0 || ready >= least && now.Sub(p.last) < p.patience(o, ready, missing) {
		return 0
	}
	k := missing
	if len(p.took) > 0 {
		k = max(k, len(have))
	}
	k = min(k, o.Batch, most-len(have))
	if p.batch > 0 {
		k = min(k, p.batch)
	}
	if p.brief {
		spare := most - len(have) - out
		if ready < least {
			spare = max(spare, least)
		}
		k = min(k, spare)
	}
	return max(k, 0)
}

// few is how many a pool has left, or its minimum if that is less, when more are
// made whatever speaks against it.
const few = 5

// lull is how long nobody asks for a port when those that do are taken to be done:
// to make ports takes the CPU, and the cloud, that a container's start wants as well.
const lull = time.Second

// patience is for how long nobody must have asked before ports are made: what does
// not fill a request is not worth one while more may come to be missing, and what
// does can wait for a lull while two requests' worth is ready. Called with Courier.mu held.
func (p *portPool) patience(o PortPool, ready, missing int) time.Duration {
	switch {
	case missing < o.Batch && p.last.After(p.begun):
		return demandWindow
	case missing < o.Batch || ready >= 2*o.Batch:
		return lull
	}
	return 0
}

// isOut tells whether an endpoint that came lately has the port. Called with Courier.mu held.
func (a *attachment) isOut(now time.Time) bool {
	used := a.rec.State == reserved || a.rec.State == attached
	return used && a.rec.Pooled && now.Sub(a.taken) < demandWindow
}

// left takes note that an endpoint leaves its port. Called with mu held.
func (c *Courier) left(a *attachment) {
	if p := c.portPools[a.rec.Network]; p != nil && a.rec.Pooled {
		p.brief = c.asMade(a) && a.isOut(time.Now())
	}
}

// room is how many ports of the network this host may keep ready: a part of its
// smallest subnet, and none of a very small one.
func (r networkRecord) room() int {
	room := maxRoom
	for _, s := range r.Subnets {
		if bits := s.CIDR.Addr().BitLen() - s.CIDR.Bits(); bits < maxRoomBits {
			room = min(room, 1<<bits/headroom-1)
		}
	}
	return room
}

// A subnet of so many bits or more has room for any pool.
const (
	maxRoomBits = 20
	maxRoom     = 1 << maxRoomBits / headroom
)

// filled takes note of how the making of k ports ended. A cloud that is slow may
// have time for fewer at once. Called with Courier.mu held.
func (p *portPool) filled(k int, err error, now time.Time) {
	p.filling = false
	if err == nil {
		p.pause, p.not = 0, time.Time{}
		if p.batch > 0 {
			p.batch = max(p.batch, 2*k)
		}
		return
	}
	p.batch = max(1, k/2)
	p.pause = min(max(2*p.pause, fillRetry), limitFor)
	p.not = now.Add(p.pause)
}
