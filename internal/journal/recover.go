package journal

import (
	"bytes"
	"fmt"
	"maps"
	"slices"

	"kuryr/internal/courier"
)

// recovered is what a file held.
type recovered struct {
	seed   uint32 // which the sums of its frames start from
	frames []frame
	tail   int64 // the end of the last good frame
	torn   int64 // bytes after it that were neither frame nor zeros
}

// reader reads a whole file of one format, whose header is known already.
type reader func(header, []byte) (recovered, error)

// readers are those of every format that there has been. A file of an older
// one is written anew in the present one as soon as it has been read.
func readers() map[uint32]reader {
	return map[uint32]reader{version: recoverFrames}
}

// read reads a file of any known format. What is damaged is an error of that
// type.
func read(known map[uint32]reader, b []byte) (header, recovered, error) {
	h, err := decodeHeader(b)
	if err != nil {
		return h, recovered{}, err
	}
	if newest := slices.Max(slices.Collect(maps.Keys(known))); h.version > newest {
		return h, recovered{}, &courier.Error{Kind: courier.Unsupported,
			Public: fmt.Sprintf("a newer Kuryr wrote it (format %d; this one reads up to %d)", h.version, newest),
			Hint:   "start the newer Kuryr, or give this one another state directory"}
	}
	f := known[h.version]
	if f == nil {
		return h, recovered{}, &damaged{fmt.Sprintf("its format, %d, never was", h.version)}
	}
	r, err := f(h, b)
	return h, r, err
}

// recoverFrames reads a file of the present format. A gap that is damage, and
// not what a crash left, is an error that says where it is.
func recoverFrames(h header, b []byte) (recovered, error) {
	r := recovered{seed: h.seed(), tail: headerSize}
	for {
		f, err := decodeFrame(r.seed, b[r.tail:])
		if err != nil {
			break
		}
		r.frames = append(r.frames, f)
		r.tail += f.size
	}
	r.torn = int64(len(bytes.TrimRight(b[r.tail:], "\x00")))
	synced := h.initial
	for _, f := range framesIn(r.seed, b[r.tail:]) {
		synced = max(synced, f.synced)
	}
	if synced > r.tail {
		return r, &damaged{fmt.Sprintf("it is damaged at offset %d", r.tail)}
	}
	return r, nil
}

// framesIn looks for good frames anywhere in b.
func framesIn(seed uint32, b []byte) (found []frame) {
	for {
		i := bytes.Index(b, frameMagic[:])
		if i < 0 {
			return found
		}
		b = b[i:]
		f, err := decodeFrame(seed, b)
		if err != nil {
			b = b[1:]
			continue
		}
		found = append(found, f)
		b = b[f.size:]
	}
}
