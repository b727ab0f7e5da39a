package courier

import (
	"context"
	"errors"
	"time"
)

// A container with an address of its own that is started again asks for it while
// its last port is still to be deleted: behind a slow cloud for seconds, and for
// as long as Neutron is away. That port is what it needs, so it is taken over.

// takeOverPort makes a reservation of an attachment that is to be removed, if its
// port has the wished address and is as it was made; nil: there is none.
func (c *Courier) takeOverPort(ctx context.Context, p poolRecord, r AddressRequest) (*attachment, error) {
	old := c.leavingWith(p, r)
	if old == nil {
		return nil, nil
	}
	patient, cancel := patience(ctx)
	defer cancel()
	if old.op.await(patient) != nil {
		return nil, nil // its removal is at work, and waits for Neutron: so will whoever wants the address
	}
	defer old.op.Unlock()
	if there, err := c.stillThere(ctx, old); !there || err != nil {
		return nil, err
	}
	if err := c.eraseLinks(ctx, old); err != nil {
		return nil, err
	}
	a := c.renew(old, p)
	if a == nil {
		return nil, nil
	}
	wake(old) // its removal ends
	if err := c.save(ctx, durable, a); err != nil {
		c.discard(a)
		return nil, err
	}
	return a, nil
}

// leavingWith returns what is being removed and has the wished address.
func (c *Courier) leavingWith(p poolRecord, r AddressRequest) *attachment {
	if !r.Address.IsValid() {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, a := range c.attachments {
		if a.rec.Network == p.Network && c.mayBeTakenOver(a) && a.rec.wished(p.Subnet, r) {
			return a
		}
	}
	return nil
}

// mayBeTakenOver tells whether the port is to be deleted, and is as it was made.
// Called with mu held.
func (c *Courier) mayBeTakenOver(a *attachment) bool {
	r := a.rec
	plain := !r.Own && r.Origin == created && !r.Inherited && !r.Exposed.Python
	return r.State == removing && r.Port != "" && plain && c.asMade(a)
}

// wished tells whether the port has the address that is asked for on a subnet.
func (r attachmentRecord) wished(s SubnetID, want AddressRequest) bool {
	for _, x := range r.Addresses {
		if x.Subnet == s && x.Address == want.Address {
			return want.MAC.IsZero() || want.MAC == r.MAC
		}
	}
	return false
}

// stillThere tells whether the port of what is being removed has not been
// deleted. Neutron is asked only where it may have been told. Called with a.op held.
func (c *Courier) stillThere(ctx context.Context, a *attachment) (bool, error) {
	c.mu.Lock()
	r, asked := a.rec, a.asked
	gone := a.forgotten || r.State != removing
	c.mu.Unlock()
	if gone || !asked {
		return !gone, nil
	}
	found, err := c.Neutron.FindPorts(ctx, PortQuery{ID: r.Port})
	return len(found) == 1, err
}

// renew puts a reservation in the place of an attachment that is being removed,
// with its port, its intent and its addresses, of which the engine holds the one
// of p. nil: it has gone on meanwhile. Called with old.op held.
func (c *Courier) renew(old *attachment, p poolRecord) *attachment {
	old.disk.Lock() // what is on its way to the journal comes before the new record
	defer old.disk.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	r := old.rec
	if old.forgotten || r.State != removing || c.networks[r.Network] == nil || c.networks[r.Network].rec.State != ready {
		return nil
	}
	a := &attachment{life: newLife(), settings: old.settings, rec: attachmentRecord{
		Intent: r.Intent, State: reserved, Network: r.Network, Neutron: r.Neutron, Port: r.Port, MAC: r.MAC,
		Binding: r.Binding, Project: r.Project, MTU: r.MTU, Python: r.Python, Touched: time.Now()}}
	for _, x := range r.Addresses {
		x.Pool = ""
		if x.Subnet == p.Subnet {
			x.Pool = p.ID
		}
		a.rec.Addresses = append(a.rec.Addresses, x)
	}
	if c.endpoints[r.Endpoint] == old {
		delete(c.endpoints, r.Endpoint)
	}
	old.forgotten = true
	c.attachments[r.Intent] = a
	return a
}

// deletePort deletes the port of an attachment that is being removed, and takes
// note of whether Neutron may have been told.
func (c *Courier) deletePort(ctx context.Context, a *attachment, id PortID) error {
	err := c.Neutron.DeletePort(ctx, id)
	if KindOf(err) == NotFound {
		err = nil
	}
	if !errors.Is(err, ErrAway) && !errors.Is(err, ErrUnsent) {
		c.mu.Lock()
		a.asked = true
		c.mu.Unlock()
	}
	return err
}
