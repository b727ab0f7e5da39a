package courier

import (
	"context"
	"strings"
)

// What is written for the Python Kuryr, with compat_tags, so that it finds what
// its engine knows should it take this host over again; and taken away again.

// writePython tags a network, its subnets and existing subnetpools.
func (c *Courier) writePython(ctx context.Context, n *network, pools []*pool) error {
	if !c.opt.CompatTags {
		return nil
	}
	entities := []entity{n}
	c.mu.Lock()
	n.rec.Python = true
	for _, p := range pools {
		if p != nil {
			p.rec.Python = true
			entities = append(entities, p)
		}
	}
	r, taken := n.rec, []poolRecord{}
	for _, p := range pools {
		if p != nil {
			taken = append(taken, p.rec)
		}
	}
	c.mu.Unlock()
	if err := c.save(ctx, durable, entities...); err != nil {
		return err
	}
	err := c.tagForPython(ctx, r, taken)
	if err != nil {
		c.noteUnanswered(&n.rec.Unanswered, err)
	}
	return err
}

func (c *Courier) tagForPython(ctx context.Context, r networkRecord, pools []poolRecord) error {
	if err := c.tag(ctx, Resource{NetworkResource, string(r.Neutron)}, pyNetTags(r.ID, r.Origin)); err != nil {
		return err
	}
	for _, p := range pools {
		if err := c.tag(ctx, Resource{SubnetResource, string(p.Subnet)}, []string{string(p.ID)}); err != nil {
			return err
		}
		if !p.Adopted {
			continue
		}
		if err := c.tag(ctx, Resource{SubnetPoolResource, string(p.SubnetPool)}, []string{pyPoolExisting}); err != nil {
			return err
		}
	}
	return nil
}

// tag adds tags to a resource that others may have tagged too.
func (c *Courier) tag(ctx context.Context, r Resource, tags []string) error {
	for _, t := range tags {
		if err := c.Neutron.Tag(ctx, r, t); err != nil {
			return err
		}
	}
	return nil
}

// tagPort writes an endpoint's tags on its port: in one request where nobody
// else has any there.
func (c *Courier) tagPort(ctx context.Context, r attachmentRecord) error {
	port, tags := Resource{PortResource, string(r.Port)}, pyPortTags(r.Endpoint, r.Origin)
	if r.Origin == adopted {
		return c.tag(ctx, port, tags)
	}
	return c.Neutron.SetTags(ctx, port, tags)
}

// pythonPool returns the ID by which the Python Kuryr knows an existing
// subnetpool: its own, unless a pool of this host has that already. Then, and
// without compat_tags, it is another.
func (c *Courier) pythonPool(id SubnetPoolID, another string) PoolID {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.opt.CompatTags || id == "" || c.pools[PoolID(id)] != nil {
		return PoolID(another)
	}
	return PoolID(id)
}

// leavePython gives up a network as the Python Kuryr does: its tags go, and the
// subnets that it made go too if no other engine's network is there.
func (c *Courier) leavePython(ctx context.Context, r networkRecord) error {
	if !r.Python {
		return nil
	}
	if err := c.untag(ctx, Resource{NetworkResource, string(r.Neutron)}, pyNetTags(r.ID, r.Origin)); err != nil {
		return err
	}
	found, err := c.Neutron.FindNetworks(ctx, Reference{ID: string(r.Neutron)})
	if err != nil || len(found) == 0 || !r.Inherited || r.Origin == created || pyUsed(found[0].Tags, r.ID) || users(found[0].Tags, r.Intent) > 0 {
		return err
	}
	subnets, err := c.Neutron.SubnetsOfNetwork(ctx, r.Neutron)
	if err != nil {
		return err
	}
	for _, s := range subnets {
		if !strings.HasPrefix(s.Name, pySubnetName) || users(s.Tags, r.Intent) > 0 || !r.hasSubnet(s.ID) && len(r.Subnets) > 0 {
			continue
		}
		if err := c.Neutron.DeleteSubnet(ctx, s.ID, s.Revision); err != nil && KindOf(err) != NotFound && KindOf(err) != Conflict {
			return err
		}
	}
	return nil
}

// untag takes tags from a resource; those that are gone are no error.
func (c *Courier) untag(ctx context.Context, r Resource, tags []string) error {
	for _, t := range tags {
		if err := c.Neutron.Untag(ctx, r, t); err != nil && KindOf(err) != NotFound {
			return err
		}
	}
	return nil
}

// leavePythonPool takes the Python Kuryr's tags from what a pool stands for.
func (c *Courier) leavePythonPool(ctx context.Context, r poolRecord) error {
	if !r.Python {
		return nil
	}
	if r.Subnet != "" {
		if err := c.untag(ctx, Resource{SubnetResource, string(r.Subnet)}, []string{string(r.ID)}); err != nil {
			return err
		}
	}
	if !r.Adopted {
		return nil
	}
	others, err := c.Neutron.SubnetsOfPool(ctx, r.SubnetPool)
	if err != nil || len(others) > 0 { // the tag says of their pools, too, that they were there before
		return err
	}
	return c.untag(ctx, Resource{SubnetPoolResource, string(r.SubnetPool)}, []string{pyPoolExisting})
}
