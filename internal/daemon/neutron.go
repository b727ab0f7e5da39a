package daemon

import (
	"context"
	"crypto/rand"
	"net/netip"
	"path/filepath"
	"time"

	"kuryr/internal/courier"
	"kuryr/internal/embedded"
	"kuryr/internal/neutron"
	"kuryr/internal/observe"
)

// inProcessEndpoint is how errors name the embedded Neutron. No request goes
// there: the name can't exist (RFC 6761).
const inProcessEndpoint = "http://embedded.invalid/v2.0/"

// openNeutron makes the client of the Neutron that the configuration names, or
// of the embedded one.
func (d *daemon) openNeutron(ctx context.Context) error {
	if d.cfg.Cloud.Real() {
		return d.openCloud(ctx)
	}
	d.kind = "embedded"
	server, err := d.openEmbedded()
	if err != nil {
		return err
	}
	d.api = server.Handler()
	d.neutron, err = neutron.New(neutron.Options{
		Endpoint: inProcessEndpoint, Transport: neutron.InProcess(d.api), Tracer: d.telemetry.Tracer(), Log: d.log})
	if err != nil {
		return err
	}
	d.probe = &probe{ask: d.neutron.Ping}
	return d.ensureDefaultPools(ctx)
}

func (d *daemon) openEmbedded() (*embedded.Server, error) {
	server, err := embedded.Open(embedded.Options{
		StateDir: filepath.Join(d.cfg.StateDir, "neutron"), Host: d.cfg.Host, Enforce: true, Log: d.log})
	if err != nil {
		return nil, &courier.Error{Op: "open the embedded Neutron", Subject: "in " + d.cfg.StateDir, Err: err}
	}
	d.onClose("the embedded Neutron", server.Close)
	d.keep("ports", server.Run, server.Health)
	return server, nil
}

// defaultPoolIntent marks the default subnetpools. They are no intent of the
// courier's and outlive all of them.
const defaultPoolIntent = "default-pool"

// embeddedLostFor is lost_request_timeout where the embedded Neutron serves: a
// request that is given up goes on for a moment, and dies with the process.
const embeddedLostFor = 2 * time.Second

// lostFor is how long a request without an answer may still take effect.
func (d *daemon) lostFor() time.Duration {
	if d.kind == "embedded" {
		return embeddedLostFor
	}
	return d.cfg.LostRequestTimeout
}

// ensureDefaultPools makes, in a new embedded Neutron, the subnetpools that
// networks without a --subnet are cut from. Whoever wants others deletes or
// renames these, or sets their names in kuryr.conf.
func (d *daemon) ensureDefaultPools(ctx context.Context) error {
	v4 := courier.SubnetPoolSpec{Name: d.cfg.DefaultPoolV4, Prefixes: []netip.Prefix{netip.MustParsePrefix("10.64.0.0/12")}, DefaultPrefixLen: 24}
	v6 := courier.SubnetPoolSpec{Name: d.cfg.DefaultPoolV6, Prefixes: []netip.Prefix{randomULA()}, DefaultPrefixLen: 64}
	for _, spec := range []courier.SubnetPoolSpec{v4, v6} {
		spec.Mark = courier.Mark{Host: d.cfg.Host, Intent: defaultPoolIntent}
		if err := d.ensurePool(ctx, spec); err != nil {
			return err
		}
	}
	return nil
}

func (d *daemon) ensurePool(ctx context.Context, spec courier.SubnetPoolSpec) error {
	if spec.Name == "" {
		return nil
	}
	found, err := d.neutron.FindSubnetPools(ctx, courier.Reference{Name: spec.Name})
	if err != nil {
		return err
	}
	family := courier.FamilyOf(spec.Prefixes[0].Addr())
	for _, p := range found {
		if len(p.Prefixes) > 0 && courier.FamilyOf(p.Prefixes[0].Addr()) == family {
			return nil
		}
	}
	if _, err := d.neutron.CreateSubnetPool(ctx, spec); err != nil {
		return err
	}
	d.log.Info("made the default subnetpool", observe.SubnetPool, spec.Name, "prefix", spec.Prefixes[0])
	return nil
}

// randomULA returns a unique local /48 (RFC 4193: fd, and 40 random bits), so
// that two hosts' networks can be joined one day.
func randomULA() netip.Prefix {
	b := [16]byte{0: 0xfd}
	rand.Read(b[1:6]) // never fails (Go 1.24)
	return netip.PrefixFrom(netip.AddrFrom16(b), 48)
}
