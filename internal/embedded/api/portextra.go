package api

import (
	"slices"
	"strings"

	"kuryr/internal/embedded/store"
)

// portExtras are the attributes of a port that other services would use.
func portExtras() []attr[portSpec, portView] {
	return []attr[portSpec, portView]{
		{
			name: "extra_dhcp_opts", doc: "Stored for clients; no DHCP is served.",
			post: true, put: true, def: unset, parse: parseDHCPOptions,
			set: field(func(s *portSpec) *store.Opt[[]store.DHCPOptionSpec] { return &s.DHCPOptions }),
			get: func(v portView) any { return dhcpOptions(v.DHCPOptions) },
		},
		{
			name: "qos_policy_id", doc: "The port's QoS policy. It is not applied to traffic.",
			post: true, put: true, def: unset, parse: orNull(identifier, ""),
			set: field(func(s *portSpec) *store.Opt[string] { return &s.QoSPolicyID }),
			get: func(v portView) any { return orNil(v.QoSPolicyID) },
		},
		{
			name: "qos_network_policy_id", doc: "The QoS policy of the port's network.",
			get: func(v portView) any { return orNil(v.NetworkPolicy) },
		},
		shown[portSpec, portView]("resource_request", "Nothing asks for resources.", nil),
	}
}

type dhcpOptions []store.DHCPOption

func (l dhcpOptions) appendJSON(b []byte) []byte {
	return appendList(b, l, func(b []byte, o store.DHCPOption) []byte {
		b = appendString(append(b, `{"opt_name":`...), o.Name)
		b = appendString(append(b, `,"opt_value":`...), o.Value)
		b = appendValue(append(b, `,"ip_version":`...), o.IPVersion)
		return append(b, '}')
	})
}

func parseDHCPOptions(v any) (any, error) {
	if v == nil {
		return []store.DHCPOptionSpec(nil), nil
	}
	items, ok := v.([]any)
	if !ok {
		return nil, store.InvalidInput("'%s' is not a list", python(v))
	}
	out := make([]store.DHCPOptionSpec, 0, len(items))
	for _, item := range items {
		option, ok := parseDHCPOption(item)
		if !ok {
			return nil, store.InvalidInput("No valid key specs matched for: %s", python(item))
		}
		out = append(out, option)
	}
	return out, nil
}

// parseDHCPOption accepts an option with its value; null takes it away.
func parseDHCPOption(v any) (out store.DHCPOptionSpec, ok bool) {
	o, _ := v.(object)
	for name := range o {
		if name != "opt_name" && name != "opt_value" && name != "ip_version" {
			return out, false
		}
	}
	name, err := filled(64)(o["opt_name"])
	value, given := o["opt_value"]
	if err != nil || !given {
		return out, false
	}
	out.Name, out.Gone, out.IPVersion = name.(string), value == nil, 4
	if !out.Gone {
		mayBeBlank := out.Name == "router" || out.Name == "classless-static-route"
		if out.Value, ok = value.(string); !ok || len(out.Value) > 255 || out.Value == "" && !mayBeBlank {
			return out, false
		}
	}
	if version, given := o["ip_version"]; given {
		n, err := ipVersion(version)
		if err != nil {
			return out, false
		}
		out.IPVersion = n.(int)
	}
	return out, true
}

// parseServiceTypes accepts device owners that a subnet can be for.
func parseServiceTypes(v any) (any, error) {
	if v == nil {
		return []string{}, nil
	}
	return listOf(func(item any) (string, error) {
		s, ok := item.(string)
		if !ok {
			return "", &store.Error{Kind: store.BadRequest, Type: "InvalidInputSubnetServiceType",
				Message: "Subnet service type " + python(item) + " is not a string."}
		}
		owners := []string{"network:", "compute:", "baremetal:", "neutron:", "trunk:"}
		if !slices.ContainsFunc(owners, func(p string) bool { return strings.HasPrefix(s, p) }) {
			return "", &store.Error{Kind: store.BadRequest, Type: "InvalidSubnetServiceType",
				Message: "Subnet service type " + s + " does not correspond to a valid device owner."}
		}
		return s, nil
	})(v)
}
