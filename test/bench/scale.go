package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"kuryr/internal/testkit"
)

const (
	// onEach is how many attachments there are on each network at most.
	onEach = 500
	// bridgePorts is how many ports the kernel gives a Linux bridge.
	bridgePorts = 1023
	// abreast is how many attachments are made at the same time.
	abreast = 8
)

// scale measures what grows, and what must not.
func (b *bench) scale(ctx context.Context, o options) error {
	for _, size := range o.sizes {
		if err := b.crowd(ctx, size); err != nil {
			return fmt.Errorf("%d attachments: %w", size, err)
		}
	}
	if slices.Max(o.sizes) > bridgePorts {
		if err := b.fullBridge(ctx); err != nil {
			return err
		}
	}
	return b.besideFullNeutron(ctx, o)
}

// crowd attaches many, and restarts the daemon over them. The machine goes
// with all that is on it: what removals leave is other sections' matter.
func (b *bench) crowd(ctx context.Context, many int) (err error) {
	m, err := testkit.NewMachine(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.Close(context.WithoutCancel(ctx))) }()
	d, _, err := b.startDaemon(ctx, m, testkit.KuryrOptions{})
	if err != nil {
		return err
	}
	defer func() { err = d.end(err) }()
	for i := 0; i*onEach < many; i++ {
		net, err := d.createNetwork(ctx, fmt.Sprintf("10.%d.0.0/20", 100+i), fmt.Sprintf("fd00:%d::/64", 100+i))
		if err != nil {
			return err
		}
		if _, err := d.startMany(ctx, net, min(onEach, many-i*onEach)); err != nil {
			return err
		}
	}
	if err := b.memory(d, fmt.Sprintf("memory, %d attachments", many), memoryTarget(many)); err != nil {
		return err
	}
	boot, err := timed(func() error { return d.kuryr.Restart(ctx) })
	if err != nil {
		return err
	}
	b.add(figure{Name: fmt.Sprintf("start-up after kill -9, %d attachments", many), Unit: "ms", N: 1, P50: ms(boot), Target: startTarget(many)})
	return b.memory(d, fmt.Sprintf("memory after restart, %d attachments", many), memoryTarget(many))
}

// The targets are for 1,000 attachments; who has fewer must do as well.
func memoryTarget(many int) string {
	if many > 1000 {
		return ""
	}
	return "<= 64"
}

func startTarget(many int) string {
	if many > 1000 {
		return ""
	}
	return "<= 1000"
}

// startMany starts containers on a network, several at the same time. It
// returns how many have been started before one failed.
func (d *daemon) startMany(ctx context.Context, net *network, many int) (int, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var begun, done atomic.Int64
	var all sync.WaitGroup
	for range abreast {
		all.Go(func() {
			for begun.Add(1) <= int64(many) && ctx.Err() == nil {
				if _, err := d.start(ctx, net, map[string][]time.Duration{}); err != nil {
					cancel(err) // the first counts
					return
				}
				done.Add(1)
			}
		})
	}
	all.Wait()
	return int(done.Load()), context.Cause(ctx)
}

// fullBridge attaches to one network until its bridge is full, and wants to be
// told so.
func (b *bench) fullBridge(ctx context.Context) (err error) {
	m, err := testkit.NewMachine(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.Close(context.WithoutCancel(ctx))) }()
	d, _, err := b.startDaemon(ctx, m, testkit.KuryrOptions{})
	if err != nil {
		return err
	}
	defer func() { err = d.end(err) }()
	net, err := d.createNetwork(ctx, "10.100.0.0/20", "fd00:100::/64")
	if err != nil {
		return err
	}
	started, err := d.startMany(ctx, net, 2*bridgePorts)
	switch {
	case err == nil:
		return fmt.Errorf("a Linux bridge has taken %d ports", started)
	case !strings.Contains(err.Error(), fmt.Sprintf("all the %d ports", bridgePorts)) || !strings.Contains(err.Error(), "remove containers"):
		return fmt.Errorf("a full bridge is reported as %w", err)
	}
	b.add(figure{Name: "attachments until a bridge is full, and said to be", Unit: "ports", N: 1, P50: float64(started)})
	return nil
}

// memory adds the daemon's resident set.
func (b *bench) memory(d *daemon, name, target string) error {
	rss, err := residentMiB(d.kuryr.PID())
	if err != nil {
		return err
	}
	b.add(figure{Name: name, Unit: "MiB", N: 1, P50: rss, Target: target})
	return nil
}

// residentMiB reads VmRSS of /proc/PID/status.
func residentMiB(pid int) (float64, error) {
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if fields := strings.Fields(s.Text()); len(fields) == 3 && fields[0] == "VmRSS:" {
			kib, err := strconv.ParseFloat(fields[1], 64)
			return kib / 1024, err
		}
	}
	return 0, fmt.Errorf("no VmRSS for process %d", pid)
}
