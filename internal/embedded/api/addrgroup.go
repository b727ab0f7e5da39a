package api

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"slices"

	"kuryr/internal/embedded/store"
)

type (
	addrGroupSpec = store.AddressGroupSpec
	addrGroupView = store.AddressGroupView
)

func (a *API) addressGroups() *resource[addrGroupSpec, addrGroupView] {
	return &resource[addrGroupSpec, addrGroupView]{
		api: a, name: "address_group", collection: "address_groups", attrs: addrGroupAttrs(),
		list: a.store.AddressGroups, show: a.store.AddressGroup, create: a.store.CreateAddressGroups,
		update: a.store.UpdateAddressGroup, remove: a.store.DeleteAddressGroup,
		id: func(v addrGroupView) string { return v.ID },
	}
}

// addrGroupAttrs is the table of an address group's attributes. It has fewer
// standard ones than other resources.
func addrGroupAttrs() []attr[addrGroupSpec, addrGroupView] {
	spec := func(s *addrGroupSpec) *store.StandardSpec { return &s.StandardSpec }
	row := func(v addrGroupView) *store.Standard { return &v.Standard }
	list := []attr[addrGroupSpec, addrGroupView]{
		idAttr[addrGroupSpec](row), nameAttr(spec, row),
		{
			name: "addresses", doc: "The CIDRs in the group.",
			post: true, def: unset, parse: orNull(listOf(prefixGiven), []netip.Prefix(nil)),
			set: field(func(s *addrGroupSpec) *store.Opt[[]netip.Prefix] { return &s.Addresses }),
			get: func(v addrGroupView) any { return prefixList(v.Addresses) },
		},
	}
	return append(list, slices.DeleteFunc(standardAttrs(spec, row), func(a attr[addrGroupSpec, addrGroupView]) bool {
		return a.name != "tenant_id" && a.name != "project_id" && a.name != "description"
	})...)
}

// addressOfGroup accepts a prefix, or an address for a prefix of its full length.
func addressOfGroup(v any) (netip.Prefix, error) {
	s, _ := v.(string)
	if p, err := netip.ParsePrefix(s); err == nil {
		return p.Masked(), nil
	}
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	return netip.Prefix{}, reason(fmt.Sprintf("'%s' is not a valid IP subnet", python(v)))
}

// registerAddresses serves the two operations on an address group's addresses.
func (a *API) registerAddresses(mux *http.ServeMux, t *resource[addrGroupSpec, addrGroupView]) {
	mux.Handle("/v2.0/address-groups/{id}/add_addresses", a.serve(methods{"PUT": changeAddresses(t, a.store.AddAddresses)}))
	mux.Handle("/v2.0/address-groups/{id}/remove_addresses", a.serve(methods{"PUT": changeAddresses(t, a.store.RemoveAddresses)}))
}

func changeAddresses(t *resource[addrGroupSpec, addrGroupView], do func(context.Context, string, []netip.Prefix) (addrGroupView, error)) endpoint {
	return func(w http.ResponseWriter, r *http.Request) error {
		body, err := readObject(r)
		if err != nil {
			return err
		}
		if wrapped, ok := body["address_group"].(object); ok {
			body = wrapped
		}
		parsed, err := listOf(addressOfGroup)(body["addresses"])
		if err != nil {
			return badRequest("Invalid input for addresses. Reason: %s.", err)
		}
		v, err := do(r.Context(), r.PathValue("id"), parsed.([]netip.Prefix))
		if err != nil {
			return err
		}
		t.answer(w, r, http.StatusOK, v, nil)
		return nil
	}
}
