package api

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"kuryr/internal/embedded/store"
)

type (
	portSpec = store.PortSpec
	portView = store.PortView
)

// dnsDomain ends the names in dns_assignment: Neutron's default for its option dns_domain.
const dnsDomain = "openstacklocal."

func (a *API) ports() *resource[portSpec, portView] {
	return &resource[portSpec, portView]{
		api: a, name: "port", collection: "ports", attrs: portAttrs(a.store.Enforces()),
		list: a.store.Ports, show: a.store.Port, create: a.store.CreatePorts,
		update: a.store.UpdatePort, remove: a.store.DeletePort,
		id: func(v portView) string { return v.ID }, lostMarker: true,
	}
}

// portAttrs is the table of a port's attributes, in the order in which
// Neutron checks them.
func portAttrs(enforced bool) []attr[portSpec, portView] {
	spec := func(s *portSpec) *store.StandardSpec { return &s.StandardSpec }
	row := func(v portView) *store.Standard { return &v.Standard }
	list := []attr[portSpec, portView]{idAttr[portSpec](row), nameAttr(spec, row)}
	list = append(list, portCore()...)
	list = append(list, portBinding()...)
	list = append(list, portDNS()...)
	if enforced {
		list = append(list, portSecurity()...)
	} else {
		list = append(list, portUnprotected()...)
	}
	list = append(list, portExtras()...)
	list = append(list, portAllocation()...)
	reserved(true, list, "binding:host_id", "binding:profile", "binding:vif_type", "binding:vif_details", "resource_request")
	standard := standardAttrs(spec, row)
	for i := range standard {
		if a := &standard[i]; a.name == "tags" { // of ports only, as in Neutron
			a.post, a.def, a.parse = true, unset, tagList
			a.set = field(func(s *portSpec) *store.Opt[[]string] { return &s.Tags })
		}
	}
	return append(list, standard...)
}

func portCore() []attr[portSpec, portView] {
	same := equal[portSpec, portView](asIs)
	return []attr[portSpec, portView]{
		{
			name: "network_id", doc: "The network the port is on.",
			post: true, required: true, parse: identifier,
			set: field(func(s *portSpec) *store.Opt[string] { return &s.NetworkID }),
			get: func(v portView) any { return v.NetworkID }, filter: same, sort: true,
		},
		{
			name: "admin_state_up", doc: "Whether the port passes packets; false: it passes none, and is DOWN.",
			post: true, put: true, def: true, parse: boolean,
			set: field(func(s *portSpec) *store.Opt[bool] { return &s.AdminStateUp }),
			get: func(v portView) any { return v.AdminStateUp }, filter: equal[portSpec, portView](canonical(boolean)), sort: true,
		},
		{
			name: "mac_address", doc: "The MAC address, unique on the network. By default, and for null, a random one.",
			post: true, put: true, def: unset, parse: orNull(macAddress, ""), adminPut: true,
			set: field(func(s *portSpec) *store.Opt[string] { return &s.MAC }),
			get: func(v portView) any { return v.MAC }, filter: equal[portSpec, portView](canonical(macAddress)), sort: true,
		},
		{
			name: "fixed_ips", doc: "The port's addresses. By default one of an IPv4 and one of an IPv6 subnet.",
			post: true, put: true, def: unset, parse: parseFixedIPs,
			set: field(func(s *portSpec) *store.Opt[[]store.FixedIPSpec] { return &s.FixedIPs }),
			get: func(v portView) any { return fixedIPList(v.FixedIPs) }, filter: byFixedIPs,
		},
		{
			name: "device_id", doc: "What the port belongs to.",
			post: true, put: true, def: "", parse: text(maxName),
			set: field(func(s *portSpec) *store.Opt[string] { return &s.DeviceID }),
			get: func(v portView) any { return v.DeviceID }, filter: same, sort: true,
		},
		{
			name: "device_owner", doc: "What kind of thing the port belongs to.",
			post: true, put: true, def: "", parse: text(maxName),
			set: field(func(s *portSpec) *store.Opt[string] { return &s.DeviceOwner }),
			get: func(v portView) any { return v.DeviceOwner }, filter: same, sort: true,
		},
		{
			name: "status", doc: "ACTIVE while the port is plugged on this host, else DOWN.",
			get: func(v portView) any { return v.Status }, filter: same, sort: true,
		},
		{
			name: "propagate_uplink_status", doc: "Stored for clients.",
			post: true, def: true, parse: boolean,
			set: field(func(s *portSpec) *store.Opt[bool] { return &s.Uplink }),
			get: func(v portView) any { return !v.NoUplink },
		},
	}
}

// vnicTypes are all that Neutron knows; this host can bind the first.
func vnicTypes() []any {
	return []any{
		"normal", "direct", "macvtap", "baremetal", "direct-physical", "virtio-forwarder", "smart-nic",
		"vdpa", "accelerator-direct", "accelerator-direct-physical", "remote-managed",
	}
}

func portBinding() []attr[portSpec, portView] {
	return []attr[portSpec, portView]{
		{
			name: "binding:vif_type", doc: "bridge on this host, unbound without a host, binding_failed on any other.",
			get: func(v portView) any { return v.VIFType },
		},
		{
			name: "binding:vif_details", doc: "How a bound port is to be plugged; `bound_drivers` tells clients that this server, and no agent, filters it.",
			get: func(v portView) any {
				details := vifDetails(v)
				if v.VIFType == "bridge" {
					details["bound_drivers"] = object{"0": "kuryr"}
				}
				return details
			},
		},
		{
			name: "binding:vnic_type", doc: "The kind of interface; this host binds normal ones.",
			post: true, put: true, def: "normal", parse: oneOf(vnicTypes()...),
			set: field(func(s *portSpec) *store.Opt[string] { return &s.VNICType }),
			get: func(v portView) any { return v.VNICType },
		},
		{
			name: "binding:host_id", doc: "The host the port is plugged on.",
			post: true, put: true, def: unset, parse: orNull(text(maxName), ""),
			set: field(func(s *portSpec) *store.Opt[string] { return &s.HostID }),
			get: func(v portView) any { return v.HostID }, filter: equal[portSpec, portView](asIs),
		},
		{
			name: "binding:profile", doc: "Stored for clients.",
			post: true, put: true, def: unset, parse: orNull(profile, object{}),
			set: field(func(s *portSpec) *store.Opt[map[string]any] { return &s.Profile }),
			get: func(v portView) any { return profileOf(v) },
		},
	}
}

// vifDetails says how a bound port is to be plugged.
func vifDetails(v portView) object {
	if v.VIFType != "bridge" {
		return object{}
	}
	return object{"connectivity": "l2", "port_filter": v.Filtered}
}

func profileOf(v portView) object {
	if v.Profile == nil {
		return object{}
	}
	return v.Profile
}

func portDNS() []attr[portSpec, portView] {
	return []attr[portSpec, portView]{
		{
			name: "dns_name", doc: "A host name, for dns_assignment; no DNS is served.",
			post: true, put: true, def: "", parse: hostName,
			set: field(func(s *portSpec) *store.Opt[string] { return &s.DNSName }),
			get: func(v portView) any { return v.DNSName },
		},
		{
			name: "dns_domain", doc: "Stored for clients; no DNS is served.",
			post: true, put: true, def: "", parse: fullDomain,
			set: field(func(s *portSpec) *store.Opt[string] { return &s.DNSDomain }),
			get: func(v portView) any { return v.DNSDomain },
		},
		{
			name: "dns_assignment", doc: "The name of each address.",
			get: func(v portView) any { return assignments{v} },
		},
	}
}

// profile accepts a binding:profile, which Neutron keeps in 4,095 characters.
func profile(v any) (any, error) {
	o, err := dictionary(v)
	if err != nil {
		return nil, err
	}
	if j, err := json.Marshal(o); err != nil || len(j) > 4095 {
		return nil, store.InvalidInput("binding:profile value too large")
	}
	return o, nil
}

// portAllocation is how a port's addresses are chosen.
func portAllocation() []attr[portSpec, portView] {
	return []attr[portSpec, portView]{{
		name: "ip_allocation", doc: "immediate, or none of a port that was made to have no addresses.",
		get: func(v portView) any {
			if v.NoAddresses {
				return "none"
			}
			return "immediate"
		},
		filter: equal[portSpec, portView](asIs), sort: true,
	}}
}

// portUnprotected is true of every port of a server that does not enforce
// port security.
func portUnprotected() []attr[portSpec, portView] {
	return []attr[portSpec, portView]{
		fixed[portSpec, portView]("port_security_enabled", "Port security is not enforced.", false),
		fixed[portSpec, portView]("security_groups", "There are no security groups.", []any{}),
		fixed[portSpec, portView]("allowed_address_pairs", "Nothing restricts a port's addresses.", []any{}),
	}
}

func parseFixedIPs(v any) (any, error) {
	malformed := func(v any) error {
		return reason(fmt.Sprintf("Invalid data format for fixed IP: '%s'", python(v)))
	}
	items, ok := v.([]any)
	if !ok {
		return nil, malformed(v)
	}
	ips := make([]store.FixedIPSpec, 0, len(items))
	seen := make(map[netip.Addr]bool)
	for _, item := range items {
		o, ok := item.(object)
		if !ok {
			return nil, malformed(item)
		}
		var ip store.FixedIPSpec
		if given, ok := o["ip_address"]; ok {
			a, err := as[netip.Addr](address)(given)
			if err != nil {
				return nil, err
			}
			if seen[a] {
				return nil, reason(fmt.Sprintf("Duplicate IP address '%s'", python(given)))
			}
			seen[a], ip.Address = true, a
		}
		if given, ok := o["subnet_id"]; ok {
			id, err := as[string](identifier)(given)
			if err != nil {
				return nil, err
			}
			ip.SubnetID = id
		}
		ips = append(ips, ip)
	}
	return ips, nil
}

// byFixedIPs keeps ports that have any of the addresses, any of the parts of
// an address, and an address on any of the subnets:
// fixed_ips=ip_address=A, fixed_ips=ip_address_substr=A, fixed_ips=subnet_id=S.
func byFixedIPs(_ *attr[portSpec, portView], values []string) (filter[portView], error) {
	var addrs, parts, subnets []string
	for _, v := range values {
		key, value, ok := strings.Cut(v, "=")
		key, value = strings.TrimSpace(key), strings.TrimSpace(value)
		if !ok || key == "" {
			return filter[portView]{}, store.InvalidInput("'%s' is not of the form <key>=[value]", v)
		}
		switch key {
		case "ip_address":
			if a, err := netip.ParseAddr(value); err == nil {
				value = a.String()
			}
			addrs = append(addrs, value)
		case "ip_address_substr":
			parts = append(parts, value)
		case "subnet_id":
			subnets = append(subnets, value)
		}
	}
	query := store.Query{}
	if addrs != nil {
		query["fixed_ips.ip_address"] = addrs
	}
	if subnets != nil {
		query["fixed_ips.subnet_id"] = subnets
	}
	holds := func(v portView, wanted []string, fits func(store.FixedIP, string) bool) bool {
		return wanted == nil || slices.ContainsFunc(v.FixedIPs, func(ip store.FixedIP) bool {
			return slices.ContainsFunc(wanted, func(w string) bool { return fits(ip, w) })
		})
	}
	keep := func(v portView) bool {
		return holds(v, addrs, func(ip store.FixedIP, w string) bool { return ip.Address.String() == w }) &&
			holds(v, parts, func(ip store.FixedIP, w string) bool { return strings.Contains(ip.Address.String(), w) }) &&
			holds(v, subnets, func(ip store.FixedIP, w string) bool { return ip.SubnetID == w })
	}
	return filter[portView]{keep: keep, query: query}, nil
}

type fixedIPList []store.FixedIP

func (l fixedIPList) appendJSON(b []byte) []byte {
	return appendList(b, l, func(b []byte, ip store.FixedIP) []byte {
		b = appendString(append(b, `{"subnet_id":`...), ip.SubnetID)
		b = appendText(append(b, `,"ip_address":`...), ip.Address)
		return append(b, '}')
	})
}

// assignments is the dns_assignment of a port.
type assignments struct{ port portView }

func (d assignments) appendJSON(b []byte) []byte {
	return appendList(b, d.port.FixedIPs, func(b []byte, ip store.FixedIP) []byte {
		host := d.port.DNSName
		if host == "" {
			host = "host-" + dashed(ip.Address)
		}
		fqdn := host
		if !strings.HasSuffix(fqdn, ".") {
			fqdn += "." + dnsDomain
		}
		b = appendText(append(b, `{"ip_address":`...), ip.Address)
		b = appendString(append(b, `,"hostname":`...), host)
		b = appendString(append(b, `,"fqdn":`...), fqdn)
		return append(b, '}')
	})
}

// dashed writes an address as part of a host name.
func dashed(a netip.Addr) string {
	return strings.Map(func(r rune) rune {
		if r == '.' || r == ':' {
			return '-'
		}
		return r
	}, a.String())
}
