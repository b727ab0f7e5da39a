package neutrontest

// pools are subnetpools, what is cut from them and what is moved into them.
func (s *apiSuite) pools() {
	const path = "/v2.0/subnetpools"
	pool := s.make(Admin, "subnetpools", `"name":"p","prefixes":["10.64.0.0/16"],"default_quota":300,"min_prefixlen":16`)
	net := s.make(Admin, "networks", `"name":"n"`)
	cut := func(attributes string) string {
		return `{"subnet":{"network_id":"` + net + `","ip_version":4,"subnetpool_id":"` + pool + `",` + attributes + `}}`
	}
	for _, tt := range []struct {
		body      string
		status    int
		typ, part string
	}{
		{`"prefixlen":15`, 400, "MinPrefixSubnetAllocationError", "minimum allowed prefix is 16"},
		{`"prefixlen":-1`, 400, "HTTPBadRequest", "'-1' should be non-negative"},
		{`"prefixlen":24,"cidr":"10.64.5.0/24"`, 400, "BadRequest", "cidr and prefixlen must not be supplied together"},
		{`"prefixlen":24,"allocation_pools":[]`, 400, "BadRequest", "allocation_pools allowed only for specific subnet requests"},
	} {
		s.refused(Admin, tt.status, tt.typ, "POST", "/v2.0/subnets", cut(tt.body), tt.part)
	}
	made := s.want(Admin, 201, "POST", "/v2.0/subnets", cut(`"prefixlen":24,"gateway_ip":"10.64.0.9"`))["subnet"].(map[string]any)
	if made["cidr"] != "10.64.0.0/24" || made["gateway_ip"] != "10.64.0.9" {
		s.Errorf("the first subnet of the pool: %v", made)
	}
	s.refused(Admin, 409, "SubnetPoolQuotaExceeded", "POST", "/v2.0/subnets", cut(`"prefixlen":24`), "quota exceeded")
	s.refused(Admin, 400, "IllegalSubnetPoolPrefixUpdate", "PUT", path+"/"+pool, `{"subnetpool":{"prefixes":[]}}`, "must be a subset")
	if !s.lacks("subnetpool-prefix-ops") {
		s.prefixes(path + "/" + pool)
	}
	if !s.lacks("subnet_onboard") {
		s.onboard(path+"/"+pool, pool)
	}
}

// prefixes are added to a subnetpool, and removed from it.
func (s *apiSuite) prefixes(pool string) {
	for _, tt := range []struct {
		operation, prefixes string
		status              int
		part                string
	}{
		{"add_prefixes", `"10.66.0.0/16"`, 200, `{"prefixes":["10.64.0.0/16","10.66.0.0/16"]}`},
		{"add_prefixes", `"10.66.0.0/16"`, 200, `{"prefixes":["10.64.0.0/16","10.66.0.0/16"]}`},
		{"add_prefixes", `"fd00::/48"`, 400, "PrefixVersionMismatch"},
		{"remove_prefixes", `"10.66.0.0/16"`, 200, `{"prefixes":["10.64.0.0/16"]}`},
		{"remove_prefixes", `"10.64.0.0/24"`, 400, "IllegalSubnetPoolPrefixUpdate"},
	} {
		s.says(Admin, tt.status, "PUT", pool+"/"+tt.operation, `{"prefixes":[`+tt.prefixes+`]}`, tt.part)
	}
	s.refused(Other, 404, "SubnetPoolNotFound", "PUT", pool+"/add_prefixes", `{"prefixes":["10.69.0.0/16"]}`, "")
	s.refused(Admin, 404, "SubnetPoolNotFound", "PUT", "/v2.0/subnetpools/x/add_prefixes", `{"prefixes":["10.0.0.0/8"]}`, "Subnet pool x could not be found.")
}

// onboard moves the subnets of a network into a subnetpool.
func (s *apiSuite) onboard(path, pool string) {
	onboard := path + "/onboard_network_subnets"
	loose := s.make(Admin, "networks", `"name":"loose"`)
	sub := s.make(Admin, "subnets", `"network_id":"`+loose+`","ip_version":4,"cidr":"10.1.0.0/24"`)
	s.refused(Admin, 400, "InvalidInput", "PUT", onboard, `{}`, "network_id must be specified")
	s.refused(Admin, 404, "NetworkNotFound", "PUT", onboard, `{"network_id":"x"}`, "x")
	s.says(Admin, 200, "PUT", onboard, `{"network_id":"`+loose+`"}`, `"id":"`+sub+`"`)
	s.says(Admin, 200, "GET", "/v2.0/subnets/"+sub+"?fields=subnetpool_id", "", pool)
	s.says(Admin, 200, "GET", path, "", `"10.1.0.0/24"`)
}

// scopes are address scopes, in which prefixes are one subnetpool's.
func (s *apiSuite) scopes() {
	scope := s.make(Admin, "address-scopes", `"ip_version":4,"shared":true`)
	own := s.make(Member, "address-scopes", `"name":"own","ip_version":"6"`)
	path := "/v2.0/address-scopes/"
	s.refused(Admin, 400, "HTTPBadRequest", "POST", "/v2.0/address-scopes", `{"address_scope":{"name":"s","ip_version":5}}`, "5 is not in valid_values")
	s.refused(Member, 403, "PolicyNotAuthorized", "POST", "/v2.0/address-scopes", `{"address_scope":{"name":"s","ip_version":4,"shared":true}}`, "shared")
	s.refused(Other, 404, "AddressScopeNotFound", "GET", path+own, "", own)
	s.refused(Other, 403, "PolicyNotAuthorized", "PUT", path+scope, `{"address_scope":{"name":"x"}}`, "")
	s.refused(Admin, 400, "AddressScopeUpdateError", "PUT", path+scope, `{"address_scope":{"shared":false}}`, "can't be unshared")
	s.make(Other, "subnetpools", `"name":"p","prefixes":["10.64.0.0/16"],"address_scope_id":"`+scope+`"`)
	s.refused(Admin, 409, "AddressScopePrefixConflict", "POST", "/v2.0/subnetpools",
		`{"subnetpool":{"name":"q","prefixes":["10.64.5.0/24"],"address_scope_id":"`+scope+`"}}`, "must have unique prefixes")
	s.refused(Admin, 400, "IllegalSubnetPoolIpVersionAssociationToAddressScope", "POST", "/v2.0/subnetpools",
		`{"subnetpool":{"name":"q","prefixes":["fd00::/48"],"address_scope_id":"`+scope+`"}}`, "ip_version is not 4")
	s.refused(Admin, 409, "AddressScopeInUse", "DELETE", path+scope, "", scope)
}

// availability counts the addresses of networks.
func (s *apiSuite) availability() {
	net := s.make(Admin, "networks", `"name":"counted"`)
	four := s.make(Admin, "subnets", `"network_id":"`+net+`","name":"four","ip_version":4,"cidr":"10.1.0.0/28"`)
	six := s.make(Admin, "subnets", `"network_id":"`+net+`","name":"six","ip_version":6,"cidr":"fd01::/64"`)
	s.make(Admin, "ports", `"network_id":"`+net+`","fixed_ips":[{"subnet_id":"`+four+`"}]`)
	const path = "/v2.0/network-ip-availabilities"
	shown := s.want(Admin, 200, "GET", path+"/"+net, "")["network_ip_availability"].(map[string]any)
	subnets, _ := shown["subnet_ip_availability"].([]any)
	if shown["network_name"] != "counted" || shown["used_ips"] != 1.0 || shown["total_ips"].(float64) < 1<<63 || len(subnets) != 2 {
		s.Errorf("availability of the network: %v", shown)
	}
	listed := s.want(Admin, 200, "GET", path+"?ip_version=4&network_id="+net, "")["network_ip_availabilities"].([]any)
	if len(listed) != 1 {
		s.Fatalf("availabilities: %v", listed)
	}
	one := listed[0].(map[string]any)
	sub := one["subnet_ip_availability"].([]any)
	if one["used_ips"] != 1.0 || one["total_ips"] != 13.0 || len(sub) != 1 || sub[0].(map[string]any)["subnet_id"] != four ||
		sub[0].(map[string]any)["cidr"] != "10.1.0.0/28" || sub[0].(map[string]any)["subnet_name"] != "four" {
		s.Errorf("availability of IPv4: %v", one)
	}
	s.says(Admin, 200, "GET", path+"?ip_version=6&network_name=counted&network_id="+net, "", six)
	s.says(Admin, 200, "GET", path+"/"+net+"?fields=used_ips", "", `{"network_ip_availability":{"used_ips":1}}`)
	s.says(Member, 200, "GET", path+"?network_id="+net, "", `{"network_ip_availabilities":[]}`)
	s.refused(Admin, 404, "NetworkNotFound", "GET", path+"/x", "", "Network x could not be found.")
	s.refused(Admin, 400, "HTTPBadRequest", "GET", path+"?foo=1", "", "['foo'] is invalid attribute for filtering")
	if !s.lacks("availability_zone_filter") {
		s.says(Admin, 200, "GET", "/v2.0/availability_zones?name=x&resource=network&state=available", "", `{"availability_zones":[]}`)
		s.refused(Admin, 400, "HTTPBadRequest", "GET", "/v2.0/availability_zones?id=x", "", "['id'] is invalid attribute for filtering")
	}
	s.refused(Admin, 404, "AvailabilityZoneNotFound", "POST", "/v2.0/networks",
		`{"network":{"availability_zone_hints":["nonesuch"]}}`, "AvailabilityZone nonesuch could not be found.")
}
