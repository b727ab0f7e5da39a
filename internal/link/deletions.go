package link

import (
	"context"
	"sync"
)

// To remove a pair the kernel takes its lock on all interfaces for a
// millisecond, gives it back, and then waits some 20 ms for its readers (RCU).
// Pairs that are removed by one request share both, and one request can name
// several by their group only. So those that are to go at the same time are
// moved into removalGroup first, and that group is removed.
//
// What is in the group when the kernel removes it, goes. It is ours alone: its
// number is next to ownGroup, and all interfaces are looked through right
// before. If anything is in it that was not moved there to be removed, the pairs
// are removed one by one, and the stranger stays. What remains is the time from
// the look at an interface to the request (less than a millisecond; 5 ms among
// 1,000 interfaces): another program that would move an interface of its own
// into this very group just then would lose it.

const (
	// removalGroup has what is about to be removed. A crash may leave pairs in
	// it: they are ours as before, down to the packet filter (GroupMask).
	removalGroup = ownGroup ^ 1
	// deletedAtOnce is how many pairs go by one request at most: their answers
	// have room in a socket's buffer.
	deletedAtOnce = 100
)

// deletions are the pairs that are to be removed. Those that come while others are
// being removed wait, and then go together; nobody waits for company.
type deletions struct {
	mu      sync.Mutex
	waiting []*deletion // guarded by mu
	busy    bool        // the deleter is at work; guarded by mu
	work    sync.WaitGroup
	deleter deleter
}

// deletion is one caller's pair.
type deletion struct {
	index  int
	answer chan error // holds one
}

// close waits for the deleter, which has nobody to answer any more.
func (d *deletions) close() {
	d.work.Wait()
	closeSockets(d.deleter.sockets)
}

// remove removes a pair, together with others; one that is gone is no error.
// Once the kernel has been asked, its answer is waited for.
func (d *deletions) remove(ctx context.Context, index int) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	own := &deletion{index: index, answer: make(chan error, 1)}
	d.add(own)
	select {
	case err := <-own.answer:
		return err
	case <-ctx.Done():
		if d.withdraw(own) {
			return ctx.Err()
		}
		return <-own.answer
	}
}

// add has the deleter see to it, after what it is at.
func (d *deletions) add(own *deletion) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.waiting = append(d.waiting, own)
	if d.busy {
		return
	}
	d.busy = true
	d.work.Go(d.empty)
}

// empty has the deleter remove what waits, until nothing does.
func (d *deletions) empty() {
	for batch := d.take(); len(batch) > 0; batch = d.take() {
		d.deleter.remove(batch)
	}
}

// take returns what waits; when that is nothing, the deleter is not busy any more.
func (d *deletions) take() []*deletion {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := min(len(d.waiting), deletedAtOnce)
	batch := d.waiting[:n:n]
	d.waiting = d.waiting[n:]
	d.busy = n > 0
	return batch
}

// withdraw takes back what the deleter has not taken.
func (d *deletions) withdraw(own *deletion) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i, x := range d.waiting {
		if x == own {
			d.waiting = append(d.waiting[:i:i], d.waiting[i+1:]...)
			return true
		}
	}
	return false
}
