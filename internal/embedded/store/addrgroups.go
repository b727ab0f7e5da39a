package store

import (
	"context"
	"net/netip"
	"slices"
	"strings"

	"github.com/google/uuid"
)

// AddressGroup is a stored address group: addresses that rules name by it.
type AddressGroup struct {
	Standard
	Addresses []netip.Prefix `json:"addresses,omitempty"` // sorted
}

// AddressGroupView is an address group.
type AddressGroupView struct{ *AddressGroup }

// AddressGroupSpec asks for an address group, or for a change of one.
type AddressGroupSpec struct {
	StandardSpec
	Addresses Opt[[]netip.Prefix]
}

func addrGroupsOf(s *state) *table[AddressGroup] { return s.addrGroups }

func viewAddrGroup(_ *state, g *AddressGroup) AddressGroupView { return AddressGroupView{g} }

func addrGroupNotFound(id string) *Error {
	return errorf(NotFound, "AddressGroupNotFound", "Address group %s could not be found.", id)
}

func (s *state) reindexAddrGroup(id string, _, _ *AddressGroup) {
	s.ruleAddrs.each(id, func(rule string) bool {
		if r := s.rules.rows[rule]; r != nil {
			s.policy.groupChanged(r.GroupID)
		}
		return true
	})
}

// AddressGroups lists address groups, in no order; a nil keep accepts all.
func (s *Store) AddressGroups(ctx context.Context, q Query, keep func(AddressGroupView) bool) ([]AddressGroupView, error) {
	return list(ctx, s, addrGroupsOf, func(st *state) []*AddressGroup { return candidates(st.addrGroups, q, nil) }, viewAddrGroup, keep)
}

// AddressGroup returns an address group.
func (s *Store) AddressGroup(ctx context.Context, id string) (AddressGroupView, error) {
	return show(ctx, s, addrGroupsOf, id, viewAddrGroup, addrGroupNotFound(id))
}

// CreateAddressGroups makes all address groups or none.
func (s *Store) CreateAddressGroups(ctx context.Context, specs []AddressGroupSpec) ([]AddressGroupView, error) {
	return create(ctx, s, specs, func(x *tx, spec AddressGroupSpec) (*AddressGroup, error) {
		g := &AddressGroup{Standard: x.standard(uuid.NewString(), spec.StandardSpec)}
		g.Addresses = sortedPrefixes(spec.Addresses.V)
		set(x, x.addrGroups, g.ID, g)
		return g, nil
	}, viewAddrGroup)
}

func sortedPrefixes(all []netip.Prefix) []netip.Prefix {
	out := slices.Clone(all)
	slices.SortFunc(out, netip.Prefix.Compare)
	return slices.Compact(out)
}

// UpdateAddressGroup changes an address group's name and description.
func (s *Store) UpdateAddressGroup(ctx context.Context, id string, spec AddressGroupSpec, m Match) (AddressGroupView, error) {
	return s.editAddrGroup(ctx, id, m, func(g *AddressGroup) error {
		spec.StandardSpec.into(&g.Standard)
		return nil
	})
}

// AddAddresses adds addresses that an address group lacks.
func (s *Store) AddAddresses(ctx context.Context, id string, add []netip.Prefix) (AddressGroupView, error) {
	return s.editAddrGroup(ctx, id, Match{}, func(g *AddressGroup) error {
		var there []string
		for _, p := range add {
			if slices.Contains(g.Addresses, p) {
				there = append(there, p.String())
			}
		}
		if there != nil {
			return errorf(BadRequest, "AddressesAlreadyExist", "Addresses ['%s'] already exist in the address group %s.",
				strings.Join(there, "', '"), id)
		}
		g.Addresses = sortedPrefixes(append(slices.Clone(g.Addresses), add...))
		return nil
	})
}

// RemoveAddresses removes addresses that an address group has.
func (s *Store) RemoveAddresses(ctx context.Context, id string, gone []netip.Prefix) (AddressGroupView, error) {
	return s.editAddrGroup(ctx, id, Match{}, func(g *AddressGroup) error {
		var missing []string
		for _, p := range gone {
			if !slices.Contains(g.Addresses, p) {
				missing = append(missing, p.String())
			}
		}
		if missing != nil {
			return errorf(NotFound, "AddressesNotFound", "Addresses ['%s'] not found in the address group %s.",
				strings.Join(missing, "', '"), id)
		}
		g.Addresses = slices.DeleteFunc(slices.Clone(g.Addresses), func(p netip.Prefix) bool { return slices.Contains(gone, p) })
		return nil
	})
}

func (s *Store) editAddrGroup(ctx context.Context, id string, m Match, f func(*AddressGroup) error) (out AddressGroupView, err error) {
	err = s.update(ctx, func(x *tx) error {
		old := find(x, x.addrGroups, id)
		if old == nil {
			return addrGroupNotFound(id)
		}
		if err := x.may("update_address_group", m, &old.Standard); err != nil {
			return err
		}
		g := *old
		if err := f(&g); err != nil {
			return err
		}
		g.touch(x.now)
		set(x, x.addrGroups, id, &g)
		out = AddressGroupView{&g}
		return nil
	})
	return out, err
}

// DeleteAddressGroup deletes an address group that no rule names.
func (s *Store) DeleteAddressGroup(ctx context.Context, id string, m Match) error {
	return s.update(ctx, func(x *tx) error {
		g := find(x, x.addrGroups, id)
		if g == nil {
			return addrGroupNotFound(id)
		}
		if err := x.may("delete_address_group", m, &g.Standard); err != nil {
			return err
		}
		if x.ruleAddrs.has(id) {
			return errorf(Conflict, "AddressGroupInUse", "Address group %s is in use on one or more security group rules.", id)
		}
		set(x, x.addrGroups, id, nil)
		return nil
	})
}

// checkRemoteAddrs makes sure that the address group a rule names is there.
func (x *tx) checkRemoteAddrs(r *SecurityGroupRule) error {
	if r.RemoteAddrs != "" && find(x, x.addrGroups, r.RemoteAddrs) == nil {
		return addrGroupNotFound(r.RemoteAddrs)
	}
	return nil
}

// prefixesOf returns the addresses of an address group.
func (s *state) prefixesOf(id string) []netip.Prefix {
	if g := s.addrGroups.rows[id]; g != nil {
		return g.Addresses
	}
	return nil
}
