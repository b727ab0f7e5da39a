package neutron

import (
	"context"
	"net/url"

	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/attributestags"

	"kuryr/internal/courier"
)

// singular names a kind of resource in an error.
var singular = map[courier.ResourceKind]string{
	courier.NetworkResource: "network", courier.SubnetResource: "subnet",
	courier.SubnetPoolResource: "subnetpool", courier.PortResource: "port",
}

// Tag implements courier.Tags.
func (c *Client) Tag(ctx context.Context, r courier.Resource, tag string) error {
	op := "tag " + singular[r.Kind]
	if err := checkID(op, r.ID); err != nil {
		return err
	}
	return c.fail(attributestags.Add(ctx, c.api, string(r.Kind), r.ID, url.PathEscape(tag)).ExtractErr(), op, r.ID)
}

// Untag implements courier.Tags.
func (c *Client) Untag(ctx context.Context, r courier.Resource, tag string) error {
	op := "untag " + singular[r.Kind]
	if err := checkID(op, r.ID); err != nil {
		return err
	}
	return c.fail(attributestags.Delete(ctx, c.api, string(r.Kind), r.ID, url.PathEscape(tag)).ExtractErr(), op, r.ID)
}

// SetTags implements courier.Tags.
func (c *Client) SetTags(ctx context.Context, r courier.Resource, tags []string) error {
	op := "tag " + singular[r.Kind]
	if err := checkID(op, r.ID); err != nil {
		return err
	}
	_, err := attributestags.ReplaceAll(ctx, c.api, string(r.Kind), r.ID, attributestags.ReplaceAllOpts{Tags: tags}).Extract()
	return c.fail(err, op, r.ID)
}
