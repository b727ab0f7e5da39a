package dataplane

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"kuryr/internal/link"
	"kuryr/internal/observe"
)

// tapPrefix begins the names of the host's ends of ports' links (see
// courier.HostEnd).
const tapPrefix = "tap"

// retryAfter is the pause before what failed is tried again.
const retryAfter = time.Second

// Ports hears which ports are plugged. SetPlugged is called by one goroutine,
// in the order of events, and only when it changes something the agent said,
// or at first. The host's end is named "tap" and the first 11 characters of
// the port's ID; there may be no such port.
type Ports interface {
	SetPlugged(hostEnd string, plugged bool)
}

// Agent tells Ports which of them are plugged: their host's end is set up and
// a port of a bridge, and, if it enforces the policy, their rules are in force.
type Agent struct {
	links  *link.Links
	ports  Ports
	policy Policy // nil: nothing is enforced
	filter *filter
	log    *slog.Logger
	asked  chan chan error // Apply waits for an answer

	// What follows is Run's own.

	// plugged is what ports was told, but for those that are not plugged; it
	// outlives a watch, so that what went meanwhile is told.
	plugged map[string]bool
	taps    map[string]link.Link // as the kernel has them
	bridges map[string]bool      // by name: Kuryr's
	shut    map[string]bool      // taps that were set down since there is no filter
	synced  bool                 // every interface was told once
	failing bool                 // what failed last, so that it is said once

	trouble atomic.Pointer[error] // why the policy is not in force, for Health
}

// Options are New's settings.
type Options struct {
	Log *slog.Logger // optional
	// Enforce puts the policy in force; New's Ports must be a Policy. Without
	// it, the agent tells what is plugged, and changes nothing.
	Enforce bool
}

// New returns an Agent for the namespace of links.
func New(links *link.Links, p Ports, o Options) *Agent {
	a := &Agent{
		links: links, ports: p, log: o.Log, asked: make(chan chan error),
		plugged: map[string]bool{}, taps: map[string]link.Link{}, bridges: map[string]bool{}, shut: map[string]bool{},
	}
	if a.log == nil {
		a.log = slog.New(slog.DiscardHandler)
	}
	if o.Enforce {
		a.policy = p.(Policy)
		a.filter = &filter{links: links, log: a.log}
	}
	return a
}

// Run puts the policy in force and tells which ports are plugged now, and then
// each change, until the context ends: it returns nil then. What is in force
// stays so: the ports' traffic goes on without us. It may run once.
func (a *Agent) Run(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	events := make(chan news)
	watching := make(chan struct{})
	go func() {
		defer close(watching)
		a.watch(ctx, events)
	}()
	defer func() { <-watching }()
	defer stop()
	if a.policy == nil {
		a.follow(ctx, events, nil, nil)
		return nil
	}
	bell, err := newBell(a.links.Fd())
	if err != nil {
		return err
	}
	defer bell.close()
	defer a.filter.hangUp()
	// Before anything else: what the kernel has may be of another day. What fails is tried again.
	_ = a.enforce(ctx)
	a.follow(ctx, events, a.policy.Changes(), bell.rung)
	return nil
}

// watch sends the events of interfaces; it begins again when a watch fails.
func (a *Agent) watch(ctx context.Context, events chan<- news) {
	send := func(n news) {
		select {
		case events <- n:
		case <-ctx.Done():
		}
	}
	for {
		send(news{begin: true})
		err := a.links.Watch(ctx, func(e link.Event) { send(news{Event: e}) })
		if ctx.Err() != nil {
			return
		}
		a.log.ErrorContext(ctx, "the watch over interfaces failed; beginning again", observe.Err, err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(retryAfter):
		}
	}
}

// news is an event of a watch, or that one begins: it tells everything anew.
type news struct {
	link.Event
	begin bool
}

// follow takes events until the context ends.
func (a *Agent) follow(ctx context.Context, events <-chan news, changes, rung <-chan struct{}) {
	seen := map[string]bool{}
	for {
		var again <-chan time.Time
		if a.failing {
			again = time.After(retryAfter)
		}
		select {
		case <-ctx.Done():
			return
		case n := <-events:
			if n.begin {
				clear(seen)
			} else if a.take(n.Event, seen) && a.policy != nil {
				_ = a.enforce(ctx) // it logs
			}
		case answer := <-a.asked:
			select {
			case <-changes: // this is what they are about
			default:
			}
			answer <- a.enforce(ctx)
		case <-changes:
			_ = a.enforce(ctx) // it logs
		case <-rung:
			a.inspect(ctx)
		case <-again:
			_ = a.enforce(ctx) // it logs
		}
	}
}

// take learns from an event, and reports whether the filter depends on it.
func (a *Agent) take(e link.Event, seen map[string]bool) (matters bool) {
	switch e.Kind {
	case link.Synced:
		for name := range a.taps {
			if !seen[name] {
				a.forget(name)
			}
		}
		for name := range a.bridges {
			if !seen[name] {
				a.forget(name)
			}
		}
		a.synced = true
		return true
	case link.Present:
		seen[e.Link.Name] = true
		matters = a.learn(e.Link)
	case link.Removed:
		matters = a.forget(e.Link.Name)
	}
	return matters
}

func (a *Agent) learn(l link.Link) (matters bool) {
	if l.Kind == "bridge" && a.bridges[l.Name] != l.Ours() {
		a.bridges[l.Name] = l.Ours()
		matters = true
	}
	if !strings.HasPrefix(l.Name, tapPrefix) {
		return matters
	}
	before := a.taps[l.Name]
	a.taps[l.Name] = l
	a.tell(l.Name)
	changed := before.Master != l.Master || before.Ours() != l.Ours()
	return matters || changed && !a.covered(l.Name)
}

func (a *Agent) forget(name string) (matters bool) {
	_, tap := a.taps[name]
	_, bridge := a.bridges[name]
	delete(a.taps, name)
	delete(a.bridges, name)
	delete(a.shut, name)
	a.tell(name)
	return bridge || tap && !a.covered(name)
}

// covered reports whether the rules of a port are in force, wherever its link is.
func (a *Agent) covered(hostEnd string) bool {
	return a.filter != nil && a.filter.inForce != nil && a.filter.ports[hostEnd]
}

// tell says whether a port is plugged, if that is news.
func (a *Agent) tell(hostEnd string) {
	l := a.taps[hostEnd]
	plugged := l.Master != "" && l.Up && (a.policy == nil || a.covered(hostEnd))
	if a.plugged[hostEnd] == plugged {
		return
	}
	if plugged {
		a.plugged[hostEnd] = true
	} else {
		delete(a.plugged, hostEnd)
	}
	a.ports.SetPlugged(hostEnd, plugged)
}

// Apply returns when what the policy shows now is in force, or why it is not.
// It waits for Run, as long as its context lasts.
func (a *Agent) Apply(ctx context.Context) error {
	if a.policy == nil {
		return nil
	}
	answer := make(chan error, 1)
	select {
	case a.asked <- answer:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// enforce brings the filter to what the policy says.
func (a *Agent) enforce(ctx context.Context) error {
	err := a.bring(ctx)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil && !a.failing {
		a.log.ErrorContext(ctx, "the rules of ports can't be put in force; new ports stay closed", observe.Err, err)
	} else if err == nil && a.failing {
		a.log.InfoContext(ctx, "the rules of ports are in force again")
	}
	a.failing = err != nil
	a.trouble.Store(&err)
	for name := range a.taps {
		a.tell(name)
	}
	return err
}

// Health returns why the policy is not in force, or nil. It may be called at
// any time, by anyone.
func (a *Agent) Health() error {
	if err := a.trouble.Load(); err != nil && *err != nil {
		return fmt.Errorf("the rules of ports can't be put in force, new ports stay closed: %w", *err)
	}
	return nil
}

func (a *Agent) bring(ctx context.Context) error {
	s := a.policy.Snapshot()
	if len(s.Ports) == 0 && !a.anyOurs() {
		if !a.synced {
			return nil // there may be links yet that what is in force closes
		}
		return a.filter.remove()
	}
	err := a.filter.apply(ctx, s, a.strangers(s))
	return errors.Join(err, a.gate(ctx))
}

// anyOurs reports whether there is an interface of Kuryr's to be closed.
func (a *Agent) anyOurs() bool {
	for _, ours := range a.bridges {
		if ours {
			return true
		}
	}
	for _, l := range a.taps {
		if l.Ours() {
			return true
		}
	}
	return false
}

// strangers are the taps on bridges of Kuryr's that are of no port.
func (a *Agent) strangers(s State) []string {
	known := make(map[string]bool, len(s.Ports))
	for _, p := range s.Ports {
		known[p.HostEnd] = true
	}
	var names []string
	for name, l := range a.taps {
		if !known[name] && a.bridges[l.Master] {
			names = append(names, name)
		}
	}
	return names
}

// gate sets taps of Kuryr's down while there is no filter at all to close
// them, and up again once there is.
func (a *Agent) gate(ctx context.Context) error {
	var errs error
	for name, l := range a.taps {
		switch {
		case a.filter.inForce == nil && l.Ours() && l.Up:
			errs = errors.Join(errs, a.links.SetUp(ctx, name, false))
			a.shut[name] = true
		case a.filter.inForce != nil && a.shut[name]:
			if err := a.links.SetUp(ctx, name, true); err != nil {
				errs = errors.Join(errs, err)
				continue
			}
			delete(a.shut, name)
		}
	}
	return errs
}

// inspect looks after the tables when another program removed some.
func (a *Agent) inspect(ctx context.Context) {
	lost, err := a.filter.lost()
	if err == nil && !lost {
		return
	}
	if lost {
		a.log.WarnContext(ctx, "the filter's tables were removed by another program; they are made anew")
	}
	a.filter.forget()
	_ = a.enforce(ctx)
}
