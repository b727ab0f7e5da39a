package neutron_test

import (
	"context"
	"errors"
	"fmt"
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
	"kuryr/internal/neutron"
	"kuryr/internal/observe"
)

// TestOneRenewalForAll has 32 requests find out at once that their token is
// no longer accepted.
func TestOneRenewalForAll(t *testing.T) {
	l := newLab(t)
	c := l.ready(byPassword)
	for round := range 3 {
		l.password(secret) // nobody knows the token any more
		asked := l.asked.Load()
		var wg sync.WaitGroup
		for range 32 {
			wg.Go(func() {
				if err := c.Ping(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if n := l.asked.Load() - asked; n != 1 {
			t.Errorf("round %d: %d tokens were asked for", round, n)
		}
	}
}

// TestRequestIsRepeatedWhole wants the body of the request that found the
// token refused.
func TestRequestIsRepeatedWhole(t *testing.T) {
	l := newLab(t)
	c := l.ready(byPassword)
	l.password(secret)
	n, err := c.CreateNetwork(t.Context(), courier.NetworkSpec{Name: "whole", MTU: 1400, Mark: courier.Mark{Host: testHost, Intent: "i"}})
	if err != nil || n.Name != "whole" || n.MTU != 1400 {
		t.Errorf("%+v: %v", n, err)
	}
}

// TestDestinationIsKept wants paths as they were made, at the catalog's address.
func TestDestinationIsKept(t *testing.T) {
	l := newLab(t)
	l.catalog = func(catalog []any) []any {
		for _, e := range catalog[1].(map[string]any)["endpoints"].([]any) {
			e.(map[string]any)["url"] = "http://behind.example/net%20work/"
		}
		return catalog
	}
	var got []string
	l.first = func(w http.ResponseWriter, r *http.Request) bool {
		path, ours := strings.CutPrefix(r.RequestURI, "/net%20work")
		if !ours {
			return false
		}
		got = append(got, r.Host+" "+r.RequestURI)
		r.URL.Path, r.URL.RawPath = path, ""
		if path == "/v2.0/extensions" {
			(*l.current.Load()).ServeHTTP(w, r)
		} else {
			w.Write([]byte(`{"networks":[]}`))
		}
		return true
	}
	c := l.ready(byPassword)
	got = nil
	const id = "d372e867-f595-46b6-b9e5-854cefb4e689"
	for _, tag := range []string{"a b/c?d", ".."} {
		c.Tag(t.Context(), courier.Resource{Kind: courier.SubnetPoolResource, ID: string(id)}, tag)
	}
	want := []string{"behind.example /net%20work/v2.0/subnetpools/" + id + "/tags/a%20b%2Fc%3Fd", "behind.example /net%20work/v2.0/subnetpools/" + id + "/tags/.."}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestRenewalIsNobodysAlone gives up the request that began a renewal.
func TestRenewalIsNobodysAlone(t *testing.T) {
	l := newLab(t)
	c := l.ready(byPassword)
	hold, held := make(chan struct{}), make(chan struct{})
	var once sync.Once
	l.first = func(_ http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == "/v3/auth/tokens" {
			once.Do(func() { close(held) })
			<-hold
		}
		return false
	}
	l.password(secret)
	ctx, giveUp := context.WithCancel(t.Context())
	first := make(chan error, 1)
	go func() { first <- c.Ping(ctx) }()
	<-held
	second := make(chan error, 1)
	go func() { second <- c.Ping(t.Context()) }()
	giveUp()
	if err := <-first; courier.KindOf(err) != courier.Unavailable {
		t.Errorf("given up: %v", err)
	}
	close(hold)
	if err := <-second; err != nil {
		t.Error(err)
	}
}

// TestFreshTokenRefused does not ask Keystone again and again when Neutron
// refuses even new tokens.
func TestFreshTokenRefused(t *testing.T) {
	l := newLab(t)
	c := l.ready(byPassword)
	l.first = func(w http.ResponseWriter, r *http.Request) bool {
		if strings.HasPrefix(r.URL.Path, "/v2.0") {
			w.WriteHeader(http.StatusUnauthorized)
			return true
		}
		return false
	}
	asked := l.asked.Load()
	for range 10 {
		if err := c.Ping(t.Context()); courier.KindOf(err) != courier.Unauthorized || !strings.Contains(courier.HintOf(err), "keystone_authtoken") {
			t.Errorf("%v (hint %q)", err, courier.HintOf(err))
		}
	}
	if n := l.asked.Load() - asked; n != 1 {
		t.Errorf("%d tokens were asked for", n)
	}
}

// TestRotation changes the password in clouds.yaml and in Keystone.
func TestRotation(t *testing.T) {
	l := newLab(t)
	dir := t.TempDir()
	path := filepath.Join(dir, "clouds.yaml")
	write := func(password string) {
		t.Helper()
		text := "clouds:\n  lab:\n    auth: {auth_url: http://cloud/v3, username: kuryr, password: " + password + ", project_name: service}\n"
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(secret)
	c := l.ready(func() neutron.Cloud { return neutron.Cloud{Name: "lab", File: path} })

	// The file first: nothing happens until the token is refused.
	write("second")
	l.password("second")
	if err := c.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}

	// Keystone first: refused, once, however many ask, until the file says it too.
	l.password("third")
	asked := l.asked.Load()
	for range 5 {
		err := c.Ping(t.Context())
		want := "cannot reach Neutron at http://cloud/v2.0/: Keystone at http://cloud/v3: it refuses user kuryr in project service"
		if err == nil || err.Error() != want || courier.KindOf(err) != courier.Unauthorized {
			t.Errorf("%v, want %s", err, want)
		}
	}
	if n := l.asked.Load() - asked; n != 1 {
		t.Errorf("%d tokens were asked for with credentials that are refused", n)
	}
	write("third")
	if err := c.Ping(t.Context()); err != nil {
		t.Error(err)
	}

	// A file that is being written is no reason to stop.
	if err := os.WriteFile(path, []byte("clouds:\n  la"), 0o600); err != nil {
		t.Fatal(err)
	}
	l.password("third")
	if err := c.Ping(t.Context()); err != nil {
		t.Error(err)
	}

	// Asked to, it reads the files at once; what is wrong changes nothing.
	write("wrong")
	if err := c.Renew(t.Context()); courier.KindOf(err) != courier.Unauthorized {
		t.Errorf("renewed with a wrong password: %v", err)
	}
	if err := c.Ping(t.Context()); err != nil {
		t.Error(err)
	}
	write("third")
	asked = l.asked.Load()
	if err := c.Renew(t.Context()); err != nil || l.asked.Load() != asked+1 {
		t.Errorf("renewed: %v, %d tokens", err, l.asked.Load()-asked)
	}
	if strings.Contains(l.log.String(), "third") {
		t.Error("a password is in the log")
	}
}

// TestTokenNearItsEnd renews in the background: nobody waits for it.
func TestTokenNearItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		c := l.ready(byPassword)
		var down atomic.Bool
		l.first = func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path != "/v3/auth/tokens" {
				return false
			}
			time.Sleep(time.Second)
			if down.Load() {
				w.WriteHeader(http.StatusServiceUnavailable)
			}
			return down.Load()
		}
		at := func(after time.Duration, wantTokens int32) {
			t.Helper()
			time.Sleep(after)
			start := time.Now()
			if err := c.Ping(t.Context()); err != nil || time.Since(start) > 0 {
				t.Errorf("%v after %v", err, time.Since(start))
			}
			time.Sleep(20 * time.Second) // for the background
			if n := l.asked.Load(); n != wantTokens {
				t.Errorf("%d tokens were asked for, want %d", n, wantTokens)
			}
		}
		at(0, 1)
		at(57*time.Minute, 1)
		at(time.Minute, 2) // of 60 minutes 58:20 are over
		at(0, 2)
		// Keystone is away when the second one is near its end: each attempt is
		// four requests.
		down.Store(true)
		at(57*time.Minute+30*time.Second, 6)
		at(0, 6)
		at(10*time.Second, 10)
		time.Sleep(3 * time.Minute)
		err := c.Ping(t.Context())
		if want := "Keystone at http://cloud/v3: it answers 503 Service Unavailable"; err == nil || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%v, want …%s", err, want)
		}
		down.Store(false)
		if err := c.Ping(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// TestClocksThatDiffer uses a token as long as it lives by Keystone's clock,
// and says that the clocks differ.
func TestClocksThatDiffer(t *testing.T) {
	for _, keystone := range []time.Duration{-2 * time.Hour, 2 * time.Hour} {
		l := newLab(t)
		l.first = func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path != "/v3/auth/tokens" {
				w.Write([]byte(`{"networks":[],"extensions":[{"alias":"binding"},{"alias":"standard-attr-description"},` +
					`{"alias":"standard-attr-tag"},{"alias":"subnet_allocation"}]}`))
				return true
			}
			now := time.Now().Add(keystone).UTC()
			w.Header().Set("X-Subject-Token", "t")
			w.WriteHeader(http.StatusCreated)
			fmt.Fprintf(w, `{"token":{"issued_at":%q,"expires_at":%q,"project":{"id":"p1"},"catalog":[{"type":"network","endpoints":[`+
				`{"interface":"public","region":"r","region_id":"r","url":"http://cloud:9696"}]}]}}`,
				now.Format(time.RFC3339Nano), now.Add(time.Hour).Format(time.RFC3339Nano))
			return true
		}
		c := l.ready(byPassword)
		for range 3 {
			if err := c.Ping(t.Context()); err != nil {
				t.Error(err)
			}
		}
		if l.asked.Load() != 1 || !strings.Contains(l.log.String(), "the clocks of this host and of Keystone differ") {
			t.Errorf("%v: %d tokens were asked for; the log: %s", keystone, l.asked.Load(), l.log.String())
		}
	}
}

// TestTokenThatWasGiven can't be renewed, and says so.
func TestTokenThatWasGiven(t *testing.T) {
	l := newLab(t)
	var token atomic.Pointer[observe.Secret]
	give := func() { s := l.tokenOf("service"); token.Store(&s) }
	give()
	c := l.ready(func() neutron.Cloud { return neutron.Cloud{AuthURL: "http://cloud/v3", Token: *token.Load()} })
	l.password(secret)
	if err := c.Ping(t.Context()); courier.KindOf(err) != courier.Unauthorized || !strings.Contains(courier.HintOf(err), "set another one") {
		t.Errorf("%v (hint %q)", err, courier.HintOf(err))
	}
	give()
	if err := c.Ping(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestRequestsInFlight wants no more of them than allowed.
func TestRequestsInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		c := l.ready(func() neutron.Cloud {
			s := byPassword()
			s.MaxRequests = 3
			return s
		})
		var now, most atomic.Int32
		l.first = func(http.ResponseWriter, *http.Request) bool {
			for n := now.Add(1); ; {
				m := most.Load()
				if n <= m || most.CompareAndSwap(m, n) {
					break
				}
			}
			time.Sleep(time.Second)
			now.Add(-1)
			return false
		}
		start := time.Now()
		var wg sync.WaitGroup
		for range 9 {
			wg.Go(func() {
				if err := c.Ping(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		synctest.Wait()
		if err := c.Ping(ctx); courier.KindOf(err) != courier.Unavailable || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("no turn in time: %v", err)
		}
		wg.Wait()
		if most.Load() != 3 || time.Since(start) != 3*time.Second {
			t.Errorf("%d requests in flight, all done after %v", most.Load(), time.Since(start))
		}
	})
}

// TestRetryAfter wants the time that a server asks for, or an answer at once
// where it is too long.
func TestRetryAfter(t *testing.T) {
	for name, tt := range map[string]struct {
		status  int
		after   string
		write   bool
		timeout time.Duration
		want    time.Duration // until the answer, jitter aside
		fails   bool
	}{
		"busy, read":               {status: 429, after: "3", want: 3 * time.Second},
		"busy, write":              {status: 429, after: "3", write: true, want: 3 * time.Second},
		"busy, write, no time":     {status: 429, write: true, fails: true},
		"away, read":               {status: 503, after: "5", want: 5 * time.Second},
		"away, write":              {status: 503, after: "5", write: true, fails: true},
		"a date":                   {status: 503, after: "Sat, 01 Jan 2000 00:00:07 GMT", want: 7 * time.Second}, // synctest's clock starts at 2000
		"longer than the deadline": {status: 503, after: "30", timeout: 20 * time.Second, fails: true},
		"for ever":                 {status: 429, after: "86400", fails: true},
		"nonsense":                 {status: 503, after: "soon"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				requests := 0
				c := client(t, func(w http.ResponseWriter, r *http.Request) {
					if requests++; requests == 1 {
						w.Header().Set("Retry-After", tt.after)
						w.WriteHeader(tt.status)
						return
					}
					if r.Method == http.MethodPost {
						w.WriteHeader(http.StatusCreated)
						w.Write([]byte(`{"port_forwarding":{"id":"` + string(portID) + `"}}`))
						return
					}
					w.Write([]byte(`{"networks":[]}`))
				})
				ctx := t.Context()
				if tt.timeout > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, tt.timeout)
					defer cancel()
				}
				start := time.Now()
				err := c.Ping(ctx)
				if tt.write {
					requests = 0
					start = time.Now()
					err = c.CreatePortForwarding(ctx, courier.FloatingIPID(portID), courier.PortForwardingSpec{Port: portID})
				}
				took := time.Since(start)
				if (err != nil) != tt.fails || took < tt.want || took > tt.want+time.Second || tt.fails && took > 0 {
					t.Errorf("%v after %v, want %v", err, took, tt.want)
				}
			})
		})
	}
}
