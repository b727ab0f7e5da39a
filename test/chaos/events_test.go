package chaos

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"kuryr/internal/testkit"
)

// suffer lets the events of a round happen, each at its time, and returns when
// all are over.
func (s *site) suffer(ctx context.Context, events []event) error {
	began := time.Now()
	var all sync.WaitGroup
	errs := make([]error, len(events))
	windows := &windows{}
	s.proxy.Watch(windows.judge)
	defer s.proxy.Watch(nil)
	for i, e := range events {
		all.Go(func() {
			time.Sleep(time.Until(began.Add(e.at)))
			if err := s.happen(ctx, windows, e); err != nil {
				errs[i] = fmt.Errorf("%s: %w", e, err)
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

func (s *site) happen(ctx context.Context, w *windows, e event) error {
	switch e.kind {
	case killKuryr:
		return s.killKuryr(ctx, e.lasts)
	case killEngine:
		return s.killEngine(ctx, e.lasts)
	case killNeutron:
		return s.killServer(ctx, e.lasts)
	default:
		defer w.open(e)()
		time.Sleep(e.lasts)
		return nil
	}
}

// windows are the times in which requests go wrong. They may overlap: the one
// that was opened last judges first.
type windows struct {
	mu   sync.Mutex // guards open ones and their chances
	list []*window
}

type window struct {
	event
	chances *rand.Rand
}

// open opens a window, and returns what closes it.
func (w *windows) open(e event) (shut func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	mine := &window{event: e, chances: rand.New(rand.NewPCG(e.seed, 0))}
	w.list = append(w.list, mine)
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		for i, other := range w.list {
			if other == mine {
				w.list = append(w.list[:i], w.list[i+1:]...)
				return
			}
		}
	}
}

func (w *windows) judge(testkit.Call) testkit.Fault {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := len(w.list) - 1; i >= 0; i-- {
		if f := w.list[i].judge(); f != (testkit.Fault{}) {
			return f
		}
	}
	return testkit.Fault{}
}

// judge draws what becomes of the next request.
func (w *window) judge() testkit.Fault {
	late := upTo(w.chances, time.Second)
	if w.chances.Float64() >= w.often {
		return testkit.Fault{}
	}
	switch w.fault {
	case delayed:
		return testkit.Fault{Delay: late}
	case dropped:
		return testkit.Fault{Kind: testkit.BreakBefore}
	case answerLost:
		return testkit.Fault{Kind: testkit.BreakAfter}
	case answerTruncated:
		return testkit.Fault{Kind: testkit.BreakWithin}
	case effectLate:
		return testkit.Fault{Kind: testkit.BreakLate, Delay: late}
	default:
		status := map[faultKind]int{status500: 500, status503: 503, status409: 409, status401: 401}[w.fault]
		return testkit.Fault{Kind: testkit.Answer, Status: status}
	}
}
