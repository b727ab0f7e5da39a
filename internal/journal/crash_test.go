package journal

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"kuryr/internal/courier"
)

// childEnv makes the test binary a process that writes to the journal it names
// until it is killed.
const childEnv = "KURYR_TEST_JOURNAL"

const childWriters = 4

func TestMain(m *testing.M) {
	if path := os.Getenv(childEnv); path != "" {
		if err := writeForEver(path); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// crashOptions make rewrites frequent.
func crashOptions() Options {
	return Options{Log: slog.New(slog.DiscardHandler), Chunk: 4096, MinGarbage: 8192}
}

// writeForEver counts up, in each writer's pair of entries, from where the last
// process was killed, and prints every number that the journal has accepted.
func writeForEver(path string) error {
	j, err := Open(path, crashOptions())
	if err != nil {
		return err
	}
	es, err := j.Load(context.Background())
	if err != nil {
		return err
	}
	next := map[string]int{}
	for _, e := range es {
		n, err := strconv.Atoi(strings.TrimSpace(string(e.Data)))
		if err != nil {
			return err
		}
		next[e.ID] = n + 1
	}
	failed := make(chan error)
	for w := range childWriters {
		go func() {
			id := fmt.Sprint(w)
			for n := next[id]; ; n++ {
				data := fmt.Sprintf("%d%*s", n, 1+n%300, "")
				put := j.Write
				if n%2 == 1 {
					put = j.Note
				}
				if err := put(context.Background(), entry("a", id, data), entry("b", id, data)); err != nil {
					failed <- err
					return
				}
				fmt.Fprintf(os.Stdout, "%d %d\n", w, n) // one write(2): a line is whole or absent
			}
		}()
	}
	return <-failed
}

func TestKilledAtRandomMoments(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	rounds := 30
	if testing.Short() {
		rounds = 5
	}
	for range rounds {
		accepted := runAndKill(t, path, time.Duration(5+rand.IntN(60))*time.Millisecond)
		j, err := Open(path, crashOptions())
		if err != nil {
			t.Fatal(err)
		}
		got := map[key]int{}
		for _, e := range load(t, j) {
			n, err := strconv.Atoi(strings.TrimSpace(string(e.Data)))
			if err != nil {
				t.Fatal(err)
			}
			got[key{e.Kind, e.ID}] = n
		}
		for w, n := range accepted {
			a, b := got[key{"a", w}], got[key{"b", w}]
			if a != b {
				t.Fatalf("writer %s: half of a Write was kept: %d and %d", w, a, b)
			}
			if a < n || a > n+1 {
				t.Fatalf("writer %s: %d is kept, %d was accepted last", w, a, n)
			}
		}
		j.Close()
	}
}

// runAndKill runs a child for a while after its first line, and returns the
// last number it printed for each writer.
func runAndKill(t *testing.T, path string, d time.Duration) map[string]int {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+path)
	cmd.Stderr = t.Output()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var timer *time.Timer
	accepted := map[string]int{}
	for s := bufio.NewScanner(out); s.Scan(); {
		if timer == nil {
			timer = time.AfterFunc(d, func() { cmd.Process.Kill() })
		}
		w, n, _ := strings.Cut(s.Text(), " ")
		if accepted[w], err = strconv.Atoi(n); err != nil {
			t.Fatal(err)
		}
	}
	if err := cmd.Wait(); err == nil || timer == nil {
		t.Fatalf("the child ended by itself: %v", err)
	}
	return accepted
}

// A file system of its own, as large as its size says, for this test's thread.
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root: mounts a file system")
	}
	dir := t.TempDir()
	runtime.LockOSThread() // never unlocked: the thread, and with it the mount, end with the test
	if err := unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	return dir
}

func TestFullDisk(t *testing.T) {
	dir := smallDisk(t, "256k")
	j := openAt(t, filepath.Join(dir, "journal"), Options{Chunk: 64 << 10, MinGarbage: 1 << 30})
	var kept []string
	var err error
	for i := 0; err == nil && i < 1000; i++ {
		id := fmt.Sprintf("k %04d", i)
		if err = j.Write(t.Context(), entry("k", id[2:], strings.Repeat("x", 1000))); err == nil {
			kept = append(kept, id)
		}
	}
	if courier.KindOf(err) != courier.Exhausted || !strings.Contains(err.Error(), "no space is left on the disk") || j.Err() == nil {
		t.Fatalf("got %v (%v), Err %v", err, courier.KindOf(err), j.Err())
	}
	if len(kept) < 100 {
		t.Fatalf("the disk was full after %d entries", len(kept))
	}
	if err := j.Note(t.Context(), entry("k", "0", strings.Repeat("x", 50000))); courier.KindOf(err) != courier.Exhausted {
		t.Fatalf("Note: %v", err)
	}
	j = reopen(t, j)
	if got, want := ids(load(t, j)), strings.Join(kept, ", "); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_REMOUNT, "size=1m"); err != nil {
		t.Fatal(err)
	}
	write(t, j, entry("k", "with room", "1"))
	if got, want := ids(load(t, reopen(t, j))), strings.Join(append(kept, "k with room"), ", "); got != want {
		t.Errorf("with room again: got %s, want %s", got, want)
	}
}
