package neutron

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/subnets"

	"kuryr/internal/courier"
)

type subnetWire struct {
	ID         string  `json:"id"`
	Name       string  `json:"name"`
	NetworkID  string  `json:"network_id"`
	CIDR       string  `json:"cidr"`
	GatewayIP  *string `json:"gateway_ip"`
	HostRoutes []struct {
		Destination string `json:"destination"`
		NextHop     string `json:"nexthop"`
	} `json:"host_routes"`
	SubnetPoolID *string  `json:"subnetpool_id"`
	Description  string   `json:"description"`
	Tags         []string `json:"tags"`
	Revision     int      `json:"revision_number"`
	ownerWire
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
	if w.SubnetPoolID != nil && *w.SubnetPoolID != "" {
		// IPv6 prefix delegation has a pool that is none: "prefix_delegation".
		s.Pool, _ = readID[courier.SubnetPoolID]("subnetpool", *w.SubnetPoolID)
	}
	s.Name, s.Description, s.Tags, s.Revision = w.Name, w.Description, w.Tags, w.Revision
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

// DeleteSubnet implements courier.Subnets.
func (c *Client) DeleteSubnet(ctx context.Context, id courier.SubnetID, revision int) error {
	const op = "delete subnet"
	if err := checkID(op, id); err != nil {
		return err
	}
	return c.fail(c.delete(ctx, "subnets", string(id), revision), op, string(id))
}

// SubnetsOfNetwork implements courier.Subnets.
func (c *Client) SubnetsOfNetwork(ctx context.Context, id courier.NetworkID) ([]courier.Subnet, error) {
	return c.subnets(ctx, subnets.ListOpts{NetworkID: string(id)}, "of network "+string(id))
}

// SubnetsOfNetworks implements courier.Subnets. gophercloud's query takes one
// network only.
func (c *Client) SubnetsOfNetworks(ctx context.Context, ids []courier.NetworkID) ([]courier.Subnet, error) {
	var all []courier.Subnet
	for chunk := range slices.Chunk(ids, idsAtOnce) {
		query := url.Values{}
		for _, id := range chunk {
			query.Add("network_id", string(id))
		}
		found, err := lookUp(ctx, c, "subnets", "?"+query.Encode(), nil, "list the subnets", fmt.Sprintf("of %d networks", len(ids)), subnetWire.read)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return all, nil
}

// SubnetsOfPool implements courier.Subnets.
func (c *Client) SubnetsOfPool(ctx context.Context, id courier.SubnetPoolID) ([]courier.Subnet, error) {
	return c.subnets(ctx, subnets.ListOpts{SubnetPoolID: string(id)}, "of subnetpool "+string(id))
}

// SubnetsByTags implements courier.Subnets.
func (c *Client) SubnetsByTags(ctx context.Context, tags ...string) ([]courier.Subnet, error) {
	all := strings.Join(tags, ",")
	return c.subnets(ctx, subnets.ListOpts{Tags: all}, "tagged "+all)
}

func (c *Client) subnets(ctx context.Context, o subnets.ListOpts, subject string) ([]courier.Subnet, error) {
	query, err := o.ToSubnetListQuery()
	return lookUp(ctx, c, "subnets", query, err, "list the subnets", subject, subnetWire.read)
}

// FindSubnets implements courier.Subnets. A subnet is shared where its network
// is, which Neutron's answer does not say.
func (c *Client) FindSubnets(ctx context.Context, r courier.Reference) ([]courier.Subnet, error) {
	own, err := find(ctx, c, "subnets", []courier.Reference{r}, nil, subnetWire.read)
	if err != nil || c.project() == "" {
		return own, err
	}
	shared, err := find(ctx, c, "subnets", []courier.Reference{r}, url.Values{"shared": {"true"}}, subnetWire.read)
	return append(own, slices.DeleteFunc(shared, func(s courier.Subnet) bool {
		return slices.ContainsFunc(own, func(o courier.Subnet) bool { return o.ID == s.ID })
	})...), err
}
