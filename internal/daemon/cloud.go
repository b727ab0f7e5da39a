package daemon

import (
	"context"
	"math/rand/v2"
	"reflect"
	"time"

	"kuryr/internal/config"
	"kuryr/internal/courier"
	"kuryr/internal/neutron"
	"kuryr/internal/observe"
)

const (
	checkTimeout = 30 * time.Second // of one attempt to reach the cloud
	firstCheck   = 10 * time.Second // of the first one, which holds up the start
	firstWait    = time.Second      // before the second attempt, doubled each time, and jittered
	lastWait     = 30 * time.Second
)

// openCloud makes the client of a cloud. What only an operator can put right
// fails the start; a cloud that is not up yet is waited for, with all sockets
// served: docs/decisions/0011-waiting-for-the-cloud.md.
func (d *daemon) openCloud(ctx context.Context) (err error) {
	d.kind = "real"
	if d.neutron, err = neutron.New(neutron.Options{Cloud: d.cloud, Tracer: d.telemetry.Tracer(), Log: d.log}); err != nil {
		return err
	}
	d.probe = &probe{ask: d.neutron.Ping}
	why := d.checkCloud(ctx, firstCheck)
	if why != nil && courier.KindOf(why) != courier.Unavailable || ctx.Err() != nil {
		return why
	}
	d.onClose("the watch over the cloud", d.stopParts)
	d.running.Go(func() { d.followCloud(d.background, why) })
	return nil
}

// cloud returns the settings of the cloud as they are now.
func (d *daemon) cloud() (neutron.Cloud, error) {
	if d.opt.Load == nil {
		return neutron.Cloud(d.cfg.Cloud), nil
	}
	cfg, err := d.opt.Load()
	if err == nil && !cfg.Cloud.Real() {
		err = &courier.Error{Kind: courier.Invalid, Op: "use", Subject: "the configuration", Public: "it names no cloud any more",
			Hint: "restart kuryr to use the embedded Neutron"}
	}
	return neutron.Cloud(cfg.Cloud), err
}

func (d *daemon) checkCloud(ctx context.Context, patience time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return d.neutron.Check(ctx, d.cfg.Host)
}

// followCloud waits until the cloud is ready, and has its credentials read
// again when that is asked for. why is what the first attempt failed with.
func (d *daemon) followCloud(ctx context.Context, why error) {
	told := ""
	for wait := firstWait; ; wait = min(2*wait, lastWait) {
		if why == nil {
			d.log.Info("the cloud is ready", "neutron", d.neutron.Endpoint())
			break
		}
		if text := why.Error(); text != told {
			d.log.Warn("waiting for the cloud", observe.Err, why, "hint", courier.HintOf(why))
			told = text
		}
		select {
		case <-time.After(wait/2 + rand.N(wait)):
		case <-d.opt.Reload:
			wait = firstWait
			d.systemd.reload(func() { d.renewCloud(ctx) })
		case <-ctx.Done():
			return
		}
		if why = d.checkCloud(ctx, checkTimeout); ctx.Err() != nil {
			return
		}
	}
	d.cloudIsBack()
	d.running.Go(func() { d.neutron.Watch(ctx, d.cloudIsBack) })
	for {
		select {
		case <-d.opt.Reload:
			d.systemd.reload(func() { d.renewCloud(ctx) })
		case <-ctx.Done():
			return
		}
	}
}

// cloudIsBack has go on what waits for the cloud, which answers for the first
// time, or again.
func (d *daemon) cloudIsBack() {
	select {
	case <-d.opened: // the courier is there
		d.courier.Resume()
	case <-d.background.Done():
	}
}

// neutronHealth tells why Neutron is of no use now. An outage is told without
// asking once more.
func (d *daemon) neutronHealth(ctx context.Context) error {
	if o := d.neutron.Outage(); o != nil {
		return o
	}
	return d.probe.result(ctx)
}

// renewCloud reads the credentials again and asks for a new token.
func (d *daemon) renewCloud(ctx context.Context) {
	if d.opt.Load != nil {
		if cfg, err := d.opt.Load(); err == nil && !sameButCloud(cfg, d.cfg) {
			d.log.Warn("options besides the credentials have changed; they have an effect when kuryr is restarted")
		}
	}
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	if err := d.neutron.Renew(ctx); err != nil {
		d.log.Error("the credentials were read again, and do not work; what was in force stays", observe.Err, err, "hint", courier.HintOf(err))
		return
	}
	d.log.Info("the credentials were read again")
}

func sameButCloud(a, b config.Config) bool {
	a.Cloud, b.Cloud = config.Cloud{}, config.Cloud{}
	return reflect.DeepEqual(a, b)
}
