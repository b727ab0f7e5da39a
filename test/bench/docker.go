package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"kuryr/internal/testkit"
)

type bench struct {
	machine *testkit.Machine
	binary  string
	kuryr   *testkit.Kuryr
	engine  *engine
	figures []figure
}

// docker measures the daemon, in an order that lets each part start from one
// that holds nothing but what the part says.
func (b *bench) docker(ctx context.Context, n, many int) (err error) {
	boot, err := timed(func() (err error) {
		b.kuryr, err = testkit.StartKuryr(ctx, b.machine, b.binary, testkit.KuryrOptions{})
		return err
	})
	if err != nil {
		return err
	}
	defer b.kuryr.Close()
	defer func() {
		if err != nil {
			fmt.Fprintln(os.Stderr, b.kuryr.Log(20))
		}
	}()
	b.add(figure{Name: "start-up, nothing attached", Unit: "ms", N: 1, P50: ms(boot)})
	if err := b.memory("memory, nothing attached", ""); err != nil {
		return err
	}
	before, err := b.kuryr.Take(ctx)
	if err != nil {
		return err
	}
	b.engine = newEngine(b.kuryr)
	defer b.engine.close()
	if err := b.oneByOne(ctx, n); err != nil {
		return err
	}
	if err := b.crowd(ctx, many); err != nil {
		return err
	}
	left, err := b.kuryr.Left(ctx, before, 60*time.Second)
	if err != nil {
		return err
	}
	if len(left) > 0 {
		return fmt.Errorf("left behind: %v", left)
	}
	return nil
}

// oneByOne starts and stops n containers on one dual-stack network.
func (b *bench) oneByOne(ctx context.Context, n int) error {
	net, err := b.engine.createNetwork(ctx, "10.200.0.0/20", "fd00:200::/64")
	if err != nil {
		return err
	}
	took := map[string][]time.Duration{}
	for range n {
		c, err := b.engine.start(ctx, net, took)
		if err != nil {
			return err
		}
		if err := b.engine.stop(ctx, c, took); err != nil {
			return err
		}
	}
	for _, s := range []struct{ name, target string }{
		{"start: all calls", "p50 < 10"}, {"  RequestAddress, IPv4", ""}, {"  RequestAddress, IPv6", ""}, {"  CreateEndpoint", ""}, {"  Join", ""},
		{"stop: all calls", ""}, {"  Leave", ""}, {"  DeleteEndpoint", ""}, {"  ReleaseAddress, both", ""},
	} {
		b.add(percentiles(s.name, s.target, took[strings.TrimSpace(s.name)]))
	}
	return b.engine.removeNetwork(ctx, net)
}

// crowd attaches many at once, and restarts the daemon over them.
func (b *bench) crowd(ctx context.Context, many int) error {
	net, err := b.engine.createNetwork(ctx, "10.210.0.0/20", "fd00:210::/64")
	if err != nil {
		return err
	}
	var all []*container
	for range many {
		c, err := b.engine.start(ctx, net, map[string][]time.Duration{})
		if err != nil {
			return err
		}
		all = append(all, c)
	}
	if err := b.memory(fmt.Sprintf("memory, %d attachments", many), "< 60"); err != nil {
		return err
	}
	boot, err := timed(func() error { return b.kuryr.Restart(ctx) })
	if err != nil {
		return err
	}
	b.add(figure{Name: fmt.Sprintf("start-up after kill -9, %d attachments", many), Unit: "ms", N: 1, P50: ms(boot)})
	if err := b.memory(fmt.Sprintf("memory after restart, %d attachments", many), "< 60"); err != nil {
		return err
	}
	for _, c := range all {
		if err := b.engine.stop(ctx, c, map[string][]time.Duration{}); err != nil {
			return err
		}
	}
	return b.engine.removeNetwork(ctx, net)
}

func (b *bench) add(f figure) { b.figures = append(b.figures, f) }

// memory adds the daemon's resident set.
func (b *bench) memory(name, target string) error {
	rss, err := residentMiB(b.kuryr.PID())
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
