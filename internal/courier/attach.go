package courier

import (
	"context"
	"net/netip"
	"slices"
	"sync"
)

// Attach gives an endpoint its attachment: the port that holds its addresses
// gets its MAC and identity, and a link that is plugged on this host. A
// repeated call gives the first answer. On failure everything is undone, the
// reservation included: Docker releases the addresses and asks no more.
func (c *Courier) Attach(ctx context.Context, r AttachRequest) (Attached, error) {
	op := "attach endpoint " + r.Endpoint.Short()
	done, err := c.oneAtATime(ctx, string(r.Endpoint))
	if err != nil {
		return Attached{}, because(op, "", err)
	}
	defer done()
	n, err := c.readyNetwork(ctx, op, r.Network)
	if err != nil {
		return Attached{}, err
	}
	subject := "to network " + n.rec.Name
	c.mu.Lock()
	if a := c.endpoints[r.Endpoint]; a != nil {
		defer c.mu.Unlock()
		if a.rec.State != attached || a.rec.Network != r.Network {
			return Attached{}, &Error{Kind: Conflict, Op: op, Subject: subject, Public: "the endpoint is " + string(a.rec.State) + " already"}
		}
		return a.rec.answer(n.rec), nil
	}
	c.mu.Unlock()
	if slices.ContainsFunc(c.wish(n, r), func(f FixedIP) bool { return f.Subnet == "" }) {
		return Attached{}, &Error{Kind: Invalid, Op: op, Subject: subject, Public: "an address lies on none of the network's subnets"}
	}
	own, err := c.resolvePort(ctx, r.Port)
	if err != nil {
		return Attached{}, because(op, subject, err)
	}
	a, err := c.claim(ctx, n, r)
	if err != nil {
		return Attached{}, because(op, subject, err)
	}
	if err := a.op.await(ctx); err != nil {
		c.discard(a)
		return Attached{}, because(op, subject, err)
	}
	defer a.op.Unlock()
	if err := c.attach(ctx, n, a, r, own); err != nil {
		c.noteUnanswered(&a.rec.Unanswered, err)
		c.discard(a)
		return Attached{}, because(op, subject, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return a.rec.answer(n.rec), nil
}

// snapshot copies a's record, for use without mu.
func (c *Courier) snapshot(a *attachment) attachmentRecord {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := a.rec
	r.Addresses = slices.Clone(r.Addresses)
	return r
}

func (r attachmentRecord) answer(n networkRecord) Attached {
	out := Attached{MAC: r.MAC}
	for _, a := range r.Addresses {
		s, _ := n.subnetOf(a.Address)
		out.Addresses = append(out.Addresses, netip.PrefixFrom(a.Address, s.CIDR.Bits()))
	}
	return out
}

// claim finds the reservation behind the endpoint's addresses and makes it
// the endpoint's. Addresses that lie in other reservations are taken from
// them. Without a reservation (another IPAM driver's address, or one that
// has expired) there is a new attachment, with no port yet.
func (c *Courier) claim(ctx context.Context, n *network, r AttachRequest) (*attachment, error) {
	var main *attachment
	for _, addr := range r.Addresses {
		c.mu.Lock()
		a := c.holder(r.Network, addr)
		if a != nil && main == nil && a.rec.State == reserved {
			main = a
			main.rec.Endpoint, main.rec.State = r.Endpoint, attaching
			c.endpoints[r.Endpoint] = main
		}
		c.mu.Unlock()
		if a != nil && a != main {
			if err := c.takeFrom(ctx, a, addr); err != nil {
				if main != nil {
					c.discard(main)
				}
				return nil, err
			}
		}
	}
	if main == nil {
		if err := n.rec.noSettings(); err != nil {
			return nil, err
		}
		main = c.newAttachment(n, c.wish(n, r))
		c.mu.Lock()
		main.rec.Endpoint = r.Endpoint
		c.endpoints[r.Endpoint] = main
		c.mu.Unlock()
	}
	return main, nil
}

// holder returns the reservation that has addr, or the attachment that was
// made of it and does not want it, or nil. Called with mu held.
func (c *Courier) holder(id EngineNetworkID, addr netip.Addr) *attachment {
	for _, a := range c.attachments {
		open := a.rec.State == reserved || a.rec.State == attaching
		if a.rec.Network == id && open && a.rec.has(addr) {
			return a
		}
	}
	return nil
}

// takeFrom frees addr from a reservation that another endpoint may still
// want: it goes as a whole only when the engine holds nothing else of it.
func (c *Courier) takeFrom(ctx context.Context, a *attachment, addr netip.Addr) error {
	if kept, err := c.keepRest(ctx, a, addr); kept || err != nil {
		return err
	}
	c.discard(a)
	select {
	case <-a.gone:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// keepRest takes addr from a reservation's port, if the engine holds another
// of its addresses and no endpoint has claimed it meanwhile.
func (c *Courier) keepRest(ctx context.Context, a *attachment, addr netip.Addr) (kept bool, err error) {
	if err := a.op.await(ctx); err != nil {
		return false, err
	}
	defer a.op.Unlock()
	rec := c.snapshot(a)
	switch {
	case rec.State == removing:
		return false, nil
	case !rec.has(addr):
		return true, nil
	case rec.State == attached:
		return false, &Error{Kind: Conflict, Op: "take address " + addr.String(), Public: addr.String() + " is another endpoint's"}
	}
	rest := slices.DeleteFunc(rec.Addresses, func(x addressRecord) bool { return x.Address == addr })
	if slices.ContainsFunc(rest, func(x addressRecord) bool { return x.Pool != "" }) {
		return true, c.exchange(ctx, a, rest)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if a.rec.State == reserved {
		a.rec.State = removing // here and now: no endpoint may claim it any more
	}
	return a.rec.State != removing, nil
}

// wish is what the endpoint's port must have: the addresses asked for, or,
// when the engine names none, one of each family of the network.
func (c *Courier) wish(n *network, r AttachRequest) []FixedIP {
	c.mu.Lock()
	defer c.mu.Unlock()
	var want []FixedIP
	for _, a := range r.Addresses {
		s, _ := n.rec.subnetOf(a)
		want = append(want, FixedIP{Subnet: s.ID, Address: a})
	}
	if len(want) > 0 {
		return want
	}
	seen := map[Family]bool{}
	for _, s := range n.rec.Subnets {
		if f := FamilyOf(s.CIDR.Addr()); !seen[f] {
			seen[f] = true
			want = append(want, FixedIP{Subnet: s.ID})
		}
	}
	return want
}

// attach carries the steps out. Called with a.op held.
func (c *Courier) attach(ctx context.Context, n *network, a *attachment, r AttachRequest, own PortSettings) error {
	want := c.wish(n, r)
	have := c.snapshot(a)
	c.mu.Lock()
	a.rec.Published = r.Published
	a.rec.Own = !own.isZero()
	a.rec.Pooled = have.asWished(r) && !a.rec.Own
	a.settings = own.over(n.rec.Ports)
	c.mu.Unlock()
	if err := have.mayBe(r); err != nil {
		return err
	}
	if c.isFresh(a) && have.asWished(r) {
		return c.handOver(ctx, a, own)
	}
	if have.Linked { // a pooled port's, made for what it is to be no more
		if err := c.eraseLinks(ctx, a); err != nil {
			return err
		}
	}
	if have.Port != "" && !r.MAC.IsZero() && r.MAC != have.MAC {
		// Neutron lets only administrators change a port's MAC address.
		if err := c.dropPort(ctx, a); err != nil {
			return err
		}
		have.Port = ""
	}
	identified := have.Port == ""
	if have.Port == "" {
		err := c.insist(ctx, a.rec.Network, a, want, r.MAC, func() error { return c.createPort(ctx, a, want, r.MAC) })
		if err != nil {
			return err
		}
	} else if !sameAddresses(have, r.Addresses) {
		if err := c.trim(ctx, a, r.Addresses, want); err != nil {
			return err
		}
	}
	if identified {
		return c.plug(ctx, a, nil)
	}
	device := string(r.Endpoint)
	return c.plug(ctx, a, &PortUpdate{DeviceID: &device, Settings: own})
}

func sameAddresses(r attachmentRecord, want []netip.Addr) bool {
	if len(want) == 0 {
		return true
	}
	return len(r.Addresses) == len(want) && !slices.ContainsFunc(want, func(a netip.Addr) bool { return !r.has(a) })
}

// trim gives the port exactly the wished addresses.
func (c *Courier) trim(ctx context.Context, a *attachment, wished []netip.Addr, want []FixedIP) error {
	held := map[netip.Addr]PoolID{}
	for _, x := range c.snapshot(a).Addresses {
		held[x.Address] = x.Pool
	}
	var addresses []addressRecord
	for i, addr := range wished {
		addresses = append(addresses, addressRecord{Subnet: want[i].Subnet, Address: addr, Pool: held[addr]})
	}
	return c.exchange(ctx, a, addresses)
}

// dropPort deletes a reservation's port, so that another can have its addresses.
func (c *Courier) dropPort(ctx context.Context, a *attachment) error {
	c.mu.Lock()
	id := a.rec.Port
	a.rec.Port = ""
	c.mu.Unlock()
	if err := c.save(ctx, durable, a); err != nil {
		return err
	}
	if err := c.Neutron.DeletePort(ctx, id); err != nil && KindOf(err) != NotFound {
		return err
	}
	return nil
}

// plug makes the link and plugs it, while Neutron is told whose port it is,
// unless it knows. The link comes up last: only when it is plugged is it open.
// Where frames would pass unfiltered before the port is ACTIVE it comes up with
// Join: Docker creates the endpoints of one network one after the other.
func (c *Courier) plug(ctx context.Context, a *attachment, identity *PortUpdate) error {
	rec, err := c.beginPlug(ctx, a)
	if err != nil {
		return err
	}
	var told sync.WaitGroup
	var untold error
	told.Go(func() {
		if identity != nil {
			_, untold = c.Neutron.UpdatePort(ctx, rec.Port, *identity)
		}
		if untold == nil && c.opt.CompatTags {
			untold = c.tagPort(ctx, rec)
		}
	})
	err = c.makeLink(ctx, rec)
	told.Wait()
	if err == nil {
		err = untold
	}
	if err != nil {
		return err
	}
	c.mu.Lock()
	a.rec.Told = rec.Endpoint
	c.mu.Unlock()
	return c.finish(ctx, a, attached)
}

// beginPlug writes down that a's link is about to be made, if its port can be
// plugged here at all. Called with a.op held.
func (c *Courier) beginPlug(ctx context.Context, a *attachment) (attachmentRecord, error) {
	rec := c.snapshot(a)
	if err := c.Binder.Check(rec.Port, rec.Binding); err != nil {
		return rec, c.explained(ctx, rec, err)
	}
	if err := c.advance(a, attaching); err != nil {
		return rec, err
	}
	c.mu.Lock()
	a.rec.Linked, a.rec.Active, a.rec.Python = true, false, c.opt.CompatTags
	a.rec.Closed = c.Binder.FailsOpen(rec.Binding)
	rec.Closed = a.rec.Closed
	c.mu.Unlock()
	return rec, c.save(ctx, durable, a)
}

func (c *Courier) makeLink(ctx context.Context, r attachmentRecord) error {
	p := c.plugOf(r)
	err := c.Linker.Create(ctx, LinkSpec{HostEnd: p.HostEnd, ContainerEnd: ContainerEnd(r.Port), MAC: r.MAC, MTU: r.MTU,
		Alias: p.Mark.String()})
	if err != nil {
		return err
	}
	if err := c.Binder.Bind(ctx, p); err != nil {
		return err
	}
	if r.Closed {
		return nil
	}
	return c.Linker.Up(ctx, p.HostEnd)
}
