package chaos

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"kuryr/internal/testkit"
)

// crashEngine is the engine's side of the plugin protocol, call by call as
// Docker 20.10 to 29 make them, without containers: what goes through a few
// hundred crashes in minutes. Where a call fails it does what the engine still
// does, which is little; when the plugin dies in a call, it repeats it with an
// empty body, as the engine's HTTP client does.
type crashEngine struct {
	machine *testkit.Machine
	plugin  *testkit.Plugin
	// revive has a plugin that died start again. It reports false for one that lives.
	revive func() (bool, error)
	// odd is what the plugin must never do; it is a failure of the test.
	odd func(format string, args ...any)
	// reserved happens between a container's addresses and its endpoint; may be nil.
	reserved func(context.Context, *crashContainer) error
}

// crashNetwork is a network as the engine knows it.
type crashNetwork struct {
	id      string
	pools   []crashPool
	options crashObject // of the network driver
}

type crashPool struct {
	id, cidr, gateway string
	wish              string      // the CIDR that the user asked for
	options           crashObject // of the IPAM driver
}

// crashContainer is one endpoint, and the sandbox that it is in.
type crashContainer struct {
	network   *crashNetwork
	id        string
	sandbox   string
	ifname    string // in the sandbox
	address   string // that the user asks for
	exposed   []crashObject
	addresses []string // by pool
	mac       string
	link      string // in the engine's namespace
	inside    bool
}

type crashObject = map[string]any

func crashID() string {
	b := make([]byte, 32)
	rand.Read(b) // never fails
	return hex.EncodeToString(b)
}

// call makes a call. One that the plugin has died in is an error.
func (e *crashEngine) call(ctx context.Context, method string, request, answer any) error {
	if _, err := e.revive(); err != nil { // it died before: the engine dials until it is back
		return err
	}
	err := e.plugin.Call(ctx, method, request, answer)
	var transport *url.Error
	if err == nil || !errors.As(err, &transport) {
		return err
	}
	died, e2 := e.revive()
	if e2 != nil {
		return e2
	}
	if !died {
		e.odd("%s broke off, and nobody had died: %v", method, err)
		return err
	}
	if again := e.plugin.Call(ctx, method, nil, nil); again == nil {
		e.odd("%s with an empty body succeeded", method)
	}
	return err
}

// createNetwork is `docker network create`. Pools have a CIDR, or "" for a default one.
func (e *crashEngine) createNetwork(ctx context.Context, n *crashNetwork) error {
	n.id = crashID()
	for i := range n.pools {
		p := &n.pools[i]
		if err := e.requestPool(ctx, p); err != nil {
			return errors.Join(err, e.releasePools(ctx, n.pools[:i]))
		}
	}
	var data [2][]crashObject
	ipv6 := false
	for _, p := range n.pools {
		family := 0
		if strings.Contains(p.cidr, ":") {
			family, ipv6 = 1, true
		}
		data[family] = append(data[family], crashObject{"AddressSpace": "no_address_space", "Pool": p.cidr, "Gateway": p.gateway})
	}
	generic := n.options
	if generic == nil {
		generic = crashObject{}
	}
	err := e.call(ctx, "NetworkDriver.CreateNetwork", crashObject{
		"NetworkID": n.id, "IPv4Data": data[0], "IPv6Data": data[1],
		"Options": crashObject{"com.docker.network.enable_ipv6": ipv6, "com.docker.network.generic": generic}}, nil)
	if err != nil {
		return errors.Join(err, e.releasePools(ctx, n.pools))
	}
	return nil
}

// requestPool asks for a pool and its gateway; of what fails nothing is held.
func (e *crashEngine) requestPool(ctx context.Context, p *crashPool) error {
	var pool struct {
		PoolID, Pool string
		Data         map[string]string
	}
	options := p.options
	if options == nil {
		options = crashObject{}
	}
	err := e.call(ctx, "IpamDriver.RequestPool", crashObject{"AddressSpace": "no_address_space", "Pool": p.wish, "SubPool": "",
		"Options": options, "V6": strings.Contains(p.wish, ":")}, &pool)
	if err != nil {
		return err
	}
	p.id, p.cidr = pool.PoolID, pool.Pool
	if given := pool.Data["com.docker.network.gateway"]; given != "" {
		p.gateway = given
		return nil
	}
	var gateway struct{ Address string }
	err = e.call(ctx, "IpamDriver.RequestAddress", crashObject{"PoolID": p.id, "Address": "",
		"Options": crashObject{"RequestAddressType": "com.docker.network.gateway"}}, &gateway)
	if err != nil {
		return errors.Join(err, e.releasePools(ctx, []crashPool{{id: p.id}}))
	}
	p.gateway = gateway.Address
	return nil
}

// releasePools gives gateways and pools back; what fails is not tried again.
func (e *crashEngine) releasePools(ctx context.Context, pools []crashPool) error {
	var errs []error
	for _, p := range pools {
		if p.gateway != "" {
			errs = append(errs, e.release(ctx, p, p.gateway))
		}
	}
	for _, p := range pools {
		errs = append(errs, e.call(ctx, "IpamDriver.ReleasePool", crashObject{"PoolID": p.id}, nil))
	}
	return errors.Join(errs...)
}

func (e *crashEngine) release(ctx context.Context, p crashPool, address string) error {
	address, _, _ = strings.Cut(address, "/")
	return e.call(ctx, "IpamDriver.ReleaseAddress", crashObject{"PoolID": p.id, "Address": address}, nil)
}

// removeNetwork is `docker network rm`: it goes on whatever fails.
func (e *crashEngine) removeNetwork(ctx context.Context, n *crashNetwork) error {
	return errors.Join(e.releasePools(ctx, n.pools),
		e.call(ctx, "NetworkDriver.DeleteNetwork", crashObject{"NetworkID": n.id}, nil))
}

// start is what `docker run`, `start` and `network connect` do about one network.
func (e *crashEngine) start(ctx context.Context, c *crashContainer) error {
	c.id, c.addresses = crashID(), nil
	for i, p := range c.network.pools {
		wish := ""
		if i == 0 {
			wish = c.address
		}
		var answer struct{ Address string }
		if err := e.call(ctx, "IpamDriver.RequestAddress", crashObject{"PoolID": p.id, "Address": wish, "Options": nil}, &answer); err != nil {
			return errors.Join(err, e.releaseAddresses(ctx, c))
		}
		c.addresses = append(c.addresses, answer.Address)
	}
	if e.reserved != nil {
		if err := e.reserved(ctx, c); err != nil {
			return errors.Join(err, e.releaseAddresses(ctx, c))
		}
	}
	if err := e.createEndpoint(ctx, c); err != nil {
		return errors.Join(err, e.releaseAddresses(ctx, c))
	}
	var joined struct{ InterfaceName struct{ SrcName string } }
	err := e.onEndpoint(ctx, c, "NetworkDriver.Join", crashObject{"SandboxKey": "/run/netns/" + c.sandbox}, &joined)
	if err != nil {
		return errors.Join(err, e.deleteEndpoint(ctx, c))
	}
	c.link = joined.InterfaceName.SrcName
	err = e.onEndpoint(ctx, c, "NetworkDriver.ProgramExternalConnectivity",
		crashObject{"Options": crashObject{"com.docker.network.endpoint.exposedports": exposedOf(c)}}, nil)
	if err != nil {
		return errors.Join(err, e.onEndpoint(ctx, c, "NetworkDriver.Leave", nil, nil), e.deleteEndpoint(ctx, c))
	}
	err = e.onEndpoint(ctx, c, "NetworkDriver.EndpointOperInfo", nil, nil)
	if err == nil {
		err = e.moveIn(ctx, c)
	}
	if err != nil {
		return errors.Join(err, e.stop(ctx, c))
	}
	return nil
}

func exposedOf(c *crashContainer) []crashObject {
	if c.exposed == nil {
		return []crashObject{}
	}
	return c.exposed
}

func (e *crashEngine) createEndpoint(ctx context.Context, c *crashContainer) error {
	iface := crashObject{"Address": "", "AddressIPv6": "", "MacAddress": ""}
	for _, a := range c.addresses {
		if strings.Contains(a, ":") {
			iface["AddressIPv6"] = a
		} else {
			iface["Address"] = a
		}
	}
	var made struct{ Interface struct{ MacAddress string } }
	err := e.call(ctx, "NetworkDriver.CreateEndpoint", crashObject{"NetworkID": c.network.id, "EndpointID": c.id, "Interface": iface,
		"Options": crashObject{"com.docker.network.endpoint.exposedports": exposedOf(c), "com.docker.network.portmap": []any{}}}, &made)
	c.mac = made.Interface.MacAddress
	return err
}

// stop is what `docker stop`, `rm` and `network disconnect` do about one
// network: each step once, whatever the others came to.
func (e *crashEngine) stop(ctx context.Context, c *crashContainer) error {
	return errors.Join(e.leave(ctx, c), e.deleteEndpoint(ctx, c))
}

func (e *crashEngine) leave(ctx context.Context, c *crashContainer) error {
	return errors.Join(
		e.onEndpoint(ctx, c, "NetworkDriver.RevokeExternalConnectivity", nil, nil),
		e.onEndpoint(ctx, c, "NetworkDriver.Leave", nil, nil),
		e.moveOut(ctx, c))
}

func (e *crashEngine) deleteEndpoint(ctx context.Context, c *crashContainer) error {
	return errors.Join(e.onEndpoint(ctx, c, "NetworkDriver.DeleteEndpoint", nil, nil), e.releaseAddresses(ctx, c))
}

func (e *crashEngine) releaseAddresses(ctx context.Context, c *crashContainer) error {
	var errs []error
	for i, a := range c.addresses {
		errs = append(errs, e.release(ctx, c.network.pools[i], a))
	}
	return errors.Join(errs...)
}

func (e *crashEngine) onEndpoint(ctx context.Context, c *crashContainer, method string, more crashObject, answer any) error {
	request := crashObject{"NetworkID": c.network.id, "EndpointID": c.id, "Options": crashObject{}}
	for k, v := range more {
		request[k] = v
	}
	return e.call(ctx, method, request, answer)
}

// moveIn puts the container's end into the sandbox, as the engine does.
func (e *crashEngine) moveIn(ctx context.Context, c *crashContainer) error {
	commands := [][]string{
		{"link", "set", c.link, "netns", c.sandbox},
		{"-n", c.sandbox, "link", "set", c.link, "name", c.ifname},
	}
	for _, a := range c.addresses {
		commands = append(commands, []string{"-n", c.sandbox, "address", "add", a, "dev", c.ifname, "nodad"})
	}
	commands = append(commands, []string{"-n", c.sandbox, "link", "set", c.ifname, "up"})
	c.inside = true
	return e.ip(ctx, commands...)
}

// moveOut takes it back to where it came from.
func (e *crashEngine) moveOut(ctx context.Context, c *crashContainer) error {
	if !c.inside {
		return nil
	}
	c.inside = false
	return e.ip(ctx,
		[]string{"-n", c.sandbox, "link", "set", c.ifname, "down"},
		[]string{"-n", c.sandbox, "link", "set", c.ifname, "name", c.link},
		[]string{"-n", c.sandbox, "link", "set", c.link, "netns", e.machine.Name})
}

func (e *crashEngine) ip(ctx context.Context, commands ...[]string) error {
	for _, c := range commands {
		if _, err := e.machine.Output(ctx, "ip", c...); err != nil {
			return fmt.Errorf("the engine's own work: %w", err)
		}
	}
	return nil
}
