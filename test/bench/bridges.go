package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"

	"kuryr/internal/testkit"
)

// sandbox is a container's network namespace, by its path.
type sandbox string

// Listen implements end.
func (s sandbox) Listen(ctx context.Context, network, address string) (l net.Listener, err error) {
	err = testkit.Inside(string(s), func() (err error) {
		l, err = (&net.ListenConfig{}).Listen(ctx, network, address)
		return err
	})
	return l, err
}

// Dial implements end.
func (s sandbox) Dial(ctx context.Context, network, address string) (c net.Conn, err error) {
	err = testkit.Inside(string(s), func() (err error) {
		c, err = (&net.Dialer{}).DialContext(ctx, network, address)
		return err
	})
	return c, err
}

// bridges compares the traffic of two containers on a Kuryr network with that
// of two on a user-defined bridge network.
func (b *bench) bridges(ctx context.Context, rounds int) (err error) {
	l, err := newLab(ctx, ownNeutron{}, b.binary, "")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.close(ctx)) }()
	wires := map[string]*wire{}
	for _, name := range []string{onKuryr, onBridge} {
		w, ids, err := l.lay(ctx, name)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, w.close(), l.removeContainers(context.WithoutCancel(ctx), ids)) }()
		wires[name] = w
	}
	ways := []string{onKuryr, onBridge}
	all, err := inRounds(rounds, ways, func(way string) (sample, error) { return wires[way].measure(ctx) })
	if err != nil {
		return err
	}
	b.reportTraffic(all, ways)
	b.compareTraffic(all, onKuryr, onBridge)
	return nil
}

// lay starts two containers on a network, the second of which answers the first.
func (l *lab) lay(ctx context.Context, network string) (*wire, []string, error) {
	w := &wire{}
	var ids []string
	for i := range w.ends {
		id, err := l.startContainer(ctx, network)
		if err != nil {
			return nil, nil, err
		}
		ids = append(ids, id)
		var c struct {
			State           struct{ Pid int }
			NetworkSettings struct {
				Networks map[string]struct{ IPAddress string }
			}
		}
		if err := l.engine.Get(ctx, "/containers/"+id+"/json", &c); err != nil {
			return nil, nil, err
		}
		w.ends[i] = sandbox(fmt.Sprintf("/proc/%d/ns/net", c.State.Pid))
		w.address = net.JoinHostPort(c.NetworkSettings.Networks[network].IPAddress, strconv.Itoa(trafficPort))
	}
	return w, ids, w.serve(ctx)
}
