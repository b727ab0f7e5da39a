package neutron

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/subnetpools"

	"kuryr/internal/courier"
)

type subnetPoolWire struct {
	ID               string          `json:"id"`
	Name             string          `json:"name"`
	Prefixes         []string        `json:"prefixes"`
	DefaultPrefixLen json.RawMessage `json:"default_prefixlen"` // "24" (Zed), or 24
	Description      string          `json:"description"`
	Tags             []string        `json:"tags"`
	ownerWire
}

func (w subnetPoolWire) read() (p courier.SubnetPool, err error) {
	if p.ID, err = readID[courier.SubnetPoolID]("subnetpool", w.ID); err != nil {
		return p, err
	}
	p.Name, p.Shared, p.Description, p.Tags = w.Name, w.Shared, w.Description, w.Tags
	for _, s := range w.Prefixes {
		prefix, err := readPrefix("subnetpool "+w.ID, s)
		if err != nil {
			return p, err
		}
		p.Prefixes = append(p.Prefixes, prefix)
	}
	digits := []byte(strings.Trim(string(w.DefaultPrefixLen), `"`))
	if err := json.Unmarshal(digits, &p.DefaultPrefixLen); err != nil || p.DefaultPrefixLen < 0 || p.DefaultPrefixLen > 128 {
		return p, nonsense("subnetpool %s has a default prefix length of %.20s", p.ID, w.DefaultPrefixLen)
	}
	return p, nil
}

// Neutron's own bounds for the subnets of a pool, where none are given.
const (
	minPrefixLenV4 = 8
	minPrefixLenV6 = 64
)

// CreateSubnetPool implements courier.SubnetPools.
func (c *Client) CreateSubnetPool(ctx context.Context, s courier.SubnetPoolSpec) (courier.SubnetPool, error) {
	const op = "create subnetpool"
	opts := subnetpools.CreateOpts{
		Name:             s.Name,
		Description:      s.Mark.String(),
		DefaultPrefixLen: s.DefaultPrefixLen,
		Shared:           s.Shared,
	}
	shortest := minPrefixLenV4
	for _, p := range s.Prefixes {
		opts.Prefixes = append(opts.Prefixes, p.String())
		if courier.FamilyOf(p.Addr()) == courier.IPv6 {
			shortest = minPrefixLenV6
		}
	}
	// Neutron refuses a default that is shorter than its minimum.
	if s.DefaultPrefixLen > 0 && s.DefaultPrefixLen < shortest {
		opts.MinPrefixLen = s.DefaultPrefixLen
	}
	var w struct {
		Pool subnetPoolWire `json:"subnetpool"`
	}
	if err := subnetpools.Create(ctx, c.api, opts).ExtractInto(&w); err != nil {
		return courier.SubnetPool{}, c.fail(err, op, s.Name)
	}
	p, err := w.Pool.read()
	return p, c.fail(err, op, s.Name)
}

// DeleteSubnetPool implements courier.SubnetPools.
func (c *Client) DeleteSubnetPool(ctx context.Context, id courier.SubnetPoolID) error {
	const op = "delete subnetpool"
	if err := checkID(op, id); err != nil {
		return err
	}
	return c.fail(subnetpools.Delete(ctx, c.api, string(id)).ExtractErr(), op, string(id))
}

// SubnetPoolsByMark implements courier.SubnetPools.
func (c *Client) SubnetPoolsByMark(ctx context.Context, m courier.Mark) ([]courier.SubnetPool, error) {
	return c.subnetPools(ctx, subnetpools.ListOpts{Description: m.String()}, "marked "+m.String())
}

// SubnetPoolsByTags implements courier.SubnetPools.
func (c *Client) SubnetPoolsByTags(ctx context.Context, tags ...string) ([]courier.SubnetPool, error) {
	all := strings.Join(tags, ",")
	return c.subnetPools(ctx, subnetpools.ListOpts{Tags: all}, "tagged "+all)
}

// FindSubnetPools implements courier.SubnetPools.
func (c *Client) FindSubnetPools(ctx context.Context, r courier.Reference) ([]courier.SubnetPool, error) {
	return find(ctx, c, "subnetpools", []courier.Reference{r}, nil, subnetPoolWire.read)
}

// DefaultSubnetPools implements courier.SubnetPools.
func (c *Client) DefaultSubnetPools(ctx context.Context, f courier.Family) ([]courier.SubnetPool, error) {
	yes := true
	return c.subnetPools(ctx, subnetpools.ListOpts{IsDefault: &yes, IPVersion: int(f)}, "that are Neutron's default")
}

func (c *Client) subnetPools(ctx context.Context, o subnetpools.ListOpts, subject string) ([]courier.SubnetPool, error) {
	query, err := o.ToSubnetPoolListQuery()
	return lookUp(ctx, c, "subnetpools", query, err, "look up subnetpools", subject, subnetPoolWire.read)
}
