package dataplane

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"kuryr/internal/link"
	"kuryr/internal/observe"
)

// tapPrefix begins the names of the host's ends of ports' links (see
// courier.HostEnd).
const tapPrefix = "tap"

// retryAfter is the pause before a watch that failed is begun again.
const retryAfter = time.Second

// Ports hears which ports are plugged. SetPlugged is called by one goroutine,
// in the order of events, and only when it changes something the agent said,
// or at first. The host's end is named "tap" and the first 11 characters of
// the port's ID; there may be no such port.
type Ports interface {
	SetPlugged(hostEnd string, plugged bool)
}

// Agent tells Ports which of them are plugged: their host's end is set up and
// a port of a bridge.
type Agent struct {
	links *link.Links
	ports Ports
	log   *slog.Logger
	// plugged is what ports was told, but for those that are not plugged; it
	// outlives a watch, so that what went meanwhile is told. Owned by Run.
	plugged map[string]bool
}

// Options are New's settings.
type Options struct {
	Log *slog.Logger // optional
}

// New returns an Agent for the namespace of links.
func New(links *link.Links, p Ports, o Options) *Agent {
	a := &Agent{links: links, ports: p, log: o.Log, plugged: map[string]bool{}}
	if a.log == nil {
		a.log = slog.New(slog.DiscardHandler)
	}
	return a
}

// Run tells which ports are plugged now, and then each change, until the
// context ends: it returns nil then. It may run once.
func (a *Agent) Run(ctx context.Context) error {
	for {
		err := a.watch(ctx)
		if ctx.Err() != nil {
			return nil
		}
		a.log.ErrorContext(ctx, "the watch over interfaces failed; beginning again", observe.Err, err)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(retryAfter):
		}
	}
}

// watch follows one watch. When it has told all that exists, what was plugged
// before and hasn't been seen is gone.
func (a *Agent) watch(ctx context.Context) error {
	seen := map[string]bool{}
	synced := false
	return a.links.Watch(ctx, func(e link.Event) {
		switch e.Kind {
		case link.Synced:
			synced = true
			for hostEnd := range a.plugged {
				if !seen[hostEnd] {
					a.set(hostEnd, false)
				}
			}
		case link.Present:
			if !synced {
				seen[e.Link.Name] = true
			}
			a.set(e.Link.Name, e.Link.Master != "" && e.Link.Up)
		case link.Removed:
			a.set(e.Link.Name, false)
		}
	})
}

func (a *Agent) set(hostEnd string, plugged bool) {
	if !strings.HasPrefix(hostEnd, tapPrefix) || a.plugged[hostEnd] == plugged {
		return
	}
	if plugged {
		a.plugged[hostEnd] = true
	} else {
		delete(a.plugged, hostEnd)
	}
	a.ports.SetPlugged(hostEnd, plugged)
}
