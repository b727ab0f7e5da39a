package journal

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"kuryr/internal/courier"
	"kuryr/internal/crash"
)

const (
	headerSize = 32
	// version is the newest format that this code reads, and the one it writes.
	version = 1
)

var fileMagic = [8]byte{'K', 'U', 'R', 'Y', 'R', 'J', 'N', 'L'}

// header is the head of a file: magic, version, salt, the size of the content
// that it was made with, and the CRC-32C of all these. Every format has it, so
// that a newer one can be told from a damaged one.
type header struct {
	version uint32
	salt    [8]byte
	initial int64 // all before this offset was on the disk when the file came into place
}

func (h header) encode() []byte {
	b := make([]byte, headerSize)
	copy(b, fileMagic[:])
	binary.LittleEndian.PutUint32(b[8:], h.version)
	copy(b[12:], h.salt[:])
	binary.LittleEndian.PutUint64(b[20:], uint64(h.initial))
	binary.LittleEndian.PutUint32(b[28:], crc32.Checksum(b[:28], crcTable()))
	return b
}

// seed is what the sums of the file's frames start from.
func (h header) seed() uint32 { return crc32.Checksum(h.salt[:], crcTable()) }

// damaged is why a file can't be read as it should be. What is left in it can
// be salvaged.
type damaged struct{ what string }

func (d *damaged) Error() string { return d.what }

// decodeHeader reads the head of the file that starts with b.
func decodeHeader(b []byte) (h header, err error) {
	if len(b) < headerSize || !bytes.Equal(b[:8], fileMagic[:]) {
		return h, &damaged{"it does not start as a journal of Kuryr's does"}
	}
	if binary.LittleEndian.Uint32(b[28:]) != crc32.Checksum(b[:28], crcTable()) {
		return h, &damaged{"its header is damaged"}
	}
	h.version = binary.LittleEndian.Uint32(b[8:])
	copy(h.salt[:], b[12:])
	h.initial = int64(binary.LittleEndian.Uint64(b[20:]))
	return h, nil
}

func newSalt() (salt [8]byte) {
	rand.Read(salt[:]) // never fails (Go 1.24)
	return salt
}

// readFile returns what is in the file.
func readFile(f *os.File) ([]byte, error) {
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() {
		return nil, errors.New("it is not a regular file")
	}
	b := make([]byte, st.Size())
	if _, err := io.ReadFull(io.NewSectionReader(f, 0, st.Size()), b); err != nil {
		return nil, err
	}
	return b, nil
}

// create puts a file with this content in place of path, with room up to size
// if the disk has it; at every instant path is what it was or the whole new
// file. The file comes back open, with an error too when only the last step
// failed: then a loss of power may bring the old one back.
func create(path string, content []byte, size int64) (f *os.File, allocated int64, err error) {
	tmp := path + ".new"
	f, err = os.OpenFile(tmp, os.O_RDWR|os.O_CREATE|os.O_TRUNC|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, 0, err
	}
	allocated = size
	if allocate(f, 0, size) != nil {
		allocated = int64(len(content))
	}
	crash.Before(crash.JournalNewFile)
	_, err = f.WriteAt(content, 0)
	crash.After(crash.JournalNewFile)
	if err == nil {
		crash.Before(crash.JournalNewSync)
		err = f.Sync()
		crash.After(crash.JournalNewSync)
	}
	if err == nil {
		crash.Before(crash.JournalRename)
		err = os.Rename(tmp, path)
		crash.After(crash.JournalRename)
	}
	if err != nil {
		f.Close()
		os.Remove(tmp)
		return nil, 0, err
	}
	return f, allocated, syncDir(filepath.Dir(path))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	crash.Before(crash.JournalDirSync)
	defer crash.After(crash.JournalDirSync)
	return d.Sync()
}

// allocate reserves the bytes from off to end and makes the file that long.
func allocate(f *os.File, off, end int64) error {
	crash.Before(crash.JournalAllocate)
	defer crash.After(crash.JournalAllocate)
	for {
		err := unix.Fallocate(int(f.Fd()), 0, off, end-off)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EOPNOTSUPP):
			return f.Truncate(end)
		}
		return err
	}
}

func fdatasync(f *os.File) error {
	crash.Before(crash.JournalSync)
	defer crash.After(crash.JournalSync)
	for {
		err := unix.Fdatasync(int(f.Fd()))
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// lock takes the journal's lock for as long as the file stays open. It is a
// file of its own, never removed, since the journal is replaced by rename.
func lock(path string) (*os.File, error) {
	f, err := os.OpenFile(path+".lock", os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		err = &courier.Error{Kind: courier.Conflict, Public: "another Kuryr" + holder(f) + " uses this state directory",
			Hint: "stop the other one, or give this one another state directory"}
	}
	if err == nil {
		err = f.Truncate(0)
	}
	if err == nil {
		_, err = fmt.Fprintf(io.NewOffsetWriter(f, 0), "%d\n", os.Getpid())
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// holder tells which process has the lock, as far as its file says.
func holder(f *os.File) string {
	b, _ := io.ReadAll(io.NewSectionReader(f, 0, 32))
	if pid := strings.TrimSpace(string(b)); pid != "" {
		return " (process " + pid + ")"
	}
	return ""
}
