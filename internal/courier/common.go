package courier

import (
	"context"
	"slices"
)

// commonRounds bounds how often joinNetwork starts again because other hosts
// were faster. Each round one of them has got further.
const commonRounds = 20

// joinNetwork finds the network of a name, or makes it, such that all hosts
// that do so at once end with the same one, the oldest.
//
// What a Kuryr makes here is a candidate until somebody uses it, which the tag
// of its first user says. Whoever is about to be the first deletes all other
// candidates that it sees, each at the revision that it saw: a tag makes a new
// revision, so that of "I use it" and "I delete it" only one succeeds. Two hosts
// can't end with two networks: the one whose network was there later sees the
// other's, and can neither overlook nor delete it once it is used.
func (c *Courier) joinNetwork(ctx context.Context, n *network, r NetworkRequest, qos QoSPolicyID) error {
	for range commonRounds {
		found, err := c.Neutron.FindNetworks(ctx, Reference{Name: r.CreateName})
		if err != nil {
			return err
		}
		if len(found) == 0 {
			_, err := c.Neutron.CreateNetwork(ctx, NetworkSpec{Name: r.CreateName, MTU: r.MTU, Shared: r.Shared != nil && *r.Shared,
				QoSPolicy: qos, Mark: c.mark(n.rec.Intent).common()})
			if err != nil {
				c.noteUnanswered(&n.rec.Unanswered, err)
				return err
			}
			continue // others may have made theirs
		}
		done, err := c.tryJoin(ctx, n, r, qos, found)
		if done || err != nil {
			return err
		}
	}
	return &Error{Kind: Unavailable, Op: "join it", Public: "other hosts make and delete networks named " + r.CreateName + " at the same time", Hint: "try again"}
}

// tryJoin is one round of joinNetwork; found is sorted, the oldest first.
func (c *Courier) tryJoin(ctx context.Context, n *network, r NetworkRequest, qos QoSPolicyID, found []Network) (done bool, err error) {
	i := slices.IndexFunc(found, func(x Network) bool { return !candidate(x) })
	settled := i >= 0
	chosen := found[max(i, 0)]
	if err := agree(chosen, r, qos); err != nil {
		return false, err
	}
	if !settled && !c.dropCandidates(ctx, found, chosen.ID) {
		return false, nil
	}
	if !isCommon(chosen.Description) {
		err = c.adoptNetwork(ctx, n, chosen)
	} else {
		c.takeNetwork(n, chosen, common, true)
		err = c.tagUsed(ctx, n, Resource{NetworkResource, string(chosen.ID)})
	}
	if KindOf(err) == NotFound { // another host was just deleting it
		return false, nil
	}
	if err != nil {
		return false, err
	}
	c.dropCandidates(ctx, slices.DeleteFunc(found, func(x Network) bool {
		return x.Description != c.mark(n.rec.Intent).common().String()
	}), chosen.ID)
	return true, nil
}

// candidate tells whether a network was made for all of a name, and nobody uses
// it yet.
func candidate(n Network) bool { return isCommon(n.Description) && users(n.Tags, "") == 0 }

// dropCandidates deletes those of all but one of found that nobody uses. It
// tells whether none of them is left.
func (c *Courier) dropCandidates(ctx context.Context, found []Network, keep NetworkID) bool {
	for _, x := range found {
		if x.ID == keep || !candidate(x) {
			continue
		}
		if err := c.Neutron.DeleteNetwork(ctx, x.ID, x.Revision); err != nil && KindOf(err) != NotFound {
			return false
		}
	}
	return true
}

// tagUsed says on a resource that n uses it, once that is written down.
func (c *Courier) tagUsed(ctx context.Context, n *network, r Resource) error {
	if err := c.save(ctx, durable, n); err != nil {
		return err
	}
	err := c.Neutron.Tag(ctx, r, usedTag(n.rec.Intent))
	if err != nil {
		c.noteUnanswered(&n.rec.Unanswered, err)
	}
	return err
}

// untagUsed takes that back. A tag whose answer was lost may still appear, and
// would keep the resource for ever.
func (c *Courier) untagUsed(ctx context.Context, n networkRecord, r Resource) error {
	err := c.Neutron.Untag(ctx, r, usedTag(n.Intent))
	if KindOf(err) != NotFound {
		return err
	}
	if c.mayAppear(n.Unanswered) {
		return errWaiting
	}
	return nil
}

// leaveNetwork gives up a network that is not this intent's alone, and its
// subnets. What was made for all goes with its last user; what was there before
// stays.
func (c *Courier) leaveNetwork(ctx context.Context, r networkRecord) error {
	if r.Used {
		if err := c.untagUsed(ctx, r, Resource{NetworkResource, string(r.Neutron)}); err != nil {
			return err
		}
	}
	if r.Origin == common {
		pools, err := c.taggedPools(ctx, r)
		if err != nil {
			return err
		}
		deleted, err := c.deleteUnused(ctx, r)
		if deleted && err == nil {
			return c.untagEmptyPools(ctx, pools)
		}
		if err != nil {
			return err
		}
	}
	return c.leaveSubnets(ctx, r)
}

// taggedPools returns the subnetpools of a network's subnets that may have the
// Python Kuryr's tag: only with compat_tags.
func (c *Courier) taggedPools(ctx context.Context, r networkRecord) (pools []SubnetPoolID, err error) {
	if !c.opt.CompatTags {
		return nil, nil
	}
	all, err := c.Neutron.SubnetsOfNetwork(ctx, r.Neutron)
	for _, s := range all {
		if s.Pool != "" {
			pools = append(pools, s.Pool)
		}
	}
	return pools, err
}

// untagEmptyPools takes that tag from subnetpools that the last subnet has left:
// whose pool it was may have gone while another network still used the subnet.
func (c *Courier) untagEmptyPools(ctx context.Context, pools []SubnetPoolID) error {
	for _, id := range pools {
		others, err := c.Neutron.SubnetsOfPool(ctx, id)
		if err == nil && len(others) == 0 {
			err = c.untag(ctx, Resource{SubnetPoolResource, string(id)}, []string{pyPoolExisting})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// deleteUnused deletes a network that Kuryr made, unless others use it. A user
// who comes in between changes its revision.
func (c *Courier) deleteUnused(ctx context.Context, r networkRecord) (deleted bool, err error) {
	for range commonRounds {
		found, err := c.Neutron.FindNetworks(ctx, Reference{ID: string(r.Neutron)})
		if err != nil {
			return false, err
		}
		if len(found) == 0 {
			return true, nil
		}
		now := found[0]
		if users(now.Tags, r.Intent) > 0 || r.Python && pyUsed(now.Tags, r.ID) || !isMarked(now.Description) && !r.Inherited {
			return false, nil
		}
		err = c.Neutron.DeleteNetwork(ctx, r.Neutron, now.Revision)
		if err == nil || KindOf(err) == NotFound {
			return true, nil
		}
		after, lookErr := c.Neutron.FindNetworks(ctx, Reference{ID: string(r.Neutron)})
		if KindOf(err) != Conflict || lookErr != nil || len(after) == 1 && after[0].Revision == now.Revision {
			return false, err // it has ports
		}
	}
	return false, errWaiting
}

// leaveSubnets gives up the subnets of a network that is not this intent's
// alone, those whose answer was lost too.
func (c *Courier) leaveSubnets(ctx context.Context, r networkRecord) error {
	all, err := c.Neutron.SubnetsOfNetwork(ctx, r.Neutron)
	if err != nil {
		return err
	}
	mine, lost := c.mark(r.Intent).common().String(), c.mayAppear(r.Unanswered)
	for _, s := range all {
		i := slices.IndexFunc(r.Subnets, func(x subnetRecord) bool { return x.ID == s.ID })
		switch {
		case i >= 0 && r.Subnets[i].Used:
			if err = c.untagUsed(ctx, r, Resource{SubnetResource, string(s.ID)}); err == nil && r.Subnets[i].Origin == common {
				err = c.leaveSubnet(ctx, r.Intent, s.ID)
			}
		case i < 0 && s.Description == mine:
			lost = false
			err = c.leaveSubnet(ctx, r.Intent, s.ID)
		}
		if err != nil {
			return err
		}
	}
	if lost {
		return errWaiting
	}
	return nil
}

// leaveSubnet deletes a subnet that was made for all, if nobody is left. A port
// of somebody else's keeps it.
func (c *Courier) leaveSubnet(ctx context.Context, intent string, id SubnetID) error {
	for range commonRounds {
		found, err := c.Neutron.FindSubnets(ctx, Reference{ID: string(id)})
		if err != nil || len(found) == 0 || users(found[0].Tags, intent) > 0 {
			return err
		}
		err = c.Neutron.DeleteSubnet(ctx, id, found[0].Revision)
		switch {
		case err == nil, KindOf(err) == NotFound:
			return nil
		case KindOf(err) != Conflict:
			return err
		}
		now, err := c.Neutron.FindSubnets(ctx, Reference{ID: string(id)})
		if err != nil || len(now) == 1 && now[0].Revision == found[0].Revision {
			c.log.Info("a subnet is left: others have ports on it", "subnet", id)
			return err
		}
	}
	return errWaiting
}
