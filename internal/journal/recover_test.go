package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"kuryr/internal/courier"
)

// The model: a map that forgets what the journal forgets.
func TestJournalAgreesWithAMap(t *testing.T) {
	dir := t.TempDir()
	run := 0
	rapid.Check(t, func(rt *rapid.T) {
		run++
		o := Options{Log: slog.New(slog.DiscardHandler), Chunk: 512, MinGarbage: 600}
		path := filepath.Join(dir, fmt.Sprint(run))
		j, err := Open(path, o)
		if err != nil {
			rt.Fatal(err)
		}
		defer func() { j.Close() }()
		model := map[key]string{}
		put := func(rt *rapid.T, durable bool) {
			var es []courier.Entry
			for range rapid.IntRange(0, 3).Draw(rt, "entries") {
				k := key{rapid.SampledFrom([]string{"pool", "network"}).Draw(rt, "kind"), rapid.SampledFrom([]string{"1", "2", "3", ""}).Draw(rt, "id")}
				if rapid.Bool().Draw(rt, "forget") {
					es = append(es, forgotten(k.kind, k.id))
					delete(model, k)
					continue
				}
				data := rapid.StringN(0, 60, 200).Draw(rt, "data")
				es = append(es, entry(k.kind, k.id, data))
				model[k] = data
			}
			if _, err := j.store(es, durable); err != nil {
				rt.Fatal(err)
			}
			if rapid.Bool().Draw(rt, "compact") {
				j.compact()
			}
		}
		rt.Repeat(map[string]func(*rapid.T){
			"write": func(rt *rapid.T) { put(rt, true) },
			"note":  func(rt *rapid.T) { put(rt, false) },
			"reopen": func(rt *rapid.T) {
				if err := j.Close(); err != nil {
					rt.Fatal(err)
				}
				if j, err = Open(path, o); err != nil {
					rt.Fatal(err)
				}
			},
			"": func(rt *rapid.T) {
				es, err := j.Load(t.Context())
				if err != nil {
					rt.Fatal(err)
				}
				got := map[key]string{}
				for _, e := range es {
					got[key{e.Kind, e.ID}] = string(e.Data)
				}
				if d := cmp.Diff(model, got, cmp.AllowUnexported(key{})); d != "" {
					rt.Fatal(d)
				}
			},
		})
	})
}

// built is a file with three frames, and where each ends.
func built(t *testing.T) (content []byte, ends [3]int64) {
	t.Helper()
	j := openAt(t, filepath.Join(t.TempDir(), "journal"), Options{Chunk: 1024})
	write(t, j, entry("pool", "1", `{"cidr":"10.0.0.0/24"}`), entry("pool", "2", "{}"))
	ends[0] = j.tail
	write(t, j, entry("network", "1", `{"pools":["1"]}`))
	ends[1] = j.tail
	write(t, j, entry("attachment", "1", `{"port":"a"}`), forgotten("pool", "2"))
	ends[2] = j.tail
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(j.path)
	if err != nil {
		t.Fatal(err)
	}
	return content, ends
}

func ids(es []courier.Entry) string {
	var s []string
	for _, e := range es {
		s = append(s, e.Kind+" "+e.ID)
	}
	slices.Sort(s)
	return strings.Join(s, ", ")
}

const beforeLast, afterLast = "network 1, pool 1, pool 2", "attachment 1, network 1, pool 1"

func openContent(t *testing.T, content []byte) (*Journal, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "journal")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return Open(path, Options{Log: slog.New(slog.DiscardHandler), Chunk: 1024})
}

// expect opens a file, wants these entries in it, and that it can be used further.
func expect(t *testing.T, content []byte, want string) {
	t.Helper()
	j, err := openContent(t, content)
	if err != nil {
		t.Fatal(err)
	}
	if got := ids(load(t, j)); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	write(t, j, entry("zone", "1", ""))
	j = reopen(t, j)
	if got := ids(load(t, j)); got != want+", zone 1" {
		t.Errorf("after a write: got %s, want %s", got, want)
	}
	j.Close()
}

func TestTornLastFrameIsCutOffAtEveryByte(t *testing.T) {
	content, ends := built(t)
	for cut := ends[1]; cut < ends[2]; cut++ {
		expect(t, content[:cut], beforeLast)
		if cut == ends[2]-1 {
			break // the last byte is a zero by itself
		}
		zeroed := slices.Clone(content)
		clear(zeroed[cut:])
		expect(t, zeroed, beforeLast)
	}
	expect(t, content[:ends[2]], afterLast)
	expect(t, content, afterLast)
}

func TestFlippedBitInLastFrameIsCutOff(t *testing.T) {
	content, ends := built(t)
	for at := ends[1]; at < ends[2]; at++ {
		flipped := slices.Clone(content)
		flipped[at] ^= 0x10
		expect(t, flipped, beforeLast)
	}
}

// Frames that were never known to be on the disk may be lost in any order.
func TestHoleBeforeUnsyncedNotesIsCutOff(t *testing.T) {
	j := openAt(t, filepath.Join(t.TempDir(), "journal"), Options{Chunk: 1024})
	write(t, j, entry("pool", "1", "{}"))
	start := j.tail
	for i := range 3 {
		if err := j.Note(t.Context(), entry("note", fmt.Sprint(i), "{}")); err != nil {
			t.Fatal(err)
		}
	}
	content, err := os.ReadFile(j.path)
	if err != nil {
		t.Fatal(err)
	}
	clear(content[start : start+10])
	expect(t, content, "pool 1")
}

// What a crash leaves of a rewrite, whenever it comes: the old file in place,
// and any part of the new one beside it.
func TestCrashDuringRewrite(t *testing.T) {
	content, _ := built(t)
	for _, n := range []int{0, 1, headerSize, headerSize + 5, len(content)} {
		path := filepath.Join(t.TempDir(), "journal")
		err := errors.Join(os.WriteFile(path, content, 0o600), os.WriteFile(path+".new", content[:n], 0o600))
		if err != nil {
			t.Fatal(err)
		}
		j := openAt(t, path, Options{})
		if got := ids(load(t, j)); got != afterLast {
			t.Errorf("got %s", got)
		}
		if _, err := os.Stat(path + ".new"); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the unfinished file was left: %v", err)
		}
	}
}

func FuzzRecover(f *testing.F) {
	h := header{version: version, initial: headerSize}
	good := append(h.encode(), encodeFrame(h.seed(), headerSize, []courier.Entry{entry("a", "b", "c"), forgotten("d", "e")})...)
	f.Add(good)
	f.Add(good[:len(good)-1])
	f.Add(append(slices.Clone(good), make([]byte, 40)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		_, r, err := read(readers(), b)
		if err == nil && (r.tail < headerSize || r.tail > int64(len(b))) {
			t.Errorf("tail %d of %d bytes", r.tail, len(b))
		}
		// Its own sum is right, its payload is not.
		frame := make([]byte, frameHeaderSize, frameHeaderSize+len(b))
		frame = append(frame, b...)
		copy(frame, frameMagic[:])
		binary.LittleEndian.PutUint32(frame[4:], uint32(len(b)))
		binary.LittleEndian.PutUint32(frame[16:], frameSum(h.seed(), frame))
		fr, err := decodeFrame(h.seed(), frame)
		if err != nil {
			return
		}
		again, err := decodeFrame(h.seed(), encodeFrame(h.seed(), 0, fr.entries))
		if d := cmp.Diff(fr.entries, again.entries); err != nil || d != "" {
			t.Errorf("%v\n%s", err, d)
		}
	})
}
