package courier

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
)

// forwardedRecord is what an attachment's record says of its published ports.
type forwardedRecord struct {
	Want []Forwarding `json:"want,omitempty"` // that the engine wants
	Made bool         `json:"made,omitempty"` // there may be forwardings of ours to the port
	Done bool         `json:"done,omitempty"` // they are as Want says
}

// want takes note of the forwardings that the engine wants. It tells whether
// that is news.
func (r *forwardedRecord) want(all []Forwarding) bool {
	if slices.Equal(r.Want, all) {
		return false
	}
	r.Want, r.Done = all, false
	return true
}

// settled tells whether there is nothing to do.
func (r forwardedRecord) settled() bool { return r.Done || len(r.Want) == 0 && !r.Made }

// tryForwarding makes the forwardings to a's port that its record rec wants,
// and takes away others that are Kuryr's. With the port Neutron deletes them.
func (c *Courier) tryForwarding(rec attachmentRecord, a *attachment) error {
	ctx, cancel := context.WithTimeout(c.stopped, attemptTimeout)
	defer cancel()
	err := c.inCloud(ctx, func() error { return c.forward(ctx, rec, a) })
	if err != nil {
		return because("forward published ports", "from floating IP "+c.opt.ForwardFrom.String(), err)
	}
	c.mu.Lock()
	x := &a.rec.Forwarded
	x.Made = len(rec.Forwarded.Want) > 0
	if slices.Equal(x.Want, rec.Forwarded.Want) { // the engine wants nothing else meanwhile
		x.Done = true
	}
	c.mu.Unlock()
	return c.save(ctx, noted, a)
}

func (c *Courier) forward(ctx context.Context, rec attachmentRecord, a *attachment) error {
	from, err := c.floatingIP(ctx)
	if err != nil {
		return err
	}
	have, err := c.Neutron.PortForwardingsOf(ctx, from, rec.Port)
	if err != nil {
		return err
	}
	missing := slices.Clone(rec.Forwarded.Want)
	for _, f := range have {
		if i := slices.Index(missing, f.Forwarding); i >= 0 {
			missing = slices.Delete(missing, i, i+1)
			continue
		}
		if _, ours := ParseMark(f.Description); !ours {
			continue
		}
		if err := c.Neutron.DeletePortForwarding(ctx, from, f.ID); err != nil && KindOf(err) != NotFound {
			return err
		}
	}
	if len(missing) == 0 {
		return nil
	}
	to, ok := rec.ipv4()
	if !ok {
		return &Error{Kind: Unsupported, Op: "forward ports", Public: "the container has no IPv4 address"}
	}
	if err := c.noteForwarding(ctx, a); err != nil {
		return err
	}
	for _, f := range missing {
		err := c.Neutron.CreatePortForwarding(ctx, from, PortForwardingSpec{Port: rec.Port, Address: to, Forwarding: f, Mark: c.mark(rec.Intent)})
		if err != nil && !c.isForwarded(ctx, from, rec.Port, f) {
			return err
		}
	}
	return nil
}

// isForwarded tells whether a forwarding is there all the same: Neutron's
// answer was lost, or it collided with one that an earlier request made late.
func (c *Courier) isForwarded(ctx context.Context, from FloatingIPID, to PortID, want Forwarding) bool {
	have, err := c.Neutron.PortForwardingsOf(ctx, from, to)
	return err == nil && slices.ContainsFunc(have, func(f PortForwarding) bool { return f.Forwarding == want })
}

// noteForwarding writes down that there will be forwardings of ours.
func (c *Courier) noteForwarding(ctx context.Context, a *attachment) error {
	c.mu.Lock()
	made := a.rec.Forwarded.Made
	a.rec.Forwarded.Made = true
	c.mu.Unlock()
	if made {
		return nil
	}
	return c.save(ctx, noted, a)
}

func (r attachmentRecord) ipv4() (netip.Addr, bool) {
	i := slices.IndexFunc(r.Addresses, func(x addressRecord) bool { return x.Address.Is4() })
	if i < 0 {
		return netip.Addr{}, false
	}
	return r.Addresses[i].Address, true
}

// floatingIP finds the one that the operator named.
func (c *Courier) floatingIP(ctx context.Context) (FloatingIPID, error) {
	all, err := c.Neutron.FloatingIPsByAddress(ctx, c.opt.ForwardFrom)
	if err != nil {
		return "", err
	}
	if len(all) != 1 {
		return "", &Error{Kind: NotFound, Op: "find the floating IP", Public: fmt.Sprintf("there are %d floating IPs of this address", len(all)),
			Hint: "name one with port_forwarding_ip that belongs to no port"}
	}
	return all[0], nil
}
