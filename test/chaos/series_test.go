package chaos

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

const (
	// promise is how long it may take, once all is well again, until there is
	// exactly what there should be.
	promise = 60 * time.Second
	// hope is how long it is waited for, to tell what is late from what is left.
	hope = 2 * promise
)

// series runs some rounds of a series on a site, and sees that the site is clean after
// the last. It returns what went wrong: the site is of no more use then.
func (s *site) series(ctx context.Context, seed uint64, series, rounds int, tell *chronicle) error {
	r := chances(seed, series)
	for i := 1; i <= rounds; i++ {
		if err := s.round(ctx, drawRound(r, series, i), tell); err != nil {
			return fmt.Errorf("round %d: %w", i, err)
		}
	}
	refused := s.removeAll(ctx)
	for _, line := range refused {
		tell.note("the engine refuses: %s", line)
	}
	left, err := s.settle(ctx, tell, func(x *truth) []string {
		var all faultList
		for _, n := range x.belief.networks {
			all.add("engine: the network %s can't be removed: %s", n.name, strings.Join(refused, "; "))
		}
		return all
	})
	if err != nil || len(left) > 0 {
		return errors.Join(err, wrong("removal of everything", left))
	}
	if s.foreign != nil {
		// The packet filter has rules for foreign ports too, which nft lists in
		// another order every time.
		return nil
	}
	diff, err := s.kuryr.Left(ctx, s.before, promise)
	return errors.Join(err, wrong("removal of everything, by inventory", diff))
}

// wrong is the error of what is left, missing or doubled; nil if nothing is.
func wrong(after string, lines []string) error {
	if len(lines) == 0 {
		return nil
	}
	return fmt.Errorf("after %s:\n\t%s", after, strings.Join(lines, "\n\t"))
}

// round has load and events, waits until all is well again, and compares what
// there is with what there should be.
func (s *site) round(ctx context.Context, p round, tell *chronicle) error {
	tell.note("round %d", p.number)
	for _, e := range p.events {
		tell.note("planned: %s", e)
		tell.sums.happened(e)
	}
	if err := s.makeShared(ctx); err != nil {
		return fmt.Errorf("before the load: %w", err)
	}
	guarded, over := context.WithCancel(ctx)
	guard := make(chan error, 1)
	go func() { guard <- s.supervise(guarded) }()
	suffered := make(chan error, 1)
	go func() { suffered <- s.suffer(ctx, p.events) }()
	s.work(ctx, p.work, tell)
	err := <-suffered
	if err == nil {
		err = s.wellAgain(ctx)
	}
	over()
	if err = errors.Join(err, <-guard); err != nil {
		return err
	}
	tell.sums.rounds++
	began := time.Now()
	left, err := s.settle(ctx, tell, nil)
	took := time.Since(began)
	tell.sums.settled = append(tell.sums.settled, took)
	tell.note("waited for that %s", took.Round(time.Millisecond))
	tell.sums.wrong += len(left)
	return errors.Join(err, wrong("the round", left))
}

// settle waits until there is what there should be, and further says nothing
// against it, and returns what is wrong when time is up.
func (s *site) settle(ctx context.Context, tell *chronicle, further func(*truth) []string) (left []string, err error) {
	began := time.Now()
	var noted string
	for pause := 100 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		var x *truth
		x, err = s.look(ctx)
		if err == nil {
			err = s.loseNetworks(ctx, x, tell)
		}
		if err == nil {
			left = x.faults()
			if further != nil {
				left = append(left, further(x)...)
			}
			if len(left) == 0 {
				left = s.reach(ctx, x)
			}
		}
		took := time.Since(began)
		if err == nil && len(left) == 0 {
			s.settledTo(x, tell)
			if took > promise {
				left = []string{fmt.Sprintf("all is right, but only after %s", took.Round(time.Second))}
			}
			return left, nil
		}
		if took > hope || ctx.Err() != nil {
			return left, err
		}
		if text := fmt.Sprint(err, left); text != noted {
			noted = text
			tell.note("not yet settled: %v\n\t%s", err, strings.Join(left, "\n\t"))
		}
		time.Sleep(pause)
	}
}

// settledTo counts what there is in the end.
func (s *site) settledTo(x *truth, tell *chronicle) {
	running := map[string]bool{}
	for _, e := range x.endpoints {
		if e.certain {
			running[e.container] = true
		}
	}
	tell.mu.Lock()
	defer tell.mu.Unlock()
	tell.sums.running += len(running)
	tell.sums.oddities += len(x.odd)
	for _, o := range x.odd {
		tell.add("odd: %s", o)
	}
}

// runSeries runs a series in a subtest, with a site that no other has.
func runSeries(t *testing.T, sites *sitePool, seed uint64, series, rounds int) {
	s, err := sites.take(t, series)
	if err != nil {
		t.Fatal(err)
	}
	tell := &chronicle{}
	s.kuryrTurn.Lock()
	s.relaunched = 0
	s.kuryrTurn.Unlock()
	began := time.Now()
	err = s.series(t.Context(), seed, series, rounds, tell)
	tell.sums.relaunched = s.relaunched
	sites.count(&tell.sums)
	if os.Getenv("CHRONICLE") != "" {
		t.Log(tell.text())
	}
	t.Logf("series %d (live-restore %t) took %s:\n%s", series, s.live, time.Since(began).Round(time.Second), tell.sums.String())
	if err == nil {
		sites.giveBack(s)
		return
	}
	t.Errorf("SEED=%d SERIES=%d: %v\nevidence: %s", seed, series, err, s.evidence(t, seed, series, tell, err))
	s.abandon(t)
}
