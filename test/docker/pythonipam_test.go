//go:build !openstack

package docker

import (
	"context"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// The Python Kuryr as an IPAM driver.

// requestPool takes the subnetpool of the CIDR's name, or makes it.
func (p *python) requestPool(ctx context.Context, c pythonCall) (any, error) {
	name := "kuryrPool-" + c.Pool
	found, err := p.list(ctx, "subnetpools", url.Values{"name": {name}})
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		prefix, err := netip.ParsePrefix(c.Pool)
		if err != nil {
			return nil, err
		}
		pool, err := p.create(ctx, "subnetpools", object{"name": name, "default_prefixlen": prefix.Bits(), "prefixes": []string{c.Pool}, "shared": false})
		if err != nil {
			return nil, err
		}
		found = []pythonThing{pool}
	}
	return object{"PoolID": found[0].ID, "Pool": c.Pool}, nil
}

// subnetOf finds the subnet of a pool; the zero value if there is none yet.
func (p *python) subnetOf(ctx context.Context, pool string) (pythonThing, error) {
	found, err := p.list(ctx, "subnets", url.Values{"subnetpool_id": {pool}})
	if err != nil || len(found) == 1 {
		return append(found, pythonThing{})[0], err
	}
	sp, err := p.one(ctx, "subnetpools", url.Values{"id": {pool}})
	if err != nil {
		return pythonThing{}, err
	}
	found, err = p.list(ctx, "subnets", url.Values{"cidr": {sp.Prefixes[0]}})
	if len(found) > 1 {
		found = slices.DeleteFunc(found, func(s pythonThing) bool { return !s.has(pool) })
	}
	return append(found, pythonThing{})[0], err
}

func (p *python) requestAddress(ctx context.Context, c pythonCall) (any, error) {
	subnet, err := p.subnetOf(ctx, c.PoolID)
	if err != nil {
		return nil, err
	}
	if c.Options["RequestAddressType"] == "com.docker.network.gateway" {
		return p.requestGateway(ctx, c, subnet)
	}
	fixed := object{"subnet_id": subnet.ID}
	if c.Address != "" {
		fixed["ip_address"] = c.Address
	}
	port, err := p.create(ctx, "ports", object{"name": "kuryr-unbound-port", "admin_state_up": true,
		"network_id": subnet.NetworkID, "fixed_ips": []object{fixed}})
	if err != nil {
		return nil, err
	}
	return object{"Address": withLength(port.FixedIPs[0].Address, subnet.CIDR)}, p.tag(ctx, "ports", port.ID, "compute:kuryr")
}

// requestGateway reserves nothing.
func (p *python) requestGateway(ctx context.Context, c pythonCall, subnet pythonThing) (any, error) {
	if subnet.ID == "" {
		pool, err := p.one(ctx, "subnetpools", url.Values{"id": {c.PoolID}})
		if err != nil {
			return nil, err
		}
		return object{"Address": withLength(c.Address, pool.Prefixes[0])}, nil
	}
	if c.Address != subnet.Gateway {
		return nil, fmt.Errorf("the gateway is %s, not %s", subnet.Gateway, c.Address)
	}
	return object{"Address": withLength(c.Address, subnet.CIDR)}, nil
}

// withLength adds the length of a CIDR to an address.
func withLength(address, cidr string) string {
	_, length, _ := strings.Cut(cidr, "/")
	return address + "/" + length
}

func (p *python) releaseAddress(ctx context.Context, c pythonCall) error {
	subnet, err := p.subnetOf(ctx, c.PoolID)
	if err != nil || !subnet.has(c.PoolID) {
		return err
	}
	ports, err := p.list(ctx, "ports", url.Values{"fixed_ips": {"ip_address=" + c.Address}})
	for _, port := range ports {
		if err == nil && port.has("compute:kuryr") && port.FixedIPs[0].SubnetID == subnet.ID {
			err = p.neutron.Delete(ctx, "ports/"+port.ID)
		}
	}
	return err
}

func (p *python) releasePool(ctx context.Context, c pythonCall) error {
	pool, err := p.one(ctx, "subnetpools", url.Values{"id": {c.PoolID}})
	if err != nil {
		return err
	}
	subnets, err := p.list(ctx, "subnets", url.Values{"cidr": {pool.Prefixes[0]}})
	if err != nil {
		return err
	}
	for _, s := range subnets {
		if s.has(c.PoolID) {
			if err := p.untag(ctx, "subnets", s.ID, c.PoolID); err != nil {
				return err
			}
		}
	}
	if pool.has("kuryr.subnetpool.existing") {
		return p.untag(ctx, "subnetpools", pool.ID, "kuryr.subnetpool.existing")
	}
	if subnets, err = p.list(ctx, "subnets", url.Values{"subnetpool_id": {c.PoolID}}); err != nil {
		return err
	}
	for _, s := range subnets {
		if strings.HasPrefix(s.Name, "kuryr-subnet-") {
			if err := p.neutron.Delete(ctx, "subnets/"+s.ID); err != nil {
				return err
			}
		}
	}
	return p.neutron.Delete(ctx, "subnetpools/"+pool.ID)
}
