package neutron

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"kuryr/internal/courier"
	"kuryr/internal/observe"
)

const (
	// tripAfter is how many requests in a row end without an answer before
	// the cloud counts as away.
	tripAfter = 5
	// slowAfter is how long a request may be under way before somebody looks
	// whether anything answers at all; probePatience is how long that may take.
	slowAfter     = 2 * time.Second
	probePatience = 3 * time.Second
	// minPatience is what a request must have had for its time-out to tell
	// anything about the cloud.
	minPatience = time.Second
	// firstProbe is the pause before a cloud that is away is asked again,
	// doubled up to lastProbe, and jittered by half so that the hosts of a cloud
	// don't come back in step.
	firstProbe = time.Second
	lastProbe  = 10 * time.Second
)

// breaker keeps requests from a cloud that does not answer: whoever waits is
// told at once, and the cloud is left alone but for one probe now and then.
// Keystone and Neutron count alike, since neither is of use without the other.
// Only a client whose Watch runs has one that opens: somebody must close it.
type breaker struct {
	log *slog.Logger

	mu      sync.Mutex // guards what follows
	armed   bool
	failed  int       // requests in a row without an answer
	since   time.Time // of the first of them
	last    error     // why the last one had none
	open    bool
	next    time.Time     // when it is asked again, while open
	answers int           // so far
	stir    chan struct{} // wakes Watch; capacity 1
}

// Outage is that a cloud does not answer, and is left alone.
type Outage struct {
	Since  time.Time
	Failed int       // requests, up to when it was noticed and since then
	Next   time.Time // when it is asked again
	Last   error     // why there was no answer the last time
}

// Error implements error, in words that go on after "Neutron: ".
func (o *Outage) Error() string {
	calls := "1 call"
	if o.Failed != 1 {
		calls = fmt.Sprintf("%d calls", o.Failed)
	}
	why := line(lastOf(o.Last))
	if errors.Is(o.Last, context.DeadlineExceeded) {
		why = "no answer in time"
	}
	return fmt.Sprintf("not answering since %s, %s failed (%s), next try in %s", o.Since.UTC().Format("15:04:05 UTC"), calls, why,
		max(time.Until(o.Next), 0).Round(time.Second))
}

// door turns requests away while the breaker is open, before they wait for a
// token.
type door struct {
	next    http.RoundTripper
	breaker *breaker
}

// RoundTrip implements http.RoundTripper.
func (d *door) RoundTrip(req *http.Request) (*http.Response, error) {
	if o := d.breaker.outage(); o != nil {
		closeBody(req)
		return nil, &courier.Error{Kind: courier.Unavailable, Op: "reach", Subject: "Neutron", Public: o.Error(),
			Hint: "see that Keystone and Neutron answer; kuryr status tells when they do again", Err: courier.ErrAway}
	}
	return d.next.RoundTrip(req)
}

// meter tells how each request to one of the cloud's servers ends.
type meter struct {
	next    http.RoundTripper
	breaker *breaker
	budget  *budget
	// keystone's answers do not tell that Neutron is there, too.
	keystone bool
}

// RoundTrip implements http.RoundTripper.
func (m *meter) RoundTrip(req *http.Request) (*http.Response, error) {
	start := time.Now()
	slow := time.AfterFunc(slowAfter, m.breaker.wake) // Watch looks whether anything answers
	resp, err := m.next.RoundTrip(req)
	slow.Stop()
	switch {
	case err == nil && ill(resp.StatusCode):
		m.breaker.miss(fmt.Errorf("it answers %d %s", resp.StatusCode, http.StatusText(resp.StatusCode)))
	case err == nil:
		m.budget.earn()
		if !m.keystone {
			m.breaker.answered()
		}
	case errors.Is(err, context.Canceled): // who asked has gone
	case errors.Is(err, context.DeadlineExceeded) && time.Since(start) < minPatience:
	default:
		m.breaker.miss(err)
	}
	return resp, err
}

func newBreaker(log *slog.Logger) *breaker { return &breaker{log: log, stir: make(chan struct{}, 1)} }

func (b *breaker) wake() {
	select {
	case b.stir <- struct{}{}:
	default:
	}
}

// answered closes the breaker.
func (b *breaker) answered() {
	b.mu.Lock()
	was := b.open
	b.answers++
	b.failed, b.last, b.open = 0, nil, false
	b.mu.Unlock()
	if was {
		b.wake()
	}
}

// miss counts a request that got no answer.
func (b *breaker) miss(why error) {
	b.mu.Lock()
	if b.failed == 0 {
		b.since = time.Now()
	}
	b.failed++
	b.last = why
	trip := b.armed && !b.open && b.failed >= tripAfter
	b.mu.Unlock()
	if trip {
		b.trip(why)
	}
}

// trip opens the breaker.
func (b *breaker) trip(why error) {
	b.mu.Lock()
	opened := b.armed && !b.open
	if opened {
		b.open, b.next = true, time.Now().Add(firstProbe)
	}
	since := b.since
	b.mu.Unlock()
	if opened {
		b.log.Warn("the cloud does not answer: requests are turned away until it does", "since", since, observe.Err, why)
		b.wake()
	}
}

// outage returns what is known of it while the breaker is open, or nil.
func (b *breaker) outage() *Outage {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.open {
		return nil
	}
	return &Outage{Since: b.since, Failed: b.failed, Next: b.next, Last: b.last}
}

func (b *breaker) arm(on bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.armed, b.open, b.failed = on, false, 0
}

func (b *breaker) count() int { b.mu.Lock(); defer b.mu.Unlock(); return b.answers }

// Outage tells that the cloud does not answer, and is left alone; nil: it is not.
func (c *Client) Outage() *Outage {
	if c.breaker == nil {
		return nil
	}
	return c.breaker.outage()
}

// Watch keeps requests from the cloud while it does not answer, until ctx
// ends: they fail at once with ErrAway in their chain. It asks the cloud now
// and then and calls back each time that it answers again. Without a cloud it
// only waits.
func (c *Client) Watch(ctx context.Context, back func()) {
	if c.breaker == nil {
		<-ctx.Done()
		return
	}
	b := c.breaker
	b.arm(true)
	defer b.arm(false)
	for {
		select {
		case <-b.stir:
		case <-ctx.Done():
			return
		}
		if b.outage() == nil {
			answers := b.count()
			err := c.probe(ctx)
			if ctx.Err() == nil && courier.KindOf(err) == courier.Unavailable && b.count() == answers {
				b.miss(err) // the first, where all others are still under way
				b.trip(err)
			}
		}
		if b.outage() != nil {
			if !c.awaitAnswer(ctx) {
				return
			}
			b.log.Info("the cloud answers again")
			back()
		}
	}
}

// probe asks for little, once.
func (c *Client) probe(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, probePatience)
	defer cancel()
	_, err := c.probing.Get(ctx, c.probing.ServiceURL("networks")+"?limit=1&fields=id", &struct{}{}, nil)
	return c.fail(err, "reach Neutron", c.at())
}

// awaitAnswer probes until the breaker is closed; false: ctx ended first.
func (c *Client) awaitAnswer(ctx context.Context) bool {
	for pause := firstProbe; ; pause = min(2*pause, lastProbe) {
		wait := pause/2 + rand.N(pause)
		c.breaker.mu.Lock()
		c.breaker.next = time.Now().Add(wait)
		c.breaker.mu.Unlock()
		t := time.NewTimer(wait)
		select {
		case <-t.C:
		case <-c.breaker.stir: // a request that was under way got its answer
			t.Stop()
		case <-ctx.Done():
			t.Stop()
			return false
		}
		if c.breaker.outage() != nil {
			if err := c.probe(ctx); err != nil && courier.KindOf(err) != courier.Unavailable {
				c.breaker.answered() // Keystone's, who refuses us: that is for others to tell
			}
		}
		if c.breaker.outage() == nil {
			return true
		}
	}
}
