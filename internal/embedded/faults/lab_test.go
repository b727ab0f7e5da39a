package faults

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// stand is a lab before a server that counts what had an effect.
type stand struct {
	*httptest.Server
	lab     *Lab
	log     bytes.Buffer
	effects atomic.Int32
	cut     atomic.Int32 // requests whose context ended while they were served
}

func newStand(t *testing.T, text string) *stand {
	t.Helper()
	plan, err := Parse("f", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	s := &stand{}
	s.lab = New(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || r.Context().Err() != nil {
			s.cut.Add(1)
			return
		}
		s.effects.Add(1)
		w.Header().Set("X-Seen", "yes")
		w.WriteHeader(http.StatusCreated)
		w.Write(body)
	}), Options{Log: slog.New(slog.NewTextHandler(&s.log, nil))})
	s.lab.Use(plan)
	s.Server = httptest.NewServer(s.lab)
	t.Cleanup(s.Close)
	return s
}

// try posts and returns "STATUS BODY", or "broken".
func (s *stand) try(method, path, body string) string {
	req, err := http.NewRequest(method, s.URL+path, strings.NewReader(body))
	if err != nil {
		return err.Error()
	}
	// A client repeats some requests on its own when a kept connection breaks.
	req.Close = true
	resp, err := s.Client().Do(req)
	if err != nil {
		return "broken"
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return "cut short"
	}
	return strings.TrimSpace(resp.Status[:3] + " " + string(b))
}

func TestFaultsOverTCP(t *testing.T) {
	s := newStand(t, `{"rules": [
		{"method": "POST", "path": "/ports", "skip": 1, "count": 1, "do": "lose"},
		{"method": "DELETE", "path": "/ports/*", "count": 1, "do": "break"},
		{"path": "/networks/**", "status": 409, "type": "InUse", "message": "busy"}]}`)
	for _, step := range []struct {
		method, path, body, want string
		effects                  int32
	}{
		{"POST", "/ports", "a", "201 a", 1},
		{"POST", "/ports", "b", "broken", 2}, // it had its effect
		{"POST", "/ports", "c", "201 c", 3},
		{"DELETE", "/ports/1", "", "broken", 3}, // it had none
		{"DELETE", "/ports/1", "", "201", 4},
		{"GET", "/networks?a=b", "", `409 {"NeutronError":{"type":"InUse","message":"busy","detail":""}}`, 4},
		{"GET", "/subnets", "", "201", 5},
	} {
		if got := s.try(step.method, step.path, step.body); got != step.want || s.effects.Load() != step.effects {
			t.Errorf("%s %s %s: %q, want %q; %d effects, want %d", step.method, step.path, step.body, got, step.want, s.effects.Load(), step.effects)
		}
	}
	if got := strings.Count(s.log.String(), "fault injected"); got != 3 || s.cut.Load() != 0 {
		t.Errorf("%d faults in the log, %d requests were cut:\n%s", got, s.cut.Load(), s.log.String())
	}
}

func TestAnswerHasRetryAfter(t *testing.T) {
	s := newStand(t, `{"rules": [{"do": "answer", "retry_after": 7}]}`)
	resp, err := s.Client().Get(s.URL + "/x")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 503 || resp.Header.Get("Retry-After") != "7" || resp.Header.Get("Content-Type") != "application/json" {
		t.Errorf("%s %v", resp.Status, resp.Header)
	}
}

func TestDelay(t *testing.T) {
	s := newStand(t, `{"rules": [{"path": "/slow", "delay": "150ms"}, {"path": "/slower", "delay": "1m"}]}`)
	start := time.Now()
	if got := s.try("GET", "/slow", ""); got != "201" || time.Since(start) < 150*time.Millisecond {
		t.Errorf("%q after %v", got, time.Since(start))
	}
	// Who hangs up while it is delayed has no effect, and holds nothing.
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	req, _ := http.NewRequestWithContext(ctx, "GET", s.URL+"/slower", nil)
	if _, err := s.Client().Do(req); err == nil {
		t.Error("an answer within 50ms")
	}
	start = time.Now()
	s.Close() // waits for what is being served
	if time.Since(start) > 10*time.Second || s.effects.Load() != 1 {
		t.Errorf("closed after %v, %d effects", time.Since(start), s.effects.Load())
	}
}

// TestSameSeedSameFaults: rules draw independently of one another, and a plan
// that is put in force again begins anew.
func TestSameSeedSameFaults(t *testing.T) {
	plan := func(seed uint64) *Plan {
		return &Plan{Seed: seed, Rules: []Rule{
			{Method: "POST", Probability: 0.5, Do: Break},
			{Method: "GET", Probability: 0.3, Do: Break, Count: 20},
		}}
	}
	draw := func(l *Lab, between bool) (taken []int) {
		for i := range 200 {
			if between {
				l.take("POST", "/")
			}
			if _, n := l.take("GET", "/"); n > 0 {
				taken = append(taken, i)
			}
		}
		return taken
	}
	l := New(http.NotFoundHandler(), Options{Log: slog.New(slog.DiscardHandler)})
	l.Use(plan(1))
	first := draw(l, false)
	l.Use(plan(1))
	if diff := cmp.Diff(first, draw(l, true)); diff != "" {
		t.Errorf("the same seed (-first +second)\n%s", diff)
	}
	l.Use(plan(2))
	if slices.Equal(first, draw(l, false)) {
		t.Error("another seed draws the same")
	}
	if len(first) != 20 {
		t.Errorf("%d taken, want the count of 20", len(first))
	}
}

// TestCountIsExact: however many come at once, no more are taken than the rule says.
func TestCountIsExact(t *testing.T) {
	s := newStand(t, `{"rules": [{"skip": 5, "count": 10, "do": "break"}]}`)
	var broken atomic.Int32
	var wg sync.WaitGroup
	for range 40 {
		wg.Go(func() {
			if s.try("PUT", "/x", "y") == "broken" {
				broken.Add(1)
			}
		})
	}
	wg.Wait()
	if broken.Load() != 10 || s.effects.Load() != 30 {
		t.Errorf("%d broken and %d served, want 10 and 30", broken.Load(), s.effects.Load())
	}
}
