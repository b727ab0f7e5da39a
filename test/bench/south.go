package main

import (
	"context"
	"errors"
	"strings"
	"time"

	"kuryr/internal/testkit"
	"kuryr/test/openstack/cloud"
)

// south is what a section runs on: where its machines come from, and which
// Neutron their Kuryrs have.
type south interface {
	// machine gives a section a machine, which it closes.
	machine(ctx context.Context) (*testkit.Machine, error)
	// options adds to those of a Kuryr on the machine what Neutron it has.
	options(m *testkit.Machine, o testkit.KuryrOptions) testkit.KuryrOptions
	// proxied puts a proxy before a Neutron, and returns the options of a Kuryr
	// that reaches it through the proxy, and what ends both.
	proxied(ctx context.Context, m *testkit.Machine, binary string) (*testkit.FaultProxy, testkit.KuryrOptions, func() error, error)
	// keepsUp tells whether Neutron answers as fast as calls without a pause come.
	keepsUp() bool
	// ready is how many ports each network's pool holds when the measuring begins.
	ready() int
	// pause is between two runs, the same on each network: what the last one has
	// left to do in the background is not to fall on whichever comes next.
	pause() time.Duration
	// gone is how long removals may take to arrive everywhere.
	gone() time.Duration
}

// ownNeutron is a Neutron in each Kuryr, or of its binary.
type ownNeutron struct{}

func (ownNeutron) machine(ctx context.Context) (*testkit.Machine, error) {
	return testkit.NewMachine(ctx)
}

func (ownNeutron) options(_ *testkit.Machine, o testkit.KuryrOptions) testkit.KuryrOptions { return o }

func (ownNeutron) proxied(ctx context.Context, m *testkit.Machine, binary string) (*testkit.FaultProxy, testkit.KuryrOptions, func() error, error) {
	var o testkit.KuryrOptions
	server, err := testkit.StartNeutron(ctx, m, binary)
	if err != nil {
		return nil, o, nil, err
	}
	proxy, err := testkit.NewFaultProxy(ctx, m, server.Address)
	if err != nil {
		return nil, o, nil, errors.Join(err, server.Stop())
	}
	o.Neutron = proxy.URL
	return proxy, o, func() error { return errors.Join(proxy.Close(), server.Stop()) }, nil
}

func (ownNeutron) keepsUp() bool        { return true }
func (ownNeutron) ready() int           { return 1 }
func (ownNeutron) pause() time.Duration { return 200 * time.Millisecond }
func (ownNeutron) gone() time.Duration  { return time.Minute }

// labNeutron is the Neutron of the lab, and the machine one of its hosts.
type labNeutron struct {
	lab   *cloud.Lab
	host  string
	token string
	ports int // kept ready
	rest  int // seconds that they rest between two containers
}

// openLab is the lab of the options' directory, which is up.
func openLab(ctx context.Context, o options) (*labNeutron, error) {
	l, err := cloud.Open(o.lab)
	if err != nil {
		return nil, err
	}
	c, err := l.Client(ctx, cloud.Kuryr)
	if err != nil {
		return nil, err
	}
	return &labNeutron{lab: l, host: l.Hosts[0], token: c.Token(), ports: o.ready, rest: o.rest}, nil
}

func (s *labNeutron) machine(ctx context.Context) (*testkit.Machine, error) {
	return s.lab.Guest(ctx, s.host)
}

func (s *labNeutron) options(m *testkit.Machine, o testkit.KuryrOptions) testkit.KuryrOptions {
	o.Cloud = s.lab.Southbound(s.host, m, s.token)
	o.Config += poolOf(s.ports, s.rest)
	return o
}

func (s *labNeutron) proxied(ctx context.Context, m *testkit.Machine, _ string) (*testkit.FaultProxy, testkit.KuryrOptions, func() error, error) {
	proxy, err := testkit.NewFaultProxy(ctx, m, strings.TrimPrefix(cloud.NetworkURL, "http://"))
	if err != nil {
		return nil, testkit.KuryrOptions{}, nil, err
	}
	o := testkit.KuryrOptions{Config: "[neutron]\nendpoint_override = " + strings.TrimSuffix(proxy.URL, "v2.0/") + "\n"}
	return proxy, s.options(m, o), proxy.Close, nil
}

func (s *labNeutron) keepsUp() bool { return false }

func (s *labNeutron) ready() int { return s.ports }

// pause is longer than a cloud on the same machine computes for one request.
func (s *labNeutron) pause() time.Duration { return time.Second }

func (s *labNeutron) gone() time.Duration { return 3 * time.Minute }
