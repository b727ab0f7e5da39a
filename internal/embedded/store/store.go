package store

import (
	"context"
	"errors"
	"sync"
	"time"

	bolt "go.etcd.io/bbolt"
)

// Options of a Store.
type Options struct {
	// Path is the state's file. Its folder must exist.
	Path string
	// Host is this server's name: ports with this binding:host_id are bound.
	Host string
	// MTU of networks that ask for none, in bytes; 0: 1500.
	MTU int
	// Enforce says that the data plane enforces port security. Without it
	// ports are unprotected, and say so.
	Enforce bool
	// Limits changes the default limits of projects; see DefaultLimits.
	Limits map[string]int
	// LockTimeout is how long Open waits for another process to let go of the
	// file; 0: a second.
	LockTimeout time.Duration
	// maxSize limits the file, in bytes; 0: no limit. Tests make writes fail with it.
	maxSize int
}

// Store is the state of the embedded Neutron. It is safe for concurrent use.
type Store struct {
	host    string
	mtu     int
	project string
	enforce bool
	db      *bolt.DB

	mu      sync.RWMutex
	state   *state
	w       writer
	plugged map[string]struct{} // by the 11 characters after "tap"
	closed  bool
}

var errClosed = errors.New("the store is closed")

// ProjectID returns the project that owns what a request gives no owner, 32
// hexadecimal digits, the same for the life of the state.
func (s *Store) ProjectID() string { return s.project }

// Enforces reports whether ports can be protected on this host.
func (s *Store) Enforces() bool { return s.enforce }

// Close writes what is under way and closes the file. It is idempotent.
func (s *Store) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	s.mu.Unlock()
	close(s.w.stop)
	<-s.w.stopped
	return s.db.Close()
}

// update runs a transaction and returns when it is on disk. When f fails
// nothing is changed.
func (s *Store) update(ctx context.Context, f func(*tx) error) error {
	if err := ctx.Err(); err != nil {
		return notWritten(err)
	}
	b, err := s.apply(s.caller(ctx), f)
	// A refusal, too, may rest on changes that are not on disk yet.
	if b != nil {
		<-b.done
		if b.err != nil {
			return notWritten(b.err)
		}
	}
	return err
}

// apply carries a transaction out in memory and returns the batch to wait for.
func (s *Store) apply(c Caller, f func(*tx) error) (*batch, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, notWritten(errClosed)
	}
	x := &tx{state: s.state, store: s, now: time.Now(), caller: c}
	done := false
	defer func() { // also when a rule panics
		if !done {
			undo(x.changes)
		}
	}()
	if err := f(x); err != nil {
		return s.w.latest(), err
	}
	done = true
	if len(x.changes) == 0 {
		return s.w.latest(), nil
	}
	return s.w.enqueue(x.changes), nil
}

// view reads, and returns when all that f has seen is on disk.
func (s *Store) view(ctx context.Context, f func(*state) error) error {
	for {
		if err := ctx.Err(); err != nil {
			return notWritten(err)
		}
		s.mu.RLock()
		if s.closed {
			s.mu.RUnlock()
			return notWritten(errClosed)
		}
		err := f(s.state)
		b := s.w.latest()
		s.mu.RUnlock()
		if b == nil {
			return err
		}
		<-b.done
		if b.err == nil {
			return err
		}
		// What f saw was taken back: look again.
	}
}
