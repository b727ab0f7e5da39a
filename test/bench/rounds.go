package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// sample is what one way's turn in a round measured.
type sample struct {
	rate float64
	trip time.Duration
}

// traffic compares the traffic of two containers with the rules in force, with
// port security off, and with no table of ours.
func (b *bench) traffic(ctx context.Context, p *pair, dir string, rounds int) error {
	ways := []string{"rules", "port security off", "no table"}
	all, err := inRounds(rounds, ways, func(way string) (sample, error) { return b.under(ctx, p, dir, way) })
	if err != nil {
		return err
	}
	b.reportTraffic(all, ways)
	for _, c := range [][2]string{{"rules", "no table"}, {"rules", "port security off"}, {"port security off", "no table"}} {
		b.compareTraffic(all, c[0], c[1])
	}
	return nil
}

// inRounds measures traffic in several ways. Each round tries all of them, in
// turn another first.
func inRounds(rounds int, ways []string, measure func(way string) (sample, error)) (all []map[string]sample, err error) {
	for i := range rounds + 1 {
		round := map[string]sample{}
		for j := range ways {
			way := ways[(i+j)%len(ways)]
			if round[way], err = measure(way); err != nil {
				return nil, fmt.Errorf("traffic with %s: %w", way, err)
			}
		}
		if i > 0 { // the first warms everything up
			all = append(all, round)
		}
	}
	return all, nil
}

// reportTraffic adds the figures of each way.
func (b *bench) reportTraffic(all []map[string]sample, ways []string) {
	for _, way := range ways {
		var rate, trip []float64
		for _, r := range all {
			rate, trip = append(rate, r[way].rate), append(trip, float64(r[way].trip)/float64(time.Microsecond))
		}
		b.add(median("TCP stream, "+way, "MB/s", rate))
		b.add(median("TCP there and back, "+way, "µs", trip))
	}
}

// compareTraffic adds how much more one way has than another.
func (b *bench) compareTraffic(all []map[string]sample, one, other string) {
	var rate, trip []float64
	for _, r := range all {
		rate = append(rate, r[one].rate/r[other].rate)
		trip = append(trip, float64(r[one].trip)/float64(r[other].trip))
	}
	stream := median(fmt.Sprintf("TCP stream, %s / %s", one, other), ratioOfTimes, rate)
	there := median(fmt.Sprintf("TCP there and back, %s / %s", one, other), ratioOfTimes, trip)
	stream.Better, there.Better = more, less
	b.add(stream)
	b.add(there)
}

// under measures a pair's traffic in one way.
func (b *bench) under(ctx context.Context, p *pair, dir, way string) (s sample, err error) {
	if way == "no table" {
		if _, err := b.machine.Output(ctx, "nft", "flush", "ruleset"); err != nil {
			return s, err
		}
		return p.measure(ctx)
	}
	n, err := openNeutron(b.machine, dir, true)
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, n.close()) }()
	if err := p.secure(ctx, n.api, way == "rules"); err != nil {
		return s, err
	}
	kernel, err := b.watchRules()
	if err != nil {
		return s, err
	}
	defer kernel.Close()
	if err := settle(kernel, 500*time.Millisecond); err != nil {
		return s, err
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
