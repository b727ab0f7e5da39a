package courier

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// adoptPort takes the port that has a wished address, or MAC, if it is there
// and free: refused is how Neutron refused to make another. So a port that an
// operator prepared is found without a look-up for all the others.
//
// The port is bound to this host at the revision at which it was found free:
// of two hosts that take it at once one succeeds.
func (c *Courier) adoptPort(ctx context.Context, n *network, p poolRecord, r AddressRequest, refused error) (*attachment, error) {
	port, err := c.findPort(ctx, n, p, r)
	if err != nil {
		return nil, err
	}
	if port == nil {
		return nil, refused
	}
	if err := c.free(*port, p, r); err != nil {
		return nil, err
	}
	a := c.newAttachment(n, port.FixedIPs)
	if err := a.op.await(ctx); err != nil {
		c.discard(a)
		return nil, err
	}
	defer a.op.Unlock()
	c.mu.Lock()
	a.rec.Port, a.rec.Origin, a.rec.Host = port.ID, adopted, port.Binding.Host
	c.mu.Unlock()
	if err := c.save(ctx, durable, a); err != nil {
		c.discard(a)
		return nil, err
	}
	device, owner := c.mark(a.rec.Intent).String(), ownerEndpoint
	taken, err := c.Neutron.UpdatePort(ctx, port.ID, PortUpdate{DeviceID: &device, DeviceOwner: &owner, Host: &c.opt.Host, Revision: &port.Revision})
	if err != nil {
		c.abandon(a, &a.rec.Unanswered, err)
		return nil, err
	}
	c.mu.Lock()
	a.rec.take(taken, n)
	for i := range a.rec.Addresses {
		if a.rec.Addresses[i].Subnet == p.Subnet {
			a.rec.Addresses[i].Pool = p.ID
		}
	}
	a.rec.Touched = time.Now()
	c.mu.Unlock()
	if err := c.finish(ctx, a, reserved); err != nil {
		c.discard(a)
		return nil, err
	}
	return a, nil
}

// findPort looks for the port by the wished address, then by the MAC.
func (c *Courier) findPort(ctx context.Context, n *network, p poolRecord, r AddressRequest) (*Port, error) {
	var queries []PortQuery
	if r.Address.IsValid() {
		queries = append(queries, PortQuery{Network: n.rec.Neutron, Subnet: p.Subnet, Address: r.Address})
	}
	if !r.MAC.IsZero() {
		queries = append(queries, PortQuery{Network: n.rec.Neutron, MAC: r.MAC})
	}
	for _, q := range queries {
		found, err := c.Neutron.FindPorts(ctx, q)
		if err != nil {
			return nil, err
		}
		if len(found) > 0 {
			return &found[0], nil
		}
	}
	return nil, nil
}

// free refuses a port that somebody uses, or that is not what was wished for.
func (c *Courier) free(p Port, of poolRecord, r AddressRequest) error {
	const other = "choose another address, or name none"
	refuse := func(hint, why string, args ...any) error { return inUse(p.ID, hint, why, args...) }
	have := slices.ContainsFunc(p.FixedIPs, func(f FixedIP) bool {
		return f.Subnet == of.Subnet && (!r.Address.IsValid() || f.Address == r.Address)
	})
	wish := r.Address.String()
	if !r.Address.IsValid() || !have {
		wish = "MAC address " + p.MAC.String()
	}
	switch {
	case p.Binding.Host != "" && p.Binding.Host != c.opt.Host:
		return refuse(other, "has %s and is bound to host %s", wish, p.Binding.Host)
	case p.DeviceOwner != "" || p.DeviceID != "":
		return refuse(other, "has %s and belongs to %s", wish, strings.TrimSpace(p.DeviceOwner+" "+short(p.DeviceID)))
	case p.Status == "ACTIVE":
		return refuse(other, "has %s and is in use (ACTIVE)", wish)
	case !have:
		return refuse("give --ip the address that the port has", "has %s, but not the address", wish)
	case !r.MAC.IsZero() && r.MAC != p.MAC:
		return refuse("give --mac-address "+p.MAC.String(), "has %s, and the MAC address %s", wish, p.MAC)
	}
	return nil
}

// inUse refuses a port. Why goes on after "port ID".
func inUse(id PortID, hint, why string, args ...any) error {
	return &Error{Kind: Conflict, Op: "use it", Public: "port " + string(id) + " " + fmt.Sprintf(why, args...), Hint: hint}
}

// unchanged refuses other addresses for an adopted port: it stays as it was.
func (r attachmentRecord) unchanged(addresses []addressRecord) error {
	if r.Origin != adopted {
		return nil
	}
	want := attachmentRecord{Addresses: addresses}
	for _, a := range want.addresses() {
		if !r.has(a) {
			return inUse(r.Port, "ask for the addresses that the port has, or add this one to it", "was there before, and does not have %s", a)
		}
	}
	if len(addresses) < len(r.Addresses) {
		return inUse(r.Port, "ask for all of them", "was there before, and has more addresses: %s", joined(r.addresses()))
	}
	return nil
}

// mayBe refuses what an adopted port is not, since it stays as it was.
func (r attachmentRecord) mayBe(want AttachRequest) error {
	switch {
	case r.Origin != adopted:
		return nil
	case !want.MAC.IsZero() && want.MAC != r.MAC:
		return inUse(r.Port, "give --mac-address "+r.MAC.String()+", or none", "was there before, and has the MAC address %s", r.MAC)
	case !want.Port.IsZero():
		return inUse(r.Port, "leave the neutron.port options out", "was there before, and keeps its security groups and other attributes")
	}
	return nil
}

// returnPort gives an adopted port back as it was, unless it has another user
// already.
func (c *Courier) returnPort(ctx context.Context, r attachmentRecord) error {
	if r.Python {
		if err := c.untag(ctx, Resource{PortResource, string(r.Port)}, pyPortTags(r.Endpoint, adopted)); err != nil {
			return err
		}
	}
	found, err := c.Neutron.FindPorts(ctx, PortQuery{ID: r.Port})
	if err != nil || len(found) == 0 {
		return err
	}
	p := found[0]
	if ours := p.DeviceID == c.mark(r.Intent).String() || r.Endpoint != "" && p.DeviceID == string(r.Endpoint); !ours {
		if c.mayAppear(r.Unanswered) {
			return errWaiting
		}
		return nil
	}
	none := ""
	_, err = c.Neutron.UpdatePort(ctx, r.Port, PortUpdate{DeviceID: &none, DeviceOwner: &none, Host: &r.Host, Revision: &p.Revision})
	switch {
	case KindOf(err) == NotFound:
		return nil
	case err == nil && r.Python && c.mayAppear(r.Unanswered):
		return errWaiting // tags that may still appear
	}
	return err
}
