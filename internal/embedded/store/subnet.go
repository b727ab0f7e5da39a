package store

import (
	"context"
	"net/netip"

	"github.com/google/uuid"
)

func viewSubnet(st *state, s *Subnet) SubnetView {
	return SubnetView{Subnet: s, Shared: st.networks.rows[s.NetworkID].Shared}
}

// Subnets lists subnets, in no order; a nil keep accepts all.
func (s *Store) Subnets(ctx context.Context, q Query, keep func(SubnetView) bool) ([]SubnetView, error) {
	return list(ctx, s, subnetsOf, func(st *state) []*Subnet {
		return candidates(st.subnets, q, []by{
			{"network_id", st.subnetNetwork}, {"subnetpool_id", st.subnetPool},
			{"description", st.subnetMark}, {"name", st.subnetName},
		})
	}, viewSubnet, keep)
}

// Subnet returns a subnet.
func (s *Store) Subnet(ctx context.Context, id string) (SubnetView, error) {
	return show(ctx, s, subnetsOf, id, viewSubnet, subnetNotFound(id))
}

// CreateSubnets makes all subnets or none.
func (s *Store) CreateSubnets(ctx context.Context, specs []SubnetSpec) ([]SubnetView, error) {
	return create(ctx, s, specs, createSubnet, viewSubnet)
}

// createSubnet checks in Neutron's order, so that of two faults the same one
// is reported.
func createSubnet(x *tx, spec SubnetSpec) (*Subnet, error) {
	if err := x.quota("subnet", spec.StandardSpec); err != nil {
		return nil, err
	}
	if !spec.EnableDHCP.Set {
		spec.EnableDHCP = Some(true)
	}
	if spec.CIDR.Set {
		spec.CIDR.V = spec.CIDR.V.Masked()
		if spec.PrefixLen.Set {
			return nil, badRequest("subnets", "cidr and prefixlen must not be supplied together")
		}
	}
	poolID, err := x.poolFor(spec)
	if err != nil {
		return nil, err
	}
	if err := checkAbsence(spec, poolID); err != nil {
		return nil, err
	}
	if spec.CIDR.Set {
		if err := checkSubnet(spec, spec.CIDR.V, nil); err != nil {
			return nil, err
		}
	}
	network := find(x, x.networks, spec.NetworkID.V)
	if network == nil {
		return nil, networkNotFound(spec.NetworkID.V)
	}
	if err := x.mine(&network.Standard, "create_subnet"); err != nil {
		return nil, err
	}
	s := &Subnet{
		Standard:  x.standard(uuid.NewString(), spec.StandardSpec),
		NetworkID: spec.NetworkID.V, SubnetPoolID: poolID,
		CIDR: spec.CIDR.V,
	}
	if err := x.place(s, spec); err != nil {
		return nil, err
	}
	if err := x.checkNeighbours(s); err != nil {
		return nil, err
	}
	spec.into(s)
	set(x, x.subnets, s.ID, s)
	x.touchNetwork(s.NetworkID)
	if s.automatic() {
		x.addAutomatic(s)
	}
	return s, nil
}

// into carries over what needs no check against other values.
func (s SubnetSpec) into(r *Subnet) {
	s.StandardSpec.into(&r.Standard)
	s.EnableDHCP.into(&r.EnableDHCP)
	s.HostRoutes.into(&r.HostRoutes)
	s.Nameservers.into(&r.Nameservers)
	s.RAMode.into(&r.RAMode)
	s.AddressMode.into(&r.AddressMode)
	s.ServiceTypes.into(&r.ServiceTypes)
}

// poolFor returns the ID of the subnetpool that a subnet comes from, or "".
func (x *tx) poolFor(spec SubnetSpec) (string, error) {
	if !spec.UseDefaultPool.V {
		return spec.SubnetPoolID.V, nil
	}
	if spec.SubnetPoolID.V != "" {
		return "", badRequest("subnets", "subnetpool_id and use_default_subnetpool cannot both be specified")
	}
	v := spec.IPVersion.V
	if spec.CIDR.Set {
		v = version(spec.CIDR.V.Addr())
	}
	p := x.defaultPool(v)
	if p == nil {
		return "", badRequest("subnets", "No default subnetpool found for IPv"+string(rune('0'+v)))
	}
	return p.ID, nil
}

// checkAbsence refuses what only makes sense with a CIDR when there is none.
func checkAbsence(spec SubnetSpec, poolID string) error {
	switch {
	case spec.CIDR.Set:
		return nil
	case poolID == "":
		return badRequest("subnets", "a subnetpool must be specified in the absence of a cidr")
	case spec.Pools.Set:
		return badRequest("subnets", "allocation_pools allowed only for specific subnet requests.")
	}
	return nil
}

// place decides on the CIDR, the gateway and the allocation pools.
func (x *tx) place(s *Subnet, spec SubnetSpec) error {
	var pool *SubnetPool
	if s.SubnetPoolID != "" {
		if pool = find(x, x.pools, s.SubnetPoolID); pool == nil {
			return subnetPoolNotFound(s.SubnetPoolID)
		}
		if v := spec.IPVersion.V; v != pool.IPVersion() {
			return badRequest("subnets", "Cannot allocate IPv"+string(rune('0'+v))+
				" subnet from IPv"+string(rune('0'+pool.IPVersion()))+" subnet pool")
		}
	}
	if spec.CIDR.Set {
		s.Gateway = defaultGateway(s.CIDR)
		spec.Gateway.into(&s.Gateway)
		if s.CIDR.Bits() == 31 && s.Gateway == rangeOf(s.CIDR).Last {
			return errorf(Conflict, "IpamValueInvalid", "Gateway IP %s cannot be allocated in CIDR %s", s.Gateway, s.CIDR)
		}
		if err := s.setPools(Opt[[]Range]{V: spec.Pools.V, Set: len(spec.Pools.V) > 0}); err != nil {
			return err
		}
		if pool != nil {
			_, err := x.cut(pool, s.CIDR, 0)
			return err
		}
		return nil
	}
	bits := pool.DefaultPrefixLen
	spec.PrefixLen.into(&bits)
	cidr, err := x.cut(pool, netip.Prefix{}, bits)
	if err != nil {
		return err
	}
	s.CIDR = cidr
	// Neutron takes the first host here even for IPv6, where a subnet
	// with a given CIDR gets the router's anycast address.
	s.Gateway = cidr.Addr().Next()
	spec.Gateway.into(&s.Gateway)
	if err := checkSubnet(spec, cidr, nil); err != nil {
		return err
	}
	return s.setPools(Opt[[]Range]{})
}

func defaultGateway(cidr netip.Prefix) netip.Addr {
	if cidr.Addr().Is6() {
		return cidr.Addr()
	}
	return cidr.Addr().Next()
}

// checkNeighbours holds a new subnet against those of its network.
func (x *tx) checkNeighbours(s *Subnet) error {
	if s.CIDR.Bits() == 0 {
		return InvalidInput("0 is not allowed as CIDR prefix length")
	}
	others := x.subnetsOf(s.NetworkID)
	for _, o := range others {
		if o.CIDR.Overlaps(s.CIDR) {
			return InvalidInput("Requested subnet with cidr: %s for network: %s overlaps with another subnet", s.CIDR, s.NetworkID)
		}
	}
	for _, o := range others {
		if o.IPVersion() == s.IPVersion() && o.SubnetPoolID != s.SubnetPoolID {
			return errorf(BadRequest, "NetworkSubnetPoolAffinityError",
				"Subnets hosted on the same network must be allocated from the same subnet pool.")
		}
	}
	return nil
}

// UpdateSubnet changes a subnet.
func (s *Store) UpdateSubnet(ctx context.Context, id string, spec SubnetSpec, m Match) (out SubnetView, err error) {
	err = s.update(ctx, func(x *tx) error {
		old := find(x, x.subnets, id)
		if old == nil {
			return subnetNotFound(id)
		}
		if err := x.may("update_subnet", m, &old.Standard); err != nil {
			return err
		}
		if err := checkSubnet(spec, old.CIDR, old); err != nil {
			return err
		}
		n := *old
		if err := n.change(spec); err != nil {
			return err
		}
		n.touch(x.now)
		set(x, x.subnets, id, &n)
		x.touchNetwork(n.NetworkID)
		out = viewSubnet(x.state, &n)
		return nil
	})
	return out, err
}

func (s *Subnet) change(spec SubnetSpec) error {
	spec.into(s)
	moved := spec.Gateway.Set && spec.Gateway.V != s.Gateway
	spec.Gateway.into(&s.Gateway)
	if spec.Pools.Set {
		return s.setPools(spec.Pools)
	}
	if moved {
		return s.checkGatewayOutside()
	}
	return nil
}

// DeleteSubnet deletes a subnet. Addresses in use stand in the way, except
// those that ports got by themselves and those of Neutron's own services.
func (s *Store) DeleteSubnet(ctx context.Context, id string, m Match) error {
	return s.update(ctx, func(x *tx) error {
		sub := find(x, x.subnets, id)
		if sub == nil {
			return subnetNotFound(id)
		}
		if err := x.may("delete_subnet", m, &sub.Standard); err != nil {
			return err
		}
		var holders []string
		for _, port := range x.spaces[id].used {
			if !sub.automatic() && !goesWithNetwork(x.ports.rows[port].DeviceOwner) {
				return subnetInUse(id)
			}
			holders = append(holders, port)
		}
		for _, port := range holders {
			x.strip(port, id)
		}
		set(x, x.subnets, id, nil)
		x.touchNetwork(sub.NetworkID)
		return nil
	})
}

func subnetsOf(s *state) *table[Subnet] { return s.subnets }
