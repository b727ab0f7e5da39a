package journal

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"golang.org/x/sys/unix"

	"kuryr/internal/courier"
	"kuryr/internal/crash"
	"kuryr/internal/observe"
)

// Options of a journal.
type Options struct {
	Log *slog.Logger // required
	// Chunk is how many bytes are allocated ahead of the tail. 0: 256 KiB.
	Chunk int64
	// MinGarbage is how many bytes of garbage there must be, and more than what
	// is live, before the file is rewritten. 0: 1 MiB.
	MinGarbage int64
}

const (
	defaultChunk      = 256 << 10
	defaultMinGarbage = 1 << 20
)

// Journal is an open journal. Its methods may be called concurrently.
type Journal struct {
	path    string
	o       Options
	lock    *os.File
	formats map[uint32]reader

	// syncMu is held during an fdatasync, and while the file is replaced; whoever
	// waits for it most often finds that its frame has been synced meanwhile.
	// It is taken before mu.
	syncMu sync.Mutex

	// mu guards all that follows. f is replaced only with both held, so that
	// either is enough to use it.
	mu        sync.Mutex
	f         *os.File // nil: closed
	seed      uint32   // which the sums of the file's frames start from
	tail      int64    // where the next frame goes
	allocated int64    // size of the file
	synced    int64    // known to be on the disk
	live      map[key]item
	liveBytes int64 // what the live entries would take in a new file
	seq       uint64
	pending   []*commit // written, not yet synced
	damage    error     // why the file must be rewritten before the next frame
	compactAt int64     // how much garbage makes the next rewrite due
	lastErr   error     // of the last Write or Note
}

var _ courier.Journal = (*Journal)(nil)

type key struct{ kind, id string }

type item struct {
	data []byte
	seq  uint64 // counts what was written; gives Load its order
}

// commit is one Write on its way to the disk. syncMu guards it.
type commit struct {
	done bool
	err  error
}

// Open opens the journal at path, or makes it in its directory, which must
// exist. It fails with kind Conflict while another process has it open, and with
// Unsupported when a newer Kuryr wrote it; the file is left as it is then. One
// that is damaged, or no journal, is set aside under another name. What can be
// read of it is kept, and an entry of kind courier.KindLoss tells of the rest.
func Open(path string, o Options) (*Journal, error) { return openKnowing(readers(), path, o) }

// openKnowing opens a journal of one of the formats that can be read.
func openKnowing(formats map[uint32]reader, path string, o Options) (*Journal, error) {
	if o.Chunk <= 0 {
		o.Chunk = defaultChunk
	}
	if o.MinGarbage <= 0 {
		o.MinGarbage = defaultMinGarbage
	}
	j := &Journal{path: path, o: o, formats: formats, live: map[key]item{}}
	var err error
	if j.lock, err = lock(path); err != nil {
		return nil, j.fail("lock", err)
	}
	if err := j.open(); err != nil {
		j.lock.Close()
		return nil, j.fail("open", err)
	}
	j.compactAt = max(o.MinGarbage, j.liveBytes)
	return j, nil
}

func (j *Journal) open() error {
	// What a crash left of a rewrite was never in place.
	if err := os.Remove(j.path + ".new"); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(j.path, os.O_RDWR|unix.O_NOFOLLOW, 0)
	if errors.Is(err, os.ErrNotExist) {
		return j.begin(j.rewrite)
	}
	if err != nil {
		return err
	}
	if err := j.adopt(f); err != nil || j.f != f {
		f.Close()
		return err
	}
	return nil
}

// begin puts the first file of this process in place.
func (j *Journal) begin(write func() error) error {
	err := write()
	if err != nil && j.f != nil {
		j.f.Close()
	}
	return err
}

// adopt takes over an existing file: reads it, cuts off what a crash left
// unfinished, and makes sure that all the rest is on the disk. What can't be
// used further gets a new one in its place.
func (j *Journal) adopt(f *os.File) error {
	b, err := readFile(f)
	if err != nil {
		return err
	}
	h, r, err := read(j.formats, b)
	var d *damaged
	if errors.As(err, &d) {
		return j.begin(func() error { return j.salvage(b, d) })
	}
	if err != nil {
		return err
	}
	for _, fr := range r.frames {
		j.apply(fr.entries)
	}
	if r.torn > 0 {
		j.o.Log.Warn("journal: cut off a record that a crash left unfinished",
			observe.Path, j.path, "offset", r.tail, "bytes", r.torn, "records", len(r.frames))
	}
	if h.version != version {
		j.o.Log.Info("journal: brought to the present format", observe.Path, j.path, "from", h.version, "to", version)
		return j.begin(j.rewrite)
	}
	if r.torn > 0 {
		crash.Before(crash.JournalCut)
		err := f.Truncate(r.tail)
		crash.After(crash.JournalCut)
		if err != nil {
			return err
		}
	}
	if err := f.Sync(); err != nil {
		return err
	}
	j.f, j.seed, j.tail, j.synced = f, r.seed, r.tail, r.tail
	j.allocated = int64(len(b))
	if r.torn > 0 {
		j.allocated = r.tail
	}
	return nil
}

// Close closes the file and gives up the lock. Notes are synced; every call
// that comes later fails.
func (j *Journal) Close() error {
	j.syncMu.Lock()
	defer j.syncMu.Unlock()
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.f == nil {
		return nil
	}
	err := fdatasync(j.f)
	j.settle(j.pending, j.tail, err)
	j.pending = nil
	err = errors.Join(err, j.f.Close(), j.lock.Close())
	j.f = nil
	if err != nil {
		return j.fail("close", err)
	}
	return nil
}

// Load implements courier.Journal. The entries come in the order in which they
// were last written.
func (j *Journal) Load(ctx context.Context) ([]courier.Entry, error) {
	if err := ctx.Err(); err != nil {
		return nil, j.fail("read", err)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.f == nil {
		return nil, j.fail("read", os.ErrClosed)
	}
	return j.snapshot(), nil
}

// snapshot returns the live entries in order; their data are copies.
func (j *Journal) snapshot() []courier.Entry {
	keys := make([]key, 0, len(j.live))
	for k := range j.live {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b key) int {
		return cmp.Or(cmp.Compare(j.live[a].seq, j.live[b].seq), cmp.Compare(a.kind, b.kind), cmp.Compare(a.id, b.id))
	})
	entries := make([]courier.Entry, len(keys))
	for i, k := range keys {
		entries[i] = courier.Entry{Kind: k.kind, ID: k.id, Data: append([]byte{}, j.live[k].data...)}
	}
	return entries
}

// Err returns why the last Write or Note failed, or nil when it did not.
func (j *Journal) Err() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.lastErr
}

// Size tells how large a journal is.
type Size struct {
	File    int64 `json:"file_bytes"`    // of the file, with what is allocated ahead
	Used    int64 `json:"used_bytes"`    // of those, up to the last record
	Live    int64 `json:"live_bytes"`    // of those, what a rewritten file would have
	Entries int   `json:"entries"`       // that are live
	Rewrite int64 `json:"rewrite_bytes"` // at how many used bytes the file is rewritten
}

// Size returns how large the journal is now.
func (j *Journal) Size() Size {
	j.mu.Lock()
	defer j.mu.Unlock()
	return Size{File: j.allocated, Used: j.tail, Live: j.liveBytes, Entries: len(j.live), Rewrite: headerSize + j.liveBytes + j.compactAt}
}

// fail makes the courier's error of err, which may already be part of one.
func (j *Journal) fail(op string, err error) error {
	e := &courier.Error{Op: op + " the journal", Subject: j.path, Err: err}
	var inner *courier.Error
	switch {
	case errors.As(err, &inner):
		e.Kind, e.Public, e.Hint = inner.Kind, inner.Public, inner.Hint
	case errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT):
		e.Kind, e.Public = courier.Exhausted, "no space is left on the disk"
		e.Hint = "free some space on the file system of " + filepath.Dir(j.path)
	case errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded):
		e.Kind = courier.Unavailable
	}
	return e
}
