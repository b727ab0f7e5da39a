package chaos

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Operations with ports that are kept ready: docs/decisions/0020-port-pools.md.

// crashPools has two ports kept ready, and a port rest for a second.
const crashPools = "[vif_pool]\nports_pool_min = 2\nports_pool_max = 2\nports_pool_batch = 2\nports_pool_cooldown = 1\n"

// poolFilled is what the first container of a network sets off.
func (l *crashLab) poolFilled() crashTrial {
	dave := l.carol(nil)
	return crashTrial{
		prepare: func(ctx context.Context) error { return l.newNetworkOf(ctx, dave) },
		do:      func(ctx context.Context) error { return l.engine.start(ctx, dave) },
		tidy:    func(ctx context.Context, _ error) error { return l.removeWith(ctx, dave) },
	}
}

// pooledStart is `run` with a port that is ready.
func (l *crashLab) pooledStart() crashTrial {
	dave, carol := l.guest("dave"), l.carol(nil)
	return crashTrial{
		prepare: func(ctx context.Context) error { return l.warm(ctx, dave, carol) },
		do:      func(ctx context.Context) error { return l.engine.start(ctx, carol) },
		tidy:    func(ctx context.Context, _ error) error { return l.removeWith(ctx, carol, dave) },
	}
}

// pooledStop is `rm`: the port rests, and gets another link.
func (l *crashLab) pooledStop() crashTrial {
	dave, carol := l.guest("dave"), l.carol(nil)
	return crashTrial{
		prepare: func(ctx context.Context) error {
			if err := l.warm(ctx, dave, carol); err != nil {
				return err
			}
			return l.engine.start(ctx, carol)
		},
		do:   func(ctx context.Context) error { return l.engine.stop(ctx, carol) },
		tidy: func(ctx context.Context, _ error) error { return l.removeWith(ctx, dave) },
	}
}

// guest is a container beside carol that does not run yet.
func (l *crashLab) guest(name string) *crashContainer {
	l.t.Helper()
	return &crashContainer{sandbox: l.sandbox(name), ifname: "eth0"}
}

// newNetworkOf makes a network for containers.
func (l *crashLab) newNetworkOf(ctx context.Context, all ...*crashContainer) error {
	n := &crashNetwork{pools: []crashPool{{wish: l.cidr()}, {wish: l.cidr6()}}}
	for _, c := range all {
		c.network = n
	}
	return l.engine.createNetwork(ctx, n)
}

// warm starts the first of the containers, and waits until ports are ready for others.
func (l *crashLab) warm(ctx context.Context, all ...*crashContainer) error {
	err := l.newNetworkOf(ctx, all...)
	if err == nil {
		err = l.engine.start(ctx, all[0])
	}
	for ; err == nil; time.Sleep(5 * time.Millisecond) {
		s, failed := l.kuryr.Status(ctx)
		switch pools := s.Courier.PortPools; {
		case len(pools) == 1 && pools[0].Ready == 2:
			return nil
		case ctx.Err() != nil: // a busy cloud makes ports slowly
			err = fmt.Errorf("no ports are ready: %+v", pools)
		case failed != nil:
			err = failed
		}
	}
	return err
}

// removeWith removes containers, those that run, and their network.
func (l *crashLab) removeWith(ctx context.Context, all ...*crashContainer) error {
	var errs []error
	for _, c := range all {
		if c.inside {
			errs = append(errs, l.engine.stop(ctx, c))
		}
	}
	return errors.Join(append(errs, l.engine.removeNetwork(ctx, all[0].network))...)
}
