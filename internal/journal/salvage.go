package journal

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"kuryr/internal/courier"
	"kuryr/internal/observe"
)

const (
	// asideInfix stands between a journal's name and the time at which it was
	// found damaged and set aside.
	asideInfix = ".damaged-"
	// asideKept is how many damaged files are kept, the newest.
	asideKept = 3
)

// salvage sets a damaged file aside and makes a new one of what can be read of
// it, with an entry that tells of the loss. The damaged one is in place until
// the new one is, so that a crash in between loses nothing more.
func (j *Journal) salvage(b []byte, why *damaged) error {
	frames, unread := salvageFrames(b)
	kept := 0
	for _, f := range frames {
		kept += len(f.entries)
		j.apply(f.entries)
	}
	now := time.Now().UTC()
	aside, err := setAside(j.path, now)
	if err != nil {
		return fmt.Errorf("set the damaged file aside: %w", err)
	}
	loss := courier.Loss{At: now, File: aside,
		What: fmt.Sprintf("%s; %d of its records could be read, %d bytes of it could not", why.what, len(frames), unread)}
	data, err := json.Marshal(loss)
	if err != nil {
		return err
	}
	j.apply([]courier.Entry{{Kind: courier.KindLoss, ID: filepath.Base(aside), Data: data}})
	if err := j.rewrite(); err != nil {
		return err
	}
	j.o.Log.Error("journal: it was damaged; what could be read of it is kept, the rest is to be found in Neutron and the kernel",
		observe.Path, j.path, "damage", why.what, "records", len(frames), "entries", kept, "unread", unread, "aside", aside)
	j.prune()
	return nil
}

// salvageFrames returns the frames of a damaged file, in their order, and how
// many bytes of it are neither frames nor the zeros at its end.
func salvageFrames(b []byte) (frames []frame, unread int64) {
	unread = int64(len(bytes.TrimRight(b, "\x00")))
	h, err := decodeHeader(b)
	seed := h.seed()
	if err == nil {
		unread -= headerSize
	} else if seed, err = seedOf(b); err != nil {
		return nil, unread
	}
	frames = framesIn(seed, b)
	for _, f := range frames {
		unread -= f.size
	}
	return frames, max(unread, 0) // a frame may end with zeros
}

var errNoSeed = errors.New("no two frames agree on a salt")

// seedOf finds what the frames' sums start from where the header, which has the
// salt, is damaged. A sum can be computed backwards: each frame tells what it
// must have started from, right or wrong. What two of them agree on, or one of
// them and the header, is right but for one case in 4 billion.
func seedOf(b []byte) (uint32, error) {
	var known [256]byte // by the first byte of an element of the table: which one it is
	for i, x := range crcTable() {
		known[x>>24] = byte(i)
	}
	votes := map[uint32]int{}
	if len(b) >= 20 {
		votes[crc32.Checksum(b[12:20], crcTable())]++
	}
	for rest := b; ; rest = rest[1:] {
		i := bytes.Index(rest, frameMagic[:])
		if i < 0 {
			break
		}
		rest = rest[i:]
		f, ok := cutFrame(rest)
		if !ok {
			continue
		}
		if _, err := parsePayload(f[frameHeaderSize:]); err != nil {
			continue
		}
		sum := unwind(&known, binary.LittleEndian.Uint32(f[16:]), f[frameHeaderSize:])
		votes[unwind(&known, sum, f[:16])]++
		rest = rest[len(f)-1:]
	}
	var best uint32
	for seed, n := range votes {
		if n > votes[best] {
			best = seed
		}
	}
	if votes[best] < 2 {
		return 0, errNoSeed
	}
	return best, nil
}

// unwind is the inverse of crc32.Update: the sum before b was added.
func unwind(known *[256]byte, sum uint32, b []byte) uint32 {
	sum = ^sum
	for _, x := range slices.Backward(b) {
		i := known[sum>>24]
		sum = (sum^crcTable()[i])<<8 | uint32(i^x)
	}
	return ^sum
}

// setAside gives the file at path a second name, which it keeps when the new one
// takes its place. A crash may have come in between the last time.
func setAside(path string, now time.Time) (string, error) {
	st, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	for _, old := range setAsides(path) {
		if s, err := os.Stat(old); err == nil && os.SameFile(s, st) {
			return old, nil
		}
	}
	name := path + asideInfix + now.Format("20060102T150405.000000Z")
	if err := os.Link(path, name); err != nil {
		return "", err
	}
	return name, syncDir(filepath.Dir(path))
}

// setAsides returns the damaged files that were set aside, the oldest first.
func setAsides(path string) (found []string) {
	dir, prefix := filepath.Dir(path), filepath.Base(path)+asideInfix
	all, _ := os.ReadDir(dir) // sorted by name; what can't be listed is not there
	for _, e := range all {
		if strings.HasPrefix(e.Name(), prefix) {
			found = append(found, filepath.Join(dir, e.Name()))
		}
	}
	return found
}

// prune removes all but the newest of the files that were set aside.
func (j *Journal) prune() {
	old := setAsides(j.path)
	for _, name := range old[:max(0, len(old)-asideKept)] {
		if err := os.Remove(name); err != nil {
			j.o.Log.Warn("journal: cannot remove an old damaged file", observe.Path, name, observe.Err, err)
		}
	}
}
