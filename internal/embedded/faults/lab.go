package faults

import (
	"context"
	"encoding/json"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"time"

	"kuryr/internal/observe"
)

// Options of a Lab.
type Options struct {
	Log *slog.Logger // required; each fault is told at info
}

// Lab is an http.Handler that stands before another one. It is safe for
// concurrent use.
type Lab struct {
	next http.Handler
	log  *slog.Logger

	mu    sync.Mutex // guards what follows
	rules []armed
}

// armed is a rule with what it has seen.
type armed struct {
	Rule
	random      *rand.Rand // its own, so that rules don't shift each other's draws
	seen, taken int
}

// New returns a lab in which nothing fails yet.
func New(next http.Handler, o Options) *Lab { return &Lab{next: next, log: o.Log} }

// Use puts a plan in force in place of the last one; what was counted is
// forgotten.
func (l *Lab) Use(p *Plan) {
	rules := make([]armed, len(p.Rules))
	for i, r := range p.Rules {
		rules[i] = armed{Rule: r, random: rand.New(rand.NewPCG(p.Seed, uint64(i)))}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rules = rules
}

// take returns the rule that takes a request, and its number from 1; 0: none.
func (l *Lab) take(method, path string) (Rule, int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range l.rules {
		r := &l.rules[i]
		if !r.matches(method, path) || r.Count > 0 && r.taken == r.Count {
			continue
		}
		if r.seen++; r.seen <= r.Skip || r.random.Float64() >= r.Probability {
			continue
		}
		r.taken++
		return r.Rule, i + 1
	}
	return Rule{}, 0
}

// ServeHTTP implements http.Handler. It breaks a connection by a panic with
// http.ErrAbortHandler, as net/http has it.
func (l *Lab) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	rule, n := l.take(r.Method, r.URL.Path)
	if n == 0 {
		l.next.ServeHTTP(w, r)
		return
	}
	l.log.LogAttrs(r.Context(), slog.LevelInfo, "fault injected", slog.Int("rule", n), slog.String("do", string(rule.Do)),
		slog.Duration("delay", rule.Delay), slog.String(observe.Op, r.Method+" "+r.URL.Path))
	if !wait(r.Context(), rule.Delay) {
		panic(http.ErrAbortHandler) // nobody waits for an answer
	}
	switch rule.Do {
	case Answer:
		rule.answer(w)
	case Lose:
		// What was begun is finished, whether or not the client waits.
		l.next.ServeHTTP(&nowhere{header: http.Header{}}, r.WithContext(context.WithoutCancel(r.Context())))
		panic(http.ErrAbortHandler)
	case Break:
		panic(http.ErrAbortHandler)
	default:
		l.next.ServeHTTP(w, r)
	}
}

// wait waits for d, and reports whether ctx lasted as long.
func wait(ctx context.Context, d time.Duration) bool {
	if d == 0 {
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// answer answers as Neutron tells of an error.
func (r *Rule) answer(w http.ResponseWriter) {
	var body struct {
		NeutronError struct {
			Type    string `json:"type"`
			Message string `json:"message"`
			Detail  string `json:"detail"`
		}
	}
	body.NeutronError.Type, body.NeutronError.Message = r.Type, r.Message
	w.Header().Set("Content-Type", "application/json")
	if r.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(r.RetryAfter/time.Second)))
	}
	w.WriteHeader(r.Status)
	json.NewEncoder(w).Encode(body) // who has hung up needs no answer
}

// nowhere takes an answer that is lost.
type nowhere struct{ header http.Header }

func (n *nowhere) Header() http.Header         { return n.header }
func (n *nowhere) Write(b []byte) (int, error) { return len(b), nil }
func (n *nowhere) WriteHeader(int)             {}
