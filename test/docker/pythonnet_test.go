//go:build !openstack

package docker

import (
	"context"
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// The Python Kuryr as a network driver.

func (p *python) createNetwork(ctx context.Context, c pythonCall) error {
	cidr, gateway := c.IPv4Data[0].Pool, strings.Split(c.IPv4Data[0].Gateway, "/")[0]
	pool, err := p.one(ctx, "subnetpools", url.Values{"name": {"kuryrPool-" + cidr}})
	if err != nil {
		return err
	}
	generic, _ := c.Options["com.docker.network.generic"].(map[string]any)
	network, err := p.networkFor(ctx, c.NetworkID, generic["neutron.net.name"])
	if err != nil {
		return err
	}
	subnets, err := p.list(ctx, "subnets", url.Values{"network_id": {network.ID}, "cidr": {cidr}})
	if err != nil {
		return err
	}
	if len(subnets) == 0 {
		made, err := p.create(ctx, "subnets", object{"name": "kuryr-subnet-" + cidr, "network_id": network.ID, "ip_version": 4,
			"cidr": cidr, "enable_dhcp": true, "subnetpool_id": pool.ID, "gateway_ip": gateway})
		if err != nil {
			return err
		}
		subnets = []pythonThing{made}
	}
	return p.tag(ctx, "subnets", subnets[0].ID, pool.ID)
}

// networkFor makes a network, or takes the one of a name, and tags it.
func (p *python) networkFor(ctx context.Context, id string, existing any) (network pythonThing, err error) {
	tags := halves(id)
	if existing == nil {
		network, err = p.create(ctx, "networks", object{"name": "kuryr-net-" + id[:8], "admin_state_up": true, "shared": false})
	} else {
		network, err = p.one(ctx, "networks", url.Values{"name": {fmt.Sprint(existing)}})
		tags = append(tags, "kuryr.net.existing:"+id[:12])
	}
	if err != nil {
		return network, err
	}
	return network, p.tag(ctx, "networks", network.ID, tags...)
}

func (p *python) deleteNetwork(ctx context.Context, c pythonCall) error {
	adopted := append(halves(c.NetworkID), "kuryr.net.existing:"+c.NetworkID[:12])
	found, err := p.list(ctx, "networks", tagged(adopted...))
	if err != nil {
		return err
	}
	kept := len(found) > 0
	if !kept {
		if found, err = p.list(ctx, "networks", tagged(halves(c.NetworkID)...)); err != nil || len(found) == 0 {
			return err
		}
	} else if err := p.untag(ctx, "networks", found[0].ID, adopted...); err != nil {
		return err
	}
	subnets, err := p.list(ctx, "subnets", url.Values{"network_id": {found[0].ID}})
	if err != nil {
		return err
	}
	for _, s := range subnets {
		if kept && !strings.HasPrefix(s.Name, "kuryr-subnet-") {
			continue
		}
		if err := p.neutron.Delete(ctx, "subnets/"+s.ID); err != nil {
			return err
		}
	}
	if kept {
		return nil
	}
	return p.neutron.Delete(ctx, "networks/"+found[0].ID)
}

func (p *python) createEndpoint(ctx context.Context, c pythonCall) (any, error) {
	network, err := p.one(ctx, "networks", tagged(halves(c.NetworkID)...))
	if err != nil {
		return nil, err
	}
	address, _, _ := strings.Cut(c.Interface.Address, "/")
	port, err := p.one(ctx, "ports", url.Values{"network_id": {network.ID}, "fixed_ips": {"ip_address=" + address}})
	if err != nil {
		return nil, err
	}
	update := object{"binding:host_id": p.host, "device_owner": "compute:kuryr", "device_id": c.EndpointID}
	if mac := c.Interface.MacAddress; mac != "" && mac != port.MAC {
		update["mac_address"], port.MAC = mac, mac
	}
	if err := p.neutron.Put(ctx, "ports/"+port.ID, object{"port": update}); err != nil {
		return nil, err
	}
	if err := p.tag(ctx, "ports", port.ID, halves(c.EndpointID)...); err != nil {
		return nil, err
	}
	answer := object{}
	if c.Interface.MacAddress == "" {
		answer["MacAddress"] = port.MAC
	}
	return object{"Interface": answer}, p.plug(ctx, network, port, c.Interface.Address)
}

// plug makes the pair of links and puts the host's end on the network's bridge.
func (p *python) plug(ctx context.Context, network, port pythonThing, address string) error {
	bridge, tap, end := bridgeOf(network.ID), "tap"+port.ID[:11], containerEnd(port)
	if err := p.ip(ctx,
		[]string{"link", "add", tap, "type", "veth", "peer", "name", end},
		[]string{"link", "set", tap, "up"},
		[]string{"link", "set", end, "address", port.MAC, "mtu", strconv.Itoa(network.MTU)},
		[]string{"address", "add", address, "dev", end},
		[]string{"link", "set", end, "up"}); err != nil {
		return err
	}
	if p.ip(ctx, []string{"link", "show", bridge}) != nil {
		if err := p.ip(ctx, []string{"link", "add", bridge, "type", "bridge", "forward_delay", "0", "stp_state", "0"},
			[]string{"link", "set", bridge, "up"}); err != nil {
			return err
		}
	}
	return p.ip(ctx, []string{"link", "set", tap, "master", bridge})
}

func bridgeOf(network string) string { return "brq" + network[:11] }

func containerEnd(port pythonThing) string { return "t_c" + port.ID[:11] }

func (p *python) ip(ctx context.Context, commands ...[]string) error {
	for _, c := range commands {
		if _, err := p.machine.Output(ctx, "ip", c...); err != nil {
			return err
		}
	}
	return nil
}

func (p *python) join(ctx context.Context, c pythonCall) (any, error) {
	network, err := p.one(ctx, "networks", tagged(halves(c.NetworkID)...))
	if err != nil {
		return nil, err
	}
	port, err := p.one(ctx, "ports", tagged(halves(c.EndpointID)...))
	if err != nil {
		return nil, err
	}
	subnet, err := p.one(ctx, "subnets", url.Values{"network_id": {network.ID}})
	return object{"InterfaceName": object{"SrcName": containerEnd(port), "DstPrefix": "eth"},
		"Gateway": subnet.Gateway, "StaticRoutes": []any{}, "DisableGatewayService": true}, err
}

// deleteEndpoint leaves the bridge; releaseAddress deletes the port.
func (p *python) deleteEndpoint(ctx context.Context, c pythonCall) error {
	if _, err := p.one(ctx, "networks", tagged(halves(c.NetworkID)...)); err != nil {
		return err
	}
	port, err := p.one(ctx, "ports", tagged(halves(c.EndpointID)...))
	if err != nil {
		return err
	}
	if err := p.ip(ctx, []string{"link", "del", "tap" + port.ID[:11]}); err != nil {
		return err
	}
	return p.untag(ctx, "ports", port.ID, halves(c.EndpointID)...)
}
