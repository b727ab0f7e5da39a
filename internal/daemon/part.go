package daemon

import (
	"context"
	"errors"
	"sync"
	"time"

	"kuryr/internal/observe"
)

// A part that fails is started again after a pause that doubles from
// firstRestart to lastRestart. One that has run for steady is well again.
const (
	firstRestart = 100 * time.Millisecond
	lastRestart  = 30 * time.Second
	steady       = 5 * time.Second
)

// part is background work that lasts as long as the daemon. When it fails that
// is a condition of health, and it is started again.
type part struct {
	name   string
	run    func(context.Context) error
	health func() error // what it says of itself while it runs; may be nil

	mu    sync.Mutex // guards what follows
	err   error      // why it failed last
	since time.Time  // when it was started; zero: it waits to be
}

// errEnded is the error of a part that returned none.
var errEnded = errors.New("it ended by itself")

// keep starts background work under a name that health tells.
func (d *daemon) keep(name string, run func(context.Context) error, health func() error) {
	if len(d.parts) == 0 {
		d.onClose("the background work", d.stopParts)
	}
	p := &part{name: name, run: run, health: health}
	d.parts = append(d.parts, p)
	d.running.Go(func() { d.keepRunning(p) })
}

func (d *daemon) keepRunning(p *part) {
	ctx := d.background
	for pause := firstRestart; ; pause = min(2*pause, lastRestart) {
		start := p.begin()
		err := p.run(ctx)
		if ctx.Err() != nil {
			return
		}
		p.end(err)
		if time.Since(start) > steady {
			pause = firstRestart
		}
		d.log.Error("background work failed; it will be started again", "part", p.name, "after", pause, observe.Err, p.condition().Detail)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return
		}
	}
}

func (p *part) begin() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.since = time.Now()
	return p.since
}

func (p *part) end(err error) {
	if err == nil {
		err = errEnded
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.err, p.since = err, time.Time{}
}

// condition is well when it never failed, or has run long enough since, and
// the part has nothing to say against it.
func (p *part) condition() Condition {
	p.mu.Lock()
	err := p.err
	if !p.since.IsZero() && time.Since(p.since) >= steady {
		err = nil
	}
	p.mu.Unlock()
	if err == nil && p.health != nil {
		err = p.health()
	}
	return conditionOf(p.name, err)
}

// stopParts ends the background work and waits for it.
func (d *daemon) stopParts() error {
	d.halt()
	d.running.Wait()
	return nil
}
