package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"kuryr/internal/testkit"
)

// daemon is a Kuryr whose plugin is called as Docker calls it.
type daemon struct {
	*engine
	kuryr *testkit.Kuryr
}

// startDaemon starts a Kuryr on a machine, and tells how long that took.
func (b *bench) startDaemon(ctx context.Context, m *testkit.Machine, o testkit.KuryrOptions) (d *daemon, boot time.Duration, err error) {
	d = &daemon{}
	boot, err = timed(func() (err error) {
		d.kuryr, err = testkit.StartKuryr(ctx, m, b.binary, o)
		return err
	})
	if err != nil {
		return nil, boot, err
	}
	d.engine = newEngine(d.kuryr)
	return d, boot, nil
}

// end stops the daemon. If all has not gone well, its log says why.
func (d *daemon) end(failure error) error {
	d.engine.close()
	if failure != nil {
		fmt.Fprintln(os.Stderr, d.kuryr.Log(20))
	}
	return errors.Join(failure, d.kuryr.Close())
}

// docker measures the calls of a container's start and stop: with a port kept
// ready, when the last container has gone, and, if the southbound is no real
// cloud, without a pause, which no pool of ports keeps up with.
func (b *bench) docker(ctx context.Context, s south, n int) error {
	if err := b.handlers(ctx, s, n); err != nil {
		return err
	}
	return b.calls(ctx, s, min(n/2, 100))
}

func (b *bench) handlers(ctx context.Context, s south, n int) (err error) {
	m, err := s.machine(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.Close(context.WithoutCancel(ctx))) }()
	d, boot, err := b.startDaemon(ctx, m, s.options(m, testkit.KuryrOptions{}))
	if err != nil {
		return err
	}
	b.add(figure{Name: "start-up, nothing attached", Unit: "ms", N: 1, P50: ms(boot)})
	err = b.oneByOne(ctx, s, d, n, "", true)
	if err == nil && s.keepsUp() {
		err = b.oneByOne(ctx, s, d, n, ", without a pause", false)
	}
	return d.end(err)
}

// oneByOne starts and stops n containers on one dual-stack network; warm: each
// when a port is ready and nothing is left to remove.
func (b *bench) oneByOne(ctx context.Context, s south, d *daemon, n int, title string, warm bool) error {
	before, err := d.kuryr.Take(ctx)
	if err != nil {
		return err
	}
	net, err := d.createNetwork(ctx, "10.200.0.0/20", "fd00:200::/64")
	if err != nil {
		return err
	}
	took := map[string][]time.Duration{}
	for i := range n + 1 {
		if i == 1 { // the first makes the bridge, and had nothing ready
			clear(took)
			if err := poolFilled(ctx, d.kuryr, s.ready()); err != nil {
				return err
			}
		}
		if i > 0 && warm {
			if err := d.warm(ctx, s); err != nil {
				return err
			}
		}
		c, err := d.start(ctx, net, took)
		if err != nil {
			return err
		}
		if err := d.stop(ctx, c, took); err != nil {
			return err
		}
	}
	targets := map[string]string{}
	if warm {
		targets = map[string]string{"start: all calls": "p50 <= 5, p99 <= 25", "stop: all calls": "p50 <= 3"}
	}
	for _, name := range []string{"start: all calls", "  RequestAddress, IPv4", "  RequestAddress, IPv6", "  CreateEndpoint", "  Join",
		"stop: all calls", "  Leave", "  DeleteEndpoint", "  ReleaseAddress, both"} {
		b.add(percentiles(name+title, targets[name], took[strings.TrimSpace(name)]))
	}
	if err := d.removeNetwork(ctx, net); err != nil {
		return err
	}
	return d.nothingLeft(ctx, s, before)
}

// warm waits until a port is ready, and the kernel's lock on links is free of
// what Kuryr does in the background.
func (d *daemon) warm(ctx context.Context, s south) error {
	if err := poolFilled(ctx, d.kuryr, 1); err != nil {
		return err
	}
	time.Sleep(s.pause())
	return nil
}

// nothingLeft waits until Kuryr has removed what has come since.
func (d *daemon) nothingLeft(ctx context.Context, s south, before testkit.Inventory) error {
	left, err := d.kuryr.Left(ctx, before, s.gone())
	if err == nil && len(left) > 0 {
		err = fmt.Errorf("left behind: %v", left)
	}
	return err
}
