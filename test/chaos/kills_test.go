package chaos

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Random kills of Kuryr, the engine and Neutron, and faults between the last
// two, under load; after each round there is what the engine believes, and
// after each series nothing.
//
// ROUNDS says how many rounds, SEED which ones; SERIES=N runs that series
// alone.
func TestRandomKills(t *testing.T) {
	seed := seedSetting(t)
	rounds := int(setting(t, "ROUNDS", 20))
	only := int(setting(t, "SERIES", 0))
	t.Logf("SEED=%d", seed)
	sites := &sitePool{t: t, binary: binary(t)}
	t.Parallel()
	t.Run("series", func(t *testing.T) {
		for i := 1; rounds > 0; i++ {
			n := min(rounds, seriesRounds)
			rounds -= n
			if only != 0 && i != only {
				continue
			}
			t.Run(fmt.Sprint(i), func(t *testing.T) {
				t.Parallel()
				runSeries(t, sites, seed, i, n)
			})
		}
	})
	sites.close(t)
	show(fmt.Sprintf("seed %d\n%s", seed, &sites.sums))
	if sites.sums.running == 0 {
		t.Error("no container ever ran after a round: nothing was tested")
	}
}

// show prints lines that test/layers shows though the test has passed.
func show(text string) {
	for line := range strings.Lines(text) {
		fmt.Println("figures: " + strings.TrimSuffix(line, "\n"))
	}
}

// seedSetting is SEED, or one that no run had before.
func seedSetting(t *testing.T) uint64 {
	t.Helper()
	return setting(t, "SEED", uint64(time.Now().Unix()))
}

// setting reads a number from the environment.
func setting(t *testing.T, name string, otherwise uint64) uint64 {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s=%s is no number", name, text)
	}
	return n
}

// sitePool keeps the sites that no series uses at the moment, and the figures
// of those that are over. Its mutex guards what follows it.
type sitePool struct {
	t      *testing.T // that of all series
	binary string

	mu   sync.Mutex
	idle []*site
	sums figures
}

// take returns a clean site as the series wants it: every other one's engine
// runs with live-restore, every third one's containers are plugged into Open
// vSwitch.
func (p *sitePool) take(t *testing.T, series int) (*site, error) {
	o := siteOptions{live: series%2 == 0}
	if series%3 == 0 {
		o.before = func(_ context.Context, s *site) (string, error) { return s.switchOver(p.t), nil }
	}
	p.mu.Lock()
	for i, s := range p.idle {
		if s.live == o.live && (s.ovs != nil) == (o.before != nil) {
			p.idle = append(p.idle[:i], p.idle[i+1:]...)
			p.mu.Unlock()
			return s, nil
		}
	}
	p.mu.Unlock()
	return openSite(context.WithoutCancel(t.Context()), p.binary, o)
}

func (p *sitePool) giveBack(s *site) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.idle = append(p.idle, s)
}

func (p *sitePool) count(f *figures) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sums.add(*f)
}

func (p *sitePool) close(t *testing.T) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), readyIn)
	defer cancel()
	var errs []error
	for _, s := range p.idle {
		errs = append(errs, s.close(ctx))
	}
	if err := errors.Join(errs...); err != nil {
		t.Error(err)
	}
}
