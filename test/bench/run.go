package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"kuryr/internal/testkit"
)

// run measures `docker run --rm` on five networks. Each round has one run on
// each of them, in random order, and compares these with each other only.
func (b *bench) run(ctx context.Context, s south, rounds int) (err error) {
	l, err := newLab(ctx, s, b.binary, "")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.close(ctx)) }()
	if err := l.fillPool(ctx, s.ready()); err != nil {
		return err
	}
	networks := []string{onKuryr, onBridge, onDefault, onNone, onVeth}
	took := map[string][]time.Duration{}
	for i := range rounds + 2 {
		for _, at := range rand.Perm(len(networks)) {
			name := networks[at]
			if name == onKuryr {
				if err := l.fillPool(ctx, 1); err != nil {
					return err
				}
			}
			d, err := l.runOnce(ctx, name)
			if err != nil {
				return fmt.Errorf("docker run on %s: %w", name, err)
			}
			if i >= 2 { // the first two warm everything up
				took[name] = append(took[name], d)
			}
		}
	}
	for _, name := range networks {
		b.add(median("docker run --rm on "+name, "ms", inMs(took[name])))
	}
	for _, c := range [][2]string{{onKuryr, onBridge}, {onKuryr, onDefault}, {onKuryr, onNone}, {onKuryr, onVeth}, {onVeth, onBridge}} {
		f := median(fmt.Sprintf("docker run --rm, %s / %s", c[0], c[1]), ratioOfTimes, ratios(took[c[0]], took[c[1]]))
		switch c {
		case [2]string{onKuryr, onBridge}:
			f.Target = "to 1.00"
		case [2]string{onKuryr, onVeth}:
			f.Target = "<= 1.02"
		}
		if c[0] == onKuryr {
			f.Better = less
		}
		b.add(f)
	}
	return nil
}

func (l *lab) runOnce(ctx context.Context, network string) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	took, err := timed(func() error {
		_, err := l.engine.Docker(ctx, "run", "--rm", "--network", network, testkit.Image, "true")
		return err
	})
	time.Sleep(l.south.pause())
	return took, err
}

func inMs(all []time.Duration) []float64 {
	var out []float64
	for _, d := range all {
		out = append(out, ms(d))
	}
	return out
}

// ratios are those of the values of each round.
func ratios[T time.Duration | float64](a, b []T) []float64 {
	var out []float64
	for i := range a {
		out = append(out, float64(a[i])/float64(b[i]))
	}
	return out
}
