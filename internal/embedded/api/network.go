package api

import (
	"fmt"

	"kuryr/internal/embedded/store"
)

type (
	networkSpec = store.NetworkSpec
	networkView = store.NetworkView
)

func (a *API) networks() *resource[networkSpec, networkView] {
	return &resource[networkSpec, networkView]{
		api: a, name: "network", collection: "networks", attrs: networkAttrs(a.store.Enforces()),
		list: a.store.Networks, show: a.store.Network, create: a.store.CreateNetworks,
		update: a.store.UpdateNetwork, remove: a.store.DeleteNetwork,
		id: func(v networkView) string { return v.ID }, lostMarker: true,
	}
}

// networkAttrs is the table of a network's attributes, in the order in which
// Neutron checks them.
func networkAttrs(enforced bool) []attr[networkSpec, networkView] {
	type attrs = []attr[networkSpec, networkView]
	spec := func(s *networkSpec) *store.StandardSpec { return &s.StandardSpec }
	row := func(v networkView) *store.Standard { return &v.Standard }
	list := attrs{
		idAttr[networkSpec](row),
		nameAttr(spec, row),
		{
			name: "subnets", doc: "The IDs of the network's subnets.",
			get: func(v networkView) any { return v.Subnets },
		},
		{
			name: "admin_state_up", doc: "Stored, without effect on traffic.",
			post: true, put: true, def: true, parse: boolean,
			set: field(func(s *networkSpec) *store.Opt[bool] { return &s.AdminStateUp }),
			get: func(v networkView) any { return v.AdminStateUp }, filter: equal[networkSpec, networkView](canonical(boolean)), sort: true,
		},
		{
			name: "status", doc: "Always ACTIVE: a network is there as soon as it is made.",
			get: func(networkView) any { return "ACTIVE" }, filter: equal[networkSpec, networkView](asIs), sort: true,
		},
		{
			name: "shared", doc: "Whether all projects may use the network.",
			post: true, put: true, def: false, parse: boolean,
			set: field(func(s *networkSpec) *store.Opt[bool] { return &s.Shared }),
			get: func(v networkView) any { return v.Shared }, filter: equal[networkSpec, networkView](canonical(boolean)),
		},
		{
			name: "mtu", doc: "Largest packet in bytes; 0 asks for the server's default.",
			post: true, put: true, def: 0, parse: natural,
			set: field(func(s *networkSpec) *store.Opt[int] { return &s.MTU }),
			get: func(v networkView) any { return v.MTU }, filter: equal[networkSpec, networkView](canonical(integer)), sort: true,
		},
		{
			name: "dns_domain", doc: "Stored for clients; no DNS is served.",
			post: true, put: true, def: "", parse: fullDomain,
			set: field(func(s *networkSpec) *store.Opt[string] { return &s.DNSDomain }),
			get: func(v networkView) any { return v.DNSDomain },
		},
	}
	if enforced {
		list = append(list, networkSecurity())
	} else {
		list = append(list, fixed[networkSpec, networkView]("port_security_enabled", "Port security is not enforced.", false))
	}
	list = append(list, networkConstants()...)
	reserved(false, list, "shared", "router:external")
	reserved(true, list, "provider:network_type", "provider:physical_network", "provider:segmentation_id")
	return append(list, standardAttrs(spec, row)...)
}

// networkConstants are true of every network of this server.
func networkConstants() []attr[networkSpec, networkView] {
	none := []string{}
	external := fixed[networkSpec, networkView]("router:external", "There are no external networks.", false)
	external.filter = equal[networkSpec, networkView](canonical(boolean))
	kind := fixed[networkSpec, networkView]("provider:network_type", "A network is a bridge of this host.", "local")
	physical := fixed[networkSpec, networkView]("provider:physical_network", "A local network has none.", nil)
	segment := fixed[networkSpec, networkView]("provider:segmentation_id", "A local network has none.", nil)
	kind.filter = equal[networkSpec, networkView](asIs)
	physical.filter, segment.filter = kind.filter, equal[networkSpec, networkView](canonical(integer))
	return []attr[networkSpec, networkView]{
		kind, physical, segment, external,
		{
			name: "qos_policy_id", doc: "The network's QoS policy. It is not applied to traffic.",
			post: true, put: true, def: unset, parse: orNull(identifier, ""),
			set: field(func(s *networkSpec) *store.Opt[string] { return &s.QoSPolicyID }),
			get: func(v networkView) any { return orNil(v.QoSPolicyID) },
		},
		{
			name: "availability_zone_hints", doc: "There are no availability zones.",
			post: true, def: unset, parse: noZones, get: func(networkView) any { return none }, sort: true,
		},
		shown[networkSpec, networkView]("availability_zones", "There are no availability zones.", none),
		{name: "ipv4_address_scope", doc: "The address scope of its IPv4 subnets.", get: func(v networkView) any { return orNil(v.Scope4) }},
		{name: "ipv6_address_scope", doc: "The address scope of its IPv6 subnets.", get: func(v networkView) any { return orNil(v.Scope6) }},
		shown[networkSpec, networkView]("l2_adjacency", "A network is one layer-2 segment.", true),
	}
}

// noZones accepts a list of availability zones, of which there are none.
func noZones(v any) (any, error) {
	zones, ok := v.([]any)
	switch {
	case !ok:
		return nil, reason(fmt.Sprintf("'%s' is not a list", python(v)))
	case len(zones) > 0:
		return nil, &store.Error{
			Kind: store.NotFound, Type: "AvailabilityZoneNotFound",
			Message: "AvailabilityZone " + python(zones[0]) + " could not be found.",
		}
	}
	return nil, nil
}

// networkSecurity is the default of a network's ports on a host that enforces it.
func networkSecurity() attr[networkSpec, networkView] {
	return attr[networkSpec, networkView]{
		name: "port_security_enabled", doc: "The default of the network's ports.",
		post: true, put: true, def: unset, parse: boolean,
		set: field(func(s *networkSpec) *store.Opt[bool] { return &s.PortSecurity }),
		get: func(v networkView) any { return v.Security },
	}
}
