package api

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"kuryr/internal/embedded/store"
)

type ipsView = store.IPAvailabilityView

// ipAvailability serves how many addresses of each network are in use.
func (a *API) ipAvailability() *resource[struct{}, ipsView] {
	return &resource[struct{}, ipsView]{
		api: a, name: "network_ip_availability", collection: "network_ip_availabilities", attrs: ipsAttrs(),
		list: a.store.IPAvailabilities,
		show: func(ctx context.Context, id string) (ipsView, error) {
			if !a.store.Caller(ctx).Admin {
				return ipsView{}, notFound()
			}
			return a.store.IPAvailability(ctx, id)
		},
		id: func(v ipsView) string { return v.ID },
	}
}

// ipsAttrs is the table of the attributes of a network's addresses.
func ipsAttrs() []attr[struct{}, ipsView] {
	same := equal[struct{}, ipsView](asIs)
	project := func(v ipsView) any { return v.ProjectID }
	return []attr[struct{}, ipsView]{
		{name: "network_id", doc: "The network.", get: func(v ipsView) any { return v.ID }, filter: same, sort: true},
		{name: "network_name", doc: "Its name.", get: func(v ipsView) any { return v.Name }, filter: same},
		{name: "tenant_id", doc: "The old name of project_id.", get: project, filter: same},
		{name: "project_id", doc: "The project that owns the network.", get: project, filter: same},
		{
			name: "subnet_ip_availability", doc: "The same of each subnet.",
			get: func(v ipsView) any { return subnetIPs(v.Subnets) },
		},
		{name: "used_ips", doc: "Addresses that ports hold.", get: func(v ipsView) any { return v.Used() }},
		{name: "total_ips", doc: "Addresses of the allocation pools.", get: func(v ipsView) any { return v.Total() }},
		// The subnets to count are picked by the store, which is told of this by the query.
		{name: "ip_version", doc: "4 or 6: count these subnets only; to filter by.", filter: byIPVersion},
	}
}

// byIPVersion leaves out the subnets of the other family, and networks without any.
func byIPVersion(_ *attr[struct{}, ipsView], values []string) (filter[ipsView], error) {
	return filter[ipsView]{
		keep:  func(v ipsView) bool { return len(v.Subnets) > 0 },
		query: store.Query{"ip_version": values},
	}, nil
}

func subnetIPs(subnets []store.SubnetIPs) []object {
	out := make([]object, len(subnets))
	for i, s := range subnets {
		out[i] = object{
			"subnet_id": s.ID, "subnet_name": s.Name, "ip_version": s.IPVersion(), "cidr": s.CIDR.String(),
			"used_ips": s.Used, "total_ips": s.Total,
		}
	}
	return out
}

// registerZones serves the availability zones, of which there are none.
func (a *API) registerZones(mux *http.ServeMux) {
	mux.Handle("/v2.0/availability_zones", a.serve(methods{"GET": func(w http.ResponseWriter, r *http.Request) error {
		if err := onlyFilters(inOrder(r, r.URL.Query()), "name", "resource", "state"); err != nil {
			return err
		}
		writeJSON(w, http.StatusOK, []byte(`{"availability_zones":[]}`))
		return nil
	}}))
}

// onlyFilters refuses parameters that are neither a list's own nor known.
func onlyFilters(names []string, known ...string) error {
	known = append(known, "fields", "sort_key", "sort_dir", "limit", "marker", "page_reverse")
	if invalid := slices.DeleteFunc(names, func(n string) bool { return slices.Contains(known, n) }); len(invalid) > 0 {
		return badRequest("['%s'] is invalid attribute for filtering", strings.Join(invalid, "', '"))
	}
	return nil
}
