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

// docker measures the calls of a container's start and stop.
func (b *bench) docker(ctx context.Context, n int) error {
	d, boot, err := b.startDaemon(ctx, b.machine, testkit.KuryrOptions{})
	if err != nil {
		return err
	}
	b.add(figure{Name: "start-up, nothing attached", Unit: "ms", N: 1, P50: ms(boot)})
	if err := d.end(b.oneByOne(ctx, d, n)); err != nil {
		return err
	}
	return b.calls(ctx, min(n, 50))
}

// oneByOne starts and stops n containers on one dual-stack network.
func (b *bench) oneByOne(ctx context.Context, d *daemon, n int) error {
	before, err := d.kuryr.Take(ctx)
	if err != nil {
		return err
	}
	net, err := d.createNetwork(ctx, "10.200.0.0/20", "fd00:200::/64")
	if err != nil {
		return err
	}
	took := map[string][]time.Duration{}
	for range n {
		c, err := d.start(ctx, net, took)
		if err != nil {
			return err
		}
		if err := d.stop(ctx, c, took); err != nil {
			return err
		}
	}
	for _, s := range []struct{ name, target string }{
		{"start: all calls", "p50 <= 5"}, {"  RequestAddress, IPv4", ""}, {"  RequestAddress, IPv6", ""}, {"  CreateEndpoint", ""}, {"  Join", ""},
		{"stop: all calls", "p50 <= 3"}, {"  Leave", ""}, {"  DeleteEndpoint", ""}, {"  ReleaseAddress, both", ""},
	} {
		b.add(percentiles(s.name, s.target, took[strings.TrimSpace(s.name)]))
	}
	if err := d.removeNetwork(ctx, net); err != nil {
		return err
	}
	return d.nothingLeft(ctx, before)
}

// nothingLeft waits until Kuryr has removed what has come since.
func (d *daemon) nothingLeft(ctx context.Context, before testkit.Inventory) error {
	left, err := d.kuryr.Left(ctx, before, 60*time.Second)
	if err == nil && len(left) > 0 {
		err = fmt.Errorf("left behind: %v", left)
	}
	return err
}
