package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"net/netip"
	"time"

	"kuryr/internal/testkit"
)

// engine makes Docker's calls, in Docker's order.
type engine struct{ plugin *testkit.Plugin }

type network struct {
	id    string
	pools []string
}

type container struct {
	network   *network
	endpoint  string
	addresses []string // with the length of their subnets
}

// object is a JSON object of the protocol.
type object map[string]any

func newEngine(k *testkit.Kuryr) *engine { return &engine{testkit.NewPlugin(k.PluginSocket())} }

func (e *engine) close() { e.plugin.Close() }

func newID() string {
	b := make([]byte, 32)
	rand.Read(b)
	return hex.EncodeToString(b)
}

func (e *engine) createNetwork(ctx context.Context, v4, v6 string) (*network, error) {
	n := &network{id: newID()}
	data := [2]object{}
	for i, cidr := range []string{v4, v6} {
		var pool struct{ PoolID, Pool string }
		if err := e.plugin.Call(ctx, "IpamDriver.RequestPool", object{"Pool": cidr, "V6": i == 1}, &pool); err != nil {
			return nil, err
		}
		var gateway struct{ Address string }
		request := object{"PoolID": pool.PoolID, "Address": "", "Options": object{"RequestAddressType": "com.docker.network.gateway"}}
		if err := e.plugin.Call(ctx, "IpamDriver.RequestAddress", request, &gateway); err != nil {
			return nil, err
		}
		n.pools = append(n.pools, pool.PoolID)
		data[i] = object{"Pool": pool.Pool, "Gateway": gateway.Address}
	}
	return n, e.plugin.Call(ctx, "NetworkDriver.CreateNetwork", object{"NetworkID": n.id, "IPv4Data": []object{data[0]}, "IPv6Data": []object{data[1]},
		"Options": object{"com.docker.network.enable_ipv6": true, "com.docker.network.generic": object{}}}, nil)
}

func (e *engine) removeNetwork(ctx context.Context, n *network) error {
	for _, p := range n.pools {
		if err := e.plugin.Call(ctx, "IpamDriver.ReleasePool", object{"PoolID": p}, nil); err != nil {
			return err
		}
	}
	return e.plugin.Call(ctx, "NetworkDriver.DeleteNetwork", object{"NetworkID": n.id}, nil)
}

// start makes the calls of a container's start, and adds how long each took.
func (e *engine) start(ctx context.Context, n *network, took map[string][]time.Duration) (*container, error) {
	c := &container{network: n, endpoint: newID()}
	call := e.clock(took, "start: all calls")
	for i, name := range []string{"RequestAddress, IPv4", "RequestAddress, IPv6"} {
		var a struct{ Address string }
		if err := call(ctx, name, "IpamDriver.RequestAddress", object{"PoolID": n.pools[i], "Address": "", "Options": nil}, &a); err != nil {
			return nil, err
		}
		c.addresses = append(c.addresses, a.Address)
	}
	request := object{"NetworkID": n.id, "EndpointID": c.endpoint, "Options": object{},
		"Interface": object{"Address": c.addresses[0], "AddressIPv6": c.addresses[1], "MacAddress": ""}}
	if err := call(ctx, "CreateEndpoint", "NetworkDriver.CreateEndpoint", request, nil); err != nil {
		return nil, err
	}
	request = object{"NetworkID": n.id, "EndpointID": c.endpoint, "SandboxKey": "/var/run/docker/netns/000000000000", "Options": object{}}
	return c, call(ctx, "Join", "NetworkDriver.Join", request, nil)
}

// stop makes the calls of a container's stop.
func (e *engine) stop(ctx context.Context, c *container, took map[string][]time.Duration) error {
	call := e.clock(took, "stop: all calls")
	ids := object{"NetworkID": c.network.id, "EndpointID": c.endpoint}
	for _, name := range []string{"Leave", "DeleteEndpoint"} {
		if err := call(ctx, name, "NetworkDriver."+name, ids, nil); err != nil {
			return err
		}
	}
	for i, a := range c.addresses {
		bare := netip.MustParsePrefix(a).Addr().String()
		err := call(ctx, "ReleaseAddress, both", "IpamDriver.ReleaseAddress", object{"PoolID": c.network.pools[i], "Address": bare}, nil)
		if err != nil {
			return err
		}
	}
	return nil
}

// clock returns a call that is timed under its own name and adds to a sum.
// Several calls of one name in one sequence count as one.
func (e *engine) clock(took map[string][]time.Duration, sum string) func(context.Context, string, string, object, any) error {
	took[sum] = append(took[sum], 0)
	first := map[string]bool{}
	return func(ctx context.Context, name, method string, request object, answer any) error {
		d, err := timed(func() error { return e.plugin.Call(ctx, method, request, answer) })
		if !first[name] {
			first[name] = true
			took[name] = append(took[name], 0)
		}
		took[name][len(took[name])-1] += d
		took[sum][len(took[sum])-1] += d
		return err
	}
}
