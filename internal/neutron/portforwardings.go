package neutron

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/layer3/floatingips"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/layer3/portforwarding"

	"kuryr/internal/courier"
)

type portForwardingWire struct {
	ID           string `json:"id"`
	Protocol     string `json:"protocol"`
	ExternalPort *int   `json:"external_port"` // null: a range
	InternalPort *int   `json:"internal_port"`
	Description  string `json:"description"`
}

func (w portForwardingWire) read() (f courier.PortForwarding, err error) {
	if f.ID, err = readID[courier.PortForwardingID]("port forwarding", w.ID); err != nil {
		return f, err
	}
	f.Description = w.Description
	one := courier.Forwarding{}
	external, ok := readPort(w.ExternalPort)
	internal, good := readPort(w.InternalPort)
	if ok && good && one.Protocol.UnmarshalText([]byte(w.Protocol)) == nil {
		one.External, one.Internal = external, internal
		f.Forwarding = one
	}
	return f, nil
}

func readPort(n *int) (uint16, bool) {
	if n == nil || *n < 1 || *n > 65535 {
		return 0, false
	}
	return uint16(*n), true
}

// FloatingIPsByAddress implements courier.PortForwardings.
func (c *Client) FloatingIPsByAddress(ctx context.Context, a netip.Addr) ([]courier.FloatingIPID, error) {
	op, subject := "look up floating IP", a.String()
	query, err := floatingips.ListOpts{FloatingIP: a.String()}.ToFloatingIPListQuery()
	if err != nil {
		return nil, c.fail(err, op, subject)
	}
	items, err := list[struct {
		ID string `json:"id"`
	}](ctx, c.api, "floatingips", query)
	if err != nil {
		return nil, c.fail(err, op, subject)
	}
	var all []courier.FloatingIPID
	for _, w := range items {
		id, err := readID[courier.FloatingIPID]("floating IP", w.ID)
		if err != nil {
			return nil, c.fail(err, op, subject)
		}
		all = append(all, id)
	}
	return all, nil
}

// PortForwardingsOf implements courier.PortForwardings.
func (c *Client) PortForwardingsOf(ctx context.Context, id courier.FloatingIPID, p courier.PortID) ([]courier.PortForwarding, error) {
	op, subject := "look up port forwardings", "to port "+string(p)
	if err := checkID(op, id); err != nil {
		return nil, err
	}
	query, err := gophercloud.BuildQueryString(portforwarding.ListOpts{InternalPortID: string(p)})
	if err != nil {
		return nil, c.fail(err, op, subject)
	}
	items, err := list[portForwardingWire](ctx, c.api, forwardings(id), query.String())
	if err != nil {
		return nil, c.fail(err, op, subject)
	}
	all, err := read(items, portForwardingWire.read)
	return all, c.fail(err, op, subject)
}

func forwardings(id courier.FloatingIPID) string {
	return "floatingips/" + string(id) + "/port_forwardings"
}

// CreatePortForwarding implements courier.PortForwardings.
func (c *Client) CreatePortForwarding(ctx context.Context, id courier.FloatingIPID, s courier.PortForwardingSpec) error {
	f := s.Forwarding
	op, subject := fmt.Sprintf("forward port %s/%d", f.Protocol, f.External), "to port "+string(s.Port)
	if err := checkID(op, id); err != nil {
		return err
	}
	opts := portforwarding.CreateOpts{
		Description:       s.Mark.String(),
		InternalPortID:    string(s.Port),
		InternalIPAddress: s.Address.String(),
		InternalPort:      int(f.Internal),
		ExternalPort:      int(f.External),
		Protocol:          f.Protocol.String(),
	}
	return c.fail(portforwarding.Create(ctx, c.api, string(id), opts).Err, op, subject)
}

// DeletePortForwarding implements courier.PortForwardings.
func (c *Client) DeletePortForwarding(ctx context.Context, id courier.FloatingIPID, f courier.PortForwardingID) error {
	const op = "delete port forwarding"
	if err := checkID(op, id); err != nil {
		return err
	}
	if err := checkID(op, f); err != nil {
		return err
	}
	return c.fail(portforwarding.Delete(ctx, c.api, string(id), string(f)).ExtractErr(), op, string(f))
}
