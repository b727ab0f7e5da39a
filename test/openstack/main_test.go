// Package openstack tests against a real Keystone and Neutron: the lab that
// `make openstack-up` brings up. These tests prove the lab itself: they plug
// in by hand what Kuryr plugs in for containers.
package openstack

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"kuryr/test/openstack/cloud"
)

// bench is the lab, and Kuryr's user on it.
type bench struct {
	*cloud.Lab
	api *cloud.Client
}

func newBench(t *testing.T) *bench {
	t.Helper()
	lab, api := cloud.NeedLab(t, cloud.Kuryr)
	return &bench{lab, api}
}

// create makes a Neutron resource for as long as the test lasts.
func (b *bench) create(t *testing.T, kind string, attributes cloud.Resource) cloud.Resource {
	t.Helper()
	made, err := b.api.Create(t.Context(), cloud.NeutronAPI, kind, attributes)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.api.Delete(context.Background(), cloud.NeutronAPI, kind, made["id"].(string)); err != nil {
			t.Error(err)
		}
	})
	return made
}

// show returns what Neutron now tells about a resource.
func (b *bench) show(t *testing.T, kind string, id any) cloud.Resource {
	t.Helper()
	shown, err := b.api.Show(t.Context(), cloud.NeutronAPI, kind, id.(string))
	if err != nil {
		t.Fatal(err)
	}
	return shown
}

// network is one with a subnet of each family.
type network struct {
	id      string
	mtu     int
	subnets []cloud.Resource
}

// newNetwork makes a network with these subnets.
func (b *bench) newNetwork(t *testing.T, cidr4, cidr6 string) network {
	t.Helper()
	n := b.create(t, "network", cloud.Resource{"name": t.Name()})
	made := network{id: n["id"].(string), mtu: int(n["mtu"].(float64))}
	for version, cidr := range map[int]string{4: cidr4, 6: cidr6} {
		made.subnets = append(made.subnets, b.create(t, "subnet", cloud.Resource{
			"network_id": n["id"], "ip_version": version, "cidr": cidr, "enable_dhcp": false}))
	}
	return made
}

// within calls check until it succeeds, for a limited time.
func within(t *testing.T, limit time.Duration, what string, check func() error) {
	t.Helper()
	began := time.Now()
	for {
		err := check()
		if err == nil {
			t.Logf("%s after %.1f s", what, time.Since(began).Seconds())
			return
		}
		if time.Since(began) > limit {
			t.Fatalf("%s: not within %s: %v", what, limit, err)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// refused fails the test unless err is an answer of that code.
func refused(t *testing.T, err error, code int) {
	t.Helper()
	var status *cloud.StatusError
	if !errors.As(err, &status) || status.Code != code {
		t.Errorf("got %v, want %d %s", err, code, http.StatusText(code))
	}
}
