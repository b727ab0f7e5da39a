package store

import (
	"context"

	"github.com/google/uuid"
)

// AddressScope is a stored address scope: within it the prefixes of
// subnetpools don't overlap.
type AddressScope struct {
	Standard
	IPVersion int  `json:"ip_version"`
	Shared    bool `json:"shared,omitempty"`
}

// AddressScopeView is an address scope.
type AddressScopeView struct{ *AddressScope }

// AddressScopeSpec asks for an address scope, or for a change of one.
type AddressScopeSpec struct {
	StandardSpec
	IPVersion Opt[int]
	Shared    Opt[bool]
}

func scopesOf(s *state) *table[AddressScope] { return s.scopes }

func viewScope(_ *state, a *AddressScope) AddressScopeView { return AddressScopeView{a} }

func scopeNotFound(id string) *Error {
	return errorf(NotFound, "AddressScopeNotFound", "Address scope %s could not be found.", id)
}

func (s *state) reindexScope(string, *AddressScope, *AddressScope) {}

// AddressScopes lists address scopes, in no order; a nil keep accepts all.
func (s *Store) AddressScopes(ctx context.Context, q Query, keep func(AddressScopeView) bool) ([]AddressScopeView, error) {
	return list(ctx, s, scopesOf, func(st *state) []*AddressScope { return candidates(st.scopes, q, nil) }, viewScope, keep)
}

// AddressScope returns an address scope.
func (s *Store) AddressScope(ctx context.Context, id string) (AddressScopeView, error) {
	return show(ctx, s, scopesOf, id, viewScope, scopeNotFound(id))
}

// CreateAddressScopes makes all address scopes or none.
func (s *Store) CreateAddressScopes(ctx context.Context, specs []AddressScopeSpec) ([]AddressScopeView, error) {
	return create(ctx, s, specs, func(x *tx, spec AddressScopeSpec) (*AddressScope, error) {
		a := &AddressScope{Standard: x.standard(uuid.NewString(), spec.StandardSpec), IPVersion: spec.IPVersion.V}
		spec.Shared.into(&a.Shared)
		set(x, x.scopes, a.ID, a)
		return a, nil
	}, viewScope)
}

// UpdateAddressScope changes an address scope. What is shared stays so.
func (s *Store) UpdateAddressScope(ctx context.Context, id string, spec AddressScopeSpec, m Match) (out AddressScopeView, err error) {
	err = s.update(ctx, func(x *tx) error {
		old := find(x, x.scopes, id)
		if old == nil {
			return scopeNotFound(id)
		}
		if err := x.may("update_address_scope", m, &old.Standard); err != nil {
			return err
		}
		if old.Shared && spec.Shared.Set && !spec.Shared.V {
			return errorf(BadRequest, "AddressScopeUpdateError",
				"Unable to update address scope %s : Shared address scope can't be unshared.", id)
		}
		a := *old
		spec.StandardSpec.into(&a.Standard)
		spec.Shared.into(&a.Shared)
		a.touch(x.now)
		set(x, x.scopes, id, &a)
		out = AddressScopeView{&a}
		return nil
	})
	return out, err
}

// DeleteAddressScope deletes an address scope that no subnetpool is in.
func (s *Store) DeleteAddressScope(ctx context.Context, id string, m Match) error {
	return s.update(ctx, func(x *tx) error {
		a := find(x, x.scopes, id)
		if a == nil {
			return scopeNotFound(id)
		}
		if err := x.may("delete_address_scope", m, &a.Standard); err != nil {
			return err
		}
		if x.poolScope.has(id) {
			return errorf(Conflict, "AddressScopeInUse", "Unable to complete operation on address scope %s. "+
				"There are one or more subnet pools in use on the address scope.", id)
		}
		set(x, x.scopes, id, nil)
		return nil
	})
}

// checkScope holds a subnetpool against its address scope and the other
// subnetpools there.
func (x *tx) checkScope(p *SubnetPool) error {
	if p.ScopeID == "" {
		return nil
	}
	a := find(x, x.scopes, p.ScopeID)
	switch {
	case a == nil:
		return scopeNotFound(p.ScopeID)
	case a.IPVersion != p.IPVersion():
		return errorf(BadRequest, "IllegalSubnetPoolIpVersionAssociationToAddressScope",
			"Illegal subnetpool association: subnetpool %s cannot associate with address scope %s because subnetpool ip_version is not %d.",
			p.ID, a.ID, a.IPVersion)
	}
	prefixes := setOf(p.Prefixes)
	for _, id := range x.poolScope.list(p.ScopeID) {
		if id != p.ID && prefixes.Overlaps(setOf(x.pools.rows[id].Prefixes)) {
			return errorf(Conflict, "AddressScopePrefixConflict",
				"Failed to associate address scope: subnetpools within an address scope must have unique prefixes.")
		}
	}
	return nil
}

// scopeOf returns the address scope of a network's subnets of an IP version, or "".
func (s *state) scopeOf(subnets []string, version int) string {
	for _, id := range subnets {
		if sub := s.subnets.rows[id]; sub.SubnetPoolID != "" && sub.IPVersion() == version {
			if scope := s.pools.rows[sub.SubnetPoolID].ScopeID; scope != "" {
				return scope
			}
		}
	}
	return ""
}
