package courier

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"time"
)

// RequestAddress gives an address of a pool, with the length of its CIDR.
//
// Before the pool's network exists it is a gateway or an auxiliary address:
// a promise, kept by CreateNetwork. Afterwards it is an endpoint's, and a
// port is made that holds it and, on a network with both families, one of
// the other family, which the engine's next request then gets.
func (c *Courier) RequestAddress(ctx context.Context, r AddressRequest) (netip.Prefix, error) {
	p, err := c.knownPool(ctx, r.Pool)
	if err != nil {
		return netip.Prefix{}, because("request an address", "of pool "+string(r.Pool), err)
	}
	c.mu.Lock()
	if p == nil || p.rec.State != ready || !p.rec.CIDR.IsValid() {
		c.mu.Unlock()
		return netip.Prefix{}, &Error{Kind: NotFound, Op: "request an address", Subject: "of pool " + string(r.Pool),
			Public: "Kuryr does not know this pool on this host", Hint: "remove the Docker network and create it again"}
	}
	rec := p.rec
	c.mu.Unlock()
	var got netip.Prefix
	err = checkWish(rec, r)
	switch {
	case err != nil:
	case rec.Network == "":
		got, err = c.promise(ctx, p, r)
	case r.Gateway:
		got, err = confirmGateway(rec, r)
	default:
		got, err = c.reserve(ctx, rec, r)
	}
	if err != nil && rec.Network != "" && !r.Gateway {
		// Docker forgets the address of the other family without a word.
		if a := c.partner(rec); a != nil {
			c.discard(a)
		}
	}
	return got, err
}

func checkWish(p poolRecord, r AddressRequest) error {
	if !r.Address.IsValid() || assignable(p.CIDR, r.Address) {
		return nil
	}
	return &Error{Kind: Invalid, Op: "request address " + r.Address.String(), Subject: "of " + p.CIDR.String(),
		Public: "no interface on that subnet can have it", Hint: "take one inside of " + p.CIDR.String()}
}

// promise sets an address aside for a network that does not exist yet.
func (c *Courier) promise(ctx context.Context, p *pool, r AddressRequest) (netip.Prefix, error) {
	subject := "of " + p.rec.CIDR.String()
	c.mu.Lock()
	a := r.Address
	switch {
	case r.Gateway && !a.IsValid():
		if a = p.rec.CIDR.Addr().Next(); p.rec.Promised.IsValid() {
			a = p.rec.Promised
		}
	case !a.IsValid():
		c.mu.Unlock()
		return netip.Prefix{}, &Error{Kind: Unsupported, Op: "request an address", Subject: subject,
			Public: "no Kuryr network uses this pool", Hint: "create the network with --driver kuryr as well as --ipam-driver kuryr"}
	}
	if a == p.rec.Gateway && r.Gateway {
		c.mu.Unlock()
		return netip.PrefixFrom(a, p.rec.CIDR.Bits()), nil
	}
	if a == p.rec.Gateway || slices.Contains(p.rec.Auxiliary, a) {
		c.mu.Unlock()
		return netip.Prefix{}, &Error{Kind: Conflict, Op: "request address " + a.String(), Subject: subject, Public: "it is taken already"}
	}
	if r.Gateway {
		p.rec.Gateway, p.rec.Wished = a, r.Address.IsValid()
	} else {
		p.rec.Auxiliary = append(slices.Clip(p.rec.Auxiliary), a)
	}
	p.rec.Touched = time.Now()
	c.mu.Unlock()
	return netip.PrefixFrom(a, p.rec.CIDR.Bits()), c.save(ctx, noted, p)
}

// confirmGateway answers a gateway request that comes after the network.
func confirmGateway(p poolRecord, r AddressRequest) (netip.Prefix, error) {
	if p.Gateway.IsValid() && (!r.Address.IsValid() || r.Address == p.Gateway) {
		return netip.PrefixFrom(p.Gateway, p.CIDR.Bits()), nil
	}
	return netip.Prefix{}, &Error{Kind: Conflict, Op: "request the gateway", Subject: "of " + p.CIDR.String(),
		Public: "the network exists and its gateway can't change"}
}

// reserve makes, or finds, the port that holds an endpoint's address.
func (c *Courier) reserve(ctx context.Context, p poolRecord, r AddressRequest) (netip.Prefix, error) {
	op := "request an address"
	if r.Address.IsValid() {
		op = "request address " + r.Address.String()
	}
	n, err := c.readyNetwork(ctx, op, p.Network)
	if err != nil {
		return netip.Prefix{}, err
	}
	subject := "on network " + n.rec.Name
	if err := n.rec.noSettings(); err != nil {
		return netip.Prefix{}, because(op, subject, err)
	}
	if r.Address.IsValid() && r.Address == p.Gateway {
		return netip.Prefix{}, &Error{Kind: Conflict, Op: op, Subject: subject, Public: "it is the network's gateway"}
	}
	for a := c.partner(p); a != nil; a = c.partner(p) {
		got, err := c.takePartner(ctx, a, p, r)
		if !errors.Is(err, errTaken) {
			return got, because(op, subject, err)
		}
	}
	if c.drained() {
		return netip.Prefix{}, &Error{Kind: Unavailable, Op: op, Subject: subject, Public: "this host is being drained: no container is started here",
			Hint: "start it on another host, or end that with: kuryr drain --undo"}
	}
	a, err := c.takePooled(ctx, p, r)
	hit := a != nil
	if a == nil && err == nil {
		a, err = c.takeOverPort(ctx, p, r)
	}
	if a == nil && err == nil {
		a, hit, err = c.reserveOrLast(ctx, n, p, r)
	}
	if KindOf(err) == Conflict {
		a, err = c.adoptPort(ctx, n, p, r, err)
	}
	if err != nil {
		return netip.Prefix{}, because(op, subject, advised(err, r))
	}
	c.demand(a, hit)
	c.mu.Lock()
	defer c.mu.Unlock()
	return a.rec.heldIn(p.ID, n.rec)
}

// advised adds what the user can do about an address that is not to be had.
func advised(err error, r AddressRequest) error {
	if HintOf(err) != "" {
		return err
	}
	switch k := KindOf(err); {
	case k == Conflict && r.Address.IsValid():
		return &Error{Kind: k, Op: "have it", Public: publicOf(err), Err: err, Hint: "choose another address, or name none"}
	case k == Exhausted:
		return &Error{Kind: k, Op: "have one", Public: publicOf(err), Err: err, Hint: "remove containers, or use a larger subnet"}
	}
	return err
}

// heldIn returns the address that the engine holds through a pool.
func (r attachmentRecord) heldIn(id PoolID, n networkRecord) (netip.Prefix, error) {
	for _, a := range r.Addresses {
		if a.Pool == id {
			s, _ := n.subnetOf(a.Address)
			return netip.PrefixFrom(a.Address, s.CIDR.Bits()), nil
		}
	}
	return netip.Prefix{}, &Error{Kind: Internal, Op: "request an address", Public: "Neutron gave the port none of the subnet's"}
}

// reservePort makes a port with an address of p's subnet, or, when that has
// none left and none was wished for, of another subnet of the same family.
// What is just being released may be what is missing, so that is waited for.
func (c *Courier) reservePort(ctx context.Context, n *network, p poolRecord, r AddressRequest) (*attachment, error) {
	c.mu.Lock()
	subnets := []SubnetID{p.Subnet}
	for _, s := range n.rec.Subnets {
		if s.ID != p.Subnet && !r.Address.IsValid() && FamilyOf(s.CIDR.Addr()) == FamilyOf(p.CIDR.Addr()) {
			subnets = append(subnets, s.ID)
		}
	}
	c.mu.Unlock()
	var a *attachment
	wish := []FixedIP{{Subnet: p.Subnet, Address: r.Address}}
	err := c.insist(ctx, p.Network, nil, wish, r.MAC, func() (err error) {
		for _, s := range subnets {
			if a, err = c.tryReserve(ctx, n, s, p, r); err == nil || KindOf(err) != Exhausted {
				return err
			}
		}
		return err
	})
	return a, err
}

// tryReserve makes the port, journaled.
func (c *Courier) tryReserve(ctx context.Context, n *network, s SubnetID, p poolRecord, r AddressRequest) (*attachment, error) {
	wish := []FixedIP{{Subnet: s, Address: r.Address}}
	a := c.newAttachment(n, wish)
	c.mu.Lock()
	for _, other := range n.rec.Subnets {
		if FamilyOf(other.CIDR.Addr()) != FamilyOf(p.CIDR.Addr()) {
			wish = append(wish, FixedIP{Subnet: other.ID})
			break
		}
	}
	c.mu.Unlock()
	if err := a.op.await(ctx); err != nil {
		c.discard(a)
		return nil, err
	}
	defer a.op.Unlock()
	if err := c.createPort(ctx, a, wish, r.MAC); err != nil {
		c.abandon(a, &a.rec.Unanswered, err)
		return nil, err
	}
	c.mu.Lock()
	// One as any other: the next container may have it.
	a.rec.Pooled = !r.Address.IsValid() && r.MAC.IsZero() && c.Binder.Anonymous(a.rec.Binding)
	for i := range a.rec.Addresses {
		if a.rec.Addresses[i].Subnet == s {
			a.rec.Addresses[i].Pool = p.ID
		}
	}
	c.mu.Unlock()
	if err := c.finish(ctx, a, reserved); err != nil {
		c.discard(a)
		return nil, err
	}
	return a, nil
}

// newAttachment enters a reservation on n into the table.
func (c *Courier) newAttachment(n *network, wish []FixedIP) *attachment {
	c.mu.Lock()
	defer c.mu.Unlock()
	a := &attachment{life: newLife(), rec: attachmentRecord{
		Intent: c.newIntent(), State: creating, Network: n.rec.ID, Neutron: n.rec.Neutron, MTU: n.rec.MTU, Touched: time.Now()},
		settings: n.rec.Ports}
	for _, f := range wish {
		if f.Address.IsValid() {
			a.rec.Addresses = append(a.rec.Addresses, addressRecord{Subnet: f.Subnet, Address: f.Address})
		}
	}
	c.attachments[a.rec.Intent] = a
	return a
}

// createPort asks Neutron for a's port, with the intent written first.
// Called with a.op held.
func (c *Courier) createPort(ctx context.Context, a *attachment, wish []FixedIP, mac MAC) error {
	if err := c.save(ctx, durable, a); err != nil {
		return err
	}
	made, err := c.postPort(ctx, c.portSpec(a, wish, mac))
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	a.rec.take(made, c.networks[a.rec.Network])
	return nil
}

// portSpec describes a's port.
func (c *Courier) portSpec(a *attachment, wish []FixedIP, mac MAC) PortSpec {
	return PortSpec{Network: a.rec.Neutron, Name: "kuryr-port", FixedIPs: wish, MAC: mac,
		DeviceID: string(a.rec.Endpoint), DeviceOwner: ownerEndpoint, Host: c.opt.Host,
		Settings: a.settings, Mark: c.mark(a.rec.Intent)}
}

// advance enters the next state, unless the attachment was given up meanwhile,
// or its network before the attachment was in the table.
func (c *Courier) advance(a *attachment, s state) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.networks[a.rec.Network]
	if a.rec.State == removing || n == nil || n.rec.State != ready {
		return &Error{Kind: Conflict, Op: "go on with the attachment", Public: "its network is being deleted"}
	}
	a.rec.State, a.rec.Touched = s, time.Now()
	return nil
}

// finish enters the state that a step led to and writes it down.
func (c *Courier) finish(ctx context.Context, a *attachment, s state) error {
	if err := c.advance(a, s); err != nil {
		return err
	}
	return c.save(ctx, noted, a)
}

// partner returns the reservation whose address on p's subnet the engine has
// not asked for yet, and marks it as held. Docker asks for an endpoint's
// families one after the other, with the network locked.
func (c *Courier) partner(p poolRecord) *attachment {
	c.mu.Lock()
	defer c.mu.Unlock()
	var newest *attachment
	for _, a := range c.attachments {
		if a.rec.Network != p.Network || a.rec.State != reserved || a.rec.spare(p.Subnet) < 0 {
			continue
		}
		if newest == nil || newest.rec.Touched.Before(a.rec.Touched) {
			newest = a
		}
	}
	if newest != nil {
		newest.rec.Addresses[newest.rec.spare(p.Subnet)].Pool = p.ID
		newest.rec.Touched = time.Now()
	}
	return newest
}

// spare returns the index of the address on a subnet that the engine does
// not hold, or -1.
func (r attachmentRecord) spare(s SubnetID) int {
	return slices.IndexFunc(r.Addresses, func(a addressRecord) bool { return a.Subnet == s && a.Pool == "" })
}

// errTaken says that an endpoint claimed a reservation before its spare
// address could be handed out.
var errTaken = errors.New("the reservation was taken meanwhile")

// takePartner answers with the partner's address, changed to the wished one
// first if need be. When that fails the engine forgets the partner's other
// address too, without a word: the partner goes.
func (c *Courier) takePartner(ctx context.Context, a *attachment, p poolRecord, r AddressRequest) (netip.Prefix, error) {
	if err := a.op.await(ctx); err != nil {
		c.discard(a) // the engine forgets its other address
		return netip.Prefix{}, err
	}
	defer a.op.Unlock()
	rec := c.snapshot(a)
	i := slices.IndexFunc(rec.Addresses, func(x addressRecord) bool { return x.Pool == p.ID })
	if i < 0 || rec.State != reserved {
		return netip.Prefix{}, errTaken
	}
	have := rec.Addresses[i].Address
	if !r.Address.IsValid() || r.Address == have {
		return netip.PrefixFrom(have, p.CIDR.Bits()), c.save(ctx, noted, a)
	}
	rec.Addresses[i].Address = r.Address
	if err := c.exchange(ctx, a, rec.Addresses); err != nil {
		c.discard(a)
		return netip.Prefix{}, err
	}
	return netip.PrefixFrom(r.Address, p.CIDR.Bits()), nil
}

// exchange gives a's port these addresses, and writes them down once it has
// them. Called with a.op held.
func (c *Courier) exchange(ctx context.Context, a *attachment, addresses []addressRecord) error {
	rec := c.snapshot(a)
	if err := rec.unchanged(addresses); err != nil {
		return err
	}
	var want []FixedIP
	for _, x := range addresses {
		want = append(want, FixedIP{Subnet: x.Subnet, Address: x.Address})
	}
	var made Port
	err := c.insist(ctx, rec.Network, a, want, MAC{}, func() (err error) {
		made, err = c.Neutron.UpdatePort(ctx, rec.Port, PortUpdate{FixedIPs: want})
		return err
	})
	if err != nil {
		return err
	}
	c.mu.Lock()
	a.rec.Addresses, a.rec.Pooled = addresses, false
	a.rec.take(made, c.networks[a.rec.Network])
	c.mu.Unlock()
	return c.save(ctx, noted, a)
}
