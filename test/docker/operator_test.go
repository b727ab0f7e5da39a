//go:build openstack

package docker

import (
	"context"
	"testing"

	"kuryr/test/openstack/cloud"
)

// operator is who runs the cloud: what it makes lasts until the test is over,
// and longer than the hosts that the test takes after that.
type operator struct {
	t   *testing.T
	api *cloud.Client
}

func newOperator(t *testing.T) operator {
	t.Helper()
	api, err := openLab().Client(t.Context(), cloud.Kuryr)
	if err != nil {
		t.Fatal(err)
	}
	return operator{t, api}
}

// create makes a resource of Neutron's.
func (o operator) create(kind string, attributes cloud.Resource) cloud.Resource {
	o.t.Helper()
	return o.createIn(cloud.NeutronAPI, kind, attributes)
}

// createIn makes one in a collection of another URL's.
func (o operator) createIn(base, kind string, attributes cloud.Resource) cloud.Resource {
	o.t.Helper()
	made, err := o.api.Create(o.t.Context(), base, kind, attributes)
	if err != nil {
		o.t.Fatal(err)
	}
	o.t.Cleanup(func() {
		if err := o.api.Delete(context.Background(), base, kind, made["id"].(string)); err != nil {
			o.t.Error(err)
		}
	})
	return made
}

// call makes a request for which there is no other word.
func (o operator) call(method, path string, body, answer any) {
	o.t.Helper()
	// Not the test's context: clean-up makes calls when that is over.
	if err := o.api.Call(context.Background(), method, cloud.NeutronAPI+"/"+path, body, answer); err != nil {
		o.t.Error(err)
	}
}

// tenant is a network of the cloud's with a subnet of each family.
type tenant struct {
	id      string
	subnets []string
	flags   []string // of docker network create, to use it
}

// tenant makes one.
func (o operator) tenant(name, cidr4, cidr6 string) tenant {
	o.t.Helper()
	n := tenant{id: o.create("network", cloud.Resource{"name": name})["id"].(string)}
	for version, cidr := range map[int]string{4: cidr4, 6: cidr6} {
		s := o.create("subnet", cloud.Resource{"network_id": n.id, "ip_version": version, "cidr": cidr})
		n.subnets = append(n.subnets, s["id"].(string))
	}
	n.flags = []string{"--subnet", cidr4, "--ipv6", "--subnet", cidr6, "-o", "neutron.net.uuid=" + n.id}
	return n
}

// external returns the ID of the network that leads to the outside.
func (o operator) external() string {
	o.t.Helper()
	n, err := o.api.Ensure(o.t.Context(), cloud.NeutronAPI, "network", cloud.ExternalNetwork, nil)
	if err != nil {
		o.t.Fatal(err)
	}
	return n["id"].(string)
}

// router makes one that joins networks with each other and the outside.
func (o operator) router(name string, networks ...tenant) cloud.Resource {
	o.t.Helper()
	r := o.create("router", cloud.Resource{"name": name, "external_gateway_info": cloud.Resource{"network_id": o.external()}})
	path := "routers/" + r["id"].(string)
	for _, n := range networks {
		for _, s := range n.subnets {
			o.call("PUT", path+"/add_router_interface", cloud.Resource{"subnet_id": s}, nil)
			o.t.Cleanup(func() { o.call("PUT", path+"/remove_router_interface", cloud.Resource{"subnet_id": s}, nil) })
		}
	}
	return r
}
