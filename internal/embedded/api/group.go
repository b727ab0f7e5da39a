package api

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"kuryr/internal/embedded/store"
)

type (
	groupSpec = store.SecurityGroupSpec
	groupView = store.SecurityGroupView
	ruleSpec  = store.SecurityGroupRuleSpec
	ruleView  = store.SecurityGroupRuleView
)

func (a *API) groups() *resource[groupSpec, groupView] {
	return &resource[groupSpec, groupView]{
		api: a, name: "security_group", collection: "security_groups", attrs: groupAttrs(),
		list: a.store.SecurityGroups, show: a.store.SecurityGroup, create: a.store.CreateSecurityGroups,
		update: a.store.UpdateSecurityGroup, remove: a.store.DeleteSecurityGroup,
		id: func(v groupView) string { return v.ID }, lostMarker: true,
	}
}

// groupAttrs is the table of a security group's attributes.
func groupAttrs() []attr[groupSpec, groupView] {
	spec := func(s *groupSpec) *store.StandardSpec { return &s.StandardSpec }
	row := func(v groupView) *store.Standard { return &v.Standard }
	list := []attr[groupSpec, groupView]{
		idAttr[groupSpec](row), nameAttr(spec, row),
		{
			name: "stateful", doc: "Whether answers to what was permitted are permitted.",
			post: true, put: true, def: unset, parse: boolean,
			set: field(func(s *groupSpec) *store.Opt[bool] { return &s.Stateful }),
			get: func(v groupView) any { return !v.Stateless },
		},
		{
			name: "shared", doc: "Other projects don't see it.",
			get: func(groupView) any { return false }, filter: equal[groupSpec, groupView](canonical(boolean)),
		},
		{
			name: "security_group_rules", doc: "The group's rules.",
			get: func(v groupView) any { return ruleList(v.Rules) },
		},
	}
	return append(list, standardAttrs(spec, row)...)
}

// ruleList is the rules within a security group. Neutron shows their tags
// there, which it leaves out elsewhere.
type ruleList []ruleView

func (l ruleList) appendJSON(b []byte) []byte {
	attrs := ruleAttrs(true)
	return appendList(b, l, func(b []byte, v ruleView) []byte { return appendObject(b, attrs, v, nil) })
}

func (a *API) rules() *resource[ruleSpec, ruleView] {
	return &resource[ruleSpec, ruleView]{
		api: a, name: "security_group_rule", collection: "security_group_rules", attrs: ruleAttrs(false),
		list: a.store.SecurityGroupRules, show: a.store.SecurityGroupRule, create: a.store.CreateSecurityGroupRules,
		update: a.store.UpdateSecurityGroupRule, remove: a.store.DeleteSecurityGroupRule,
		id: func(v ruleView) string { return v.ID }, lostMarker: true,
	}
}

// ruleAttrs is the table of a rule's attributes; tags: as they are within a group.
func ruleAttrs(tags bool) []attr[ruleSpec, ruleView] {
	spec := func(s *ruleSpec) *store.StandardSpec { return &s.StandardSpec }
	row := func(v ruleView) *store.Standard { return &v.Standard }
	list := []attr[ruleSpec, ruleView]{idAttr[ruleSpec](row)}
	list = append(list, ruleMatch()...)
	list = append(list, ruleRemote()...)
	for _, a := range standardAttrs(spec, row) {
		switch a.name {
		case "tags", "tags-any", "not-tags", "not-tags-any":
			if a.name != "tags" || !tags {
				continue
			}
		case "description":
			a.get = func(v ruleView) any {
				if v.Own && v.Description == "" {
					return nil // as of the rules that Neutron makes itself
				}
				return v.Description
			}
		}
		list = append(list, a)
	}
	return list
}

// ruleMatch is what a rule says of a packet.
func ruleMatch() []attr[ruleSpec, ruleView] {
	same := equal[ruleSpec, ruleView](asIs)
	bound := func(name, doc string, f func(*ruleSpec) *store.Opt[*int], get func(ruleView) *int) attr[ruleSpec, ruleView] {
		return attr[ruleSpec, ruleView]{
			name: name, doc: doc, post: true, def: unset, parse: orNull(parsePort, (*int)(nil)), set: field(f),
			get: func(v ruleView) any {
				if n := get(v); n != nil {
					return *n
				}
				return nil
			},
			filter: equal[ruleSpec, ruleView](portNumber), sort: true,
		}
	}
	return []attr[ruleSpec, ruleView]{
		{
			name: "security_group_id", doc: "The group the rule belongs to.",
			post: true, required: true, parse: text(maxName),
			set: field(func(s *ruleSpec) *store.Opt[string] { return &s.GroupID }),
			get: func(v ruleView) any { return v.GroupID }, filter: same, sort: true,
		},
		{
			name: "ethertype", doc: "IPv4 or IPv6.",
			post: true, def: "IPv4", parse: parseEthertype,
			set: field(func(s *ruleSpec) *store.Opt[string] { return &s.Ethertype }),
			get: func(v ruleView) any { return v.Ethertype }, filter: equal[ruleSpec, ruleView](canonical(parseEthertype)), sort: true,
		},
		{
			name: "direction", doc: "ingress: to the port; egress: from it.",
			post: true, required: true, parse: oneOf("ingress", "egress"),
			set: field(func(s *ruleSpec) *store.Opt[string] { return &s.Direction }),
			get: func(v ruleView) any { return v.Direction }, filter: same, sort: true,
		},
		{
			name: "protocol", doc: "An IP protocol's name or number; null: any.",
			post: true, def: unset, parse: orNull(parseProtocol, ""),
			set: field(func(s *ruleSpec) *store.Opt[string] { return &s.Protocol }),
			get: func(v ruleView) any { return orNil(v.Protocol) }, filter: equal[ruleSpec, ruleView](canonical(parseProtocol)), sort: true,
		},
		bound("port_range_min", "The first port, or the ICMP type; null: any.",
			func(s *ruleSpec) *store.Opt[*int] { return &s.PortMin }, func(v ruleView) *int { return v.PortMin }),
		bound("port_range_max", "The last port, or the ICMP code; null: any.",
			func(s *ruleSpec) *store.Opt[*int] { return &s.PortMax }, func(v ruleView) *int { return v.PortMax }),
	}
}

// ruleRemote is what a rule says of the other side.
func ruleRemote() []attr[ruleSpec, ruleView] {
	same := equal[ruleSpec, ruleView](asIs)
	return []attr[ruleSpec, ruleView]{
		{
			name: "remote_ip_prefix", doc: "The other side's addresses, as they were given; null: any.",
			post: true, def: unset, parse: orNull(parseRemotePrefix, ""),
			set: field(func(s *ruleSpec) *store.Opt[string] { return &s.RemotePrefix }),
			get: func(v ruleView) any { return orNil(v.RemotePrefix) }, filter: same, sort: true,
		},
		{
			name: "remote_address_group_id", doc: "The other side is in this address group.",
			post: true, def: unset, parse: orNull(text(maxName), ""),
			set: field(func(s *ruleSpec) *store.Opt[string] { return &s.RemoteAddrs }),
			get: func(v ruleView) any { return orNil(v.RemoteAddrs) }, filter: same, sort: true,
		},
		{
			name: "normalized_cidr", doc: "The prefix that remote_ip_prefix stands for.",
			get: func(v ruleView) any { return orNil(v.Normalized()) }, filter: same,
		},
		{
			name: "remote_group_id", doc: "The other side is a port in this security group.",
			post: true, def: unset, parse: orNull(text(maxName), ""),
			set: field(func(s *ruleSpec) *store.Opt[string] { return &s.RemoteGroup }),
			get: func(v ruleView) any { return orNil(v.RemoteGroup) }, filter: same, sort: true,
		},
	}
}

func parsePort(v any) (any, error) {
	n, err := integer(v)
	if err != nil || n.(int) < 0 || n.(int) > 65535 {
		return nil, &store.Error{
			Kind: store.BadRequest, Type: "SecurityGroupInvalidPortValue", Message: "Invalid value for port " + python(v),
		}
	}
	p := n.(int)
	return &p, nil
}

func parseEthertype(v any) (any, error) {
	s, _ := v.(string)
	for _, known := range []string{store.IPv4, store.IPv6} {
		if strings.EqualFold(s, known) {
			return known, nil
		}
	}
	return nil, &store.Error{
		Kind: store.BadRequest, Type: "SecurityGroupRuleInvalidEtherType",
		Message: "Security group rule for ethertype '" + python(v) + "' not supported. Allowed values are ['IPv4', 'IPv6'].",
	}
}

func parseProtocol(v any) (any, error) { return store.Protocol(strings.ToLower(python(v))) }

// parseRemotePrefix accepts an address or a prefix, of which it keeps the host's part.
func parseRemotePrefix(v any) (any, error) {
	s, _ := v.(string)
	if p, err := netip.ParsePrefix(s); err == nil {
		return p.String(), nil
	}
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		return netip.PrefixFrom(a, a.BitLen()).String(), nil
	}
	if v == "" {
		return "", nil
	}
	return nil, &store.Error{Kind: store.BadRequest, Type: "InvalidCIDR", Message: "Invalid CIDR " + python(v) + " given as IP prefix."}
}

// portNumber brings a parameter into the form that ports have.
func portNumber(s string) (string, error) {
	n, err := parsePort(s)
	if err != nil {
		return "", err
	}
	return strconv.Itoa(*n.(*int)), nil
}

// parsePairs accepts the allowed_address_pairs of a port.
func parsePairs(v any) (any, error) {
	if v == nil {
		return []store.AddressPair(nil), nil
	}
	items, ok := v.([]any)
	if !ok {
		return nil, badRequest("Allowed address pairs must be a list.")
	}
	out := make([]store.AddressPair, 0, len(items))
	for _, item := range items {
		pair, err := parsePair(item)
		if err != nil {
			return nil, err
		}
		if slices.Contains(out, pair) {
			return nil, &store.Error{Kind: store.BadRequest, Type: "DuplicateAddressPairInRequest", Message: fmt.Sprintf(
				"Request contains duplicate address pair: mac_address %s ip_address %s.", orNone(pair.MAC), pair.Address)}
		}
		out = append(out, pair)
	}
	return out, nil
}

func orNone(s string) string {
	if s == "" {
		return "None"
	}
	return s
}

func parsePair(v any) (pair store.AddressPair, err error) {
	o, ok := v.(object)
	if !ok {
		return pair, reason(fmt.Sprintf("'%s' is not a dictionary", python(v)))
	}
	for name := range o {
		if name != "ip_address" && name != "mac_address" {
			return pair, badRequest("Unrecognized attribute(s) '%s'", name)
		}
	}
	if given, ok := o["mac_address"]; ok {
		if pair.MAC, err = as[string](macAddress)(given); err != nil {
			return pair, badRequest("%s", err)
		}
	}
	given, ok := o["ip_address"]
	if !ok {
		return pair, &store.Error{
			Kind: store.BadRequest, Type: "AllowedAddressPairsMissingIP", Message: "AllowedAddressPair must contain ip_address",
		}
	}
	pair.Address, _ = given.(string)
	if _, err := netip.ParsePrefix(pair.Address); err == nil {
		return pair, nil
	}
	if a, err := netip.ParseAddr(pair.Address); err != nil || a.Zone() != "" {
		return pair, badRequest("'%s' is not a valid IP address", python(given))
	}
	return pair, nil
}

// pairList shows pairs with the port's MAC where none was given.
type pairList struct{ port portView }

func (l pairList) appendJSON(b []byte) []byte {
	return appendList(b, l.port.Pairs, func(b []byte, p store.AddressPair) []byte {
		mac := p.MAC
		if mac == "" {
			mac = l.port.MAC
		}
		b = appendString(append(b, `{"mac_address":`...), mac)
		b = appendString(append(b, `,"ip_address":`...), p.Address)
		return append(b, '}')
	})
}

// portSecurity are the attributes of ports on a host that enforces them.
func portSecurity() []attr[portSpec, portView] {
	return []attr[portSpec, portView]{
		{
			name: "allowed_address_pairs", doc: "MAC and IP addresses the port may use besides its own.",
			post: true, put: true, def: unset, parse: parsePairs,
			set: field(func(s *portSpec) *store.Opt[[]store.AddressPair] { return &s.Pairs }),
			get: func(v portView) any { return pairList{v} },
		},
		{
			name: "security_groups", doc: "What the port's traffic is filtered by. By default the project's default group.",
			post: true, put: true, def: unset, parse: orNull(listOf(as[string](identifier)), []string(nil)),
			set: field(func(s *portSpec) *store.Opt[[]string] { return &s.Groups }),
			get: func(v portView) any { return v.Groups }, filter: byGroups,
		},
		{
			name: "port_security_enabled", doc: "Whether the port's addresses and traffic are checked. By default as its network says.",
			post: true, put: true, def: unset, parse: boolean,
			set: field(func(s *portSpec) *store.Opt[bool] { return &s.Security }),
			get: func(v portView) any { return v.Protected },
		},
	}
}

// byGroups keeps ports that are in any of the groups.
func byGroups(_ *attr[portSpec, portView], values []string) (filter[portView], error) {
	keep := func(v portView) bool {
		return slices.ContainsFunc(v.Groups, func(g string) bool { return slices.Contains(values, g) })
	}
	return filter[portView]{keep: keep, query: store.Query{"security_groups": values}}, nil
}
