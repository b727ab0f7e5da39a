package journal

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.etcd.io/bbolt"
	"golang.org/x/sys/unix"

	"kuryr/internal/courier"
)

func entry(kind, id, data string) courier.Entry {
	return courier.Entry{Kind: kind, ID: id, Data: []byte(data)}
}

func forgotten(kind, id string) courier.Entry { return courier.Entry{Kind: kind, ID: id} }

// openAt opens a journal that is closed when the test ends.
func openAt(t testing.TB, path string, o Options) *Journal {
	t.Helper()
	if o.Log == nil {
		o.Log = slog.New(slog.NewTextHandler(t.Output(), nil))
	}
	j, err := Open(path, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.Close() })
	return j
}

func reopen(t *testing.T, j *Journal) *Journal {
	t.Helper()
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	return openAt(t, j.path, j.o)
}

func load(t *testing.T, j *Journal) []courier.Entry {
	t.Helper()
	es, err := j.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return es
}

func write(t *testing.T, j *Journal, es ...courier.Entry) {
	t.Helper()
	if err := j.Write(t.Context(), es...); err != nil {
		t.Fatal(err)
	}
}

func TestLoadReturnsLastEntriesInOrder(t *testing.T) {
	j := openAt(t, filepath.Join(t.TempDir(), "journal"), Options{})
	write(t, j, entry("pool", "1", `{"v":1}`), entry("network", "1", `{ "spaces": "kept" }`))
	write(t, j, entry("attachment", "a", `{}`))
	if err := j.Note(t.Context(), entry("pool", "1", `{"v":2}`), forgotten("attachment", "a")); err != nil {
		t.Fatal(err)
	}
	write(t, j, forgotten("attachment", "never there"), entry("attachment", "b", ""))
	want := []courier.Entry{
		entry("network", "1", `{ "spaces": "kept" }`),
		entry("pool", "1", `{"v":2}`),
		entry("attachment", "b", ""),
	}
	if d := cmp.Diff(want, load(t, j)); d != "" {
		t.Errorf("before closing (-want +got):\n%s", d)
	}
	j = reopen(t, j)
	if d := cmp.Diff(want, load(t, j)); d != "" {
		t.Errorf("after opening again (-want +got):\n%s", d)
	}
}

func TestWriteKeepsNoReferenceToData(t *testing.T) {
	j := openAt(t, filepath.Join(t.TempDir(), "journal"), Options{})
	data := []byte("one")
	write(t, j, courier.Entry{Kind: "k", ID: "1", Data: data})
	copy(data, "two")
	load(t, j)[0].Data[0] = 'X'
	if got := string(load(t, j)[0].Data); got != "one" {
		t.Errorf("data = %q", got)
	}
}

func TestSecondOpenIsRefused(t *testing.T) {
	j := openAt(t, filepath.Join(t.TempDir(), "journal"), Options{})
	_, err := Open(j.path, j.o)
	want := fmt.Sprintf("cannot lock the journal %s: another Kuryr (process %d) uses this state directory", j.path, os.Getpid())
	if courier.KindOf(err) != courier.Conflict || err.Error() != want {
		t.Errorf("got %v (%v), want %s", err, courier.KindOf(err), want)
	}
	reopen(t, j)
}

func TestClosedJournal(t *testing.T) {
	j := openAt(t, filepath.Join(t.TempDir(), "journal"), Options{})
	if err := errors.Join(j.Close(), j.Close()); err != nil {
		t.Fatal(err)
	}
	if err := j.Write(t.Context(), entry("k", "1", "")); !errors.Is(err, os.ErrClosed) {
		t.Errorf("Write: %v", err)
	}
	if _, err := j.Load(t.Context()); !errors.Is(err, os.ErrClosed) {
		t.Errorf("Load: %v", err)
	}
}

func TestNewerFormatIsRefused(t *testing.T) {
	content := header{version: version + 1, initial: headerSize}.encode()
	path := filepath.Join(t.TempDir(), "journal")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Open(path, Options{Log: slog.New(slog.DiscardHandler)})
	want := "cannot open the journal " + path + ": a newer Kuryr wrote it (format 2; this one reads up to 1)"
	if courier.KindOf(err) != courier.Unsupported || err.Error() != want || courier.HintOf(err) == "" {
		t.Fatalf("got %v (%v)", err, courier.KindOf(err))
	}
	if after, err := os.ReadFile(path); err != nil || !slices.Equal(after, content) {
		t.Errorf("the file was changed (%v)", err)
	}
	if aside := setAsides(path); len(aside) > 0 {
		t.Errorf("it was set aside: %s", aside)
	}
}

// What is no file of its own is not replaced.
func TestWhatIsNoFileIsRefused(t *testing.T) {
	dir := t.TempDir()
	for name, put := range map[string]func(path string) error{
		"folder": func(path string) error { return os.Mkdir(path, 0o700) },
		"link":   func(path string) error { return os.Symlink(filepath.Join(dir, "elsewhere"), path) },
		"pipe":   func(path string) error { return unix.Mkfifo(path, 0o600) },
	} {
		path := filepath.Join(dir, name)
		if err := put(path); err != nil {
			t.Fatal(err)
		}
		if j, err := Open(path, Options{Log: slog.New(slog.DiscardHandler)}); err == nil {
			t.Errorf("%s: it was opened", name)
			j.Close()
		}
	}
}

func TestTooLargeAndCancelledWritesChangeNothing(t *testing.T) {
	j := openAt(t, filepath.Join(t.TempDir(), "journal"), Options{})
	err := j.Write(t.Context(), entry("k", "1", strings.Repeat("x", maxPayload)))
	if courier.KindOf(err) != courier.Invalid {
		t.Errorf("too large: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := j.Write(ctx, entry("k", "1", "")); courier.KindOf(err) != courier.Unavailable {
		t.Errorf("cancelled: %v", err)
	}
	if j.Err() != nil || len(load(t, reopen(t, j))) != 0 {
		t.Errorf("Err = %v", j.Err())
	}
}

// A file whose descriptor fails under the journal stands for a failing disk.
func TestJournalHealsAfterDiskErrors(t *testing.T) {
	j := openAt(t, filepath.Join(t.TempDir(), "journal"), Options{})
	write(t, j, entry("k", "before", "1"))
	j.f.Close()
	if err := j.Write(t.Context(), entry("k", "lost", "1")); err == nil || j.Err() == nil {
		t.Fatalf("Write on a broken file: %v, Err %v", err, j.Err())
	}
	write(t, j, entry("k", "after", "1"))
	if j.Err() != nil {
		t.Errorf("Err = %v after a good Write", j.Err())
	}
	// A failed sync leaves the frame in doubt, and what follows in a new file.
	c, _, err := j.appendFrame([]courier.Entry{entry("k", "in doubt", "1")}, true)
	if err != nil {
		t.Fatal(err)
	}
	j.f.Close()
	if err := j.sync(c); err == nil {
		t.Fatal("sync of a broken file succeeded")
	}
	write(t, j, entry("k", "last", "1"))
	var ids []string
	for _, e := range load(t, reopen(t, j)) {
		ids = append(ids, e.ID)
	}
	if d := cmp.Diff([]string{"before", "after", "in doubt", "last"}, ids); d != "" {
		t.Error(d)
	}
}

func TestConcurrentWriters(t *testing.T) {
	j := openAt(t, filepath.Join(t.TempDir(), "journal"), Options{Chunk: 4096, MinGarbage: 16 << 10})
	const writers, rounds = 16, 100
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for r := range rounds {
				put := j.Write
				if r%3 == 1 {
					put = j.Note
				}
				es := []courier.Entry{entry("k", fmt.Sprint(w), fmt.Sprint(r)), entry("copy", fmt.Sprint(w), fmt.Sprint(r))}
				if err := put(t.Context(), es...); err != nil {
					t.Error(err)
				}
				if r%10 == 0 {
					load(t, j)
				}
			}
		})
	}
	wg.Wait()
	got := load(t, reopen(t, j))
	if len(got) != 2*writers {
		t.Fatalf("%d entries, want %d", len(got), 2*writers)
	}
	for _, e := range got {
		if string(e.Data) != fmt.Sprint(rounds-1) {
			t.Errorf("%s %s = %s", e.Kind, e.ID, e.Data)
		}
	}
}

// What a day of a busy host writes: six records for each container that comes
// and goes, while others stay. The disk is smaller than all that.
func TestFileStaysBounded(t *testing.T) {
	const lives, stay = 100_000, 200
	dir := smallDisk(t, "6m")
	j := openAt(t, filepath.Join(dir, "journal"), Options{})
	record := strings.Repeat("x", 600)
	for i := range stay {
		write(t, j, entry("attachment", fmt.Sprint("stays ", i), record))
	}
	var largest Size
	for i := range lives {
		id := fmt.Sprint("passing ", i)
		for _, put := range []func(context.Context, ...courier.Entry) error{j.Write, j.Note, j.Write, j.Note, j.Write} {
			if err := put(t.Context(), entry("attachment", id, record)); err != nil {
				t.Fatalf("life %d: %v", i, err)
			}
		}
		if err := j.Note(t.Context(), forgotten("attachment", id)); err != nil {
			t.Fatalf("life %d: %v", i, err)
		}
		if s := j.Size(); s.File > largest.File {
			largest = s
		}
	}
	// A file is rewritten once there is a megabyte of garbage in it.
	if bound := largest.Live + defaultMinGarbage + defaultChunk; largest.File > bound {
		t.Errorf("the file grew to %d bytes, want %d at most", largest.File, bound)
	}
	st, err := os.Stat(j.path)
	if s := j.Size(); err != nil || s.Entries != stay || s.File != st.Size() || s.Used > s.File || s.Live > s.Used {
		t.Errorf("Size = %+v of a file of %d bytes with %d entries (%v)", s, st.Size(), stay, err)
	}
	t.Logf("after %d lives of 6 records each the file had %d bytes at most", lives, largest.File)
}

func BenchmarkWrite(b *testing.B) {
	j := openAt(b, filepath.Join(b.TempDir(), "journal"), Options{Log: slog.New(slog.DiscardHandler)})
	e := entry("attachment", strings.Repeat("e", 64), strings.Repeat("x", 600))
	for b.Loop() {
		if err := j.Write(b.Context(), e); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkWriteParallel(b *testing.B) {
	j := openAt(b, filepath.Join(b.TempDir(), "journal"), Options{Log: slog.New(slog.DiscardHandler)})
	b.SetParallelism(16)
	b.RunParallel(func(pb *testing.PB) {
		e := entry("attachment", strings.Repeat("e", 64), strings.Repeat("x", 600))
		for pb.Next() {
			if err := j.Write(b.Context(), e); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// What a database would take for the same: a transaction with one record.
func BenchmarkDatabaseCommit(b *testing.B) {
	commits(b, func(db *bbolt.DB, f func(*bbolt.Tx) error) error { return db.Update(f) }, 0)
}

// The same with as many callers as BenchmarkWriteParallel has, whose commits the
// database shares.
func BenchmarkDatabaseCommitParallel(b *testing.B) {
	commits(b, func(db *bbolt.DB, f func(*bbolt.Tx) error) error { return db.Batch(f) }, 16)
}

func commits(b *testing.B, put func(*bbolt.DB, func(*bbolt.Tx) error) error, parallelism int) {
	db, err := bbolt.Open(filepath.Join(b.TempDir(), "db"), 0o600, nil)
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	db.MaxBatchSize, db.MaxBatchDelay = 2*parallelism, time.Millisecond
	one := func() {
		err := put(db, func(tx *bbolt.Tx) error {
			bucket, err := tx.CreateBucketIfNotExists([]byte("attachment"))
			if err != nil {
				return err
			}
			return bucket.Put([]byte(strings.Repeat("e", 64)), []byte(strings.Repeat("x", 600)))
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	if parallelism == 0 {
		for b.Loop() {
			one()
		}
		return
	}
	b.SetParallelism(parallelism)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			one()
		}
	})
}

func BenchmarkNote(b *testing.B) {
	j := openAt(b, filepath.Join(b.TempDir(), "journal"), Options{Log: slog.New(slog.DiscardHandler)})
	e := entry("attachment", strings.Repeat("e", 64), strings.Repeat("x", 600))
	for b.Loop() {
		if err := j.Note(b.Context(), e); err != nil {
			b.Fatal(err)
		}
	}
}
