package api

import (
	"fmt"
	"net/netip"

	"kuryr/internal/embedded/store"
)

type (
	subnetSpec = store.SubnetSpec
	subnetView = store.SubnetView
)

func (a *API) subnets() *resource[subnetSpec, subnetView] {
	return &resource[subnetSpec, subnetView]{
		api: a, name: "subnet", collection: "subnets", attrs: subnetAttrs(),
		list: a.store.Subnets, show: a.store.Subnet, create: a.store.CreateSubnets,
		update: a.store.UpdateSubnet, remove: a.store.DeleteSubnet,
		id: func(v subnetView) string { return v.ID },
	}
}

// subnetAttrs is the table of a subnet's attributes, in the order in which
// Neutron checks them.
func subnetAttrs() []attr[subnetSpec, subnetView] {
	spec := func(s *subnetSpec) *store.StandardSpec { return &s.StandardSpec }
	row := func(v subnetView) *store.Standard { return &v.Standard }
	list := []attr[subnetSpec, subnetView]{idAttr[subnetSpec](row), nameAttr(spec, row)}
	list = append(list, subnetPlace()...)
	list = append(list, subnetAddressing()...)
	return append(list, standardAttrs(spec, row)...)
}

// subnetPlace says where a subnet is: on which network, from which pool.
func subnetPlace() []attr[subnetSpec, subnetView] {
	return []attr[subnetSpec, subnetView]{
		{
			name: "ip_version", doc: "4 or 6.",
			post: true, required: true,
			parse: ipVersion,
			set:   field(func(s *subnetSpec) *store.Opt[int] { return &s.IPVersion }),
			get:   func(v subnetView) any { return v.IPVersion() }, filter: equal[subnetSpec, subnetView](canonical(integer)), sort: true,
		},
		{
			name: "network_id", doc: "The network the subnet is on.",
			post: true, required: true, parse: identifier,
			set: field(func(s *subnetSpec) *store.Opt[string] { return &s.NetworkID }),
			get: func(v subnetView) any { return v.NetworkID }, filter: equal[subnetSpec, subnetView](asIs), sort: true,
		},
		{
			name: "subnetpool_id", doc: "The subnetpool the CIDR is taken from.",
			post: true, def: unset, parse: orNull(identifier, ""),
			set: field(func(s *subnetSpec) *store.Opt[string] { return &s.SubnetPoolID }),
			get: func(v subnetView) any { return orNil(v.SubnetPoolID) }, filter: equal[subnetSpec, subnetView](asIs), sort: true,
		},
		{
			name: "use_default_subnetpool", doc: "Take the CIDR from the default subnetpool of the IP version.",
			post: true, def: false, parse: boolean,
			set: field(func(s *subnetSpec) *store.Opt[bool] { return &s.UseDefaultPool }),
		},
		{
			name: "prefixlen", doc: "The length of the CIDR to cut from the subnetpool.",
			post: true, def: unset, parse: natural,
			set: field(func(s *subnetSpec) *store.Opt[int] { return &s.PrefixLen }),
		},
		{
			name: "cidr", doc: "The subnet's addresses.",
			post: true, def: unset, parse: prefix,
			set: field(func(s *subnetSpec) *store.Opt[netip.Prefix] { return &s.CIDR }),
			get: func(v subnetView) any { return v.CIDR }, filter: equal[subnetSpec, subnetView](asPrefix), sort: true,
		},
		{
			name: "shared", doc: "Whether the subnet's network is shared; to filter by only.",
			filter: func(a *attr[subnetSpec, subnetView], values []string) (filter[subnetView], error) {
				visible := *a
				visible.get = func(v subnetView) any { return v.Shared }
				return equal[subnetSpec, subnetView](canonical(boolean))(&visible, values)
			},
		},
		{
			name: "segment_id", doc: "There are no segments.",
			post: true, put: true, def: unset, parse: orNull(noSegment, nil), adminSet: true, adminGet: true,
			get: func(subnetView) any { return nil }, filter: equal[subnetSpec, subnetView](asIs), sort: true,
		},
		{
			name: "service_types", doc: "The device_owners of the ports that get addresses here unasked; none: all.",
			post: true, put: true, def: unset, parse: parseServiceTypes,
			set: field(func(s *subnetSpec) *store.Opt[[]string] { return &s.ServiceTypes }),
			get: func(v subnetView) any { return v.ServiceTypes },
		},
	}
}

// subnetAddressing says what addresses a subnet has and what it tells its ports.
func subnetAddressing() []attr[subnetSpec, subnetView] {
	mode := func(name, doc string, f func(*subnetSpec) *store.Opt[string], get func(subnetView) string) attr[subnetSpec, subnetView] {
		return attr[subnetSpec, subnetView]{
			name: name, doc: doc, post: true, def: unset,
			parse: oneOf("dhcpv6-stateful", "dhcpv6-stateless", "slaac"),
			set:   field(f), get: func(v subnetView) any { return orNil(get(v)) },
			filter: equal[subnetSpec, subnetView](asIs), sort: true,
		}
	}
	return []attr[subnetSpec, subnetView]{
		{
			name: "gateway_ip", doc: "The gateway; null: none. By default the first address.",
			post: true, put: true, def: unset, parse: orNull(address, netip.Addr{}),
			set:    field(func(s *subnetSpec) *store.Opt[netip.Addr] { return &s.Gateway }),
			get:    func(v subnetView) any { return orNil(v.Gateway) },
			filter: equal[subnetSpec, subnetView](canonical(address)), sort: true,
		},
		{
			name: "allocation_pools", doc: "The ranges that automatic addresses come from. By default all but the gateway.",
			post: true, put: true, def: unset, parse: parsePools,
			set: field(func(s *subnetSpec) *store.Opt[[]store.Range] { return &s.Pools }),
			get: func(v subnetView) any { return poolList(v.Pools) },
		},
		{
			name: "dns_nameservers", doc: "Name servers for the ports.",
			post: true, put: true, def: unset, parse: parseNameservers,
			set: field(func(s *subnetSpec) *store.Opt[[]netip.Addr] { return &s.Nameservers }),
			get: func(v subnetView) any { return addressList(v.Nameservers) },
		},
		{
			name: "host_routes", doc: "Static routes for the ports.",
			post: true, put: true, def: unset, parse: parseRoutes,
			set: field(func(s *subnetSpec) *store.Opt[[]store.Route] { return &s.HostRoutes }),
			get: func(v subnetView) any { return routeList(v.HostRoutes) },
		},
		{
			name: "enable_dhcp", doc: "Stored; no DHCP is served.",
			post: true, put: true, def: true, parse: boolean,
			set: field(func(s *subnetSpec) *store.Opt[bool] { return &s.EnableDHCP }),
			get: func(v subnetView) any { return v.EnableDHCP }, filter: equal[subnetSpec, subnetView](canonical(boolean)), sort: true,
		},
		mode("ipv6_ra_mode", "Stored; no router advertisements are sent.",
			func(s *subnetSpec) *store.Opt[string] { return &s.RAMode }, func(v subnetView) string { return v.RAMode }),
		mode("ipv6_address_mode", "How ports get their addresses; slaac and dhcpv6-stateless: from their MAC.",
			func(s *subnetSpec) *store.Opt[string] { return &s.AddressMode }, func(v subnetView) string { return v.AddressMode }),
	}
}

// asPrefix brings a CIDR into the form that subnets have.
func asPrefix(s string) (string, error) {
	p, err := as[netip.Prefix](prefix)(s)
	if err != nil {
		return "", err
	}
	return p.Masked().String(), nil
}

// noSegment is the answer to every segment that a request names.
func noSegment(v any) (any, error) {
	id, err := identifier(v)
	if err != nil {
		return nil, err
	}
	return nil, &store.Error{Kind: store.NotFound, Type: "SegmentNotFound", Message: "Segment " + id.(string) + " could not be found."}
}

func parsePools(v any) (any, error) {
	items, ok := v.([]any)
	if !ok {
		return nil, reason(fmt.Sprintf("Invalid data format for IP pool: '%s'", python(v)))
	}
	pools := make([]store.Range, 0, len(items))
	for _, item := range items {
		o, err := keys(item, "start", "end")
		if err != nil {
			return nil, err
		}
		first, err := as[netip.Addr](address)(o["start"])
		if err != nil {
			return nil, err
		}
		last, err := as[netip.Addr](address)(o["end"])
		if err != nil {
			return nil, err
		}
		pools = append(pools, store.Range{First: first, Last: last})
	}
	return pools, nil
}

func parseNameservers(v any) (any, error) {
	if v == nil {
		return []netip.Addr(nil), nil
	}
	if _, ok := v.([]any); !ok {
		return nil, reason(fmt.Sprintf("Invalid data format for nameserver: '%s'", python(v)))
	}
	return listOfKind("nameserver", func(item any) (netip.Addr, error) {
		a, err := as[netip.Addr](address)(item)
		if err != nil {
			return a, reason(fmt.Sprintf("'%s' is not a valid nameserver. %s", python(item), err))
		}
		return a, nil
	})(v)
}

func parseRoutes(v any) (any, error) {
	if v == nil {
		return []store.Route(nil), nil
	}
	if _, ok := v.([]any); !ok {
		return nil, reason(fmt.Sprintf("Invalid data format for hostroute: '%s'", python(v)))
	}
	return listOfKind("hostroute", func(item any) (r store.Route, err error) {
		o, err := keys(item, "destination", "nexthop")
		if err != nil {
			return r, err
		}
		s, _ := o["destination"].(string)
		switch r.Destination, err = netip.ParsePrefix(s); {
		case err != nil:
			return r, reason(fmt.Sprintf("'%s' is not a valid CIDR", python(o["destination"])))
		case r.Destination != r.Destination.Masked():
			return r, reason(fmt.Sprintf("'%s' is not a recognized CIDR, '%s' is recommended", s, r.Destination.Masked()))
		case r.Destination.Addr().IsLoopback():
			return r, reason(fmt.Sprintf("'%s' is not a routable CIDR", s))
		}
		r.NextHop, err = as[netip.Addr](address)(o["nexthop"])
		return r, err
	})(v)
}

type (
	poolList    []store.Range
	routeList   []store.Route
	addressList []netip.Addr
)

func (l poolList) appendJSON(b []byte) []byte {
	return appendList(b, l, func(b []byte, r store.Range) []byte {
		b = appendText(append(b, `{"start":`...), r.First)
		b = appendText(append(b, `,"end":`...), r.Last)
		return append(b, '}')
	})
}

func (l routeList) appendJSON(b []byte) []byte {
	return appendList(b, l, func(b []byte, r store.Route) []byte {
		b = appendText(append(b, `{"destination":`...), r.Destination)
		b = appendText(append(b, `,"nexthop":`...), r.NextHop)
		return append(b, '}')
	})
}

func (l addressList) appendJSON(b []byte) []byte { return appendList(b, l, appendText[netip.Addr]) }
