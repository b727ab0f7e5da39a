package journal

import (
	"context"
	"fmt"
	"os"

	"kuryr/internal/courier"
	"kuryr/internal/crash"
)

// Write implements courier.Journal. Concurrent calls share an fdatasync; a call
// that is alone waits for nobody. Without entries it makes earlier Notes
// durable.
//
// When there is no room for the entries, none is kept. When the disk fails to
// sync them they are as those of a Write that a crash interrupted: a later
// Open may or may not find them. Either way the journal stays usable. The
// context is looked at before the write only, since a disk can't be interrupted.
func (j *Journal) Write(ctx context.Context, entries ...courier.Entry) error {
	return j.put(ctx, entries, true)
}

// Note implements courier.Journal.
func (j *Journal) Note(ctx context.Context, entries ...courier.Entry) error {
	return j.put(ctx, entries, false)
}

func (j *Journal) put(ctx context.Context, entries []courier.Entry, durable bool) error {
	if err := ctx.Err(); err != nil {
		return j.fail("write", err)
	}
	if payloadSize(entries) > maxPayload {
		return j.fail("write", &courier.Error{Kind: courier.Invalid,
			Public: fmt.Sprintf("the entries take more than %d MiB", maxPayload>>20)})
	}
	due, err := j.store(entries, durable)
	j.mu.Lock()
	j.lastErr = err
	j.mu.Unlock()
	if err != nil {
		return j.fail("write", err)
	}
	if due {
		j.compact()
	}
	return nil
}

// store writes the entries in one frame. due reports that the file should be
// rewritten, for the garbage in it.
func (j *Journal) store(entries []courier.Entry, durable bool) (due bool, err error) {
	if err := j.repair(); err != nil {
		return false, err
	}
	c, due, err := j.appendFrame(entries, durable)
	if err != nil {
		return false, err
	}
	if durable {
		err = j.sync(c)
	}
	return due, err
}

// appendFrame writes a frame at the tail. For a durable one it returns what its
// sync will be told to.
func (j *Journal) appendFrame(entries []courier.Entry, durable bool) (c *commit, due bool, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.f == nil {
		return nil, false, os.ErrClosed
	}
	if len(entries) > 0 {
		b := encodeFrame(j.seed, j.synced, entries)
		if err := j.writeTail(b); err != nil {
			return nil, false, err
		}
		j.tail += int64(len(b))
		j.apply(entries)
	}
	if durable {
		c = &commit{}
		j.pending = append(j.pending, c)
	}
	return c, j.garbage() >= j.compactAt, nil
}

// writeTail writes b at the tail, or leaves the file as it was.
func (j *Journal) writeTail(b []byte) error {
	end := j.tail + int64(len(b))
	if end > j.allocated {
		size := (end/j.o.Chunk + 1) * j.o.Chunk
		err := allocate(j.f, j.tail, size)
		if err != nil { // at the edge of a full disk there may be room for the frame alone
			size = end
			err = allocate(j.f, j.tail, size)
		}
		if err != nil {
			return j.cutTail(err)
		}
		j.allocated = size
	}
	crash.Before(crash.JournalFrame)
	_, err := j.f.WriteAt(b, j.tail)
	crash.After(crash.JournalFrame)
	if err != nil {
		return j.cutTail(err)
	}
	return nil
}

// cutTail removes what a failed write left behind the tail, and returns err. If
// it can't, the file has to be rewritten.
func (j *Journal) cutTail(err error) error {
	if cut := j.f.Truncate(j.tail); cut != nil {
		j.damage = err
	}
	j.allocated = j.tail
	return err
}

// sync returns when c is on the disk, or can't be brought there. Whoever holds
// syncMu syncs for all that have written so far.
func (j *Journal) sync(c *commit) error {
	j.syncMu.Lock()
	defer j.syncMu.Unlock()
	if c.done {
		return c.err
	}
	j.mu.Lock()
	batch, tail, f := j.pending, j.tail, j.f
	j.pending = nil
	j.mu.Unlock()
	err := os.ErrClosed
	if f != nil {
		err = fdatasync(f)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.settle(batch, tail, err)
	return c.err
}

// settle ends a sync of all up to tail. After a failed one the kernel may call
// the next a success although it has dropped what it could not write (fsync(2),
// "errors"), so the file is no longer to be relied on.
func (j *Journal) settle(batch []*commit, tail int64, err error) {
	for _, c := range batch {
		c.done, c.err = true, err
	}
	if err != nil {
		j.damage = err
		return
	}
	j.synced = tail
}

// apply brings entries into the live table.
func (j *Journal) apply(entries []courier.Entry) {
	for _, e := range entries {
		k := key{e.Kind, e.ID}
		if old, ok := j.live[k]; ok {
			j.liveBytes -= k.size(old)
			delete(j.live, k)
		}
		if e.Data == nil {
			continue
		}
		j.seq++
		it := item{data: append([]byte{}, e.Data...), seq: j.seq}
		j.live[k] = it
		j.liveBytes += k.size(it)
	}
}

func (k key) size(it item) int64 {
	return int64(entrySize(courier.Entry{Kind: k.kind, ID: k.id, Data: it.data}))
}
