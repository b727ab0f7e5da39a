package neutron

import (
	"context"

	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/mtu"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/networks"

	"kuryr/internal/courier"
)

type networkWire struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	MTU  int    `json:"mtu"`
}

func (w networkWire) read() (courier.Network, error) {
	id, err := readID[courier.NetworkID]("network", w.ID)
	if err != nil {
		return courier.Network{}, err
	}
	if w.MTU < 0 || w.MTU > 1<<16 {
		return courier.Network{}, nonsense("network %s has an MTU of %d", id, w.MTU)
	}
	return courier.Network{ID: id, Name: w.Name, MTU: w.MTU}, nil
}

// CreateNetwork implements courier.Networks.
func (c *Client) CreateNetwork(ctx context.Context, s courier.NetworkSpec) (courier.Network, error) {
	var w networkWire
	err := networks.Create(ctx, c.api, mtu.CreateOptsExt{
		CreateOptsBuilder: networks.CreateOpts{Name: s.Name, Description: s.Mark.String()},
		MTU:               s.MTU,
	}).ExtractInto(&w)
	if err != nil {
		return courier.Network{}, c.fail(err, "create network", s.Name)
	}
	n, err := w.read()
	return n, c.fail(err, "create network", s.Name)
}

// DeleteNetwork implements courier.Networks.
func (c *Client) DeleteNetwork(ctx context.Context, id courier.NetworkID) error {
	const op = "delete network"
	if err := checkID(op, id); err != nil {
		return err
	}
	return c.fail(networks.Delete(ctx, c.api, string(id)).ExtractErr(), op, string(id))
}

// NetworksByMark implements courier.Networks.
func (c *Client) NetworksByMark(ctx context.Context, m courier.Mark) ([]courier.Network, error) {
	op, subject := "look up networks", "marked "+m.String()
	query, err := networks.ListOpts{Description: m.String()}.ToNetworkListQuery()
	if err != nil {
		return nil, c.fail(err, op, subject)
	}
	items, err := list[networkWire](ctx, c.api, "networks", query)
	if err != nil {
		return nil, c.fail(err, op, subject)
	}
	all, err := read(items, networkWire.read)
	return all, c.fail(err, op, subject)
}
