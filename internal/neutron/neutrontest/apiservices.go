package neutrontest

import "strings"

// projects checks what two projects see of each other.
func (s *apiSuite) projects() {
	own := s.make(Member, "networks", `"name":"own"`)
	shared := s.make(Admin, "networks", `"name":"shared","shared":true`)
	subnet := s.make(Admin, "subnets", `"network_id":"`+shared+`","name":"s","ip_version":4,"cidr":"10.0.0.0/24"`)
	port := s.make(Member, "ports", `"name":"p","network_id":"`+shared+`"`)
	for _, tt := range []struct {
		as                      Caller
		collection, query, want string
	}{
		{Admin, "networks", "sort_key=name&sort_dir=asc", "own shared"},
		{Member, "networks", "sort_key=name&sort_dir=asc", "own shared"},
		{Other, "networks", "", "shared"},
		{Other, "subnets", "", "s"},
		{Member, "ports", "", "p"},
		{Other, "ports", "", ""},
		{Admin, "ports", "", "p"},
	} {
		if got := s.names(tt.as, tt.collection, tt.query); got != tt.want {
			s.Errorf("%s sees %s: %q, want %q", tt.as, tt.collection, got, tt.want)
		}
	}
	for _, tt := range []struct {
		as                 Caller
		status             int
		typ                string
		method, path, body string
	}{
		{Other, 404, "NetworkNotFound", "GET", "/v2.0/networks/" + own, ""},
		{Other, 404, "NetworkNotFound", "PUT", "/v2.0/networks/" + own, `{"network":{"name":"x"}}`},
		{Other, 404, "NetworkNotFound", "DELETE", "/v2.0/networks/" + own, ""},
		{Other, 404, "TagResourceNotFound", "PUT", "/v2.0/networks/" + own + "/tags/a", ""},
		{Other, 403, "PolicyNotAuthorized", "PUT", "/v2.0/networks/" + shared, `{"network":{"name":"x"}}`},
		{Other, 403, "PolicyNotAuthorized", "DELETE", "/v2.0/subnets/" + subnet, ""},
		{Other, 404, "PortNotFound", "DELETE", "/v2.0/ports/" + port, ""},
		{Other, 400, "HTTPBadRequest", "POST", "/v2.0/networks", `{"network":{"project_id":"` + s.o.Project + `"}}`},
		{Other, 403, "PolicyNotAuthorized", "POST", "/v2.0/subnetpools", `{"subnetpool":{"name":"p","prefixes":["10.0.0.0/8"],"shared":true}}`},
		{Member, 403, "PolicyNotAuthorized", "PUT", "/v2.0/ports/" + port, `{"port":{"binding:host_id":"` + s.o.Host + `"}}`},
	} {
		s.refused(tt.as, tt.status, tt.typ, tt.method, tt.path, tt.body, "")
	}
	s.want(Admin, 200, "PUT", "/v2.0/ports/"+port, `{"port":{"binding:host_id":"`+s.o.Host+`"}}`)
	mine := s.defaultOf(Member, s.o.Project)
	if mine == s.defaultOf(Other, s.o.OtherProject) {
		s.Error("two projects have the same default group")
	}
	s.refused(Other, 404, "SecurityGroupNotFound", "POST", "/v2.0/ports",
		`{"port":{"network_id":"`+shared+`","security_groups":["`+mine+`"]}}`, mine)
	seen := s.send(Member, "GET", "/v2.0/ports/"+port, "").body
	if strings.Contains(seen, "binding:host_id") || !strings.Contains(seen, "binding:vnic_type") {
		s.Errorf("a member sees %s", seen)
	}
}

// defaultOf returns the default group of a project.
func (s *apiSuite) defaultOf(as Caller, project string) string {
	s.Helper()
	groups := s.want(as, 200, "GET", "/v2.0/security-groups?name=default&project_id="+project, "")["security_groups"].([]any)
	if len(groups) != 1 {
		s.Fatalf("project %s has %d default groups", project, len(groups))
	}
	return groups[0].(map[string]any)["id"].(string)
}

// defaultGroup: a project has one group of that name, and its ports are in it.
func (s *apiSuite) defaultGroup() {
	id := s.defaultOf(Admin, s.o.Project)
	group := s.want(Admin, 200, "GET", "/v2.0/security-groups/"+id, "")["security_group"].(map[string]any)
	if n := len(group["security_group_rules"].([]any)); n != 4 {
		s.Errorf("the default group has %d rules", n)
	}
	net := s.make(Admin, "networks", `"name":"n"`)
	port := s.create(Admin, "ports", `"network_id":"`+net+`","name":"p"`)
	if got := port["security_groups"].([]any); len(got) != 1 || got[0] != id {
		s.Errorf("a port's groups are %v, want the default one", got)
	}
	if got := s.names(Admin, "ports", "security_groups="+id); got != "p" {
		s.Errorf("the group's ports are %q", got)
	}
	path := "/v2.0/security-groups/" + id
	s.refused(Admin, 409, "SecurityGroupDefaultAlreadyExists", "POST", "/v2.0/security-groups", `{"security_group":{"name":"default"}}`, "")
	s.refused(Admin, 409, "SecurityGroupCannotUpdateDefault", "PUT", path, `{"security_group":{"name":"x"}}`, "")
	s.refused(Admin, 409, "SecurityGroupInUse", "PUT", path, `{"security_group":{"stateful":false}}`, id)
	s.refused(Admin, 409, "SecurityGroupInUse", "DELETE", path, "", id)
	off := s.want(Admin, 200, "PUT", "/v2.0/networks/"+net, `{"network":{"port_security_enabled":false}}`)
	if off["network"].(map[string]any)["port_security_enabled"] != false {
		s.Error("the network still protects its ports")
	}
	port = s.create(Admin, "ports", `"network_id":"`+net+`"`)
	if port["port_security_enabled"] != false || len(port["security_groups"].([]any)) != 0 {
		s.Errorf("a port of an open network is %v", port)
	}
}

// quotas are a project's own to read, an administrator's to set.
func (s *apiSuite) quotas() {
	path := "/v2.0/quotas/" + s.o.OtherProject
	s.refused(Member, 403, "PolicyNotAuthorized", "GET", path, "", "")
	s.refused(Other, 403, "PolicyNotAuthorized", "PUT", path, `{"quota":{"network":5}}`, "")
	s.refused(Admin, 400, "HTTPBadRequest", "PUT", path, `{"quota":{"nonesuch":5}}`, "Unrecognized attribute(s) 'nonesuch'")
	s.refused(Admin, 400, "HTTPBadRequest", "PUT", path, `{"quota":{"network":-2}}`, "Invalid input for network. Reason: '-2' is too small - must be at least '-1'.")
	s.refused(Admin, 400, "HTTPBadRequest", "PUT", path, `{"quota":{"network":2147483648}}`,
		"Invalid input for network. Reason: '2147483648' is too large - must be no larger than '2147483647'.")
	s.refused(Admin, 400, "InvalidInput", "PUT", path, `{"quota":{"network":"x"}}`, "'x' is not an integer.")
	s.says(Admin, 200, "PUT", path, `{"quota":{"network":3,"check_limit":true}}`, `"network":3`)
	s.make(Other, "networks", `"name":"one"`)
	s.refused(Admin, 400, "HTTPBadRequest", "PUT", path, `{"quota":{"network":0,"check_limit":true}}`,
		"Quota limit 0 for network must be greater than or equal to already used ")
	s.says(Admin, 200, "PUT", path, `{"quota":{"network":0,"force":true}}`, `"network":0`)
	s.says(Other, 200, "GET", "/v2.0/quotas/tenant", "", `{"tenant":{"tenant_id":"`+s.o.OtherProject+`"}}`)
	s.refused(Admin, 501, "HTTPNotImplemented", "POST", "/v2.0/quotas", `{}`, "")
	s.says(Other, 200, "GET", path+"/details.json", "", `"network":{`)
	s.refused(Other, 409, "OverQuota", "POST", "/v2.0/networks", `{"network":{}}`, "Quota exceeded for resources: ['network'].")
	s.says(Admin, 200, "GET", "/v2.0/quotas", "", `"project_id":"`+s.o.OtherProject+`"`)
	s.want(Admin, 204, "DELETE", path, "")
	s.refused(Admin, 404, "TenantQuotaNotFound", "DELETE", path, "", s.o.OtherProject)
	s.make(Other, "networks", `"name":"again"`)
}

// qos: policies and their rules.
func (s *apiSuite) qos() {
	policy := s.make(Admin, "qos/policies", `"name":"q"`)
	base := "/v2.0/qos/policies/" + policy
	rule := func(typ, value string) string {
		s.Helper()
		made := s.want(Admin, 201, "POST", base+"/"+typ+"_rules", `{"`+typ+`_rule":{`+value+`}}`)
		return made[typ+"_rule"].(map[string]any)["id"].(string)
	}
	mark := base + "/dscp_marking_rules/" + rule("dscp_marking", `"dscp_mark":26`)
	s.refused(Admin, 400, "HTTPBadRequest", "PUT", mark, `{"dscp_marking_rule":{"dscp_mark":7}}`, "Invalid input for dscp_mark. Reason: 7 is not in valid_values.")
	s.says(Admin, 200, "PUT", mark, `{"dscp_marking_rule":{"dscp_mark":8}}`, `"dscp_mark":8`)
	s.says(Admin, 200, "GET", base, "", `"type":"dscp_marking"`)
	s.refused(Other, 404, "QosPolicyNotFound", "GET", base, "", policy)
	s.refused(Member, 403, "PolicyNotAuthorized", "DELETE", mark, "", "rule:delete_policy_dscp_marking_rule")
	s.want(Admin, 204, "DELETE", mark, "")
	s.refused(Admin, 404, "QosRuleNotFound", "GET", mark, "", policy)
	s.want(Admin, 201, "PUT", "/v2.0/policies/"+policy+"/tags/a", "")
	s.want(Admin, 204, "GET", "/v2.0/policies/"+policy+"/tags/a", "")

	limit := rule("bandwidth_limit", `"max_kbps":100`)
	rule("bandwidth_limit", `"max_kbps":200,"direction":"ingress"`)
	s.refused(Admin, 409, "QoSRuleParameterConflict", "POST", base+"/minimum_bandwidth_rules", `{"minimum_bandwidth_rule":{"min_kbps":500}}`,
		"Unable to add the rule with value 500 to the policy "+policy+" as the existing rule of type bandwidth_limit has value 100.")
	rule("minimum_bandwidth", `"min_kbps":50`)
	rule("packet_rate_limit", `"max_kpps":5`)
	rule("minimum_packet_rate", `"min_kpps":5,"direction":"any"`)
	limits := base + "/bandwidth_limit_rules"
	s.refused(Admin, 409, "QoSRuleParameterConflict", "PUT", limits+"/"+limit, `{"bandwidth_limit_rule":{"max_kbps":40}}`, "has value 50.")
	s.refused(Admin, 409, "QoSRulesConflict", "PUT", limits+"/"+limit, `{"bandwidth_limit_rule":{"direction":"ingress"}}`, "Rule bandwidth_limit conflicts with rule")
	s.refused(Admin, 400, "HTTPBadRequest", "POST", limits, `{"bandwidth_limit_rule":{"max_kbps":-1}}`, "'-1' is too small - must be at least '0'.")
	s.says(Admin, 200, "GET", limits+"?max_kbps=100&fields=id", "", `{"bandwidth_limit_rules":[{"id":"`+limit+`"}]}`)
	s.refused(Admin, 400, "HTTPBadRequest", "GET", limits+"?direction=egress", "", "['direction'] is invalid attribute for filtering")
	alias := "/v2.0/qos/alias-bandwidth-limit-rules/" + limit
	s.says(Admin, 200, "PUT", alias, `{"alias_bandwidth_limit_rule":{"max_kbps":300}}`, `"max_kbps":300`)
	s.want(Admin, 204, "DELETE", alias, "")
	s.refused(Admin, 404, "QosRuleNotFound", "GET", alias, "", limit)
	s.says(Admin, 200, "GET", "/v2.0/qos/rule-types?all_rules=true", "", `{"type":"minimum_packet_rate"}`)
	s.refused(Admin, 400, "HTTPBadRequest", "GET", "/v2.0/qos/rule-types?type=x", "", "['type'] is invalid")
	s.says(Admin, 200, "GET", "/v2.0/qos/rule-types/minimum_bandwidth", "", `"type":"minimum_bandwidth"`)

	def := s.make(Admin, "qos/policies", `"is_default":true`)
	s.refused(Admin, 409, "QoSPolicyDefaultAlreadyExists", "POST", "/v2.0/qos/policies", `{"policy":{"is_default":true}}`, "")
	net := s.create(Admin, "networks", `"name":"n"`)
	if net["qos_policy_id"] != def {
		s.Errorf("a network's policy is %v, the project's default is %s", net["qos_policy_id"], def)
	}
	port := s.create(Admin, "ports", `"network_id":"`+net["id"].(string)+`"`)
	if port["qos_network_policy_id"] != def || port["qos_policy_id"] != nil {
		s.Errorf("a port there has the policies %v and %v", port["qos_network_policy_id"], port["qos_policy_id"])
	}
	s.refused(Admin, 409, "QosPolicyInUse", "DELETE", "/v2.0/qos/policies/"+def, "", net["id"].(string))
}

// addressGroups: addresses that rules name.
func (s *apiSuite) addressGroups() {
	path := "/v2.0/address-groups/" + s.make(Admin, "address-groups", `"name":"g","addresses":["10.0.0.0/8"]`)
	s.refused(Admin, 400, "AddressesAlreadyExist", "PUT", path+"/add_addresses", `{"addresses":["10.0.0.0/8"]}`, "")
	s.says(Admin, 200, "PUT", path+"/add_addresses", `{"addresses":["192.0.2.1"]}`, "192.0.2.1/32")
	s.refused(Admin, 404, "AddressesNotFound", "PUT", path+"/remove_addresses", `{"addresses":["192.0.2.2"]}`, "")
	s.says(Admin, 200, "PUT", path+"/remove_addresses", `{"addresses":["10.0.0.0/8"]}`, `["192.0.2.1/32"]`)
	s.refused(Admin, 400, "HTTPBadRequest", "POST", "/v2.0/address-groups", `{"address_group":{"addresses":["10.0.0.1"]}}`,
		"'10.0.0.1' isn't a recognized IP subnet cidr, '10.0.0.1/32' is recommended.")
	s.refused(Admin, 400, "HTTPBadRequest", "POST", "/v2.0/address-groups", `{"address_group":{"tags":[]}}`, "Unrecognized attribute(s) 'tags'")
	s.refused(Admin, 404, "HTTPNotFound", "PUT", path+"/tags/a", "", "")
}
