package courier

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"
)

// The reconciler compares what the journal says that this host owns with what
// Neutron, the kernel and Open vSwitch hold under this host's marks. It mends
// what is owned and broken, and collects what is provably this journal's and
// that nobody owns any more: docs/decisions/0012-reconciler.md.

// ReconcileOptions say what Reconcile may do.
type ReconcileOptions struct {
	// Act mends and collects; without it Reconcile only looks.
	Act bool
	// Lost has also collected what has this host's mark, and was made by a
	// journal that is lost; but nothing that a container uses.
	Lost bool
}

// Report is what Reconcile found.
type Report struct {
	At       time.Time `json:"at"`
	Took     float64   `json:"seconds"`
	Acted    bool      `json:"acted"`
	Findings []Finding `json:"findings"`
}

// Finding is one thing that is not as it should be.
type Finding struct {
	Kind    string `json:"kind"` // port, network, subnet, subnetpool, security group, link, binding
	ID      string `json:"id"`   // Neutron's, or the interface's name
	Name    string `json:"name,omitempty"`
	Problem string `json:"problem"`
	Action  string `json:"action"`          // what is done about it, if the report says so; "none": it takes a person
	Error   string `json:"error,omitempty"` // why that failed
}

// noAction is the Action where it takes a person.
const noAction = "none"

// Open tells whether the finding needs a person.
func (f Finding) Open() bool { return f.Action == noAction || f.Error != "" }

// Reconciled tells of the last time that all was compared.
type Reconciled struct {
	At       time.Time `json:"at,omitzero"` // zero: not yet
	Mended   int       `json:"mended"`      // since Start
	Findings []Finding `json:"findings"`    // those of the last time that need a person
	Error    string    `json:"error,omitempty"`
}

// How often the reconciler looks at the kernel, and how long it waits after a
// comparison that failed, or before one that somebody asked for.
const (
	compareEvery = 5 * time.Minute // where nobody says
	kernelEvery  = 10 * time.Second
	failedEvery  = 30 * time.Second
	pokedPause   = 2 * time.Second
)

// Reconcile compares once. With an error the report has what was found before.
func (c *Courier) Reconcile(ctx context.Context, o ReconcileOptions) (Report, error) {
	if err := take(ctx, c.reconciling); err != nil {
		return Report{}, because("reconcile", "", err)
	}
	defer func() { <-c.reconciling }()
	r := Report{At: time.Now(), Acted: o.Act, Findings: []Finding{}}
	err := c.compare(ctx, o, &r)
	r.Took = time.Since(r.At).Seconds()
	if o.Act && ctx.Err() == nil {
		c.noteReport(r, err)
	}
	return r, because("reconcile", "", err)
}

func (c *Courier) compare(ctx context.Context, o ReconcileOptions, r *Report) error {
	mended, kernelErr := c.mendKernel(ctx, o.Act)
	r.Findings = append(r.Findings, mended...)
	s, err := c.census(ctx)
	if err != nil {
		return errors.Join(kernelErr, err)
	}
	jobs, err := c.damage(ctx, s)
	if err != nil {
		return errors.Join(kernelErr, err)
	}
	findings, err := c.carryOut(ctx, append(jobs, c.garbage(s, o)...), o.Act)
	r.Findings = append(r.Findings, findings...)
	return errors.Join(kernelErr, s.partly, err)
}

// noteReport keeps what Status tells, and logs what is news.
func (c *Courier) noteReport(r Report, err error) {
	now := Reconciled{At: r.At, Findings: []Finding{}}
	if err != nil {
		now.Error = publicOf(err)
		if now.Error == "" {
			now.Error = err.Error()
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reconcileErr = err
	known := map[Finding]bool{}
	for _, f := range c.reconciled.Findings {
		known[f] = true
	}
	now.Mended = c.reconciled.Mended
	for _, f := range r.Findings {
		switch {
		case !f.Open():
			now.Mended++
		case len(now.Findings) < maxOpenFindings:
			now.Findings = append(now.Findings, f)
		}
		if !known[f] {
			c.logFinding(f)
		}
	}
	if err != nil && now.Error != c.reconciled.Error && !errors.Is(err, ErrAway) {
		c.log.Warn("what this host holds could not be compared; it is tried again", "err", err)
	}
	c.reconciled = now
}

// ReconcileHealth tells why the last comparison failed, if it is not that
// something did not answer: that is told by what does not.
func (c *Courier) ReconcileHealth() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if KindOf(c.reconcileErr) == Unavailable {
		return nil
	}
	return c.reconcileErr
}

// maxOpenFindings bounds what Status keeps of a report.
const maxOpenFindings = 100

func (c *Courier) logFinding(f Finding) {
	attrs := []any{"kind", f.Kind, "id", f.ID, "problem", f.Problem, "action", f.Action}
	if f.Error != "" {
		attrs = append(attrs, "err", f.Error)
	}
	level := slog.LevelInfo
	if f.Open() {
		level = slog.LevelWarn
	}
	c.log.Log(context.Background(), level, "reconciled", attrs...)
}

// ReconcileSoon asks for a comparison before the next one is due.
func (c *Courier) ReconcileSoon() {
	select {
	case c.compareSoon <- struct{}{}:
	default:
	}
}

// Watch reconciles until the context ends, unless the courier is closed: all of it
// at once, and then as often as every says, 0: each five minutes; the kernel
// more often.
func (c *Courier) Watch(ctx context.Context, every time.Duration) error {
	if every <= 0 {
		every = compareEvery
	}
	open, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(c.stopped, cancel)()
	var kernel sync.WaitGroup
	kernel.Go(func() { c.watchKernel(open) }) // a slow cloud must not hold it up
	c.watchAll(open, every)
	kernel.Wait()
	<-ctx.Done()
	return nil
}

func (c *Courier) watchKernel(ctx context.Context) {
	tick := time.NewTicker(kernelEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			c.lookAtKernel(ctx, now)
		}
	}
}

func (c *Courier) watchAll(ctx context.Context, every time.Duration) {
	next := time.NewTimer(0)
	defer next.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.compareSoon:
			next.Reset(pokedPause)
		case <-next.C:
			_, err := c.Reconcile(ctx, ReconcileOptions{Act: true})
			pause := every/2 + every/4 + rand.N(every/2)
			if err != nil {
				pause = min(pause, failedEvery)
			}
			next.Reset(pause)
		}
	}
}
