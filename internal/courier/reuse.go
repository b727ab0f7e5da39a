package courier

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// plan is what is to become of a NetworkRequest, once everything that it names
// has been looked up. Nothing is changed while it is made, so that a request
// with a mistake in it changes nothing.
type plan struct {
	network *Network       // an existing one; nil: one is to be made
	chosen  []SubnetID     // by pool: the subnet that was named; "": by CIDR, or a new one
	from    []SubnetPoolID // by pool: the subnetpool that was named
	qos     QoSPolicyID    // of a new network
	ports   PortSettings
}

// planNetwork looks up what r names. pools are Kuryr's among r.Pools.
func (c *Courier) planNetwork(ctx context.Context, r NetworkRequest, pools []*pool) (plan, error) {
	p := plan{chosen: make([]SubnetID, len(r.Pools)), from: make([]SubnetPoolID, len(r.Pools))}
	var err error
	if p.ports, err = c.resolvePort(ctx, r.Ports); err != nil {
		return p, err
	}
	if !r.QoSPolicy.IsZero() {
		if p.qos, err = c.qosPolicy(ctx, r.QoSPolicy); err != nil {
			return p, err
		}
	}
	if !r.Network.IsZero() {
		n, err := c.findNetwork(ctx, r.Network)
		if err != nil {
			return p, err
		}
		p.network = &n
	}
	if err := c.planSubnets(ctx, r, pools, &p); err != nil {
		return p, err
	}
	if err := c.planSubnetPools(ctx, r, pools, &p); err != nil {
		return p, err
	}
	if p.network != nil {
		err = agree(*p.network, r, p.qos)
	}
	return p, err
}

// planSubnets finds the subnets that were named, now or to RequestPool. Where
// no network was named, it is the one that they are on.
func (c *Courier) planSubnets(ctx context.Context, r NetworkRequest, pools []*pool, p *plan) error {
	for f, ref := range r.Subnets {
		s, err := c.findSubnet(ctx, ref, f)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(r.Pools, func(x NetworkPool) bool { return x.CIDR == s.CIDR })
		if i < 0 {
			return &Error{Kind: Invalid, Op: "use it", Public: "subnet " + ref.String() + " is " + s.CIDR.String() + ", which the network does not have",
				Hint: "give --subnet " + s.CIDR.String()}
		}
		p.chosen[i] = s.ID
		if err := c.planNetworkOf(ctx, s, r, p); err != nil {
			return err
		}
	}
	for i, x := range pools {
		if x == nil || !x.rec.Existing || p.chosen[i] != "" {
			continue
		}
		s, err := c.findSubnet(ctx, Reference{ID: string(x.rec.Subnet)}, FamilyOf(x.rec.CIDR.Addr()))
		if err != nil {
			return err
		}
		p.chosen[i] = s.ID
		if err := c.planNetworkOf(ctx, s, r, p); err != nil {
			return err
		}
	}
	return nil
}

// planNetworkOf sees that a named subnet is on the network.
func (c *Courier) planNetworkOf(ctx context.Context, s Subnet, r NetworkRequest, p *plan) error {
	switch {
	case p.network != nil && p.network.ID == s.Network:
		return nil
	case p.network != nil:
		return &Error{Kind: Conflict, Op: "use it", Public: fmt.Sprintf("subnet %s is on network %s, not on %s", s.ID, s.Network, p.network.ID)}
	case r.CreateName != "":
		return &Error{Kind: Invalid, Op: "use it", Public: "subnet " + string(s.ID) + " is on a network already, and neutron.net.create_name is for one that may have to be made",
			Hint: "leave neutron.net.create_name out"}
	}
	n, err := c.findNetwork(ctx, Reference{ID: string(s.Network)})
	if err == nil {
		p.network = &n
	}
	return err
}

// planSubnetPools finds the subnetpools that were named.
func (c *Courier) planSubnetPools(ctx context.Context, r NetworkRequest, pools []*pool, p *plan) error {
	for f, ref := range r.SubnetPools {
		sp, err := c.findSubnetPool(ctx, "use a subnetpool", ref, f)
		if err != nil {
			return err
		}
		for i, x := range r.Pools {
			if FamilyOf(x.CIDR.Addr()) != f {
				continue
			}
			if err := within(sp, x.CIDR); err != nil {
				return err
			}
			if known := pools[i]; known != nil && known.rec.Adopted && known.rec.SubnetPool != sp.ID {
				return &Error{Kind: Conflict, Op: "use it", Public: "subnetpool " + ref.String() + " is not the one of --ipam-opt, " + string(known.rec.SubnetPool),
					Hint: "name one subnetpool, with --ipam-opt"}
			}
			p.from[i] = sp.ID
		}
	}
	return nil
}

// within refuses a CIDR that a subnetpool does not have.
func within(sp SubnetPool, cidr netip.Prefix) error {
	for _, p := range sp.Prefixes {
		if p.Bits() <= cidr.Bits() && p.Contains(cidr.Addr()) {
			return nil
		}
	}
	return &Error{Kind: Invalid, Op: "cut " + cidr.String(), Public: "subnetpool " + sp.Name + " does not have " + cidr.String() + " but " + joined(sp.Prefixes),
		Hint: "give a --subnet inside of them, or none"}
}

func joined[T fmt.Stringer](all []T) string {
	words := make([]string, len(all))
	for i, x := range all {
		words[i] = x.String()
	}
	return strings.Join(words, ", ")
}

// agree refuses what an existing network is not, since it is left as it is.
func agree(n Network, r NetworkRequest, qos QoSPolicyID) error {
	differs := func(option, is string) error {
		return &Error{Kind: Conflict, Op: "use it", Public: fmt.Sprintf("network %s %s, and what exists is not changed", n.ID, is),
			Hint: "leave " + option + " out"}
	}
	switch {
	case r.Shared != nil && *r.Shared && !n.Shared:
		return differs("neutron.net.shared", "is not shared")
	case r.Shared != nil && !*r.Shared && n.Shared:
		return differs("neutron.net.shared", "is shared")
	case r.MTU > n.MTU:
		return differs("the MTU", fmt.Sprintf("has an MTU of %d", n.MTU))
	case qos != "" && n.QoSPolicy != qos:
		return differs("neutron.net.qos_policy", "has another QoS policy, or none")
	}
	return nil
}

func (c *Courier) findNetwork(ctx context.Context, r Reference) (Network, error) {
	found, err := c.Neutron.FindNetworks(ctx, r)
	if err != nil {
		return Network{}, err
	}
	return only(found, "network", r, func(n Network) string { return string(n.ID) })
}

func (c *Courier) findSubnet(ctx context.Context, r Reference, f Family) (Subnet, error) {
	found, err := c.Neutron.FindSubnets(ctx, r)
	if err != nil {
		return Subnet{}, err
	}
	found = slices.DeleteFunc(found, func(s Subnet) bool { return FamilyOf(s.CIDR.Addr()) != f })
	return only(found, fmt.Sprintf("IPv%d subnet", f), r, func(s Subnet) string {
		return fmt.Sprintf("%s (%s on network %s)", s.ID, s.CIDR, short(string(s.Network)))
	})
}

func (c *Courier) findSubnetPool(ctx context.Context, op string, r Reference, f Family) (SubnetPool, error) {
	found, err := c.Neutron.FindSubnetPools(ctx, r)
	if err != nil {
		return SubnetPool{}, because(op, r.String(), err)
	}
	found = slices.DeleteFunc(found, func(p SubnetPool) bool { return len(p.Prefixes) == 0 || FamilyOf(p.Prefixes[0].Addr()) != f })
	return only(found, fmt.Sprintf("IPv%d subnetpool", f), r, func(p SubnetPool) string {
		return fmt.Sprintf("%s (%s)", p.ID, joined(p.Prefixes))
	})
}

// maxCandidates bounds how many of an ambiguous name's candidates are listed.
const maxCandidates = 5

// only returns the one thing that a reference means.
func only[T any](found []T, what string, r Reference, tell func(T) string) (T, error) {
	const op = "use it"
	var none T
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return none, &Error{Kind: NotFound, Op: op, Public: "there is no " + what + " " + r.String() + ", or it is another project's"}
	}
	var all []string
	for _, x := range found[:min(len(found), maxCandidates)] {
		all = append(all, tell(x))
	}
	if more := len(found) - maxCandidates; more > 0 {
		all = append(all, fmt.Sprintf("and %d more", more))
	}
	return none, &Error{Kind: Conflict, Op: op, Public: fmt.Sprintf("%s %s is one of %d: %s", what, r, len(found), strings.Join(all, ", ")),
		Hint: "name it by its ID"}
}

// adoptNetwork makes an existing Neutron network the engine's. One that
// another Kuryr made is tagged, so that its maker leaves it when it goes.
func (c *Courier) adoptNetwork(ctx context.Context, n *network, found Network) error {
	c.takeNetwork(n, found, adopted, isMarked(found.Description) || pyMade(found.Tags))
	if !n.rec.Used {
		return c.save(ctx, durable, n)
	}
	return c.tagUsed(ctx, n, Resource{NetworkResource, string(found.ID)})
}

// takeNetwork writes down which Neutron network n is.
func (c *Courier) takeNetwork(n *network, found Network, o origin, used bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n.rec.Neutron, n.rec.Origin, n.rec.Used = found.ID, o, used
	if n.rec.MTU == 0 || n.rec.MTU > found.MTU {
		n.rec.MTU = found.MTU
	}
	if found.Name != "" {
		n.rec.Name = found.Name
	} else {
		n.rec.Name = string(found.ID)
	}
}

// subnetRounds bounds how often a subnet is looked for and made, while other
// hosts do the same.
const subnetRounds = 5

// shareSubnet finds the subnet of spec's CIDR on a network that is not this
// intent's alone, or makes it for all who come.
func (c *Courier) shareSubnet(ctx context.Context, n *network, spec SubnetSpec, chosen SubnetID) (Subnet, error) {
	var refused error
	for range subnetRounds {
		all, err := c.Neutron.SubnetsOfNetwork(ctx, spec.Network)
		if err != nil {
			return Subnet{}, err
		}
		if i := slices.IndexFunc(all, func(s Subnet) bool { return s.CIDR == spec.CIDR }); i >= 0 {
			if len(spec.AllocationPools) > 0 {
				return Subnet{}, notNarrowed(all[i].ID)
			}
			if err := c.useSubnet(ctx, n, all[i], originOf(all[i], chosen)); KindOf(err) != NotFound {
				return all[i], err
			}
			continue // its last user has just left
		}
		if refused != nil {
			return Subnet{}, refused
		}
		made, err := c.Neutron.CreateSubnet(ctx, affine(spec, all))
		if err != nil {
			c.noteUnanswered(&n.rec.Unanswered, err)
			if refused = err; KindOf(err) != Conflict { // Conflict: another host was faster, or it overlaps
				return Subnet{}, err
			}
			continue
		}
		if err := c.useSubnet(ctx, n, made, common); KindOf(err) != NotFound {
			return made, err
		}
	}
	return Subnet{}, &Error{Kind: Unavailable, Op: "make it", Public: "other hosts make and delete subnet " + spec.CIDR.String() + " at the same time", Hint: "try again"}
}

// notNarrowed refuses --ip-range for a subnet that exists: its allocation pools
// are all hosts'.
func notNarrowed(id SubnetID) error {
	return &Error{Kind: Unsupported, Op: "use it", Public: "subnet " + string(id) + " exists, and --ip-range can't narrow what Neutron hands out of it",
		Hint: "leave --ip-range out: no two hosts get one address"}
}

// originOf tells what a subnet that was found is: one that was made for all is
// shared, unless it was named.
func originOf(s Subnet, chosen SubnetID) origin {
	if chosen == "" && isCommon(s.Description) {
		return common
	}
	return adopted
}

// affine makes a new subnet come from the subnetpool of its family's others on
// the network: Neutron wants one for all.
func affine(spec SubnetSpec, others []Subnet) SubnetSpec {
	for _, o := range others {
		if FamilyOf(o.CIDR.Addr()) == FamilyOf(spec.CIDR.Addr()) {
			spec.Pool = o.Pool
		}
	}
	return spec
}

// useSubnet writes down that n uses a subnet, and tags it if a Kuryr made it.
func (c *Courier) useSubnet(ctx context.Context, n *network, s Subnet, o origin) error {
	used := isMarked(s.Description)
	c.mu.Lock()
	n.rec.Subnets = slices.DeleteFunc(slices.Clone(n.rec.Subnets), func(x subnetRecord) bool { return x.ID == s.ID })
	n.rec.Subnets = append(n.rec.Subnets, subnetRecord{ID: s.ID, CIDR: s.CIDR, Gateway: s.Gateway, Routes: s.HostRoutes, Origin: o, Used: used})
	c.mu.Unlock()
	if !used {
		return nil
	}
	return c.tagUsed(ctx, n, Resource{SubnetResource, string(s.ID)})
}

// sameGateway refuses a gateway that an existing subnet does not have, if it is
// the user's wish and not our guess.
func sameGateway(s Subnet, want NetworkPool, p *pool) error {
	guessed := p != nil && !p.rec.Wished
	if guessed || !want.Gateway.IsValid() || want.Gateway == s.Gateway {
		return nil
	}
	is := "no gateway"
	if s.Gateway.IsValid() {
		is = "gateway " + s.Gateway.String()
	}
	return &Error{Kind: Conflict, Op: "use it", Public: fmt.Sprintf("subnet %s has %s, not %s", s.ID, is, want.Gateway), Hint: "leave --gateway out"}
}
