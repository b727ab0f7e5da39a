package neutron

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"

	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/portsbinding"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/ports"

	"kuryr/internal/courier"
)

type portWire struct {
	ID         string     `json:"id"`
	NetworkID  string     `json:"network_id"`
	MACAddress string     `json:"mac_address"`
	FixedIPs   []ports.IP `json:"fixed_ips"`
	Status     string     `json:"status"`
	portsbinding.PortsBindingExt
}

func (w portWire) read() (p courier.Port, err error) {
	if p.ID, err = readID[courier.PortID]("port", w.ID); err != nil {
		return p, err
	}
	if p.Network, err = readID[courier.NetworkID]("network", w.NetworkID); err != nil {
		return p, err
	}
	if p.MAC, err = courier.ParseMAC(w.MACAddress); err != nil {
		return p, nonsense("port %s: %v", p.ID, err)
	}
	for _, ip := range w.FixedIPs {
		var f courier.FixedIP
		if f.Subnet, err = readID[courier.SubnetID]("subnet", ip.SubnetID); err != nil {
			return p, err
		}
		if f.Address, err = readAddr("address of port "+w.ID, ip.IPAddress); err != nil {
			return p, err
		}
		p.FixedIPs = append(p.FixedIPs, f)
	}
	p.Status = w.Status
	p.Binding = courier.Binding{Host: w.HostID, VIFType: w.VIFType, VIFDetails: w.VIFDetails}
	return p, nil
}

func portOpts(s courier.PortSpec) portsbinding.CreateOptsExt {
	opts := ports.CreateOpts{
		NetworkID:   string(s.Network),
		Name:        s.Name,
		Description: s.Mark.String(),
		MACAddress:  s.MAC.String(),
		DeviceID:    s.DeviceID,
		DeviceOwner: s.DeviceOwner,
	}
	if len(s.FixedIPs) > 0 {
		opts.FixedIPs = fixedIPs(s.FixedIPs)
	}
	return portsbinding.CreateOptsExt{CreateOptsBuilder: opts, HostID: s.Host}
}

// fixedIPs is never nil: an empty list takes a port's addresses away.
func fixedIPs(ips []courier.FixedIP) []ports.IP {
	all := make([]ports.IP, len(ips))
	for i, ip := range ips {
		all[i].SubnetID = string(ip.Subnet)
		if ip.Address.IsValid() {
			all[i].IPAddress = ip.Address.String()
		}
	}
	return all
}

// CreatePort implements courier.Ports.
func (c *Client) CreatePort(ctx context.Context, s courier.PortSpec) (courier.Port, error) {
	op, subject := "create port", "on network "+string(s.Network)
	var w portWire
	if err := ports.Create(ctx, c.api, portOpts(s)).ExtractInto(&w); err != nil {
		return courier.Port{}, c.fail(err, op, subject)
	}
	p, err := w.read()
	return p, c.fail(err, op, subject)
}

// CreatePorts implements courier.Ports. gophercloud has no call for it.
func (c *Client) CreatePorts(ctx context.Context, specs []courier.PortSpec) ([]courier.Port, error) {
	if len(specs) == 0 {
		return nil, nil
	}
	op, subject := fmt.Sprintf("create %d ports", len(specs)), "on network "+string(specs[0].Network)
	bodies := make([]any, len(specs))
	for i, s := range specs {
		body, err := portOpts(s).ToPortCreateMap()
		if err != nil {
			return nil, c.fail(err, op, subject)
		}
		bodies[i] = body["port"]
	}
	var answer struct {
		Ports json.RawMessage `json:"ports"` // gophercloud would decode numbers otherwise than in a single port
	}
	request := map[string]any{"ports": bodies}
	if _, err := c.api.Post(ctx, c.api.ServiceURL("ports"), request, &answer, nil); err != nil {
		return nil, c.fail(err, op, subject)
	}
	var items []portWire
	if json.Unmarshal(answer.Ports, &items) != nil || len(items) != len(specs) {
		return nil, c.fail(nonsense("it is not a list of %d ports", len(specs)), op, subject)
	}
	made, err := read(items, portWire.read)
	return made, c.fail(err, op, subject)
}

// UpdatePort implements courier.Ports.
func (c *Client) UpdatePort(ctx context.Context, id courier.PortID, u courier.PortUpdate) (courier.Port, error) {
	const op = "update port"
	if err := checkID(op, id); err != nil {
		return courier.Port{}, err
	}
	opts := ports.UpdateOpts{Name: u.Name, DeviceID: u.DeviceID}
	if u.FixedIPs != nil {
		opts.FixedIPs = fixedIPs(u.FixedIPs)
	}
	var w portWire
	if err := ports.Update(ctx, c.api, string(id), opts).ExtractInto(&w); err != nil {
		return courier.Port{}, c.fail(err, op, string(id))
	}
	p, err := w.read()
	return p, c.fail(err, op, string(id))
}

// DeletePort implements courier.Ports.
func (c *Client) DeletePort(ctx context.Context, id courier.PortID) error {
	const op = "delete port"
	if err := checkID(op, id); err != nil {
		return err
	}
	return c.fail(ports.Delete(ctx, c.api, string(id)).ExtractErr(), op, string(id))
}

// PortsByMark implements courier.Ports.
func (c *Client) PortsByMark(ctx context.Context, m courier.Mark) ([]courier.Port, error) {
	op, subject := "look up ports", "marked "+m.String()
	query, err := ports.ListOpts{Description: m.String()}.ToPortListQuery()
	if err != nil {
		return nil, c.fail(err, op, subject)
	}
	items, err := list[portWire](ctx, c.api, "ports", query)
	if err != nil {
		return nil, c.fail(err, op, subject)
	}
	all, err := read(items, portWire.read)
	return all, c.fail(err, op, subject)
}

// statusesAtOnce is how many ports' IDs go into one request: 100 make a URL of
// some 4 kB, and servers take 8.
const statusesAtOnce = 100

// PortStatuses implements courier.Ports.
func (c *Client) PortStatuses(ctx context.Context, ids []courier.PortID) (map[courier.PortID]string, error) {
	const op, subject = "look up ports", "by their IDs"
	all := make(map[courier.PortID]string, len(ids))
	for chunk := range slices.Chunk(ids, statusesAtOnce) {
		query := url.Values{"fields": {"id", "status"}}
		for _, id := range chunk {
			if err := checkID(op, id); err != nil {
				return nil, err
			}
			query.Add("id", string(id))
		}
		items, err := list[struct {
			ID     courier.PortID `json:"id"`
			Status string         `json:"status"`
		}](ctx, c.api, "ports", "?"+query.Encode())
		if err != nil {
			return nil, c.fail(err, op, subject)
		}
		for _, w := range items {
			all[w.ID] = w.Status
		}
	}
	return all, nil
}
