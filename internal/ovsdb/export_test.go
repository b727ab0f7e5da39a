package ovsdb

import "context"

// InsertRows is AddPort without the wait for ovs-vswitchd.
func (c *Client) InsertRows(ctx context.Context, p Port) error {
	_, _, err := c.insert(ctx, p, nil)
	return err
}
