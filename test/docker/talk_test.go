//go:build !openstack

package docker

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"kuryr/internal/testkit"
)

// talk is the engine's side of the life of one network with one container,
// call by call, with what Docker 20.10 does in between: for tests that stop
// Kuryr at an exact place.
type talk struct {
	h       *host
	plugin  *testkit.Plugin
	sandbox string // the container's network namespace

	cidr, gateway, mac     string // as asked for; mac may be ""
	networkID, endpointID  string
	pool, address, srcName string // as Kuryr answered; "" if it did not
}

// step is a call of the engine's, by the name of its method, or something
// that the engine does by itself, without a dot in its name.
type step struct {
	name string
	do   func(*talk, context.Context) error
}

// The calls of `network create`, `run`, `rm --force` and `network rm`, in the
// engine's order.
var (
	requestPool    = step{"IpamDriver.RequestPool", (*talk).requestPool}
	requestGateway = step{"IpamDriver.RequestAddress of the gateway", (*talk).requestGateway}
	createNetwork  = step{"NetworkDriver.CreateNetwork", (*talk).createNetwork}
	requestAddress = step{"IpamDriver.RequestAddress", (*talk).requestAddress}
	createEndpoint = step{"NetworkDriver.CreateEndpoint", (*talk).createEndpoint}
	join           = step{"NetworkDriver.Join", (*talk).join}
	program        = step{"NetworkDriver.ProgramExternalConnectivity", (*talk).program}
	operInfo       = step{"NetworkDriver.EndpointOperInfo", onEndpoint("NetworkDriver.EndpointOperInfo")}
	moveIn         = step{"the link is moved into the sandbox", (*talk).moveIn}
	revoke         = step{"NetworkDriver.RevokeExternalConnectivity", onEndpoint("NetworkDriver.RevokeExternalConnectivity")}
	leave          = step{"NetworkDriver.Leave", onEndpoint("NetworkDriver.Leave")}
	moveOut        = step{"the link is moved out of the sandbox", (*talk).moveOut}
	deleteEndpoint = step{"NetworkDriver.DeleteEndpoint", onEndpoint("NetworkDriver.DeleteEndpoint")}
	releaseAddress = step{"IpamDriver.ReleaseAddress", func(k *talk, ctx context.Context) error { return k.release(ctx, k.address) }}
	releaseGateway = step{"IpamDriver.ReleaseAddress of the gateway", func(k *talk, ctx context.Context) error { return k.release(ctx, k.gateway) }}
	releasePool    = step{"IpamDriver.ReleasePool", (*talk).releasePool}
	deleteNetwork  = step{"NetworkDriver.DeleteNetwork", (*talk).deleteNetwork}
)

var (
	wholeLife = []step{requestPool, requestGateway, createNetwork, requestAddress, createEndpoint, join, program, operInfo, moveIn,
		revoke, leave, moveOut, deleteEndpoint, releaseAddress, releaseGateway, releasePool, deleteNetwork}
	networkRemoval = []step{releaseGateway, releasePool, deleteNetwork}
)

// afterFailure tells what Docker 20.10 still does when a call has failed, and
// the user then removes the network: it undoes little, and goes on where it
// was removing.
func afterFailure(i int) []step {
	switch wholeLife[i].name {
	case requestPool.name:
		return nil
	case requestGateway.name:
		return []step{releasePool}
	case createNetwork.name:
		return []step{releaseGateway, releasePool}
	case requestAddress.name:
		return networkRemoval
	case createEndpoint.name:
		return append([]step{releaseAddress}, networkRemoval...)
	case join.name:
		return append([]step{deleteEndpoint, releaseAddress}, networkRemoval...)
	case program.name:
		return append([]step{leave, deleteEndpoint, releaseAddress}, networkRemoval...)
	case operInfo.name, moveIn.name:
		return append([]step{revoke, leave, deleteEndpoint, releaseAddress}, networkRemoval...)
	default: // a failed removal is not repeated
		return wholeLife[i+1:]
	}
}

// newTalk prepares a talk about a network of the nth /24 of 10.0.0.0/8.
func newTalk(h *host, n int) *talk {
	h.t.Helper()
	k := &talk{
		h: h, plugin: testkit.NewPlugin(h.kuryr.PluginSocket()), sandbox: fmt.Sprintf("%s-%d", h.machine.Name, n),
		cidr: fmt.Sprintf("10.%d.%d.0/24", n/256, n%256), gateway: fmt.Sprintf("10.%d.%d.1", n/256, n%256),
		networkID: randomID(), endpointID: randomID(),
	}
	h.ip("netns", "add", k.sandbox)
	h.t.Cleanup(func() {
		k.plugin.Close()
		h.ip("netns", "del", k.sandbox)
	})
	return k
}

func (h *host) ip(args ...string) {
	h.t.Helper()
	if _, err := h.machine.Output(context.Background(), "ip", args...); err != nil {
		h.t.Error(err)
	}
}

// randomID is an ID as Docker makes them: 64 hexadecimal digits.
func randomID() string {
	b := make([]byte, 32)
	rand.Read(b) // never fails
	return hex.EncodeToString(b)
}

// run does the steps in order; each must succeed.
func (k *talk) run(t *testing.T, steps ...step) {
	t.Helper()
	for _, s := range steps {
		if err := s.do(k, t.Context()); err != nil {
			t.Errorf("%s: %v", s.name, err)
		}
	}
}

// runUntilFailure does the steps of a whole life. When a call fails it goes on
// as the engine does.
func (k *talk) runUntilFailure(t *testing.T) {
	t.Helper()
	for i, s := range wholeLife {
		err := s.do(k, t.Context())
		if err == nil {
			continue
		}
		if !strings.Contains(err.Error(), "cannot ") {
			t.Errorf("%s failed with %v, want a line that says what can't be done", s.name, err)
		}
		k.run(t, afterFailure(i)...)
		return
	}
}

type object = map[string]any

func (k *talk) requestPool(ctx context.Context) error {
	var answer struct{ PoolID string }
	err := k.plugin.Call(ctx, "IpamDriver.RequestPool",
		object{"AddressSpace": "no_address_space", "Pool": k.cidr, "SubPool": "", "Options": object{}, "V6": false}, &answer)
	k.pool = answer.PoolID
	return err
}

func (k *talk) requestGateway(ctx context.Context) error {
	return k.plugin.Call(ctx, "IpamDriver.RequestAddress", object{"PoolID": k.pool, "Address": k.gateway,
		"Options": object{"RequestAddressType": "com.docker.network.gateway"}}, nil)
}

func (k *talk) createNetwork(ctx context.Context) error {
	return k.plugin.Call(ctx, "NetworkDriver.CreateNetwork", object{
		"NetworkID": k.networkID,
		"Options":   object{"com.docker.network.enable_ipv6": false, "com.docker.network.generic": object{}},
		"IPv4Data":  []object{{"AddressSpace": "no_address_space", "Pool": k.cidr, "Gateway": k.gateway + "/24"}},
		"IPv6Data":  []object{},
	}, nil)
}

func (k *talk) requestAddress(ctx context.Context) error {
	var answer struct{ Address string }
	err := k.plugin.Call(ctx, "IpamDriver.RequestAddress", object{"PoolID": k.pool, "Address": "", "Options": nil}, &answer)
	k.address = answer.Address
	return err
}

func (k *talk) createEndpoint(ctx context.Context) error {
	return k.plugin.Call(ctx, "NetworkDriver.CreateEndpoint", object{
		"NetworkID": k.networkID, "EndpointID": k.endpointID,
		"Interface": object{"Address": k.address, "AddressIPv6": "", "MacAddress": k.mac},
		"Options":   object{"com.docker.network.endpoint.exposedports": []any{}, "com.docker.network.portmap": []any{}},
	}, nil)
}

func (k *talk) join(ctx context.Context) error {
	var answer struct{ InterfaceName struct{ SrcName string } }
	err := k.plugin.Call(ctx, "NetworkDriver.Join", object{"NetworkID": k.networkID, "EndpointID": k.endpointID,
		"SandboxKey": "/run/netns/" + k.sandbox, "Options": object{}}, &answer)
	k.srcName = answer.InterfaceName.SrcName
	return err
}

func (k *talk) moveIn(ctx context.Context) error {
	return k.inKernel(ctx,
		[]string{"link", "set", k.srcName, "netns", k.sandbox},
		[]string{"-n", k.sandbox, "link", "set", k.srcName, "name", "eth0"},
		[]string{"-n", k.sandbox, "address", "add", k.address, "dev", "eth0"},
		[]string{"-n", k.sandbox, "link", "set", "eth0", "up"})
}

func (k *talk) moveOut(ctx context.Context) error {
	return k.inKernel(ctx,
		[]string{"-n", k.sandbox, "link", "set", "eth0", "down"},
		[]string{"-n", k.sandbox, "link", "set", "eth0", "name", k.srcName},
		[]string{"-n", k.sandbox, "link", "set", k.srcName, "netns", k.h.machine.Name})
}

func (k *talk) inKernel(ctx context.Context, commands ...[]string) error {
	for _, c := range commands {
		if _, err := k.h.machine.Output(ctx, "ip", c...); err != nil {
			return err
		}
	}
	return nil
}

// onEndpoint is a call that names network and endpoint, and nothing else that counts.
func onEndpoint(method string) func(*talk, context.Context) error {
	return func(k *talk, ctx context.Context) error {
		return k.plugin.Call(ctx, method, object{"NetworkID": k.networkID, "EndpointID": k.endpointID, "Options": object{}}, nil)
	}
}

// program exposes a port, whose security group comes and goes in the background.
func (k *talk) program(ctx context.Context) error {
	return k.plugin.Call(ctx, "NetworkDriver.ProgramExternalConnectivity", object{"NetworkID": k.networkID, "EndpointID": k.endpointID,
		"Options": object{"com.docker.network.endpoint.exposedports": []object{{"Proto": 6, "Port": 80}}}}, nil)
}

func (k *talk) release(ctx context.Context, address string) error {
	ip, _, _ := strings.Cut(address, "/")
	return k.plugin.Call(ctx, "IpamDriver.ReleaseAddress", object{"PoolID": k.pool, "Address": ip}, nil)
}

func (k *talk) releasePool(ctx context.Context) error {
	return k.plugin.Call(ctx, "IpamDriver.ReleasePool", object{"PoolID": k.pool}, nil)
}

func (k *talk) deleteNetwork(ctx context.Context) error {
	return k.plugin.Call(ctx, "NetworkDriver.DeleteNetwork", object{"NetworkID": k.networkID}, nil)
}
