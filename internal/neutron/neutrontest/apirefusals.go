package neutrontest

// refusals are requests that Neutron does not serve, with its words.
func (s *apiSuite) refusals() {
	net := s.make(Admin, "networks", `"name":"n"`)
	subnet := s.make(Admin, "subnets", `"network_id":"`+net+`","ip_version":4,"cidr":"10.0.0.0/24"`)
	port := s.make(Admin, "ports", `"network_id":"`+net+`"`)
	group := s.make(Admin, "security-groups", `"name":"g"`)
	in := func(attributes string) string { return `{"port":{"network_id":"` + net + `",` + attributes + `}}` }
	on := func(attributes string) string {
		return `{"subnet":{"network_id":"` + net + `","ip_version":4,` + attributes + `}}`
	}
	for _, tt := range []struct {
		method, path, body string
		status             int
		typ, message       string // message: a part of it
	}{
		{"POST", "/v2.0/networks", `{"network":null}`, 400, "HTTPBadRequest", "Unable to find 'network' in request body"},
		{"POST", "/v2.0/networks", `{"network":[]}`, 400, "HTTPBadRequest", "Object 'network' contains invalid data"},
		{"POST", "/v2.0/networks", `{"networks":[]}`, 400, "HTTPBadRequest", "Resources required"},
		{"POST", "/v2.0/networks", `{"networks":7}`, 400, "HTTPBadRequest", "Body contains invalid data"},
		{"POST", "/v2.0/networks", `[]`, 400, "HTTPBadRequest", "Body contains invalid data"},
		{"POST", "/v2.0/networks", `{"network":{}} {}`, 400, "HTTPBadRequest", "Body contains invalid data"},
		{"PUT", "/v2.0/networks/" + net, `{"networks":[{}]}`, 400, "HTTPBadRequest", "Bulk operation not supported"},
		{"PUT", "/v2.0/networks/" + net, `{"network":{"id":"x"}}`, 400, "HTTPBadRequest", "Cannot update read-only attribute id"},
		{"PUT", "/v2.0/ports/" + port, `{"port":{"network_id":"x"}}`, 400, "HTTPBadRequest", "Cannot update read-only attribute network_id"},
		{"PUT", "/v2.0/networks/" + net, `{"network":{"project_id":"x"}}`, 400, "HTTPBadRequest", "Cannot update read-only attribute tenant_id"},
		{"POST", "/v2.0/networks", `{"network":{"b":1,"a":1}}`, 400, "HTTPBadRequest", "Unrecognized attribute(s) '"},
		{"POST", "/v2.0/networks", `{"network":{"tenant_id":"a","project_id":"b"}}`, 400, "HTTPBadRequest", "'project_id' and 'tenant_id' do not match"},
		{"POST", "/v2.0/networks", `{"network":{"name":7}}`, 400, "HTTPBadRequest", "'7' is not a valid string"},
		{"POST", "/v2.0/networks", `{"network":{"name":null}}`, 400, "HTTPBadRequest", "'None' is not a valid string"},
		{"POST", "/v2.0/networks", `{"network":{"admin_state_up":"perhaps"}}`, 400, "InvalidInput", "'perhaps' cannot be converted to boolean"},
		{"POST", "/v2.0/networks", `{"network":{"mtu":"big"}}`, 400, "InvalidInput", "'big' is not an integer"},
		{"POST", "/v2.0/networks", `{"network":{"mtu":-1}}`, 400, "HTTPBadRequest", "'-1' should be non-negative"},
		{"POST", "/v2.0/networks", `{"network":{"mtu":70000}}`, 400, "InvalidInput", "Requested MTU is too big, maximum is "},
		{"POST", "/v2.0/ports", in(`"port_security_enabled":false,"allowed_address_pairs":[{"ip_address":"10.0.0.0/8"}]`), 409, "AddressPairAndPortSecurityRequired", "Port Security must be enabled"},
		{"POST", "/v2.0/ports", in(`"allowed_address_pairs":[{"mac_address":"fa:16:3e:00:00:01"}]`), 400, "AllowedAddressPairsMissingIP", "must contain ip_address"},
		{"POST", "/v2.0/ports", in(`"allowed_address_pairs":[{"ip_address":"10.0.0.1"},{"ip_address":"10.0.0.1"}]`), 400, "DuplicateAddressPairInRequest", "ip_address 10.0.0.1."},
		{"POST", "/v2.0/ports", in(`"allowed_address_pairs":[{"ip_address":"x"}]`), 400, "HTTPBadRequest", "'x' is not a valid IP address"},
		{"POST", "/v2.0/ports", in(`"security_groups":["` + net + `"]`), 404, "SecurityGroupNotFound", "does not exist"},
		{"POST", "/v2.0/ports", in(`"port_security_enabled":false,"security_groups":["` + group + `"]`), 400, "PortSecurityAndIPRequiredForSecurityGroups", "Port security must be enabled"},
		{"POST", "/v2.0/ports", in(`"fixed_ips":null`), 400, "HTTPBadRequest", "Invalid data format for fixed IP: 'None'"},
		{"POST", "/v2.0/ports", in(`"fixed_ips":[{"ip_address":"10.0.0.999"}]`), 400, "HTTPBadRequest", "'10.0.0.999' is not a valid IP address"},
		{"POST", "/v2.0/ports", in(`"fixed_ips":[{"ip_address":"10.0.0.9"},{"ip_address":"10.0.0.9"}]`), 400, "HTTPBadRequest", "Duplicate IP address '10.0.0.9'"},
		{"POST", "/v2.0/ports", in(`"fixed_ips":[{"subnet_id":"x"}]`), 400, "HTTPBadRequest", "'x' is not a valid UUID"},
		{"POST", "/v2.0/ports", in(`"fixed_ips":[{}]`), 400, "InvalidInput", "IP allocation requires subnet_id or ip_address"},
		{"POST", "/v2.0/ports", in(`"mac_address":"00:00:00:00:00:00"`), 400, "HTTPBadRequest", "is not a valid MAC address"},
		{"POST", "/v2.0/ports", in(`"binding:vnic_type":"x"`), 400, "HTTPBadRequest", "x is not in valid_values"},
		{"POST", "/v2.0/ports", in(`"binding:profile":7`), 400, "HTTPBadRequest", "'7' is not a dictionary"},
		{"POST", "/v2.0/ports", in(`"tags":["a","a"]`), 400, "HTTPBadRequest", "Duplicate items in the list: 'a'"},
		{"POST", "/v2.0/ports", in(`"dns_name":"a_b"`), 400, "HTTPBadRequest", "not a valid PQDN or FQDN"},
		{"PUT", "/v2.0/ports/" + port, `{"port":{"tags":[]}}`, 400, "HTTPBadRequest", "Cannot update read-only attribute tags"},
		{"POST", "/v2.0/subnets", `{"subnet":{}}`, 400, "HTTPBadRequest", "Required attribute 'ip_version' not specified"},
		{"POST", "/v2.0/subnets", `{"subnet":{"network_id":"` + net + `","ip_version":5}}`, 400, "HTTPBadRequest", "5 is not in valid_values"},
		{"POST", "/v2.0/subnets", on(`"cidr":"10.1.0.0/24","gateway_ip":"x"`), 400, "HTTPBadRequest", "'x' is not a valid IP address"},
		{"POST", "/v2.0/subnets", on(`"cidr":"10.1.0.0/24","allocation_pools":[{"start":"10.1.0.2"}]`), 400, "HTTPBadRequest", "Validation of dictionary's keys failed"},
		{"POST", "/v2.0/subnets", on(`"cidr":"10.1.0.0/24","allocation_pools":7`), 400, "HTTPBadRequest", "Invalid data format for IP pool: '7'"},
		{"POST", "/v2.0/subnets", on(`"cidr":"10.1.0.0/24","host_routes":[{"destination":"10.2.0.1/16","nexthop":"10.1.0.2"}]`), 400, "HTTPBadRequest", "'10.2.0.0/16' is recommended"},
		{"POST", "/v2.0/subnets", on(`"cidr":"10.1.0.0/24","dns_nameservers":["x"]`), 400, "HTTPBadRequest", "'x' is not a valid nameserver"},
		{"POST", "/v2.0/subnets", on(`"cidr":"10.1.0.0/24","ipv6_ra_mode":"x"`), 400, "HTTPBadRequest", "Invalid input for ipv6_ra_mode"},
		{"POST", "/v2.0/subnets", on(`"cidr":"10.1.0.0/24","service_types":["x"]`), 400, "InvalidSubnetServiceType", "x does not correspond"},
		{"PUT", "/v2.0/subnets/" + subnet, `{"subnet":{"cidr":"10.1.0.0/24"}}`, 400, "HTTPBadRequest", "Cannot update read-only attribute cidr"},
		{"POST", "/v2.0/subnetpools", `{"subnetpool":{"prefixes":["10.0.0.0/8"]}}`, 400, "HTTPBadRequest", "Required attribute 'name' not specified"},
		{"POST", "/v2.0/subnetpools", `{"subnetpool":{"name":" ","prefixes":["10.0.0.0/8"]}}`, 400, "HTTPBadRequest", "Blank strings are not permitted"},
		{"POST", "/v2.0/subnetpools", `{"subnetpool":{"name":"p","prefixes":["10.0.0.0"]}}`, 400, "HTTPBadRequest", "'10.0.0.0/32' is recommended"},
		{"POST", "/v2.0/subnetpools", `{"subnetpool":{"name":"p","prefixes":["x"]}}`, 400, "HTTPBadRequest", "'x' is not a valid IP subnet"},
		{"DELETE", "/v2.0/networks/" + net, `{}`, 400, "HTTPBadRequest", "Request body is not supported in DELETE."},
		{"POST", "/v2.0/networks/" + net, `{}`, 405, "HTTPMethodNotAllowed", "either malformed or otherwise incorrect"},
		{"GET", "/v2.0/networks/" + net + "/nonesuch", ``, 404, "HTTPNotFound", "The resource could not be found."},
		{"GET", "/v2.0/nonesuch", ``, 404, "HTTPNotFound", "The resource could not be found."},
		{"GET", "/v2.0/networks/x/tags", ``, 404, "TagResourceNotFound", "Resource networks x could not be found."},
		{"PUT", "/v2.0/networks/x/tags/a", ``, 404, "TagResourceNotFound", "Resource networks x could not be found."},
		{"DELETE", "/v2.0/networks/" + net + "/tags/a", ``, 404, "TagNotFound", "Tag a could not be found."},
		{"PUT", "/v2.0/networks/" + net + "/tags", `{}`, 400, "InvalidInput", "Invalid tags body"},
		{"PUT", "/v2.0/networks/" + net + "/tags", `{"tags":[7]}`, 400, "InvalidInput", "'7' is not a valid string"},
		{"GET", "/v2.0/ports?fixed_ips=x", ``, 400, "InvalidInput", "'x' is not of the form <key>=[value]"},
		{"GET", "/v2.0/ports?b=1&a=1", ``, 400, "HTTPBadRequest", "['b', 'a'] is invalid attribute for filtering"},
		{"GET", "/v2.0/networks?shared=perhaps", ``, 400, "InvalidInput", "'perhaps' cannot be converted to boolean"},
		{"GET", "/v2.0/networks?sort_key=name", ``, 400, "HTTPBadRequest", "The number of sort_keys and sort_dirs must be same"},
		{"GET", "/v2.0/networks?sort_key=name&sort_dir=up", ``, 400, "HTTPBadRequest", "['up'] is invalid value for sort_dirs"},
		{"GET", "/v2.0/networks?limit=1&marker=x", ``, 404, "NetworkNotFound", "Network x could not be found."},
	} {
		s.refused(Admin, tt.status, tt.typ, tt.method, tt.path, tt.body, tt.message)
	}
}

// refusedRules are rules that make no sense, and some that do.
func (s *apiSuite) refusedRules() {
	group := s.make(Admin, "security-groups", `"name":"g"`)
	addrs := s.make(Admin, "address-groups", `"name":"a","addresses":["10.0.0.0/8"]`)
	const none = "4f3959a6-84fb-4fa6-92b1-78424505f5a3"
	for _, tt := range []struct {
		attributes   string
		status       int
		typ, message string
	}{
		{`"direction":"up"`, 400, "HTTPBadRequest", "up is not in valid_values"},
		{`"direction":"ingress","ethertype":"ARP"`, 400, "SecurityGroupRuleInvalidEtherType", "Security group rule for ethertype 'ARP' not supported. Allowed values are ['IPv4', 'IPv6']."},
		{`"direction":"ingress","protocol":"nonesuch"`, 400, "SecurityGroupRuleInvalidProtocol", "protocol nonesuch not supported"},
		{`"direction":"ingress","protocol":256`, 400, "SecurityGroupRuleInvalidProtocol", "protocol 256 not supported"},
		{`"direction":"ingress","port_range_min":1,"port_range_max":2`, 400, "SecurityGroupProtocolRequiredWithPorts", "Must also specify protocol"},
		{`"direction":"ingress","protocol":"tcp","port_range_min":0,"port_range_max":2`, 400, "SecurityGroupInvalidPortValue", "Invalid value for port 0"},
		{`"direction":"ingress","protocol":"tcp","port_range_min":70000,"port_range_max":70000`, 400, "SecurityGroupInvalidPortValue", "Invalid value for port 70000"},
		{`"direction":"ingress","protocol":"udp","port_range_min":9`, 400, "SecurityGroupInvalidPortRange", "port_range_min must be <= port_range_max"},
		{`"direction":"ingress","protocol":"gre","port_range_min":9,"port_range_max":9`, 400, "SecurityGroupInvalidProtocolForPort", "Ports cannot be specified for protocol 47."},
		{`"direction":"ingress","protocol":"icmp","port_range_min":300`, 400, "SecurityGroupInvalidIcmpValue", "ICMP type (port_range_min) 300"},
		{`"direction":"ingress","protocol":"icmp","port_range_max":3`, 400, "SecurityGroupMissingIcmpType", "ICMP code (port-range-max) 3"},
		{`"direction":"ingress","protocol":"ipv6-icmp"`, 400, "SecurityGroupEthertypeConflictWithProtocol", "Invalid ethertype IPv4"},
		{`"direction":"ingress","remote_ip_prefix":"fd00::/8"`, 400, "SecurityGroupRuleParameterConflict", "Conflicting value ethertype IPv4 for CIDR fd00::/8"},
		{`"direction":"ingress","remote_ip_prefix":"x"`, 400, "InvalidCIDR", "Invalid CIDR x given as IP prefix."},
		{`"direction":"ingress","remote_ip_prefix":"10.0.0.0/8","remote_group_id":"` + group + `"`, 400, "SecurityGroupMultipleRemoteEntites", "Only one of"},
		{`"direction":"ingress","remote_group_id":"` + none + `"`, 404, "SecurityGroupNotFound", none},
		{`"direction":"ingress","remote_address_group_id":"` + none + `"`, 404, "AddressGroupNotFound", none},
		{`"direction":"egress"`, 409, "SecurityGroupRuleExists", "Rule id is"},
		{`"direction":"egress","remote_address_group_id":"` + addrs + `"`, 201, "", ""},
		{`"direction":"egress","remote_ip_prefix":"10.0.0.7"`, 201, "", `"normalized_cidr":"10.0.0.7/32"`},
		{`"direction":"egress","remote_ip_prefix":"10.9.9.9/8"`, 201, "", `"remote_ip_prefix":"10.9.9.9/8","remote_address_group_id":null,"normalized_cidr":"10.0.0.0/8"`},
		{`"direction":"egress","remote_ip_prefix":"10.9.9.9/8"`, 409, "SecurityGroupRuleExists", "Rule id is"},
		{`"direction":"ingress","ethertype":"ipv6","protocol":"icmpv6","port_range_min":0`, 201, "", `"protocol":"ipv6-icmp"`},
		{`"direction":"ingress","ethertype":"IPv6","protocol":"58","port_range_min":0`, 409, "SecurityGroupRuleExists", ""},
	} {
		body := `{"security_group_rule":{"security_group_id":"` + group + `",` + tt.attributes + `}}`
		if tt.status == 201 {
			s.says(Admin, 201, "POST", "/v2.0/security-group-rules", body, tt.message)
		} else {
			s.refused(Admin, tt.status, tt.typ, "POST", "/v2.0/security-group-rules", body, tt.message)
		}
	}
	s.refused(Admin, 409, "AddressGroupInUse", "DELETE", "/v2.0/address-groups/"+addrs, "", addrs)
	same := `{"security_group_id":"` + group + `","direction":"ingress","protocol":"tcp"}`
	s.refused(Admin, 409, "DuplicateSecurityGroupRuleInPost", "POST", "/v2.0/security-group-rules",
		`{"security_group_rules":[`+same+`,`+same+`]}`, "Duplicate")
	if got := s.list(Admin, "security-group-rules", "protocol=tcp&security_group_id="+group); len(got) != 0 {
		s.Errorf("%d rules are left of a bulk that failed", len(got))
	}
}
