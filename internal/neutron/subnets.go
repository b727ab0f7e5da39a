package neutron

import (
	"context"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/subnets"

	"kuryr/internal/courier"
)

type subnetWire struct {
	ID         string  `json:"id"`
	NetworkID  string  `json:"network_id"`
	CIDR       string  `json:"cidr"`
	GatewayIP  *string `json:"gateway_ip"`
	HostRoutes []struct {
		Destination string `json:"destination"`
		NextHop     string `json:"nexthop"`
	} `json:"host_routes"`
}

func (w subnetWire) read() (s courier.Subnet, err error) {
	if s.ID, err = readID[courier.SubnetID]("subnet", w.ID); err != nil {
		return s, err
	}
	if s.Network, err = readID[courier.NetworkID]("network", w.NetworkID); err != nil {
		return s, err
	}
	if s.CIDR, err = readPrefix("subnet "+w.ID, w.CIDR); err != nil {
		return s, err
	}
	if w.GatewayIP != nil && *w.GatewayIP != "" {
		if s.Gateway, err = readAddr("gateway of subnet "+w.ID, *w.GatewayIP); err != nil {
			return s, err
		}
	}
	for _, r := range w.HostRoutes {
		var route courier.Route
		if route.Destination, err = readPrefix("host route of subnet "+w.ID, r.Destination); err != nil {
			return s, err
		}
		if route.NextHop, err = readAddr("host route of subnet "+w.ID, r.NextHop); err != nil {
			return s, err
		}
		s.HostRoutes = append(s.HostRoutes, route)
	}
	return s, nil
}

// CreateSubnet implements courier.Subnets.
func (c *Client) CreateSubnet(ctx context.Context, s courier.SubnetSpec) (courier.Subnet, error) {
	op, subject := "create subnet", s.CIDR.String()+" on network "+string(s.Network)
	if !s.CIDR.IsValid() {
		return courier.Subnet{}, &courier.Error{Kind: courier.Invalid, Op: op, Subject: subject, Public: "it has no CIDR"}
	}
	// gophercloud turns the empty string into null, Neutron's word for no
	// gateway; without the attribute Neutron would choose one.
	gateway := ""
	if s.Gateway.IsValid() {
		gateway = s.Gateway.String()
	}
	opts := subnets.CreateOpts{
		NetworkID:    string(s.Network),
		Name:         s.Name,
		Description:  s.Mark.String(),
		CIDR:         s.CIDR.String(),
		IPVersion:    gophercloud.IPVersion(courier.FamilyOf(s.CIDR.Addr())),
		GatewayIP:    &gateway,
		SubnetPoolID: string(s.Pool),
		EnableDHCP:   &s.DHCP,
	}
	for _, p := range s.AllocationPools {
		opts.AllocationPools = append(opts.AllocationPools,
			subnets.AllocationPool{Start: p.First.String(), End: p.Last.String()})
	}
	var w struct {
		Subnet subnetWire `json:"subnet"`
	}
	if err := subnets.Create(ctx, c.api, opts).ExtractInto(&w); err != nil {
		return courier.Subnet{}, c.fail(err, op, subject)
	}
	made, err := w.Subnet.read()
	return made, c.fail(err, op, subject)
}

// SubnetsOfNetwork implements courier.Subnets.
func (c *Client) SubnetsOfNetwork(ctx context.Context, id courier.NetworkID) ([]courier.Subnet, error) {
	return c.subnets(ctx, subnets.ListOpts{NetworkID: string(id)}, "of network "+string(id))
}

// SubnetsOfPool implements courier.Subnets.
func (c *Client) SubnetsOfPool(ctx context.Context, id courier.SubnetPoolID) ([]courier.Subnet, error) {
	return c.subnets(ctx, subnets.ListOpts{SubnetPoolID: string(id)}, "of subnetpool "+string(id))
}

func (c *Client) subnets(ctx context.Context, o subnets.ListOpts, subject string) ([]courier.Subnet, error) {
	const op = "list the subnets"
	query, err := o.ToSubnetListQuery()
	if err != nil {
		return nil, c.fail(err, op, subject)
	}
	items, err := list[subnetWire](ctx, c.api, "subnets", query)
	if err != nil {
		return nil, c.fail(err, op, subject)
	}
	all, err := read(items, subnetWire.read)
	return all, c.fail(err, op, subject)
}
