package store

import (
	"context"
	"math"
	"net/netip"
	"slices"
	"strconv"

	"github.com/google/uuid"
	"go4.org/netipx"
)

func viewSubnetPool(_ *state, p *SubnetPool) SubnetPoolView { return SubnetPoolView{p} }

// SubnetPools lists subnetpools, in no order; a nil keep accepts all.
func (s *Store) SubnetPools(ctx context.Context, q Query, keep func(SubnetPoolView) bool) ([]SubnetPoolView, error) {
	return list(ctx, s, poolsOf, func(st *state) []*SubnetPool {
		return candidates(st.pools, q, []by{{"description", st.poolMark}, {"name", st.poolName}})
	}, viewSubnetPool, keep)
}

// SubnetPool returns a subnetpool.
func (s *Store) SubnetPool(ctx context.Context, id string) (SubnetPoolView, error) {
	return show(ctx, s, poolsOf, id, viewSubnetPool, subnetPoolNotFound(id))
}

// CreateSubnetPools makes all subnetpools or none.
func (s *Store) CreateSubnetPools(ctx context.Context, specs []SubnetPoolSpec) ([]SubnetPoolView, error) {
	return create(ctx, s, specs, createSubnetPool, viewSubnetPool)
}

func createSubnetPool(x *tx, spec SubnetPoolSpec) (*SubnetPool, error) {
	if err := x.quota("subnetpool", spec.StandardSpec); err != nil {
		return nil, err
	}
	p := &SubnetPool{Standard: x.standard(uuid.NewString(), spec.StandardSpec)}
	if err := p.setPrefixes(spec.Prefixes.V); err != nil {
		return nil, err
	}
	p.MinPrefixLen, p.MaxPrefixLen = 8, 32
	if p.IPVersion() == 6 {
		p.MinPrefixLen, p.MaxPrefixLen = 64, 128
	}
	spec.MinPrefixLen.into(&p.MinPrefixLen)
	p.DefaultPrefixLen = p.MinPrefixLen
	if err := x.changePool(p, spec); err != nil {
		return nil, err
	}
	set(x, x.pools, p.ID, p)
	return p, nil
}

// changePool carries what create and update have in common over to a pool.
func (x *tx) changePool(p *SubnetPool, spec SubnetPoolSpec) error {
	was := p.IsDefault
	spec.MinPrefixLen.into(&p.MinPrefixLen)
	spec.MaxPrefixLen.into(&p.MaxPrefixLen)
	spec.DefaultPrefixLen.into(&p.DefaultPrefixLen)
	spec.IsDefault.into(&p.IsDefault)
	spec.Shared.into(&p.Shared)
	spec.ScopeID.into(&p.ScopeID)
	if spec.DefaultQuota.Set {
		p.DefaultQuota = &spec.DefaultQuota.V
	}
	if err := p.checkBounds(); err != nil {
		return err
	}
	if err := x.checkScope(p); err != nil {
		return err
	}
	if p.IsDefault && !was && x.defaultPool(p.IPVersion()) != nil {
		return InvalidInput("A default subnetpool for this IP family has already been set. Only one default may exist per IP family")
	}
	return nil
}

func (p *SubnetPool) checkBounds() error {
	bits := p.Prefixes[0].Addr().BitLen()
	switch {
	case p.MinPrefixLen > p.MaxPrefixLen:
		return prefixBounds("min_prefixlen", p.MinPrefixLen, "max_prefixlen", p.MaxPrefixLen)
	case p.MaxPrefixLen > bits:
		return prefixBounds("max_prefixlen", p.MaxPrefixLen, "ip_version_max", bits)
	case p.DefaultPrefixLen < p.MinPrefixLen:
		return prefixBounds("default_prefixlen", p.DefaultPrefixLen, "min_prefixlen", p.MinPrefixLen)
	case p.DefaultPrefixLen > p.MaxPrefixLen:
		return prefixBounds("default_prefixlen", p.DefaultPrefixLen, "max_prefixlen", p.MaxPrefixLen)
	}
	return nil
}

// setPrefixes keeps prefixes as Neutron does: of one family, merged and sorted.
func (p *SubnetPool) setPrefixes(prefixes []netip.Prefix) error {
	if len(prefixes) == 0 {
		return errorf(BadRequest, "EmptySubnetPoolPrefixList", "Empty subnet pool prefix list.")
	}
	for _, q := range prefixes {
		if version(q.Addr()) != version(prefixes[0].Addr()) {
			return errorf(BadRequest, "PrefixVersionMismatch", "Cannot mix IPv4 and IPv6 prefixes in a subnet pool.")
		}
	}
	p.Prefixes = setOf(prefixes).Prefixes()
	return nil
}

func setOf(prefixes []netip.Prefix) *netipx.IPSet {
	var b netipx.IPSetBuilder
	for _, p := range prefixes {
		b.AddPrefix(p)
	}
	set, _ := b.IPSet() // fails for invalid prefixes only, and there are none
	return set
}

func (s *state) defaultPool(version int) *SubnetPool {
	for _, p := range s.pools.rows {
		if p.IsDefault && p.IPVersion() == version {
			return p
		}
	}
	return nil
}

// UpdateSubnetPool changes a subnetpool. Its prefixes can only grow.
func (s *Store) UpdateSubnetPool(ctx context.Context, id string, spec SubnetPoolSpec, m Match) (SubnetPoolView, error) {
	return s.editPool(ctx, id, m, func(x *tx, p *SubnetPool) error {
		spec.StandardSpec.into(&p.Standard)
		if spec.Prefixes.Set {
			if !covers(spec.Prefixes.V, p.Prefixes) {
				return prefixUpdate("Existing prefixes must be a subset of the new prefixes")
			}
			if err := p.setPrefixes(spec.Prefixes.V); err != nil {
				return err
			}
		}
		return x.changePool(p, spec)
	})
}

func covers(all, part []netip.Prefix) bool {
	set := setOf(all)
	for _, p := range part {
		if !set.ContainsPrefix(p) {
			return false
		}
	}
	return true
}

// AddPrefixes makes a subnetpool larger.
func (s *Store) AddPrefixes(ctx context.Context, id string, prefixes []netip.Prefix) (SubnetPoolView, error) {
	return s.editPool(ctx, id, Match{}, func(x *tx, p *SubnetPool) error {
		if err := p.setPrefixes(append(slices.Clone(p.Prefixes), prefixes...)); err != nil {
			return err
		}
		return x.checkScope(p)
	})
}

// RemovePrefixes makes a subnetpool smaller by what no subnet has taken.
func (s *Store) RemovePrefixes(ctx context.Context, id string, prefixes []netip.Prefix) (SubnetPoolView, error) {
	return s.editPool(ctx, id, Match{}, func(x *tx, p *SubnetPool) error {
		gone := setOf(prefixes)
		for _, subnet := range x.subnetPool.list(id) {
			if gone.OverlapsPrefix(x.subnets.rows[subnet].CIDR) {
				return prefixUpdate("One or more the prefixes to be removed is in use by a subnet.")
			}
		}
		var b netipx.IPSetBuilder
		for _, q := range p.Prefixes {
			b.AddPrefix(q)
		}
		b.RemoveSet(gone)
		left, err := b.IPSet()
		if err != nil {
			return InvalidInput("%s", err)
		}
		return p.setPrefixes(left.Prefixes())
	})
}

// Onboard makes the subnets that a network has of the pool's family the
// pool's, and adds their CIDRs to its prefixes. It returns them.
func (s *Store) Onboard(ctx context.Context, id, network string) (subnets []SubnetView, err error) {
	_, err = s.editPool(ctx, id, Match{}, func(x *tx, p *SubnetPool) error {
		subnets = nil
		n := find(x, x.networks, network)
		if n == nil {
			return networkNotFound(network)
		}
		if err := x.mine(&n.Standard, "update_network"); err != nil {
			return err
		}
		prefixes := slices.Clone(p.Prefixes)
		for _, sub := range x.subnetsOf(network) {
			if sub.IPVersion() != p.IPVersion() {
				continue
			}
			for _, cut := range x.subnetPool.list(id) {
				if x.subnets.rows[cut].CIDR.Overlaps(sub.CIDR) {
					return errorf(BadRequest, "IllegalSubnetPoolUpdate", "Illegal subnetpool update : Onboarding subnet %s: %s "+
						"conflicts with allocated prefixes in subnet pool %s.", sub.ID, sub.CIDR, id)
				}
			}
			prefixes = append(prefixes, sub.CIDR)
			subnets = append(subnets, viewSubnet(x.state, sub))
		}
		if err := p.setPrefixes(prefixes); err != nil {
			return err
		}
		if err := x.checkScope(p); err != nil {
			return err
		}
		for i := range subnets {
			x.moveToPool(&subnets[i], p.ID)
		}
		return nil
	})
	return subnets, err
}

// moveToPool makes a subnet one that was cut from a pool.
func (x *tx) moveToPool(v *SubnetView, pool string) {
	sub := *v.Subnet
	sub.SubnetPoolID = pool
	sub.touch(x.now)
	set(x, x.subnets, sub.ID, &sub)
	v.Subnet = &sub
}

func (s *Store) editPool(ctx context.Context, id string, m Match, f func(*tx, *SubnetPool) error) (out SubnetPoolView, err error) {
	err = s.update(ctx, func(x *tx) error {
		old := find(x, x.pools, id)
		if old == nil {
			return subnetPoolNotFound(id)
		}
		if err := x.may("update_subnetpool", m, &old.Standard); err != nil {
			return err
		}
		p := *old
		if err := f(x, &p); err != nil {
			return err
		}
		p.touch(x.now)
		set(x, x.pools, id, &p)
		out = SubnetPoolView{&p}
		return nil
	})
	return out, err
}

// DeleteSubnetPool deletes a subnetpool that no subnet was cut from.
func (s *Store) DeleteSubnetPool(ctx context.Context, id string, m Match) error {
	return s.update(ctx, func(x *tx) error {
		p := find(x, x.pools, id)
		if p == nil {
			return subnetPoolNotFound(id)
		}
		if err := x.may("delete_subnetpool", m, &p.Standard); err != nil {
			return err
		}
		if x.subnetPool.has(id) {
			return errorf(BadRequest, "SubnetPoolDeleteError",
				"Unable to delete subnet pool: Subnet pool has existing allocations.")
		}
		set(x, x.pools, id, nil)
		return nil
	})
}

// cut finds a free prefix of a pool: a certain one, or, when want is zero, the
// first of the smallest free block that has room for one of the length.
func (x *tx) cut(p *SubnetPool, want netip.Prefix, bits int) (netip.Prefix, error) {
	if want.IsValid() {
		bits = want.Bits()
	}
	if bits > p.MaxPrefixLen {
		return want, errorf(BadRequest, "MaxPrefixSubnetAllocationError",
			"Unable to allocate subnet with prefix length %d, maximum allowed prefix is %d.", bits, p.MaxPrefixLen)
	}
	if bits < p.MinPrefixLen {
		return want, errorf(BadRequest, "MinPrefixSubnetAllocationError",
			"Unable to allocate subnet with prefix length %d, minimum allowed prefix is %d.", bits, p.MinPrefixLen)
	}
	if x.overQuota(p, bits) {
		return want, errorf(Conflict, "SubnetPoolQuotaExceeded", "Per-tenant subnet pool prefix quota exceeded.")
	}
	if !want.IsValid() {
		return x.cutAny(p, bits)
	}
	free := false
	x.cuttable[p.ID].each(func(r Range) bool {
		all := rangeOf(want)
		free = r.Contains(all.First) && r.Contains(all.Last)
		return !free && r.First.Compare(all.First) <= 0
	})
	if !free {
		return want, subnetAllocation("Cannot allocate requested subnet from the available set of prefixes")
	}
	return want, nil
}

func (x *tx) cutAny(p *SubnetPool, bits int) (netip.Prefix, error) {
	var best netip.Prefix
	x.cuttable[p.ID].each(func(r Range) bool {
		for _, b := range netipx.IPRangeFrom(r.First, r.Last).Prefixes() {
			if b.Bits() <= bits && (!best.IsValid() || b.Bits() > best.Bits()) {
				best = b
			}
		}
		return best.Bits() != bits
	})
	if !best.IsValid() {
		return best, subnetAllocation("Insufficient prefix space to allocate subnet size /" + strconv.Itoa(bits))
	}
	return netip.PrefixFrom(best.Addr(), bits), nil
}

// overQuota reports whether one more subnet of a length exceeds the pool's
// quota, which counts /32 of IPv4 and /64 of IPv6.
func (x *tx) overQuota(p *SubnetPool, bits int) bool {
	if p.DefaultQuota == nil || *p.DefaultQuota == 0 {
		return false
	}
	unit := 32
	if p.IPVersion() == 6 {
		unit = 64
	}
	used := math.Pow(2, float64(unit-bits))
	x.subnetPool.each(p.ID, func(id string) bool {
		used += math.Pow(2, float64(unit-x.subnets.rows[id].CIDR.Bits()))
		return true
	})
	return used > float64(*p.DefaultQuota)
}

func poolsOf(s *state) *table[SubnetPool] { return s.pools }
