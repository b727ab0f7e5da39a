package neutron_test

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"kuryr/internal/courier"
	"kuryr/internal/neutron"
)

// watched is a client whose Watch runs, and how often the cloud came back.
func (l *lab) watched(t *testing.T) (c *neutron.Client, back *atomic.Int32) {
	t.Helper()
	c, back = l.ready(byPassword), &atomic.Int32{}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); c.Watch(ctx, func() { back.Add(1) }) }()
	t.Cleanup(func() { cancel(); <-ended })
	synctest.Wait()
	return c, back
}

// TestBreakerOpensAndCloses: after five requests without an answer the sixth
// fails at once, and the cloud sees nothing but a probe now and then; when it
// is well again somebody is told, once.
func TestBreakerOpensAndCloses(t *testing.T) {
	for name, fail := range map[string]func(http.ResponseWriter){
		"502":           func(w http.ResponseWriter) { w.WriteHeader(502) },
		"503":           func(w http.ResponseWriter) { w.WriteHeader(503) },
		"504":           func(w http.ResponseWriter) { w.WriteHeader(504) },
		"Keystone, too": nil,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLab(t)
				var down atomic.Bool
				l.first = func(w http.ResponseWriter, r *http.Request) bool {
					switch {
					case !down.Load(), fail != nil && r.URL.Path == "/v3/auth/tokens":
						return false
					case fail != nil:
						fail(w)
					default:
						w.WriteHeader(503)
					}
					return true
				}
				c, back := l.watched(t)
				down.Store(true)
				if fail == nil {
					time.Sleep(2 * time.Hour) // the token has ended
				}
				began := time.Now()
				for range 5 {
					c.CreateNetwork(t.Context(), courier.NetworkSpec{Name: "n"})
				}
				o := c.Outage()
				if o == nil || o.Since.Before(began) || o.Failed < 5 {
					t.Fatalf("after five failures: %+v", o)
				}
				served, start := l.served.Load()+l.asked.Load(), time.Now()
				_, err := c.CreateNetwork(t.Context(), courier.NetworkSpec{Name: "n"})
				if !errors.Is(err, courier.ErrAway) || courier.KindOf(err) != courier.Unavailable || time.Since(start) > 0 ||
					l.served.Load()+l.asked.Load() != served {
					t.Errorf("%v after %v, want ErrAway at once and without a request", err, time.Since(start))
				}
				if want := "cannot create network n: Neutron: not answering since " + o.Since.UTC().Format("15:04:05 UTC"); !strings.HasPrefix(err.Error(), want) ||
					!strings.Contains(err.Error(), "next try in ") || strings.Contains(err.Error(), "\n") {
					t.Errorf("%q, want %s …", err, want)
				}
				time.Sleep(10 * time.Minute)
				if n := l.served.Load() + l.asked.Load() - served; n < 20 || n > 400 {
					t.Errorf("%d probes in 10 minutes", n)
				}
				if back.Load() != 0 {
					t.Error("it came back while it was away")
				}
				down.Store(false)
				time.Sleep(20 * time.Second)
				if back.Load() != 1 || c.Outage() != nil {
					t.Errorf("it came back %d times: %v", back.Load(), c.Outage())
				}
				if err := c.Ping(t.Context()); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// TestBreakerNoticesSilence: of a Neutron that takes requests and does not
// answer nobody needs to wait for a time-out to be told.
func TestBreakerNoticesSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		var stopped atomic.Bool
		release := make(chan struct{})
		l.first = func(http.ResponseWriter, *http.Request) bool {
			if stopped.Load() {
				<-release
			}
			return false
		}
		c, back := l.watched(t)
		stopped.Store(true)
		go func() {
			ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
			defer cancel()
			c.CreateNetwork(ctx, courier.NetworkSpec{Name: "n"})
		}()
		time.Sleep(6 * time.Second)
		start := time.Now()
		_, err := c.CreateNetwork(t.Context(), courier.NetworkSpec{Name: "m"})
		if !errors.Is(err, courier.ErrAway) || time.Since(start) > 0 || !strings.Contains(err.Error(), "(no answer in time)") {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		close(release)
		stopped.Store(false)
		time.Sleep(30 * time.Second)
		if c.Outage() != nil || back.Load() != 1 {
			t.Errorf("it came back %d times: %v", back.Load(), c.Outage())
		}
	})
}

// TestBreakerStaysClosed: what is answered is no outage, however slowly, nor is
// that somebody gave up.
func TestBreakerStaysClosed(t *testing.T) {
	for name, tt := range map[string]struct {
		status  int
		slow    time.Duration // of what writes
		timeout time.Duration
		cancel  bool
	}{
		"400":        {status: 400},
		"401":        {status: 401},
		"403":        {status: 403},
		"409":        {status: 409},
		"429":        {status: 429},
		"500":        {status: 500},
		"slow":       {status: 409, slow: 15 * time.Second, timeout: 10 * time.Second},
		"no time":    {status: 409, slow: time.Second, timeout: 500 * time.Millisecond},
		"given up":   {status: 409, slow: 5 * time.Second, cancel: true},
		"all at one": {status: 409, slow: 3 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLab(t)
				l.first = func(w http.ResponseWriter, r *http.Request) bool {
					if r.Method != http.MethodPost || r.URL.Path == "/v3/auth/tokens" || r.URL.Path == "/v2.0/ports" {
						return false
					}
					time.Sleep(tt.slow)
					w.WriteHeader(tt.status)
					return true
				}
				c, back := l.watched(t)
				for range 20 {
					ctx, cancel := context.WithTimeout(t.Context(), cmp.Or(tt.timeout, time.Minute))
					if tt.cancel {
						time.AfterFunc(4*time.Second, cancel)
					}
					_, err := c.CreateNetwork(ctx, courier.NetworkSpec{Name: "n"})
					cancel()
					if err == nil || errors.Is(err, courier.ErrAway) {
						t.Fatal(err)
					}
					if name == "slow" { // others are answered meanwhile
						if err := c.Ping(t.Context()); err != nil {
							t.Fatal(err)
						}
					}
				}
				time.Sleep(time.Minute)
				if c.Outage() != nil || back.Load() != 0 {
					t.Errorf("%v; it came back %d times", c.Outage(), back.Load())
				}
			})
		})
	}
}
