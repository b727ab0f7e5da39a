package daemon

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// Condition is one thing that Kuryr needs to be well.
type Condition struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail,omitempty"` // why not
}

func conditionOf(name string, err error) Condition {
	if err != nil {
		return Condition{Name: name, Detail: err.Error()}
	}
	return Condition{Name: name, OK: true}
}

// conditions tells how Kuryr fares now.
func (d *daemon) conditions(ctx context.Context) []Condition {
	return append([]Condition{conditionOf("neutron", d.neutronHealth(ctx))}, d.ownConditions()...)
}

// ownConditions are those that are known without a question to anybody.
func (d *daemon) ownConditions() []Condition {
	all := []Condition{
		conditionOf("journal", d.journal.Err()),
		conditionOf("docker socket", d.socket.check()),
	}
	for _, p := range d.parts {
		all = append(all, p.condition())
	}
	if why := d.drain.check(); why != nil {
		all = append(all, conditionOf("drain", why))
	}
	return all
}

const (
	// probeAge is how long a probe's result is told without asking again.
	probeAge = 3 * time.Second
	// probeTimeout is less than the patience of who asks for the status.
	probeTimeout = 5 * time.Second
)

// probe asks whether something answers, rarely however often it is looked at.
// Who comes while it asks waits for the same answer.
type probe struct {
	ask func(context.Context) error

	mu  sync.Mutex // guards what follows, and is held while it asks
	at  time.Time
	err error
}

// result returns why there was no answer, nil if there was one. It is not cut
// short when ctx ends, since others wait for it too.
func (p *probe) result(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.at.IsZero() || time.Since(p.at) >= probeAge {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), probeTimeout)
		defer cancel()
		p.err, p.at = p.ask(ctx), time.Now()
	}
	return p.err
}

// notices tells what works otherwise than a user may expect.
func (s *Status) notices() []string {
	notices := []string{}
	published := 0
	for _, a := range s.Courier.Attachments {
		published += a.Published - a.Forwarded
	}
	if published > 0 {
		why := "a floating IP forwards them with port_forwarding_ip, those with a host's port and no host's address"
		if s.Neutron.Kind == "embedded" {
			why = "networks have no router yet"
		}
		notices = append(notices, fmt.Sprintf("%s not forwarded: %s (docker run -p)",
			count(published, "published port is", "published ports are"), why))
	}
	if n := s.Courier.Unguarded; n > 0 {
		notices = append(notices, fmt.Sprintf("%s exposed ports that need no opening: port security is off",
			count(n, "endpoint has", "endpoints have")))
	}
	if n := s.Courier.Unexposed; n > 0 {
		notices = append(notices, fmt.Sprintf("ports of %s are not opened, or closed, yet: %s",
			count(n, "endpoint", "endpoints"), s.Courier.ExposeError))
	}
	if s.Courier.Pending > 0 && s.Courier.LastError != "" {
		notices = append(notices, fmt.Sprintf("%s tried again: %s",
			count(s.Courier.Pending, "removal is being", "removals are being"), s.Courier.LastError))
	}
	if open := s.Courier.Reconciled.Findings; len(open) > 0 {
		notices = append(notices, fmt.Sprintf("%s not as it should be (kuryr gc --dry-run shows all): %s %s: %s",
			count(len(open), "thing is", "things are"), open[0].Kind, open[0].ID, open[0].Problem))
	}
	for _, l := range s.Courier.Losses {
		done := "is being looked for"
		if l.Found {
			done = "has been looked for"
		}
		notices = append(notices, fmt.Sprintf("the journal was found damaged on %s: %s. What it lost %s in Neutron and the kernel; the damaged file is %s",
			l.At.UTC().Format("2006-01-02 15:04:05 UTC"), l.What, done, l.File))
	}
	return notices
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
