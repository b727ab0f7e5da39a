package journal

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"kuryr/internal/courier"
)

// small is the content of a journal with a few frames, where each ends, and all
// entries that were ever written to it, as text.
func small(t testing.TB, frames ...[]courier.Entry) (content []byte, ends []int64, written map[string]bool) {
	t.Helper()
	j := openAt(t, filepath.Join(t.TempDir(), "journal"), Options{Log: slog.New(slog.DiscardHandler), Chunk: 64})
	written = map[string]bool{}
	for _, es := range frames {
		if err := j.Write(t.Context(), es...); err != nil {
			t.Fatal(err)
		}
		ends = append(ends, j.tail)
		for _, e := range es {
			written[fmt.Sprint(e.Kind, e.ID, string(e.Data))] = true
		}
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(j.path)
	if err != nil {
		t.Fatal(err)
	}
	return content, ends, written
}

func fourFrames() [][]courier.Entry {
	return [][]courier.Entry{
		{entry("pool", "1", `{"cidr":"10.0.0.0/24"}`), entry("pool", "2", "{}")},
		{entry("network", "1", `{"pools":["1"]}`)},
		{forgotten("pool", "2"), entry("attachment", "1", `{"port":"a"}`)},
		{entry("attachment", "2", `{"port":"b"}`)},
	}
}

// losses splits what a journal has into what was written to it and the losses
// that it tells of.
func losses(t testing.TB, es []courier.Entry) (rest []courier.Entry, lost []courier.Loss) {
	t.Helper()
	for _, e := range es {
		if e.Kind != courier.KindLoss {
			rest = append(rest, e)
			continue
		}
		var l courier.Loss
		if err := json.Unmarshal(e.Data, &l); err != nil {
			t.Fatal(err)
		}
		lost = append(lost, l)
	}
	return rest, lost
}

// salvaged opens a damaged file, and wants these entries, one loss with that
// text, the damaged file kept, and a new one that is whole.
func salvaged(t *testing.T, content []byte, want, what string) {
	t.Helper()
	j, err := openContent(t, content)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { j.Close() }()
	for range 2 {
		rest, lost := losses(t, load(t, j))
		if got := ids(rest); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		if len(lost) != 1 || lost[0].What != what || time.Since(lost[0].At) > time.Minute {
			t.Fatalf("losses are %+v, want %s", lost, what)
		}
		kept, err := os.ReadFile(lost[0].File)
		if err != nil || !bytes.Equal(kept, content) || filepath.Dir(lost[0].File) != filepath.Dir(j.path) {
			t.Errorf("the damaged file was not kept as %s (%v)", lost[0].File, err)
		}
		j = reopen(t, j)
	}
}

func TestWhatIsAroundTheDamageIsKept(t *testing.T) {
	content, ends, _ := small(t, fourFrames()...)
	for at := ends[0]; at < ends[1]; at++ {
		flipped := slices.Clone(content)
		flipped[at] ^= 0x10
		salvaged(t, flipped, "attachment 1, attachment 2, pool 1", fmt.Sprintf(
			"it is damaged at offset %d; 3 of its records could be read, %d bytes of it could not", ends[0], ends[1]-ends[0]))
	}
	// The frame that forgot pool 2 is lost: it comes back.
	clear(content[ends[1]:ends[2]])
	salvaged(t, content, "attachment 2, network 1, pool 1, pool 2", fmt.Sprintf(
		"it is damaged at offset %d; 3 of its records could be read, %d bytes of it could not", ends[1], ends[2]-ends[1]))
}

// A rewritten file is on the disk before it comes into place, so damage in it
// is found although no later frame tells.
func TestDamageInARewrittenFileIsFound(t *testing.T) {
	j := openAt(t, filepath.Join(t.TempDir(), "journal"), Options{Chunk: 1024})
	write(t, j, entry("pool", "1", "{}"))
	if err := j.rewrite(); err != nil {
		t.Fatal(err)
	}
	j.Close()
	content, err := os.ReadFile(j.path)
	if err != nil {
		t.Fatal(err)
	}
	content[headerSize+frameHeaderSize] ^= 1
	salvaged(t, content, "", fmt.Sprintf("it is damaged at offset 32; 0 of its records could be read, %d bytes of it could not",
		j.tail-headerSize))
}

func TestDamagedHeader(t *testing.T) {
	content, ends, _ := small(t, fourFrames()...)
	whole := "attachment 1, attachment 2, network 1, pool 1"
	for at := range headerSize {
		flipped := slices.Clone(content)
		flipped[at] ^= 0x10
		what := "its header is damaged"
		if at < len(fileMagic) {
			what = "it does not start as a journal of Kuryr's does"
		}
		salvaged(t, flipped, whole, what+"; 4 of its records could be read, 32 bytes of it could not")
	}
	// The first block is gone, with the salt: frames that agree tell it.
	zeroed := slices.Clone(content)
	clear(zeroed[:ends[0]+3])
	salvaged(t, zeroed, "attachment 1, attachment 2",
		fmt.Sprintf("it does not start as a journal of Kuryr's does; 2 of its records could be read, %d bytes of it could not", ends[1]))
	// One frame alone could have any salt.
	clear(zeroed[:ends[2]])
	salvaged(t, zeroed, "",
		fmt.Sprintf("it does not start as a journal of Kuryr's does; 0 of its records could be read, %d bytes of it could not", ends[3]))
}

func TestWhatIsNoJournalIsSetAside(t *testing.T) {
	salvaged(t, nil, "", "it does not start as a journal of Kuryr's does; 0 of its records could be read, 0 bytes of it could not")
	salvaged(t, header{version: version}.encode()[:headerSize-1], "",
		"it does not start as a journal of Kuryr's does; 0 of its records could be read, 31 bytes of it could not")
	salvaged(t, []byte(strings.Repeat("[DEFAULT]\n", 10)), "",
		"it does not start as a journal of Kuryr's does; 0 of its records could be read, 100 bytes of it could not")
	salvaged(t, header{}.encode(), "",
		"its format, 0, never was; 0 of its records could be read, 0 bytes of it could not")
}

// Whatever byte of a file is wrong, it is opened, and has nothing that was never
// written. Where nothing is missing no loss is told.
func TestEveryByteFlipped(t *testing.T) {
	content, _, written := small(t, fourFrames()...)
	path := filepath.Join(smallDisk(t, "1m"), "journal")
	for at := range content {
		for _, flip := range []byte{0x01, 0x80, 0xff} {
			flipped := slices.Clone(content)
			flipped[at] ^= flip
			if err := os.WriteFile(path, flipped, 0o600); err != nil {
				t.Fatal(err)
			}
			j, err := Open(path, Options{Log: slog.New(slog.DiscardHandler), Chunk: 64})
			if err != nil {
				t.Fatalf("byte %d: %v", at, err)
			}
			rest, lost := losses(t, load(t, j))
			for _, e := range rest {
				if !written[fmt.Sprint(e.Kind, e.ID, string(e.Data))] {
					t.Errorf("byte %d: %s %s %s was never written", at, e.Kind, e.ID, e.Data)
				}
			}
			if len(rest) < 3 && len(lost) == 0 {
				t.Errorf("byte %d: only %s is left, and no loss is told", at, ids(rest))
			}
			j.Close()
		}
	}
}

// A crash while a file is salvaged leaves it in place, or its successor.
func TestCrashWhileSalvaging(t *testing.T) {
	content, _, _ := small(t, fourFrames()...)
	content[3] ^= 1
	path := filepath.Join(t.TempDir(), "journal")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	first, err := setAside(path, time.Now().Add(-time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	j := openAt(t, path, Options{})
	if _, lost := losses(t, load(t, j)); len(lost) != 1 || lost[0].File != first {
		t.Errorf("losses are %+v, want one with the file %s", lost, first)
	}
	if got := setAsides(path); len(got) != 1 {
		t.Errorf("set aside are %s", got)
	}
}

func TestOnlyTheNewestDamagedFilesAreKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	other := path + "-of-somebody" + asideInfix + "1"
	if err := os.WriteFile(other, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for i := range asideKept + 2 {
		if err := os.WriteFile(path, fmt.Appendf(nil, "not a journal %d", i), 0o600); err != nil {
			t.Fatal(err)
		}
		openAt(t, path, Options{Log: slog.New(slog.DiscardHandler)}).Close()
	}
	var kept []string
	for _, name := range setAsides(path) {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		kept = append(kept, string(b))
	}
	if want := []string{"not a journal 2", "not a journal 3", "not a journal 4"}; !slices.Equal(kept, want) {
		t.Errorf("kept are %q, want %q", kept, want)
	}
	if _, err := os.Stat(other); err != nil {
		t.Error(err)
	}
}

// A disk that can't be read is not a damaged file: nothing is set aside.
func TestUnreadableFileIsNoDamage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	openAt(t, path, Options{}).Close()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	j := &Journal{path: path, o: Options{Log: slog.New(slog.DiscardHandler)}, formats: readers(), live: map[key]item{}}
	if err := j.adopt(f); !errors.Is(err, os.ErrClosed) {
		t.Errorf("got %v", err)
	}
	if got := setAsides(path); len(got) != 0 {
		t.Errorf("set aside are %s", got)
	}
}

// An older format, as there may be one some day: its frames are lines.
func TestOlderFormatIsBroughtToThePresentOne(t *testing.T) {
	formats := maps.Clone(readers())
	formats[0] = func(h header, b []byte) (recovered, error) {
		var r recovered
		for line := range strings.Lines(string(b[headerSize:])) {
			kind, id, _ := strings.Cut(strings.TrimSpace(line), " ")
			r.frames = append(r.frames, frame{entries: []courier.Entry{entry(kind, id, "{}")}})
		}
		return r, nil
	}
	path := filepath.Join(t.TempDir(), "journal")
	if err := os.WriteFile(path, append(header{version: 0}.encode(), "pool 1\nnetwork 2\n"...), 0o600); err != nil {
		t.Fatal(err)
	}
	j, err := openKnowing(formats, path, Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	write(t, j, entry("zone", "3", "{}"))
	for range 2 { // the second time as one of the present format
		if got, want := ids(load(t, j)), "network 2, pool 1, zone 3"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		j = reopen(t, j)
	}
	content, err := os.ReadFile(path)
	if err != nil || binary.LittleEndian.Uint32(content[8:]) != version {
		t.Errorf("the file is of format %d (%v)", content[8], err)
	}
}

// Any bytes anywhere in a journal: it opens, and has nothing that was never
// written.
func FuzzSalvage(f *testing.F) {
	content, ends, written := small(f, fourFrames()...)
	f.Add(uint16(0), []byte("KURYRJNL"), false)
	f.Add(uint16(ends[0]), make([]byte, 40), false)
	f.Add(uint16(ends[1]), []byte("KFRM\x10\x00\x00\x00"), true)
	f.Add(uint16(12), []byte("saltsalt"), true)
	path := filepath.Join(f.TempDir(), "journal")
	f.Fuzz(func(t *testing.T, at uint16, b []byte, cut bool) {
		i := int(at) % len(content)
		damaged := slices.Clone(content)
		if n := copy(damaged[i:], b); cut {
			damaged = damaged[:i+n]
		}
		if h, err := decodeHeader(damaged); err == nil && h.version > version {
			return
		}
		if err := os.WriteFile(path, damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		j, err := Open(path, Options{Log: slog.New(slog.DiscardHandler), Chunk: 64})
		if err != nil {
			t.Fatal(err)
		}
		defer j.Close()
		rest, _ := losses(t, load(t, j))
		for _, e := range rest {
			if !written[fmt.Sprint(e.Kind, e.ID, string(e.Data))] {
				t.Errorf("%s %s %s was never written", e.Kind, e.ID, e.Data)
			}
		}
	})
}
