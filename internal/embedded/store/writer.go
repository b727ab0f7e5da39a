package store

import (
	"encoding/json"
	"fmt"

	bolt "go.etcd.io/bbolt"

	"kuryr/internal/crash"
)

// batch is the changes that go to disk in one commit.
type batch struct {
	changes []change
	done    chan struct{} // closed when the commit has succeeded or failed
	err     error         // valid after done
}

type rowKey struct{ bucket, id string }

// writer commits batches, one at a time. While one is on its way to the disk
// the next collects, so callers that come at the same time share a commit
// and one that comes alone waits for no other.
type writer struct {
	// Store.mu guards these.
	open   *batch // collects; nil: empty
	flying *batch // on its way; nil: none
	// dirty are the rows of failed commits. A commit that failed in its last
	// step may be on disk all the same; the next one writes these again as
	// memory has them.
	dirty map[rowKey]struct{}

	wake    chan struct{} // there is something in open
	stop    chan struct{}
	stopped chan struct{}
}

func newWriter() writer {
	return writer{
		dirty:   make(map[rowKey]struct{}),
		wake:    make(chan struct{}, 1),
		stop:    make(chan struct{}),
		stopped: make(chan struct{}),
	}
}

// latest returns the youngest batch that is not yet on disk, or nil. Commits
// are in order: when it is on disk, all that was seen before is.
func (w *writer) latest() *batch {
	if w.open != nil {
		return w.open
	}
	return w.flying
}

// enqueue adds a transaction to the next commit.
func (w *writer) enqueue(changes []change) *batch {
	if w.open == nil {
		w.open = &batch{done: make(chan struct{})}
	}
	w.open.changes = append(w.open.changes, changes...)
	select {
	case w.wake <- struct{}{}:
	default:
	}
	return w.open
}

// writeLoop is the one goroutine that writes to the file.
func (s *Store) writeLoop() {
	defer close(s.w.stopped)
	for {
		select {
		case <-s.w.wake:
			s.flush()
		case <-s.w.stop:
			s.flush()
			return
		}
	}
}

// flush commits what has collected, and repairs what an earlier commit left unclear.
func (s *Store) flush() {
	s.mu.Lock()
	b := s.w.open
	s.w.open, s.w.flying = nil, b
	repairs := s.repairs()
	s.mu.Unlock()
	if b == nil && len(repairs) == 0 {
		return
	}
	if b == nil {
		b = &batch{done: make(chan struct{})}
	}

	err := s.write(append(b.changes, repairs...))

	s.mu.Lock()
	defer s.mu.Unlock()
	s.w.flying = nil
	if err == nil {
		clear(s.w.dirty)
		close(b.done)
		return
	}
	// What has collected meanwhile may rest on what failed: it goes too.
	if o := s.w.open; o != nil {
		s.w.open = nil
		undo(o.changes)
		o.err = err
		close(o.done)
	}
	undo(b.changes)
	for _, c := range b.changes {
		if c.bucket != "" {
			s.w.dirty[rowKey{c.bucket, c.id}] = struct{}{}
		}
	}
	b.err = err
	close(b.done)
}

// repairs returns the dirty rows as memory has them.
func (s *Store) repairs() []change {
	var out []change
	for k := range s.w.dirty {
		out = append(out, change{bucket: k.bucket, id: k.id, row: s.state.tableOf(k.bucket).row(k.id)})
	}
	return out
}

// write commits changes to the file. Later changes of a row win.
func (s *Store) write(changes []change) error {
	crash.Before(crash.EmbeddedCommit)
	defer crash.After(crash.EmbeddedCommit)
	err := s.db.Update(func(btx *bolt.Tx) error {
		for _, c := range changes {
			if c.bucket == "" {
				continue
			}
			b := btx.Bucket([]byte(c.bucket))
			if c.row == nil {
				if err := b.Delete([]byte(c.id)); err != nil {
					return err
				}
				continue
			}
			v, err := json.Marshal(c.row)
			if err != nil {
				return err
			}
			if err := b.Put([]byte(c.id), v); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("cannot write %s: %w", s.db.Path(), err)
	}
	return nil
}
