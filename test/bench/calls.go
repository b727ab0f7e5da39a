package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"kuryr/internal/testkit"
)

// held is how long the Neutron of this part keeps each request: much longer
// than Kuryr's own work for a container takes. So what has been answered when
// Kuryr answers is what Kuryr waited for.
const held = 60 * time.Millisecond

// counter counts the requests that reach a Neutron, by when they came.
type counter struct {
	proxy *testkit.FaultProxy
	mu    sync.Mutex     // guards what follows
	came  []time.Time    // since the last take
	kinds map[string]int // since ever, by method and kind of resource
}

// see is what the proxy asks about each request.
func (c *counter) see(r testkit.Call) testkit.Fault {
	resource, _, _ := strings.Cut(strings.TrimPrefix(r.Path, "/v2.0/"), "/")
	c.mu.Lock()
	defer c.mu.Unlock()
	c.kinds[r.Method+" "+resource]++
	c.came = append(c.came, time.Now())
	return testkit.Fault{Delay: held}
}

// take returns how many requests have come since the last take, and how many
// of these were answered by then. It forgets them.
func (c *counter) take(then time.Time) (answered, all int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, t := range c.came {
		if !t.Add(held).After(then) {
			answered++
		}
	}
	all, c.came = len(c.came), nil
	return answered, all
}

func (c *counter) byKind() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.kinds)
}

func (c *counter) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.kinds)
	c.came = nil
}

// quiet waits until no request has come for a while, and all are answered.
func (c *counter) quiet(ctx context.Context) error {
	last, since := -1, time.Now()
	for time.Since(since) < 4*held {
		c.mu.Lock()
		now := len(c.came)
		c.mu.Unlock()
		if now != last || c.proxy.Open() > 0 {
			last, since = now, time.Now()
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(held / 4):
		}
	}
	return nil
}

// calls counts the requests that Neutron gets for a container's start and
// stop: those that Kuryr waits for before it answers Docker, and all there are.
func (b *bench) calls(ctx context.Context, s south, n int) (err error) {
	m, err := s.machine(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.Close(context.WithoutCancel(ctx))) }()
	proxy, o, end, err := s.proxied(ctx, m, b.binary)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, end()) }()
	d, _, err := b.startDaemon(ctx, m, o)
	if err != nil {
		return err
	}
	c := &counter{proxy: proxy, kinds: map[string]int{}}
	proxy.Watch(c.see)
	return d.end(b.countCalls(ctx, s, d, c, n))
}

func (b *bench) countCalls(ctx context.Context, s south, d *daemon, c *counter, n int) error {
	before, err := d.kuryr.Take(ctx)
	if err != nil {
		return err
	}
	net, err := d.createNetwork(ctx, "10.201.0.0/20", "fd00:201::/64")
	if err != nil {
		return err
	}
	var start, stop, all []float64
	for i := range n + 1 {
		counts, err := d.count(ctx, c, net)
		if err != nil {
			return err
		}
		if i == 0 { // it had nothing ready, and what fills the pool is not its own
			if err := errors.Join(poolFilled(ctx, d.kuryr, s.ready()), c.quiet(ctx)); err != nil {
				return err
			}
			c.forget()
		} else {
			start, stop, all = append(start, counts[0]), append(stop, counts[1]), append(all, counts[2])
		}
	}
	for _, f := range []figure{
		median("Neutron calls before a start's answers", "calls", start).aim("0"),
		median("Neutron calls before a stop's answers", "calls", stop).aim("0"),
		mean("Neutron calls for a container, in all", "calls", all).aim("<= 1.2"),
	} {
		b.add(f.with(less))
	}
	kinds := c.byKind()
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		b.add(figure{Name: "  of these " + kind, Unit: "calls", N: n, P50: float64(kinds[kind]) / float64(n)})
	}
	if err := d.removeNetwork(ctx, net); err != nil {
		return err
	}
	return d.nothingLeft(ctx, s, before)
}

// stays is how long each container is there: longer than Kuryr waits before it
// tells Neutron whose a port is, which costs nothing for one that is gone by then.
const stays = 1500 * time.Millisecond

// count starts and stops one container, each from quiet to quiet. What has come
// since the last one counts for this one, in all.
func (d *daemon) count(ctx context.Context, c *counter, net *network) (counts [3]float64, err error) {
	if err := c.quiet(ctx); err != nil {
		return counts, err
	}
	_, since := c.take(time.Time{})
	none := map[string][]time.Duration{}
	made, err := d.start(ctx, net, none)
	if err != nil {
		return counts, fmt.Errorf("beside a slow Neutron: %w", err)
	}
	answered := time.Now()
	time.Sleep(stays)
	if err := c.quiet(ctx); err != nil {
		return counts, err
	}
	first, all := c.take(answered)
	if err := d.stop(ctx, made, none); err != nil {
		return counts, fmt.Errorf("beside a slow Neutron: %w", err)
	}
	answered = time.Now()
	if err := c.quiet(ctx); err != nil {
		return counts, err
	}
	second, rest := c.take(answered)
	return [3]float64{float64(first), float64(second), float64(since + all + rest)}, nil
}
