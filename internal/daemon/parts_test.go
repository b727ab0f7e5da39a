package daemon

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"kuryr/internal/courier"
	"kuryr/internal/testkit"
)

func TestFailedPartIsShownAndStartedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &daemon{log: slog.New(slog.DiscardHandler)}
		d.background, d.halt = context.WithCancel(t.Context())
		var starts atomic.Int32
		var complaint atomic.Pointer[string]
		health := func() error {
			if text := complaint.Load(); text != nil {
				return errors.New(*text)
			}
			return nil
		}
		d.keep("watcher", func(ctx context.Context) error {
			switch starts.Add(1) {
			case 1:
				return errors.New("the kernel's queue overflowed")
			case 2:
				return nil
			}
			<-ctx.Done()
			return ctx.Err()
		}, health)
		at := func(after time.Duration, want Condition, wantStarts int32) {
			t.Helper()
			time.Sleep(after)
			synctest.Wait()
			if got := d.parts[0].condition(); got != want || starts.Load() != wantStarts {
				t.Errorf("%+v after %d starts, want %+v after %d", got, starts.Load(), want, wantStarts)
			}
		}
		at(0, Condition{Name: "watcher", Detail: "the kernel's queue overflowed"}, 1)
		at(firstRestart, Condition{Name: "watcher", Detail: "it ended by itself"}, 2)
		at(2*firstRestart-1, Condition{Name: "watcher", Detail: "it ended by itself"}, 2)
		at(1, Condition{Name: "watcher", Detail: "it ended by itself"}, 3)
		at(steady-1, Condition{Name: "watcher", Detail: "it ended by itself"}, 3)
		at(1, Condition{Name: "watcher", OK: true}, 3)
		text := "no rule"
		complaint.Store(&text)
		at(0, Condition{Name: "watcher", Detail: "no rule"}, 3)
		complaint.Store(nil)
		at(0, Condition{Name: "watcher", OK: true}, 3)
		d.close()
	})
}

func TestProbeAsksRarely(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		p := &probe{ask: func(ctx context.Context) error {
			asked++
			return ctx.Err()
		}}
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		for _, tt := range []struct {
			after time.Duration
			want  int
		}{{0, 1}, {probeAge - 1, 1}, {1, 2}, {time.Hour, 3}} {
			time.Sleep(tt.after)
			if err := p.result(gone); err != nil || asked != tt.want {
				t.Errorf("after %v: %v, %d questions, want %d", tt.after, err, asked, tt.want)
			}
		}
		slow := &probe{ask: func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }}
		start := time.Now()
		if err := slow.result(t.Context()); err == nil || time.Since(start) != probeTimeout {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
}

func TestProbeAsksOnceForAll(t *testing.T) {
	var asked atomic.Int32
	p := &probe{ask: func(context.Context) error {
		asked.Add(1)
		time.Sleep(20 * time.Millisecond)
		return nil
	}}
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() { p.result(t.Context()) })
	}
	wg.Wait()
	if asked.Load() != 1 {
		t.Errorf("%d questions", asked.Load())
	}
}

func TestListenUnix(t *testing.T) {
	dir, err := os.MkdirTemp("", "kuryr")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "new", "s.sock")
	first, err := listenUnix(path, "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := listenUnix(path, ""); courier.KindOf(err) != courier.Conflict {
		t.Errorf("a second one: %v", err)
	}
	// A killed process leaves its file.
	first.Listener.Close()
	second, err := listenUnix(path, "")
	if err != nil {
		t.Fatal(err)
	}
	// The first one's Close leaves what is the second's.
	first.Close()
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	if err := errors.Join(first.check(), second.check()); err == nil || first.check() == nil || second.check() != nil {
		t.Errorf("check: %v", err)
	}
	second.Close()
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("after Close: %v", err)
	}
	if _, err := listenUnix(filepath.Join(dir, strings.Repeat("x", 120)), ""); err == nil {
		t.Error("a path that is too long was accepted")
	}
}

func TestRunNeutronAlone(t *testing.T) {
	dir, err := os.MkdirTemp("", "kuryr")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	socket := filepath.Join(dir, "n.sock")
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ready, done := make(chan struct{}), make(chan error, 1)
	o := NeutronOptions{Listen: "unix://" + socket, StateDir: filepath.Join(dir, "state"), Host: "h1",
		Log: slog.New(slog.NewTextHandler(t.Output(), nil)), Ready: func() { close(ready) }}
	go func() { done <- RunNeutron(ctx, o) }()
	select {
	case <-ready:
	case err := <-done:
		t.Fatal(err)
	}
	if st, err := os.Lstat(socket); err != nil || st.Mode() != os.ModeSocket|0o600 {
		t.Errorf("socket: %v, %v", st, err)
	}
	client := testkit.UnixClient(socket)
	defer client.CloseIdleConnections()
	if code, body, err := fetch(client, "http://neutron/v2.0/networks", nil); code != 200 || body != "{\"networks\": []}" && body != "{\"networks\":[]}" {
		t.Errorf("networks: %d %q (%v)", code, body, err)
	}
	if code, _, err := fetch(client, "http://neutron/v2.0/networks", http.Header{"Origin": {"null"}}); code != 403 {
		t.Errorf("from a web page: %d (%v)", code, err)
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(socket); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket after the end: %v", err)
	}
	o.Listen = "0.0.0.0:9696"
	if err := RunNeutron(t.Context(), o); courier.KindOf(err) != courier.Invalid {
		t.Errorf("on all addresses: %v", err)
	}
}
