package api

import (
	"fmt"
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
			get: func(v portView) any { return orNil(v.QoSPolicyID) }, filter: equal[portSpec, portView](asIs),
		},
		{
			name: "qos_network_policy_id", doc: "The QoS policy of the port's network.",
			get: func(v portView) any { return orNil(v.NetworkPolicy) }, filter: equal[portSpec, portView](asIs),
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
	return listOf(func(item any) (out store.DHCPOptionSpec, err error) {
		o, ok := item.(object)
		if !ok {
			return out, reason(fmt.Sprintf("'%s' is not a dictionary", python(item)))
		}
		name, ok := o["opt_name"]
		if !ok {
			return out, reason("Invalid input. Required keys: ['opt_name', 'opt_value']")
		}
		if out.Name, err = as[string](filled(64))(name); err != nil {
			return out, err
		}
		if value := o["opt_value"]; value == nil {
			out.Gone = true
		} else if out.Value, err = as[string](text(255))(value); err != nil {
			return out, err
		}
		out.IPVersion = 4
		if given, ok := o["ip_version"]; ok {
			out.IPVersion, err = as[int](ipVersion)(given)
		}
		return out, err
	})(v)
}

// parseServiceTypes accepts device owners that a subnet can be for.
func parseServiceTypes(v any) (any, error) {
	return listOf(func(item any) (string, error) {
		s, ok := item.(string)
		if !ok {
			return "", &store.Error{Kind: store.BadRequest, Type: "InvalidInputSubnetServiceType",
				Message: "Subnet service type " + python(item) + " is not a string."}
		}
		owners := []string{"network:", "compute:", "baremetal:", "neutron:", "trunk:", "kuryr:"}
		if !slices.ContainsFunc(owners, func(p string) bool { return strings.HasPrefix(s, p) && len(s) > len(p) }) {
			return "", &store.Error{Kind: store.BadRequest, Type: "InvalidSubnetServiceType",
				Message: "Subnet service type " + s + " does not correspond to a valid device owner."}
		}
		return s, nil
	})(v)
}
