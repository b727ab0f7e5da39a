package store

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
)

// Range is an inclusive range of addresses of one family.
type Range struct {
	First netip.Addr `json:"start"`
	Last  netip.Addr `json:"end"`
}

// String returns "first-last", as Neutron's messages print a range.
func (r Range) String() string { return fmt.Sprintf("%s-%s", r.First, r.Last) }

// Contains reports whether a lies in the range.
func (r Range) Contains(a netip.Addr) bool {
	return a.BitLen() == r.First.BitLen() && r.First.Compare(a) <= 0 && a.Compare(r.Last) <= 0
}

// freeSet is a set of addresses, kept as disjoint runs that do not touch, in
// a treap ordered by their first address. All operations take time in the
// logarithm of the number of runs, whatever the number of addresses: an IPv6
// /64 with nothing allocated is one run.
type freeSet struct{ root *run }

type run struct {
	Range
	priority    uint64
	left, right *run
}

// split divides a treap into the runs that start at or before a, and the rest.
func split(t *run, a netip.Addr) (upTo, after *run) {
	switch {
	case t == nil:
		return nil, nil
	case t.First.Compare(a) <= 0:
		t.right, after = split(t.right, a)
		return t, after
	default:
		upTo, t.left = split(t.left, a)
		return upTo, t
	}
}

// merge joins two treaps, all of l lying before r.
func merge(l, r *run) *run {
	switch {
	case l == nil:
		return r
	case r == nil:
		return l
	case l.priority > r.priority:
		l.right = merge(l.right, r)
		return l
	default:
		r.left = merge(l, r.left)
		return r
	}
}

func popFirst(t *run) (first, rest *run) {
	if t.left == nil {
		rest, t.right = t.right, nil
		return t, rest
	}
	first, t.left = popFirst(t.left)
	return first, t
}

func popLast(t *run) (last, rest *run) {
	if t.right == nil {
		rest, t.left = t.left, nil
		return t, rest
	}
	last, t.right = popLast(t.right)
	return last, t
}

// add puts a range into the set, none of which is in it yet.
func (s *freeSet) add(r Range) {
	before, after := split(s.root, r.First)
	if before != nil {
		last, rest := popLast(before)
		if last.Last.Next() == r.First {
			r.First, before = last.First, rest
		} else {
			before = merge(rest, last)
		}
	}
	if after != nil {
		first, rest := popFirst(after)
		if r.Last.Next() == first.First {
			r.Last, after = first.Last, rest
		} else {
			after = merge(first, rest)
		}
	}
	s.root = merge(merge(before, &run{Range: r, priority: rand.Uint64()}), after)
}

// take removes a range that lies inside one run, and reports whether it did.
func (s *freeSet) take(r Range) bool {
	before, after := split(s.root, r.First)
	if before == nil {
		s.root = after
		return false
	}
	last, before := popLast(before)
	if !last.Contains(r.First) || !last.Contains(r.Last) {
		s.root = merge(merge(before, last), after)
		return false
	}
	s.root = merge(before, after)
	if last.First != r.First {
		s.add(Range{last.First, r.First.Prev()})
	}
	if last.Last != r.Last {
		s.add(Range{r.Last.Next(), last.Last})
	}
	return true
}

// next returns the first address of the set at or after a; the zero Addr asks
// for the very first one.
func (s *freeSet) next(a netip.Addr) (netip.Addr, bool) {
	var best *run
	for t := s.root; t != nil; {
		if t.Last.Compare(a) < 0 {
			t = t.right
			continue
		}
		best, t = t, t.left
	}
	switch {
	case best == nil:
		return netip.Addr{}, false
	case best.First.Compare(a) < 0:
		return a, true
	}
	return best.First, true
}

// each calls f with every run, in order, until f returns false.
func (s *freeSet) each(f func(Range) bool) { eachRun(s.root, f) }

func eachRun(t *run, f func(Range) bool) bool {
	return t == nil || eachRun(t.left, f) && f(t.Range) && eachRun(t.right, f)
}

// space is the addresses of one subnet: who holds which, and which are left
// for automatic allocation.
type space struct {
	pools []Range
	free  freeSet               // in a pool and held by nobody
	used  map[netip.Addr]string // holder's port ID; also outside of the pools
	// loading: rows are being read, setPools will follow, free is not kept.
	loading bool
	// cursor is where the search for a free address starts: behind the last
	// one handed out, so that a released address rests until the search has
	// gone round. Old connections and neighbour caches have then forgotten it.
	cursor netip.Addr
}

func newSpace(pools []Range) *space {
	s := &space{used: make(map[netip.Addr]string)}
	s.setPools(pools)
	return s
}

// setPools works out anew what is free.
func (s *space) setPools(pools []Range) {
	s.pools, s.free, s.loading = pools, freeSet{}, false
	used := slices.SortedFunc(maps.Keys(s.used), netip.Addr.Compare)
	for _, p := range pools {
		i, _ := slices.BinarySearchFunc(used, p.First, netip.Addr.Compare)
		from := p.First
		for ; i < len(used) && p.Contains(used[i]); i++ {
			if from.Less(used[i]) {
				s.free.add(Range{from, used[i].Prev()})
			}
			from = used[i].Next()
		}
		if from.IsValid() && from.Compare(p.Last) <= 0 {
			s.free.add(Range{from, p.Last})
		}
	}
}

// pick chooses a free address; it stays free until taken.
func (s *space) pick() (netip.Addr, bool) {
	a, ok := s.free.next(s.cursor)
	if !ok {
		a, ok = s.free.next(netip.Addr{})
	}
	if ok {
		s.cursor = a.Next()
	}
	return a, ok
}

// take gives an address to a port. Taking what the port holds changes nothing.
func (s *space) take(a netip.Addr, port string) {
	if _, held := s.used[a]; held {
		return
	}
	s.used[a] = port
	if !s.loading {
		s.free.take(Range{a, a})
	}
}

// release takes an address away from a port. What it does not hold is left alone.
func (s *space) release(a netip.Addr, port string) {
	if s.used[a] != port {
		return
	}
	delete(s.used, a)
	for _, p := range s.pools {
		if p.Contains(a) {
			s.free.add(Range{a, a})
			return
		}
	}
}
