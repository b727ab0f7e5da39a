package neutron

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/mtu"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/qos/policies"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/networks"

	"kuryr/internal/courier"
)

type networkWire struct {
	ID          string    `json:"id"`
	Name        string    `json:"name"`
	MTU         int       `json:"mtu"`
	QoSPolicyID *string   `json:"qos_policy_id"`
	Description string    `json:"description"`
	Tags        []string  `json:"tags"`
	CreatedAt   time.Time `json:"created_at"`
	Revision    int       `json:"revision_number"`
	ownerWire
}

func (w networkWire) read() (courier.Network, error) {
	id, err := readID[courier.NetworkID]("network", w.ID)
	if err != nil {
		return courier.Network{}, err
	}
	if w.MTU < 0 || w.MTU > 1<<16 {
		return courier.Network{}, nonsense("network %s has an MTU of %d", id, w.MTU)
	}
	n := courier.Network{ID: id, Name: w.Name, MTU: w.MTU, Shared: w.Shared, Description: w.Description,
		Tags: w.Tags, Created: w.CreatedAt, Revision: w.Revision}
	if w.QoSPolicyID != nil && *w.QoSPolicyID != "" {
		n.QoSPolicy, err = readID[courier.QoSPolicyID]("QoS policy", *w.QoSPolicyID)
	}
	return n, err
}

// CreateNetwork implements courier.Networks.
func (c *Client) CreateNetwork(ctx context.Context, s courier.NetworkSpec) (courier.Network, error) {
	var w networkWire
	plain := networks.CreateOpts{Name: s.Name, Description: s.Mark.String()}
	if s.Shared { // not to be mentioned otherwise: it is for administrators
		plain.Shared = &s.Shared
	}
	err := networks.Create(ctx, c.api, policies.NetworkCreateOptsExt{
		CreateOptsBuilder: mtu.CreateOptsExt{CreateOptsBuilder: plain, MTU: s.MTU},
		QoSPolicyID:       string(s.QoSPolicy),
	}).ExtractInto(&w)
	if err != nil {
		return courier.Network{}, c.fail(err, "create network", s.Name)
	}
	n, err := w.read()
	return n, c.fail(err, "create network", s.Name)
}

// DeleteNetwork implements courier.Networks.
func (c *Client) DeleteNetwork(ctx context.Context, id courier.NetworkID, revision int) error {
	const op = "delete network"
	if err := checkID(op, id); err != nil {
		return err
	}
	return c.fail(c.delete(ctx, "networks", string(id), revision), op, string(id))
}

// NetworksByMark implements courier.Networks.
func (c *Client) NetworksByMark(ctx context.Context, m courier.Mark) ([]courier.Network, error) {
	return c.networks(ctx, networks.ListOpts{Description: m.String()}, "marked "+m.String())
}

// NetworksByTags implements courier.Networks.
func (c *Client) NetworksByTags(ctx context.Context, tags ...string) ([]courier.Network, error) {
	all := strings.Join(tags, ",")
	return c.networks(ctx, networks.ListOpts{Tags: all}, "tagged "+all)
}

func (c *Client) networks(ctx context.Context, o networks.ListOpts, subject string) ([]courier.Network, error) {
	query, err := o.ToNetworkListQuery()
	return lookUp(ctx, c, "networks", query, err, "look up networks", subject, networkWire.read)
}

// FindNetworks implements courier.Networks.
func (c *Client) FindNetworks(ctx context.Context, r courier.Reference) ([]courier.Network, error) {
	found, err := find(ctx, c, "networks", []courier.Reference{r}, nil, networkWire.read)
	slices.SortStableFunc(found, func(a, b courier.Network) int {
		return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.ID, b.ID))
	})
	return found, err
}
