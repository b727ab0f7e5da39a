package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"kuryr/internal/testkit"
)

// bursts collects what bursts of one width were like, by network.
type bursts struct {
	width, count int
	rates        map[string][]float64 // containers per second, one a round
	took         map[string][]time.Duration
	failures     map[string]int
	refill       []time.Duration // of Kuryr's pool once the containers are gone, one a round
}

// atOnce is how many containers are started in bursts of a width, 100 at most.
func atOnce(width int) int { return max(width, min(4*width, 100)) }

// bursting are the networks that bursts are compared on: that of the remote
// driver that does next to nothing shows what Docker's protocol takes of the rate.
var bursting = []string{onKuryr, onBridge, onVeth}

// burst starts many containers at once, on Kuryr and on what it is compared with.
// Each round has a burst on each of these, in random order.
func (b *bench) burst(ctx context.Context, o options) (err error) {
	l, err := newLab(ctx, ownNeutron{}, b.binary, poolOf(o.pool, 1))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.close(ctx)) }()
	for _, width := range o.widths {
		s := &bursts{width: width, count: atOnce(width), rates: map[string][]float64{}, took: map[string][]time.Duration{}, failures: map[string]int{}}
		for range o.bursts {
			if err := l.burstRound(ctx, s, o.pool); err != nil {
				return err
			}
		}
		b.reportBursts(s)
	}
	// Docker 20.10 loses count of the endpoints of a network that many leave at
	// once, its own too, and then refuses to remove it. It counts when it starts.
	return errors.Join(l.engine.Stop(), l.engine.Start(ctx, testkit.EngineOptions{}))
}

// burstRound has one burst on each network, and removes the containers.
func (l *lab) burstRound(ctx context.Context, s *bursts, pool int) error {
	for _, at := range rand.Perm(len(bursting)) {
		name := bursting[at]
		if name == onKuryr {
			if err := l.fillPool(ctx, pool); err != nil {
				return err
			}
		}
		started, err := l.startBurst(ctx, s, name)
		if err != nil {
			return err
		}
		if err := l.removeContainers(ctx, started); err != nil {
			return err
		}
		if name == onKuryr && pool > 0 {
			refilled, err := timed(func() error { return poolFilled(ctx, l.kuryr, pool) })
			if err != nil {
				return err
			}
			s.refill = append(s.refill, refilled)
		}
		if err := l.removalsOver(ctx); err != nil {
			return err
		}
	}
	return nil
}

// startBurst starts the containers of one burst, and tells which there are.
func (l *lab) startBurst(ctx context.Context, s *bursts, network string) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	var mu sync.Mutex // guards ids, and s
	var ids []string
	var next atomic.Int64
	var all sync.WaitGroup
	took, _ := timed(func() error {
		for range s.width {
			all.Go(func() {
				for next.Add(1) <= int64(s.count) {
					var id string
					d, err := timed(func() (err error) { id, err = l.startContainer(ctx, network); return err })
					mu.Lock()
					if id != "" {
						ids = append(ids, id)
					}
					if err != nil {
						s.failures[network]++
						fmt.Fprintf(os.Stderr, "burst of %d on %s: %v\n", s.width, network, err)
					} else {
						s.took[network] = append(s.took[network], d)
					}
					mu.Unlock()
				}
			})
		}
		all.Wait()
		return nil
	})
	s.rates[network] = append(s.rates[network], float64(s.count)/took.Seconds())
	return ids, ctx.Err()
}

// startContainer makes and starts one over the engine's API; its ID comes with
// an error, too, if it is there all the same.
func (l *lab) startContainer(ctx context.Context, network string) (string, error) {
	var made struct{ ID string }
	body := object{"Image": testkit.Image, "HostConfig": object{"NetworkMode": network}}
	if err := l.engine.Call(ctx, http.MethodPost, "/containers/create", body, &made); err != nil {
		return "", err
	}
	return made.ID, l.engine.Call(ctx, http.MethodPost, "/containers/"+made.ID+"/start", nil, nil)
}

func (l *lab) removeContainers(ctx context.Context, ids []string) error {
	left := make(chan string, len(ids))
	for _, id := range ids {
		left <- id
	}
	close(left)
	var all sync.WaitGroup
	var failed [abreast]error
	for i := range abreast {
		all.Go(func() {
			for id := range left {
				failed[i] = errors.Join(failed[i], l.engine.Call(ctx, http.MethodDelete, "/containers/"+id+"?force=1", nil, nil))
			}
		})
	}
	all.Wait()
	return errors.Join(failed[:]...)
}

// reportBursts adds the figures of the bursts of one width.
func (b *bench) reportBursts(s *bursts) {
	title := fmt.Sprintf("%d containers, %d at once", s.count, s.width)
	for _, name := range bursting {
		if len(s.took[name]) > 0 {
			b.add(percentiles(fmt.Sprintf("%s, on %s", title, name), "", s.took[name]))
		}
		b.add(median(fmt.Sprintf("%s, on %s: rate", title, name), "1/s", s.rates[name]))
		f := count(fmt.Sprintf("%s, on %s: failures", title, name), "starts", s.failures[name], s.count*len(s.rates[name]))
		if name == onKuryr {
			f.Target, f.Better = "0", less
		}
		b.add(f)
	}
	for _, c := range [][2]string{{onKuryr, onBridge}, {onKuryr, onVeth}, {onVeth, onBridge}} {
		f := median(fmt.Sprintf("%s: rate, %s / %s", title, c[0], c[1]), ratioOfTimes, ratios(s.rates[c[0]], s.rates[c[1]]))
		if c[0] == onKuryr {
			f.Better = more
		}
		if c == [2]string{onKuryr, onBridge} {
			f.Target = ">= 1.0"
		}
		b.add(f)
	}
	if len(s.refill) > 0 {
		b.add(median(title+" and gone: until the pool is full again", "ms", inMs(s.refill)))
	}
}
