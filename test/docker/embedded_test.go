//go:build !openstack

package docker

import (
	"context"
	"time"

	"kuryr/internal/testkit"
)

// The southbound of this build: the embedded Neutron of each Kuryr.
const (
	// gone is how long removals may take to arrive everywhere.
	gone = 5 * time.Second
	// settles is how long two containers may need until they find each other.
	settles = 5 * time.Second
	// vifType is the binding:vif_type of its ports.
	vifType = "bridge"
	// many is how many containers start at once where a test is about that.
	many = 64
)

// impatient is the setting of every Kuryr here: what a Neutron on the same
// machine has not done 2 s after its answer was lost it never will.
const impatient = "lost_request_timeout = 2\n"

// leftInCommon has nothing to tell: no two hosts have a Neutron in common.
func leftInCommon() error { return nil }

// take returns a machine of the plain kind, an idle one or a new one.
func (f *machines) take(ctx context.Context) (*host, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if n := len(f.idle); n > 0 {
		h := f.idle[n-1]
		f.idle = f.idle[:n-1]
		return h, nil
	}
	if err := f.build(ctx); err != nil {
		return nil, err
	}
	return f.start(ctx, testkit.KuryrOptions{})
}

// special returns a new machine, whose Kuryr has these options.
func (f *machines) special(ctx context.Context, o testkit.KuryrOptions) (*host, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.build(ctx); err != nil {
		return nil, err
	}
	return f.start(ctx, o)
}

func (f *machines) start(ctx context.Context, o testkit.KuryrOptions) (*host, error) {
	m, err := testkit.NewMachine(ctx)
	if err != nil {
		return nil, err
	}
	o.Config = impatient + o.Config
	return startHost(ctx, m, f.binary, o)
}

// bare returns a new machine that has an engine and no Kuryr yet.
func (f *machines) bare(ctx context.Context) (*host, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.build(ctx); err != nil {
		return nil, err
	}
	m, err := testkit.NewMachine(ctx)
	if err != nil {
		return nil, err
	}
	return startEngine(ctx, m)
}

// engineless returns a new machine that has neither an engine nor a Kuryr.
func (f *machines) engineless(ctx context.Context) (*host, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.build(ctx); err != nil {
		return nil, err
	}
	m, err := testkit.NewMachine(ctx)
	return &host{machine: m}, err
}
