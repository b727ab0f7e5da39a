package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"kuryr/internal/embedded/store"
	"kuryr/internal/testkit"
)

const (
	crowdOfPorts = 100_000
	bulk         = 100
	listed       = 1000 // ports that one filter finds
)

// neutron measures the embedded Neutron: its state is a file on disk, and
// every change is durable when its answer comes.
func (b *bench) neutron(ctx context.Context, n int) error {
	if err := b.neutronOverTCP(ctx, n); err != nil {
		return err
	}
	dir := b.machine.Path("neutron-crowd")
	if err := b.neutronInProcess(ctx, dir, n); err != nil {
		return err
	}
	return b.neutronAgain(ctx, dir)
}

// neutronOverTCP makes ports at a `kuryr neutron` that has none.
func (b *bench) neutronOverTCP(ctx context.Context, n int) (err error) {
	server, err := testkit.StartNeutron(ctx, b.machine, b.binary)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Stop()) }()
	a := overTCP(b.machine)
	network, err := a.network(ctx)
	if err != nil {
		return err
	}
	return b.createPorts(ctx, a, "create_port over TCP, beside 0 ports", network, min(n, 450)) // a new project's quota is 500
}

func (b *bench) neutronInProcess(ctx context.Context, dir string, n int) (err error) {
	a, err := openNeutron(b.machine, dir, false)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.close()) }()
	network, err := a.network(ctx)
	if err != nil {
		return err
	}
	if err := b.createPorts(ctx, a.api, "create_port, beside 0 ports", network, n); err != nil {
		return err
	}
	if err := b.createBulk(ctx, a.api, network); err != nil {
		return err
	}
	if err := b.createPorts(ctx, a.api, "create_port, beside 100,000 ports", network, n); err != nil {
		return err
	}
	var took []time.Duration
	for i := range 30 {
		var found struct{ Ports []id }
		d, err := a.call(ctx, "GET", fmt.Sprintf("ports?device_id=device-%d", i), nil, &found)
		if err != nil || len(found.Ports) != listed {
			return fmt.Errorf("%d ports of %d found: %w", len(found.Ports), listed, err)
		}
		took = append(took, d)
	}
	b.add(percentiles("list 1,000 of 100,000 ports, by a filter", "p50 < 10", took))
	return nil
}

// createPorts makes ports one after the other, each with an address of both
// families, bound to this host.
func (b *bench) createPorts(ctx context.Context, a *api, name, network string, n int) error {
	var all []time.Duration
	for range n {
		_, took, err := a.create(ctx, "port", "ports", object{"network_id": network, "binding:host_id": b.machine.Name})
		if err != nil {
			return err
		}
		all = append(all, took)
	}
	b.add(percentiles(name, "p50 <= 2", all))
	return nil
}

// createBulk makes 100,000 ports, so that a thousand each have the same device_id.
func (b *bench) createBulk(ctx context.Context, a *api, network string) error {
	var all []time.Duration
	var sum time.Duration
	for made := 0; made < crowdOfPorts; made += bulk {
		port := object{"network_id": network, "device_id": fmt.Sprintf("device-%d", made/listed), "binding:host_id": b.machine.Name}
		took, err := a.call(ctx, "POST", "ports", object{"ports": slices.Repeat([]object{port}, bulk)}, nil)
		if err != nil {
			return err
		}
		all, sum = append(all, took), sum+took
	}
	b.add(percentiles("create 100 ports at once", "", all))
	b.add(figure{Name: "create 100,000 ports, 100 at once", Unit: "ports/s", N: len(all), P50: crowdOfPorts / sum.Seconds(), Target: ">= 2000"})
	return nil
}

// neutronAgain opens the state of 100,000 ports: the file alone, in process,
// and as `kuryr neutron`.
func (b *bench) neutronAgain(ctx context.Context, dir string) error {
	var opened, found []time.Duration
	for range 3 {
		var s *store.Store
		took, err := timed(func() (err error) {
			s, err = store.Open(store.Options{Path: filepath.Join(dir, "neutron.db"), Host: b.machine.Name, Limits: unlimited})
			return err
		})
		if err != nil {
			return err
		}
		opened = append(opened, took)
		for i := range 10 {
			took, err := timed(func() error {
				ports, err := s.Ports(ctx, store.Query{"device_id": {fmt.Sprintf("device-%d", i)}}, nil)
				if err == nil && len(ports) != listed {
					err = fmt.Errorf("%d ports", len(ports))
				}
				return err
			})
			if err != nil {
				return err
			}
			found = append(found, took)
		}
		if err := s.Close(); err != nil {
			return err
		}
	}
	b.add(percentiles("  of that, in the store", "", found))
	b.add(percentiles("open the state of 100,000 ports", "p50 < 2000", opened))

	server := testkit.NeutronAt(b.machine, b.binary, dir)
	boot, err := timed(func() error { return server.Start(ctx) })
	if err != nil {
		return err
	}
	b.add(figure{Name: "start-up of kuryr neutron, 100,000 ports", Unit: "ms", N: 1, P50: ms(boot), Target: "< 2000"})
	rss, err := residentMiB(server.PID())
	b.add(figure{Name: "memory of kuryr neutron, 100,000 ports", Unit: "MiB", N: 1, P50: rss})
	return errors.Join(err, server.Stop())
}
