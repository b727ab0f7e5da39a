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
	// vifType is the binding:vif_type of its ports.
	vifType = "bridge"
	// many is how many containers start at once where a test is about that.
	many = 64
)

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
	return startHost(ctx, f.binary, testkit.KuryrOptions{})
}

// special returns a new machine, whose Kuryr has these options.
func (f *machines) special(ctx context.Context, o testkit.KuryrOptions) (*host, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.build(ctx); err != nil {
		return nil, err
	}
	return startHost(ctx, f.binary, o)
}

// bare returns a new machine that has an engine and no Kuryr yet.
func (f *machines) bare(ctx context.Context) (*host, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.build(ctx); err != nil {
		return nil, err
	}
	return startEngine(ctx)
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
