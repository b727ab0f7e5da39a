package neutron

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/portsbinding"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/ports"

	"kuryr/internal/courier"
)

type portWire struct {
	ID          string     `json:"id"`
	Name        string     `json:"name"`
	NetworkID   string     `json:"network_id"`
	MACAddress  string     `json:"mac_address"`
	FixedIPs    []ports.IP `json:"fixed_ips"`
	Status      string     `json:"status"`
	DeviceID    string     `json:"device_id"`
	DeviceOwner string     `json:"device_owner"`
	Description string     `json:"description"`
	Tags        []string   `json:"tags"`
	Revision    int        `json:"revision_number"`
	portsbinding.PortsBindingExt
	ownerWire
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
	p.Name, p.Status, p.DeviceID, p.DeviceOwner = w.Name, w.Status, w.DeviceID, w.DeviceOwner
	p.Description, p.Tags, p.Revision = w.Description, w.Tags, w.Revision
	p.Binding = courier.Binding{Host: w.HostID, VIFType: w.VIFType, VIFDetails: w.VIFDetails}
	p.Project = w.ProjectID
	return p, nil
}

// createOpts is a port's request: gophercloud's, and what it has no word for.
type createOpts struct {
	ports.CreateOpts
	host string
	set  courier.PortSettings
}

// ToPortCreateMap implements ports.CreateOptsBuilder.
func (o createOpts) ToPortCreateMap() (map[string]any, error) {
	body, err := portsbinding.CreateOptsExt{CreateOptsBuilder: o.CreateOpts, HostID: o.host}.ToPortCreateMap()
	if err != nil {
		return nil, err
	}
	addSettings(body["port"].(map[string]any), o.set)
	return body, nil
}

// updateOpts is the change of a port.
type updateOpts struct {
	ports.UpdateOpts
	Revision string `h:"If-Match"` // gophercloud looks for it here, and no deeper
	host     *string
	set      courier.PortSettings
}

// ToPortUpdateMap implements ports.UpdateOptsBuilder.
func (o updateOpts) ToPortUpdateMap() (map[string]any, error) {
	body, err := portsbinding.UpdateOptsExt{UpdateOptsBuilder: o.UpdateOpts, HostID: o.host}.ToPortUpdateMap()
	if err == nil {
		addSettings(body["port"].(map[string]any), o.set)
	}
	return body, err
}

// addSettings adds what is set to a port's body. They belong to five
// extensions, each with a type of its own in gophercloud.
func addSettings(port map[string]any, s courier.PortSettings) {
	if s.SecurityGroups != nil {
		port["security_groups"] = s.SecurityGroups
	}
	if s.QoSPolicy != "" {
		port["qos_policy_id"] = s.QoSPolicy
	}
	if s.PortSecurity != nil {
		port["port_security_enabled"] = *s.PortSecurity
	}
	if s.DNSName != "" {
		port["dns_name"] = s.DNSName
	}
	if s.AddressPairs == nil {
		return
	}
	pairs := make([]ports.AddressPair, len(s.AddressPairs))
	for i, p := range s.AddressPairs {
		pairs[i] = ports.AddressPair{IPAddress: p.Addresses.String(), MACAddress: p.MAC.String()}
		if p.Addresses.IsSingleIP() {
			pairs[i].IPAddress = p.Addresses.Addr().String()
		}
	}
	port["allowed_address_pairs"] = pairs
}

func portOpts(s courier.PortSpec) createOpts {
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
	return createOpts{CreateOpts: opts, host: s.Host, set: s.Settings}
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
	opts := updateOpts{UpdateOpts: ports.UpdateOpts{Name: u.Name, DeviceID: u.DeviceID, DeviceOwner: u.DeviceOwner},
		host: u.Host, set: u.Settings}
	if u.FixedIPs != nil {
		opts.FixedIPs = fixedIPs(u.FixedIPs)
	}
	if u.Revision != nil {
		opts.Revision = strconv.Itoa(*u.Revision)
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
	query, err := ports.ListOpts{Description: m.String()}.ToPortListQuery()
	return lookUp(ctx, c, "ports", query, err, "look up ports", "marked "+m.String(), portWire.read)
}

// FindPorts implements courier.Ports.
func (c *Client) FindPorts(ctx context.Context, q courier.PortQuery) ([]courier.Port, error) {
	const op = "look up ports"
	opts := ports.ListOpts{ID: string(q.ID), NetworkID: string(q.Network), MACAddress: q.MAC.String(), DeviceID: q.DeviceID, Tags: strings.Join(q.Tags, ",")}
	subject := strings.TrimSpace(strings.Join([]string{string(q.ID), opts.MACAddress, q.DeviceID, opts.Tags}, " "))
	if q.Subnet != "" || q.Address.IsValid() {
		f := ports.FixedIPOpts{SubnetID: string(q.Subnet)}
		if q.Address.IsValid() {
			f.IPAddress = q.Address.String()
			subject = strings.TrimSpace("with address " + f.IPAddress + " " + subject)
		}
		opts.FixedIPs = []ports.FixedIPOpts{f}
	}
	query, err := opts.ToPortListQuery()
	if err != nil {
		return nil, c.fail(err, op, subject)
	}
	items, err := list[portWire](ctx, c.api, "ports", query)
	if err != nil {
		return nil, c.fail(err, op, subject)
	}
	items = slices.DeleteFunc(items, func(w portWire) bool { return !c.mayUse(w.owner()) })
	all, err := read(items, portWire.read)
	return all, c.fail(err, op, subject)
}

// idsAtOnce is how many ports' IDs go into one request: 100 make a URL of
// some 4 kB, and servers take 8.
const idsAtOnce = 100

// PortStatuses implements courier.Plugging.
func (c *Client) PortStatuses(ctx context.Context, ids []courier.PortID) (map[courier.PortID]string, error) {
	const op, subject = "look up ports", "by their IDs"
	all := make(map[courier.PortID]string, len(ids))
	for chunk := range slices.Chunk(ids, idsAtOnce) {
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
