package neutrontest

import "strings"

// portValues are a port's values that need more than a look at their form.
func (s *apiSuite) portValues() {
	net := s.make(Admin, "networks", `"name":"n"`)
	s.make(Admin, "subnets", `"network_id":"`+net+`","ip_version":4,"cidr":"10.1.0.0/28"`)
	bare := s.create(Admin, "ports", `"network_id":"`+net+`","fixed_ips":[],"mac_address":null`)
	if bare["ip_allocation"] != "none" && !s.lacks("ip_allocation") || bare["mac_address"] == nil || len(bare["fixed_ips"].([]any)) != 0 {
		s.Errorf("a port without addresses: %v", bare)
	}
	path := "/v2.0/ports/" + bare["id"].(string)
	again := s.want(Admin, 200, "PUT", path, `{"port":{"mac_address":null}}`)["port"].(map[string]any)
	if again["mac_address"] == bare["mac_address"] {
		s.Errorf("the port keeps its MAC address %v", again["mac_address"])
	}
	s.refused(Member, 403, "PolicyNotAuthorized", "PUT", path, `{"port":{"mac_address":"fa:16:3e:11:11:12"}}`,
		"(rule:update_port and rule:update_port:mac_address) is disallowed by policy")
	off := s.want(Admin, 200, "PUT", path, `{"port":{"security_groups":[],"port_security_enabled":false}}`)["port"].(map[string]any)
	on := s.want(Admin, 200, "PUT", path, `{"port":{"port_security_enabled":true}}`)["port"].(map[string]any)
	if off["port_security_enabled"] != false || on["port_security_enabled"] != true || len(on["security_groups"].([]any)) != 0 {
		s.Errorf("protected again: %v", on)
	}
	for _, tt := range []struct {
		attributes, typ, part string
	}{
		{`"binding:profile":{"x":"` + strings.Repeat("y", 5000) + `"}`, "InvalidInput", "binding:profile value too large"},
		{`"dns_name":"web."`, "HTTPBadRequest", "Invalid input for dns_name. Reason: The dns_name passed is a FQDN."},
		{`"dns_name":"-a"`, "HTTPBadRequest", "Name '-a' must not start or end with a hyphen."},
		{`"dns_domain":"a"`, "HTTPBadRequest", "Invalid input for dns_domain. Reason: 'a' is not a FQDN."},
		{`"extra_dhcp_opts":5`, "InvalidInput", "'5' is not a list."},
		{`"extra_dhcp_opts":[{"opt_name":"a"}]`, "InvalidInput", "No valid key specs matched for: {'opt_name': 'a'}."},
		{`"extra_dhcp_opts":[{"opt_name":"a","opt_value":""}]`, "InvalidInput", "No valid key specs matched for: {'opt_name': 'a', 'opt_value': ''}."},
		{`"allowed_address_pairs":[{"ip_address":"10.0.0.5","mac_address":"x"}]`, "HTTPBadRequest", "'x' is not a valid MAC address"},
		{`"allowed_address_pairs":[{"ip_address":"10.0.0.1"},{"ip_address":"10.0.0.2"},{"ip_address":"10.0.0.3"},{"ip_address":"10.0.0.4"},` +
			`{"ip_address":"10.0.0.5"},{"ip_address":"10.0.0.6"},{"ip_address":"10.0.0.7"},{"ip_address":"10.0.0.8"},{"ip_address":"10.0.0.9"},` +
			`{"ip_address":"10.0.0.10"},{"ip_address":"10.0.0.11"}]`, "AllowedAddressPairExhausted", "exceeds the maximum 10"},
	} {
		s.refused(Admin, 400, tt.typ, "POST", "/v2.0/ports", `{"port":{"network_id":"`+net+`",`+tt.attributes+`}}`, tt.part)
	}
	s.refused(Admin, 400, "BadRequest", "GET", path+"/bindings", "", "Operation only valid on compute ports.")
	s.refused(Admin, 404, "PortNotFound", "GET", "/v2.0/ports/x/bindings", "", "Port x could not be found.")
	bound := "/v2.0/ports/" + s.make(Admin, "ports", `"network_id":"`+net+`","device_owner":"compute:x","binding:host_id":"`+s.o.Host+`"`)
	s.says(Admin, 200, "GET", bound+"/bindings/"+s.o.Host, "", `"vif_type":"`+s.o.VIFType+`"`)
	s.says(Admin, 200, "GET", bound+"/bindings?fields=host", "", `{"bindings":[{"host":"`+s.o.Host+`"}]}`)
	s.refused(Admin, 404, "PortBindingNotFound", "GET", bound+"/bindings/x", "", "for host x could not be found.")
}

// foreign: on the network of another project a port gets what Neutron picks.
func (s *apiSuite) foreign() {
	net := s.make(Admin, "networks", `"name":"shared","shared":true`)
	sub := s.make(Admin, "subnets", `"network_id":"`+net+`","ip_version":4,"cidr":"10.2.0.0/28"`)
	port := func(attributes string) string { return `{"port":{"network_id":"` + net + `",` + attributes + `}}` }
	for _, tt := range []struct{ attributes, rule string }{
		{`"mac_address":"fa:16:3e:00:00:01"`, "(rule:create_port and rule:create_port:mac_address)"},
		{`"fixed_ips":[{"ip_address":"10.2.0.5"}]`, "(rule:create_port and (rule:create_port:fixed_ips and (rule:create_port:fixed_ips:ip_address)))"},
		{`"device_owner":"network:x"`, "(rule:create_port and rule:create_port:device_owner)"},
		{`"port_security_enabled":false`, "(rule:create_port and rule:create_port:port_security_enabled)"},
		{
			`"allowed_address_pairs":[{"ip_address":"10.2.0.9"}]`,
			"(rule:create_port and (rule:create_port:allowed_address_pairs and (rule:create_port:allowed_address_pairs:ip_address)))",
		},
	} {
		s.refused(Other, 403, "PolicyNotAuthorized", "POST", "/v2.0/ports", port(tt.attributes), tt.rule+" is disallowed by policy")
	}
	made := s.create(Other, "ports", `"network_id":"`+net+`","name":"p","fixed_ips":[{"subnet_id":"`+sub+`"}],"description":"d"`)
	s.refused(Other, 403, "PolicyNotAuthorized", "PUT", "/v2.0/ports/"+made["id"].(string), `{"port":{"port_security_enabled":false}}`, "rule:update_port:port_security_enabled")
	s.says(Other, 200, "PUT", "/v2.0/ports/"+made["id"].(string), `{"port":{"name":"q"}}`, `"name":"q"`)
}

// ruleValues are what Neutron makes of a rule's words.
func (s *apiSuite) ruleValues() {
	group := s.make(Admin, "security-groups", `"name":"g"`)
	for _, tt := range []struct{ attributes, name, want string }{
		{`"ethertype":"IPv6","protocol":"icmp"`, "protocol", "ipv6-icmp"},
		{`"ethertype":"ipv6","protocol":"1","port_range_min":1`, "protocol", "58"},
		{`"protocol":"TCP"`, "protocol", "tcp"},
		{`"protocol":17`, "protocol", "17"},
		{`"protocol":"ip"`, "protocol", "ip"},
		{`"protocol":"udp","port_range_min":"80","port_range_max":"90","ethertype":"ipv4"`, "ethertype", "IPv4"},
		{`"remote_ip_prefix":"10.0.0.5"`, "remote_ip_prefix", "10.0.0.5/32"},
		{`"remote_ip_prefix":"10.0.0.5/8"`, "normalized_cidr", "10.0.0.0/8"},
		{`"ethertype":"IPv6","remote_ip_prefix":"FD00:0::1"`, "remote_ip_prefix", "fd00::1/128"},
	} {
		made := s.create(Admin, "security-group-rules", `"security_group_id":"`+group+`","direction":"ingress",`+tt.attributes)
		if made[tt.name] != tt.want {
			s.Errorf("%s: %s is %v, want %s", tt.attributes, tt.name, made[tt.name], tt.want)
		}
	}
	all := s.create(Admin, "security-group-rules", `"security_group_id":"`+group+`","direction":"ingress","protocol":"sctp","port_range_min":1,"port_range_max":65535`)
	if all["port_range_min"] != nil || all["port_range_max"] != nil {
		s.Errorf("all ports are %v to %v", all["port_range_min"], all["port_range_max"])
	}
	rule := func(attributes string) string {
		return `{"security_group_rule":{"security_group_id":"` + group + `","direction":"ingress",` + attributes + `}}`
	}
	for _, tt := range []struct {
		attributes string
		status     int
		typ, part  string
	}{
		{`"protocol":"tcp","remote_ip_prefix":"0.0.0.0/0"`, 409, "SecurityGroupRuleExists", ""},
		{`"protocol":"6"`, 409, "SecurityGroupRuleExists", ""},
		{`"protocol":58`, 400, "SecurityGroupEthertypeConflictWithProtocol", "Invalid ethertype IPv4 for protocol 58."},
		{`"protocol":"icmpv6"`, 400, "SecurityGroupEthertypeConflictWithProtocol", "Invalid ethertype IPv4 for protocol icmpv6."},
		{`"remote_group_id":"x"`, 404, "SecurityGroupNotFound", "Security group x does not exist"},
		{`"remote_address_group_id":"x"`, 404, "AddressGroupNotFound", "Address group x could not be found."},
	} {
		s.refused(Admin, tt.status, tt.typ, "POST", "/v2.0/security-group-rules", rule(tt.attributes), tt.part)
	}
	s.refused(Admin, 400, "SecurityGroupInvalidPortValue", "GET", "/v2.0/security-group-rules?port_range_min=x", "", "Invalid value for port x")
	s.refused(Admin, 400, "SecurityGroupRuleInvalidEtherType", "GET", "/v2.0/security-group-rules?ethertype=x", "", "'x' not supported")
	s.refused(Admin, 409, "SecurityGroupDefaultAlreadyExists", "POST", "/v2.0/security-groups", `{"security_group":{"name":"Default"}}`, "")
}
