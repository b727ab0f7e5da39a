package journal

import (
	"kuryr/internal/courier"
	"kuryr/internal/observe"
)

// partSize is about how large the frames of a rewritten file are.
const partSize = 1 << 20

// garbage is about how much of the file a rewrite would save.
func (j *Journal) garbage() int64 { return j.tail - headerSize - j.liveBytes }

// compact rewrites the file if its garbage is still worth it. When that fails
// the old file goes on being used, until there is a good deal more garbage.
func (j *Journal) compact() {
	j.syncMu.Lock()
	defer j.syncMu.Unlock()
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.f == nil || j.garbage() < j.compactAt {
		return
	}
	if err := j.rewrite(); err != nil {
		j.compactAt = j.garbage() + j.o.MinGarbage
		j.o.Log.Warn("journal: cannot make the file smaller", observe.Path, j.path, "bytes", j.tail, observe.Err, err)
	}
}

// repair rewrites a file that an earlier failure has left in doubt.
func (j *Journal) repair() error {
	j.mu.Lock()
	damaged := j.damage != nil
	j.mu.Unlock()
	if !damaged {
		return nil
	}
	j.syncMu.Lock()
	defer j.syncMu.Unlock()
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.damage == nil || j.f == nil {
		return nil
	}
	return j.rewrite()
}

// rewrite puts a new file with the live entries in place of the old one. Both
// mutexes are held, or the journal is not yet shared.
func (j *Journal) rewrite() error {
	h := header{version: version, salt: newSalt()}
	content := make([]byte, headerSize)
	for _, part := range parts(j.snapshot()) {
		content = append(content, encodeFrame(h.seed(), 0, part)...)
	}
	tail := int64(len(content))
	h.initial = tail
	copy(content, h.encode())
	f, allocated, err := create(j.path, content, (tail/j.o.Chunk+1)*j.o.Chunk)
	if f == nil {
		return err
	}
	if j.f != nil {
		j.f.Close()
	}
	j.f, j.seed, j.tail, j.synced, j.allocated = f, h.seed(), tail, tail, allocated
	j.damage = err
	j.compactAt = max(j.o.MinGarbage, j.liveBytes)
	for _, c := range j.pending {
		c.done, c.err = true, err
	}
	j.pending = nil
	return err
}

// parts cuts entries into runs of about partSize.
func parts(entries []courier.Entry) [][]courier.Entry {
	var all [][]courier.Entry
	start, size := 0, 0
	for i, e := range entries {
		if n := entrySize(e); i > start && size+n > partSize {
			all = append(all, entries[start:i])
			start, size = i, n
		} else {
			size += n
		}
	}
	if start < len(entries) {
		all = append(all, entries[start:])
	}
	return all
}
