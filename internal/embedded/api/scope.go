package api

import (
	"slices"

	"kuryr/internal/embedded/store"
)

type (
	scopeSpec = store.AddressScopeSpec
	scopeView = store.AddressScopeView
)

func (a *API) addressScopes() *resource[scopeSpec, scopeView] {
	return &resource[scopeSpec, scopeView]{
		api: a, name: "address_scope", collection: "address_scopes", attrs: scopeAttrs(),
		list: a.store.AddressScopes, show: a.store.AddressScope, create: a.store.CreateAddressScopes,
		update: a.store.UpdateAddressScope, remove: a.store.DeleteAddressScope,
		id: func(v scopeView) string { return v.ID },
	}
}

// scopeAttrs is the table of an address scope's attributes. It has fewer
// standard ones than other resources.
func scopeAttrs() []attr[scopeSpec, scopeView] {
	spec := func(s *scopeSpec) *store.StandardSpec { return &s.StandardSpec }
	row := func(v scopeView) *store.Standard { return &v.Standard }
	name := nameAttr(spec, row)
	list := []attr[scopeSpec, scopeView]{
		idAttr[scopeSpec](row), name,
		{
			name: "ip_version", doc: "4 or 6.",
			post: true, required: true, parse: ipVersion,
			set: field(func(s *scopeSpec) *store.Opt[int] { return &s.IPVersion }),
			get: func(v scopeView) any { return v.IPVersion }, filter: equal[scopeSpec, scopeView](canonical(integer)), sort: true,
		},
		{
			name: "shared", doc: "Whether all projects see the address scope.",
			post: true, put: true, def: false, parse: boolean,
			set: field(func(s *scopeSpec) *store.Opt[bool] { return &s.Shared }),
			get: func(v scopeView) any { return v.Shared }, filter: equal[scopeSpec, scopeView](canonical(boolean)),
		},
	}
	reserved(false, list, "shared")
	return append(list, slices.DeleteFunc(standardAttrs(spec, row), func(a attr[scopeSpec, scopeView]) bool {
		return a.name != "tenant_id" && a.name != "project_id"
	})...)
}

// ipVersion accepts 4 and 6.
func ipVersion(v any) (any, error) {
	n, err := integer(v)
	if err != nil {
		return nil, err
	}
	return oneOf(4, 6)(n)
}
