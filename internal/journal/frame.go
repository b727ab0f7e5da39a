package journal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"

	"kuryr/internal/courier"
)

const (
	frameHeaderSize = 20
	// maxPayload bounds a frame, so that a damaged length can't ask for memory.
	maxPayload = 16 << 20
)

var frameMagic = [4]byte{'K', 'F', 'R', 'M'}

// errBadFrame reports bytes that are not a whole frame.
var errBadFrame = errors.New("not a whole frame")

// frame is one record of the file: the entries of one Write or Note.
type frame struct {
	size    int64 // bytes in the file
	synced  int64 // offset known to be on the disk when it was written
	entries []courier.Entry
}

// crcTable returns the Castagnoli table, which the standard library keeps once.
func crcTable() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }

// encodeFrame returns the bytes of a frame with these entries.
func encodeFrame(seed uint32, synced int64, entries []courier.Entry) []byte {
	b := make([]byte, frameHeaderSize, frameHeaderSize+payloadSize(entries))
	b = appendPayload(b, entries)
	copy(b, frameMagic[:])
	binary.LittleEndian.PutUint32(b[4:], uint32(len(b)-frameHeaderSize))
	binary.LittleEndian.PutUint64(b[8:], uint64(synced))
	binary.LittleEndian.PutUint32(b[16:], frameSum(seed, b))
	return b
}

// decodeFrame reads the frame at the start of b, which may be followed by
// anything.
func decodeFrame(seed uint32, b []byte) (frame, error) {
	b, ok := cutFrame(b)
	if !ok {
		return frame{}, errBadFrame
	}
	if binary.LittleEndian.Uint32(b[16:]) != frameSum(seed, b) {
		return frame{}, errBadFrame
	}
	entries, err := parsePayload(b[frameHeaderSize:])
	if err != nil {
		return frame{}, err
	}
	return frame{
		size:    int64(len(b)),
		synced:  int64(binary.LittleEndian.Uint64(b[8:])),
		entries: entries,
	}, nil
}

// cutFrame returns as many of b's bytes as the frame at its start says that it
// has, whatever its sum is.
func cutFrame(b []byte) ([]byte, bool) {
	if len(b) < frameHeaderSize || !bytes.Equal(b[:4], frameMagic[:]) {
		return nil, false
	}
	n := binary.LittleEndian.Uint32(b[4:])
	if n > maxPayload || int64(n) > int64(len(b)-frameHeaderSize) {
		return nil, false
	}
	return b[:frameHeaderSize+int(n)], true
}

// frameSum is over the file's salt, of which seed is the sum, and all of a frame
// but the sum itself. The salt keeps frames of an earlier file, which the
// disk's blocks may still hold, from being taken for this one's.
func frameSum(seed uint32, b []byte) uint32 {
	t := crcTable()
	sum := crc32.Update(seed, t, b[:16])
	return crc32.Update(sum, t, b[frameHeaderSize:])
}

// The payload is the number of entries, then for each its kind, its ID and its
// data, each preceded by its length. The data's length is counted from one:
// zero stands for nil, which forgets the entry.

func payloadSize(entries []courier.Entry) int {
	n := binary.MaxVarintLen64
	for _, e := range entries {
		n += entrySize(e)
	}
	return n
}

// entrySize is about how many bytes an entry takes in the file.
func entrySize(e courier.Entry) int {
	return len(e.Kind) + len(e.ID) + len(e.Data) + 3*binary.MaxVarintLen32
}

func appendPayload(b []byte, entries []courier.Entry) []byte {
	b = binary.AppendUvarint(b, uint64(len(entries)))
	for _, e := range entries {
		b = binary.AppendUvarint(b, uint64(len(e.Kind)))
		b = append(b, e.Kind...)
		b = binary.AppendUvarint(b, uint64(len(e.ID)))
		b = append(b, e.ID...)
		if e.Data == nil {
			b = binary.AppendUvarint(b, 0)
			continue
		}
		b = binary.AppendUvarint(b, uint64(len(e.Data))+1)
		b = append(b, e.Data...)
	}
	return b
}

func parsePayload(b []byte) ([]courier.Entry, error) {
	count, b, ok := cutUvarint(b)
	if !ok || count > uint64(len(b)) { // an entry takes three bytes or more
		return nil, errBadFrame
	}
	entries := make([]courier.Entry, 0, count)
	for range count {
		var kind, id []byte
		var size uint64
		if kind, b, ok = cutBytes(b); !ok {
			return nil, errBadFrame
		}
		if id, b, ok = cutBytes(b); !ok {
			return nil, errBadFrame
		}
		if size, b, ok = cutUvarint(b); !ok || size > uint64(len(b))+1 {
			return nil, errBadFrame
		}
		e := courier.Entry{Kind: string(kind), ID: string(id)}
		if size > 0 {
			e.Data = append([]byte{}, b[:size-1]...)
			b = b[size-1:]
		}
		entries = append(entries, e)
	}
	if len(b) != 0 {
		return nil, errBadFrame
	}
	return entries, nil
}

func cutUvarint(b []byte) (v uint64, rest []byte, ok bool) {
	v, n := binary.Uvarint(b)
	if n <= 0 {
		return 0, nil, false
	}
	return v, b[n:], true
}

func cutBytes(b []byte) (v, rest []byte, ok bool) {
	n, b, ok := cutUvarint(b)
	if !ok || n > uint64(len(b)) {
		return nil, nil, false
	}
	return b[:n], b[n:], true
}
