package chaos

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"kuryr/internal/crash"
)

// What Neutron says of ports on Open vSwitch.
var (
	crashPlain  = crashObject{"port_filter": true}
	crashHybrid = crashObject{"port_filter": true, "ovs_hybrid_plug": true}
)

const compatConfig = "[neutron]\ncompat_tags = true\n"

// crashOn chooses the points whose names have one of the words in them.
func crashOn(words ...string) func(crash.Point) bool {
	return func(p crash.Point) bool {
		return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(string(p), w) })
	}
}

// crashButOn chooses all others: a bridge stays a while for the next container.
func crashButOn(words ...string) func(crash.Point) bool {
	return func(p crash.Point) bool { return !crashOn(words...)(p) }
}

// networkCreate is `network create`, and `network rm` if it came to be.
func (l *crashLab) networkCreate(make func() *crashNetwork) crashTrial {
	var n *crashNetwork
	return crashTrial{
		do: func(ctx context.Context) error {
			n = make()
			return l.engine.createNetwork(ctx, n)
		},
		tidy: func(ctx context.Context, failed error) error {
			if failed != nil {
				return nil
			}
			return l.engine.removeNetwork(ctx, n)
		},
	}
}

// networkRemove is `network rm`.
func (l *crashLab) networkRemove(make func() *crashNetwork) crashTrial {
	var n *crashNetwork
	return crashTrial{
		prepare: func(ctx context.Context) error {
			n = make()
			return l.engine.createNetwork(ctx, n)
		},
		do: func(ctx context.Context) error { return l.engine.removeNetwork(ctx, n) },
	}
}

// containerStart is `run`, or `network connect`, and `rm` if it came to run.
func (l *crashLab) containerStart(c *crashContainer) crashTrial {
	return crashTrial{
		do: func(ctx context.Context) error { return l.engine.start(ctx, c) },
		tidy: func(ctx context.Context, failed error) error {
			if failed != nil {
				return nil
			}
			return l.engine.stop(ctx, c)
		},
	}
}

// containerStop is `rm`, or `network disconnect`.
func (l *crashLab) containerStop(c *crashContainer) crashTrial {
	return crashTrial{
		prepare: func(ctx context.Context) error { return l.engine.start(ctx, c) },
		do:      func(ctx context.Context) error { return l.engine.stop(ctx, c) },
	}
}

// severalStop is `rm` of containers whose endpoints go faster than their links:
// these are removed together.
func (l *crashLab) severalStop() crashTrial {
	all := make([]*crashContainer, 8)
	for i := range all {
		all[i] = &crashContainer{network: &l.bystander.network, sandbox: l.sandbox(fmt.Sprint("carol", i)), ifname: "eth0"}
	}
	each := func(ctx context.Context, do func(context.Context, *crashContainer) error) (err error) {
		for _, c := range all {
			err = errors.Join(err, do(ctx, c))
		}
		return err
	}
	return crashTrial{
		prepare: func(ctx context.Context) error {
			return errors.Join(each(ctx, l.engine.start), each(ctx, l.engine.leave))
		},
		do: func(ctx context.Context) error { return each(ctx, l.engine.deleteEndpoint) },
	}
}

// carol is a container that does not run yet.
func (l *crashLab) carol(n *crashNetwork) *crashContainer {
	l.t.Helper()
	return &crashContainer{network: n, sandbox: l.sandbox("carol"), ifname: "eth0"}
}

// agentStop is the stop of the last container on a bridge on which Neutron's
// linuxbridge agent has its tunnel. The agent removes the bridge, by and by.
func (l *crashLab) agentStop() crashTrial {
	const tunnel = "vxlan-77"
	t := l.alone(l.containerStop)
	inner := t
	bridge := ""
	t.prepare = func(ctx context.Context) error {
		if err := inner.prepare(ctx); err != nil {
			return err
		}
		name, _, _ := strings.Cut(l.run("ip", "-o", "link", "show", "type", "bridge"), ": <")
		_, bridge, _ = strings.Cut(name, ": ")
		return l.engine.ip(ctx, []string{"link", "add", tunnel, "type", "vxlan", "id", "77", "dstport", "4789", "local", "127.0.0.1"},
			[]string{"link", "set", tunnel, "master", bridge})
	}
	t.tidy = func(ctx context.Context, failed error) error {
		if _, err := l.settle(ctx, l.lasts); err != nil {
			return err
		}
		err := l.engine.ip(ctx, []string{"link", "del", tunnel}, []string{"link", "del", bridge})
		return errors.Join(err, inner.tidy(ctx, failed))
	}
	return t
}

// alone is an operation on a container that is the only one of a network, made
// for each trial: the first link makes the bridge, and the last one takes it away.
func (l *crashLab) alone(of func(*crashContainer) crashTrial) crashTrial {
	c := l.carol(nil)
	inner := of(c)
	t := inner
	t.prepare = func(ctx context.Context) error {
		c.network = &crashNetwork{pools: []crashPool{{wish: l.cidr()}, {wish: l.cidr6()}}}
		if err := l.engine.createNetwork(ctx, c.network); err != nil || inner.prepare == nil {
			return err
		}
		if err := inner.prepare(ctx); err != nil {
			return errors.Join(err, l.engine.removeNetwork(ctx, c.network))
		}
		return nil
	}
	t.tidy = func(ctx context.Context, failed error) error {
		var err error
		if inner.tidy != nil {
			err = inner.tidy(ctx, failed)
		}
		return errors.Join(err, l.engine.removeNetwork(ctx, c.network))
	}
	return t
}

// containerRestart is `restart`: the container gets a new endpoint.
func (l *crashLab) containerRestart(c *crashContainer) crashTrial {
	return crashTrial{
		prepare: func(ctx context.Context) error { return l.engine.start(ctx, c) },
		do: func(ctx context.Context) error {
			return errors.Join(l.engine.stop(ctx, c), l.engine.start(ctx, c))
		},
		tidy: func(ctx context.Context, _ error) error {
			if !c.inside {
				return nil
			}
			return l.engine.stop(ctx, c)
		},
	}
}

// exposing is an operation on a container that exposes ports that no other
// exposes, since their security group stays a while for the next one.
func (l *crashLab) exposing(of func(*crashContainer) crashTrial) crashTrial {
	c := l.carol(&l.bystander.network)
	inner, port := of(c), l.exposes
	t := inner
	t.prepare = func(ctx context.Context) error {
		port++
		c.exposed = []crashObject{{"Proto": 6, "Port": port}, {"Proto": 17, "Port": port}}
		if inner.prepare == nil {
			return nil
		}
		return inner.prepare(ctx)
	}
	return t
}

// networkRemoveAfter is `network rm` while the bridge waits for another container.
func (l *crashLab) networkRemoveAfter() crashTrial {
	c := l.carol(nil)
	return crashTrial{
		prepare: func(ctx context.Context) error { return l.onceInUse(ctx, c) },
		do:      func(ctx context.Context) error { return l.engine.removeNetwork(ctx, c.network) },
	}
}

// idleBridge is what Kuryr does by itself when no other container comes.
func (l *crashLab) idleBridge() crashTrial {
	c := l.carol(nil)
	return crashTrial{
		prepare: func(ctx context.Context) error { return l.onceInUse(ctx, c) },
		do: func(ctx context.Context) error {
			_, err := l.settle(ctx, l.lasts)
			return err
		},
		tidy: func(ctx context.Context, _ error) error { return l.engine.removeNetwork(ctx, c.network) },
	}
}

// onceInUse makes a network on which a container has come and gone.
func (l *crashLab) onceInUse(ctx context.Context, c *crashContainer) error {
	c.network = &crashNetwork{pools: []crashPool{{wish: l.cidr()}}}
	err := l.engine.createNetwork(ctx, c.network)
	if err == nil {
		err = l.engine.start(ctx, c)
	}
	if err == nil {
		err = l.engine.stop(ctx, c)
	}
	return err
}
