package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// ways are how a pair's traffic may be filtered.
var ways = []string{"rules", "port security off", "no table"}

// round is what one round measured, by way.
type round map[string]struct {
	rate float64
	trip time.Duration
}

// traffic compares the traffic of two containers with the rules in force, with
// port security off, and with no table of ours. Each round tries all three
// ways, in turn another first, and its figures are compared with each other
// only: what else the machine does meanwhile falls on all of them.
func (b *bench) traffic(ctx context.Context, p *pair, dir string, rounds int) error {
	var all []round
	for i := range rounds + 1 {
		r := round{}
		for j := range ways {
			way := ways[(i+j)%len(ways)]
			rate, trip, err := b.under(ctx, p, dir, way)
			if err != nil {
				return fmt.Errorf("traffic with %s: %w", way, err)
			}
			r[way] = struct {
				rate float64
				trip time.Duration
			}{rate, trip}
		}
		if i > 0 { // the first warms everything up
			all = append(all, r)
		}
	}
	for _, way := range ways {
		var rate, trip []float64
		for _, r := range all {
			rate, trip = append(rate, r[way].rate), append(trip, float64(r[way].trip)/float64(time.Microsecond))
		}
		b.add(median("TCP stream, "+way, "MB/s", rate))
		b.add(median("TCP there and back, "+way, "µs", trip))
	}
	for _, c := range [][2]string{{"rules", "no table"}, {"rules", "port security off"}, {"port security off", "no table"}} {
		var rate, trip []float64
		for _, r := range all {
			rate = append(rate, r[c[0]].rate/r[c[1]].rate)
			trip = append(trip, float64(r[c[0]].trip)/float64(r[c[1]].trip))
		}
		b.add(median(fmt.Sprintf("TCP stream, %s / %s", c[0], c[1]), "ratio", rate))
		b.add(median(fmt.Sprintf("TCP there and back, %s / %s", c[0], c[1]), "ratio", trip))
	}
	return nil
}

// under measures a pair's traffic in one way.
func (b *bench) under(ctx context.Context, p *pair, dir, way string) (rate float64, trip time.Duration, err error) {
	if way == "no table" {
		if _, err := b.machine.Output(ctx, "nft", "flush", "ruleset"); err != nil {
			return 0, 0, err
		}
		return p.measure(ctx)
	}
	n, err := openNeutron(b.machine, dir, true)
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, n.close()) }()
	if err := p.secure(ctx, n.api, way == "rules"); err != nil {
		return 0, 0, err
	}
	kernel, err := b.watchRules()
	if err != nil {
		return 0, 0, err
	}
	defer kernel.Close()
	if err := settle(kernel, 500*time.Millisecond); err != nil {
		return 0, 0, err
	}
	return p.measure(ctx)
}

// secure turns the ports' security on or off. Neutron wants a port without it
// to be in no group.
func (p *pair) secure(ctx context.Context, a *api, on bool) error {
	groups := []string{}
	if on {
		groups = []string{p.group}
	}
	for _, id := range p.ports {
		change := object{"port_security_enabled": on, "security_groups": groups}
		if _, err := a.call(ctx, "PUT", "ports/"+id, object{"port": change}, nil); err != nil {
			return err
		}
	}
	return nil
}
