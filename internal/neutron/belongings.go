package neutron

import (
	"context"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"kuryr/internal/courier"
)

// pageSize is how much of a long list is asked for at once: with the few
// fields that are needed some 300 kB.
const pageSize = 1000

// fields are what is asked for of each resource, beside what its kind adds.
var fields = [...]string{"id", "name", "description", "project_id", "tags", "revision_number"}

// ofHost lists a collection and keeps what carries the host's mark. What the
// filters don't say is what Kuryr's own project has: an administrator's
// credentials show everybody's.
func ofHost[W, T any](ctx context.Context, c *Client, collection, host string, filters url.Values, more []string,
	description func(W) string, parse func(W) (T, error)) ([]T, error) {
	op, subject := "list the "+strings.ReplaceAll(collection, "-", " "), "of host "+host
	query := url.Values{"fields": append(fields[:], more...), "limit": {strconv.Itoa(pageSize)}}
	if own := c.project(); own != "" {
		query.Set("project_id", own)
	}
	for k, v := range filters {
		query[k] = v
	}
	var all []T
	err := pages(ctx, c.api, collection, "?"+query.Encode(), func(items []W) error {
		for _, w := range items {
			if m, ok := courier.ParseMark(description(w)); !ok || m.Host != host {
				continue
			}
			v, err := parse(w)
			if err != nil {
				return err
			}
			all = append(all, v)
		}
		return nil
	})
	return all, c.fail(err, op, subject)
}

// NetworksOfHost implements courier.Belongings.
func (c *Client) NetworksOfHost(ctx context.Context, host string) ([]courier.Network, error) {
	return ofHost(ctx, c, "networks", host, nil, nil, func(w networkWire) string { return w.Description }, networkWire.read)
}

// SubnetsOfHost implements courier.Belongings.
func (c *Client) SubnetsOfHost(ctx context.Context, host string) ([]courier.Subnet, error) {
	return ofHost(ctx, c, "subnets", host, nil, []string{"network_id", "cidr", "subnetpool_id"},
		func(w subnetWire) string { return w.Description }, subnetWire.read)
}

// SubnetPoolsOfHost implements courier.Belongings.
func (c *Client) SubnetPoolsOfHost(ctx context.Context, host string) ([]courier.SubnetPool, error) {
	return ofHost(ctx, c, "subnetpools", host, nil, []string{"default_prefixlen", "prefixes"},
		func(w subnetPoolWire) string { return w.Description }, subnetPoolWire.read)
}

// SecurityGroupsOfHost implements courier.Belongings. A Neutron without the
// extension has none.
func (c *Client) SecurityGroupsOfHost(ctx context.Context, host string) ([]courier.SecurityGroup, error) {
	all, err := ofHost(ctx, c, "security-groups", host, nil, nil,
		func(w securityGroupWire) string { return w.Description }, securityGroupWire.read)
	if courier.KindOf(err) == courier.NotFound {
		return nil, nil
	}
	return all, err
}

// portFields are what is asked for of a port.
var portFields = [...]string{"network_id", "mac_address", "fixed_ips", "status", "device_id", "device_owner",
	"binding:host_id", "binding:vif_type", "binding:vif_details"}

// auxiliaryOwner is the device_owner of ports that are bound to no host.
const auxiliaryOwner = "kuryr:auxiliary"

// PortsOfHost implements courier.Belongings. Neutron picks the host's ports by
// an index; those without a host are few.
func (c *Client) PortsOfHost(ctx context.Context, host string) ([]courier.Port, error) {
	var all []courier.Port
	seen := map[courier.PortID]bool{}
	for _, filters := range []url.Values{{"binding:host_id": {host}}, {"device_owner": {auxiliaryOwner}}} {
		found, err := ofHost(ctx, c, "ports", host, filters, portFields[:], func(w portWire) string { return w.Description }, portWire.read)
		if err != nil {
			return nil, err
		}
		for _, p := range found {
			if !seen[p.ID] {
				seen[p.ID] = true
				all = append(all, p)
			}
		}
	}
	return all, nil
}

// PortsByID implements courier.Belongings.
func (c *Client) PortsByID(ctx context.Context, ids []courier.PortID) ([]courier.Port, error) {
	const op, subject = "look up ports", "by their IDs"
	var all []courier.Port
	for chunk := range slices.Chunk(ids, idsAtOnce) {
		query := url.Values{"fields": append(fields[:], portFields[:]...)}
		for _, id := range chunk {
			if err := checkID(op, id); err != nil {
				return nil, err
			}
			query.Add("id", string(id))
		}
		found, err := lookUp(ctx, c, "ports", "?"+query.Encode(), nil, op, subject, portWire.read)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return all, nil
}
