package api

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"strconv"
	"strings"

	"kuryr/internal/embedded/store"
)

type (
	poolSpec = store.SubnetPoolSpec
	poolView = store.SubnetPoolView
)

func (a *API) subnetPools() *resource[poolSpec, poolView] {
	return &resource[poolSpec, poolView]{
		api: a, name: "subnetpool", collection: "subnetpools", attrs: poolAttrs(),
		list: a.store.SubnetPools, show: a.store.SubnetPool, create: a.store.CreateSubnetPools,
		update: a.store.UpdateSubnetPool, remove: a.store.DeleteSubnetPool,
		id: func(v poolView) string { return v.ID },
	}
}

// poolAttrs is the table of a subnetpool's attributes, in the order in which
// Neutron checks them.
func poolAttrs() []attr[poolSpec, poolView] {
	spec := func(s *poolSpec) *store.StandardSpec { return &s.StandardSpec }
	row := func(v poolView) *store.Standard { return &v.Standard }
	name := nameAttr(spec, row)
	name.required, name.def, name.parse = true, nil, filled(maxName)
	flag := equal[poolSpec, poolView](canonical(boolean))
	number := equal[poolSpec, poolView](canonical(integer))
	list := []attr[poolSpec, poolView]{
		idAttr[poolSpec](row),
		name,
		{
			name: "prefixes", doc: "The CIDRs that subnets are cut from; a change can only add to them.",
			post: true, put: true, required: true, parse: listOf(prefixGiven),
			set: field(func(s *poolSpec) *store.Opt[[]netip.Prefix] { return &s.Prefixes }),
			get: func(v poolView) any { return prefixList(v.Prefixes) },
		},
		{
			name: "default_quota", doc: "How much of the subnetpool a project may take, in /32 of IPv4 or /64 of IPv6.",
			post: true, put: true, def: unset, parse: natural,
			set: field(func(s *poolSpec) *store.Opt[int] { return &s.DefaultQuota }),
			get: func(v poolView) any {
				if v.DefaultQuota == nil {
					return nil
				}
				return *v.DefaultQuota
			},
			filter: number, sort: true,
		},
		{
			name: "ip_version", doc: "4 or 6, as the prefixes are.",
			get: func(v poolView) any { return v.IPVersion() }, filter: number, sort: true,
		},
		prefixLen("default_prefixlen", "The length of a subnet that asks for none.",
			func(s *poolSpec) *store.Opt[int] { return &s.DefaultPrefixLen }, func(v poolView) int { return v.DefaultPrefixLen }),
		prefixLen("min_prefixlen", "The length of the largest subnet.",
			func(s *poolSpec) *store.Opt[int] { return &s.MinPrefixLen }, func(v poolView) int { return v.MinPrefixLen }),
		prefixLen("max_prefixlen", "The length of the smallest subnet.",
			func(s *poolSpec) *store.Opt[int] { return &s.MaxPrefixLen }, func(v poolView) int { return v.MaxPrefixLen }),
		{
			name: "is_default", doc: "Whether subnets are cut from here that ask for the default; one for each IP version.",
			post: true, put: true, def: false, parse: boolean,
			set: field(func(s *poolSpec) *store.Opt[bool] { return &s.IsDefault }),
			get: func(v poolView) any { return v.IsDefault }, filter: flag, sort: true,
		},
		{
			name: "shared", doc: "Whether all projects may use the subnetpool.",
			post: true, def: false, parse: boolean,
			set: field(func(s *poolSpec) *store.Opt[bool] { return &s.Shared }),
			get: func(v poolView) any { return v.Shared }, filter: flag,
		},
		{
			name: "address_scope_id", doc: "The address scope, in which no other subnetpool has the same addresses.",
			post: true, put: true, def: unset, parse: orNull(identifier, ""),
			set: field(func(s *poolSpec) *store.Opt[string] { return &s.ScopeID }),
			get: func(v poolView) any { return orNil(v.ScopeID) }, filter: equal[poolSpec, poolView](asIs), sort: true,
		},
	}
	reserved(false, list, "shared", "is_default")
	return append(list, standardAttrs(spec, row)...)
}

// prefixLen is one of the bounds of a subnetpool. Neutron answers them as strings.
func prefixLen(name, doc string, f func(*poolSpec) *store.Opt[int], get func(poolView) int) attr[poolSpec, poolView] {
	return attr[poolSpec, poolView]{
		name: name, doc: doc,
		post: true, put: true, def: unset, parse: natural, set: field(f),
		get: func(v poolView) any { return strconv.Itoa(get(v)) }, filter: equal[poolSpec, poolView](canonical(integer)), sort: true,
	}
}

// prefixGiven accepts a prefix that is written as one.
func prefixGiven(v any) (netip.Prefix, error) {
	s, _ := v.(string)
	p, err := netip.ParsePrefix(s)
	if err == nil {
		return p.Masked(), nil
	}
	if a, aerr := netip.ParseAddr(s); aerr == nil && a.Zone() == "" && !strings.Contains(s, "/") {
		return p, reason(fmt.Sprintf("'%s' isn't a recognized IP subnet cidr, '%s/%d' is recommended", s, a, a.BitLen()))
	}
	return p, reason(fmt.Sprintf("'%s' is not a valid IP subnet", python(v)))
}

type prefixList []netip.Prefix

func (l prefixList) appendJSON(b []byte) []byte { return appendList(b, l, appendText[netip.Prefix]) }

// registerPrefixes serves the operations on a subnetpool's prefixes.
func (a *API) registerPrefixes(mux *http.ServeMux) {
	mux.Handle("/v2.0/subnetpools/{id}/onboard_network_subnets", a.serve(methods{"PUT": a.onboard}))
	mux.Handle("/v2.0/subnetpools/{id}/add_prefixes", a.serve(methods{"PUT": changePrefixes(a.store.AddPrefixes)}))
	mux.Handle("/v2.0/subnetpools/{id}/remove_prefixes", a.serve(methods{"PUT": changePrefixes(a.store.RemovePrefixes)}))
}

func changePrefixes(do func(context.Context, string, []netip.Prefix) (poolView, error)) endpoint {
	return func(w http.ResponseWriter, r *http.Request) error {
		body, err := readObject(r)
		if err != nil {
			return err
		}
		items, ok := body["prefixes"].([]any)
		if !ok || len(items) == 0 {
			return badRequest("Request body contains invalid data")
		}
		parsed, err := listOf(prefixGiven)(items)
		if err != nil {
			return badRequest("Invalid input for prefixes. Reason: %s.", err)
		}
		p, err := do(r.Context(), r.PathValue("id"), parsed.([]netip.Prefix))
		if err != nil {
			return err
		}
		b := prefixList(p.Prefixes).appendJSON([]byte(`{"prefixes":`))
		writeJSON(w, http.StatusOK, append(b, '}'))
		return nil
	}
}

// onboard makes the subnets of a network the subnetpool's.
func (a *API) onboard(w http.ResponseWriter, r *http.Request) error {
	body, err := readObject(r)
	if err != nil {
		return err
	}
	network, ok := body["network_id"].(string)
	if !ok {
		return store.InvalidInput("network_id must be specified.")
	}
	subnets, err := a.store.Onboard(r.Context(), r.PathValue("id"), network)
	if err != nil {
		return err
	}
	taken := make([]object, len(subnets))
	for i, s := range subnets {
		taken[i] = object{"id": s.ID, "cidr": s.CIDR.String()}
	}
	writeJSON(w, http.StatusOK, appendValue(nil, taken))
	return nil
}
