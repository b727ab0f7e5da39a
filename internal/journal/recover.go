package journal

import (
	"bytes"
	"fmt"

	"kuryr/internal/courier"
)

const damagedHint = "put back a copy of the file, or move it away: Kuryr then starts with nothing, and what this host " +
	"held stays in Neutron, with a description that starts with " + courier.MarkPrefix

// recovered is what a file held.
type recovered struct {
	salt   [8]byte
	frames []frame
	tail   int64 // the end of the last good frame
	torn   int64 // bytes after it that were neither frame nor zeros
}

// recoverFrames reads the whole of a file. Damage is an error that says where,
// and how much could still be read.
func recoverFrames(b []byte) (recovered, error) {
	r := recovered{tail: headerSize}
	h, err := decodeHeader(b)
	if err != nil {
		return r, err
	}
	r.salt = h.salt
	for {
		f, err := decodeFrame(r.salt, b[r.tail:])
		if err != nil {
			break
		}
		r.frames = append(r.frames, f)
		r.tail += f.size
	}
	r.torn = int64(len(bytes.TrimRight(b[r.tail:], "\x00")))
	later, synced := laterFrames(r.salt, b[r.tail:])
	if max(synced, h.initial) > r.tail {
		return r, &courier.Error{
			Public: fmt.Sprintf("it is damaged at offset %d: of its records %d before that are whole, and at least %d after it",
				r.tail, len(r.frames), later),
			Hint: damagedHint,
		}
	}
	return r, nil
}

// laterFrames looks for good frames anywhere in b. It returns how many there
// are, and how much of the file the last of them knew to be on the disk.
func laterFrames(salt [8]byte, b []byte) (n int, synced int64) {
	for {
		i := bytes.Index(b, frameMagic[:])
		if i < 0 {
			return n, synced
		}
		b = b[i:]
		f, err := decodeFrame(salt, b)
		if err != nil {
			b = b[1:]
			continue
		}
		n++
		synced = max(synced, f.synced)
		b = b[f.size:]
	}
}
