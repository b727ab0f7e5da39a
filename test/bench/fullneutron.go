package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"kuryr/internal/testkit"
)

// besideFullNeutron compares the calls of a start and a stop at a Kuryr whose
// embedded Neutron has many networks and ports with those at one that has few.
// Each round has one of both at each, in turn another first. The kernel has one
// lock for the links of both: each start waits until the other's work is done.
func (b *bench) besideFullNeutron(ctx context.Context, o options) (err error) {
	sizes := [2]struct{ networks, ports int }{{1, 100}, {o.nets, o.ports}}
	var daemons [2]*daemon
	var nets [2]*network
	for i, size := range sizes {
		m, err := testkit.NewMachine(ctx)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, m.Close(context.WithoutCancel(ctx))) }()
		if daemons[i], _, err = b.startDaemon(ctx, m, testkit.KuryrOptions{}); err != nil {
			return err
		}
		defer func() { err = daemons[i].end(err) }()
		if err := fill(ctx, overTCP(m), size.networks, size.ports); err != nil {
			return err
		}
		if nets[i], err = daemons[i].createNetwork(ctx, "192.168.0.0/20", "fd00:200::/64"); err != nil {
			return err
		}
	}
	var took [2]map[string][]time.Duration
	for round := range o.rounds*2 + 1 {
		for i := range daemons {
			at := (i + round) % 2
			if round <= 1 { // the first warms everything up
				took[at] = map[string][]time.Duration{}
			}
			if round > 0 {
				if err := daemons[at].warm(ctx, ownNeutron{}); err != nil {
					return err
				}
			}
			c, err := daemons[at].start(ctx, nets[at], took[at])
			if err != nil {
				return err
			}
			if err := daemons[at].stop(ctx, c, took[at]); err != nil {
				return err
			}
		}
	}
	few, full := took[0], took[1]
	for _, name := range []string{"start: all calls", "stop: all calls"} {
		f := median(fmt.Sprintf("%s, %d networks and %d ports / 1 and 100", name, o.nets, o.ports), ratioOfTimes, ratios(full[name], few[name]))
		f.Target, f.Better = "<= 1.2", less
		b.add(f)
	}
	return nil
}

// fill makes networks and ports, as other hosts have them.
func fill(ctx context.Context, a *api, networks, ports int) error {
	for i := range networks {
		// A project has room for some only.
		project := fmt.Sprintf("%032x", 1+i/50)
		network, _, err := a.create(ctx, "network", "networks", object{"project_id": project})
		if err != nil {
			return err
		}
		_, _, err = a.create(ctx, "subnet", "subnets", object{"project_id": project, "network_id": network, "ip_version": 4, "cidr": "10.0.0.0/16", "enable_dhcp": false})
		if err != nil {
			return err
		}
		port := object{"project_id": project, "network_id": network, "binding:host_id": "elsewhere"}
		for left := ports / networks; left > 0; left -= bulk {
			body := object{"ports": slices.Repeat([]object{port}, min(bulk, left))}
			if _, err := a.call(ctx, "POST", "ports", body, nil); err != nil {
				return err
			}
		}
	}
	return nil
}
