package api_test

import (
	"strings"
	"testing"
)

// TestServices checks what no recording shows of the smaller resources.
func TestServices(t *testing.T) {
	h := newAPI(t, "h1", 0)
	admin, member := client{t, h}, client{t, as("p1", "member", h)}
	net := member.make("networks", `"name":"n"`)
	group := admin.make("address-groups", `"addresses":["10.0.0.0/8"]`)
	policy := func() string {
		made := admin.want(201, "POST", "/v2.0/qos/policies", `{"policy":{"name":"q"}}`)
		return made["policy"].(map[string]any)["id"].(string)
	}()
	rules := "/v2.0/qos/policies/" + policy + "/dscp_marking_rules"
	made := admin.want(201, "POST", rules, `{"dscp_marking_rule":{"dscp_mark":26}}`)
	rule := rules + "/" + made["dscp_marking_rule"].(map[string]any)["id"].(string)
	any4 := admin.make("subnets", `"network_id":"`+net+`","name":"c","ip_version":4,"cidr":"10.1.0.0/24","service_types":["compute:nova"]`)
	for _, tt := range []struct {
		c                  client
		method, path, body string
		status             int
		want               string
	}{
		{member, "GET", "/v2.0/quotas/p1/details", "", 200, `"network":{"limit":2000,"reserved":0,"used":1}`},
		{member, "GET", "/v2.0/quotas/p2", "", 403, "PolicyNotAuthorized"},
		{member, "PUT", "/v2.0/quotas/p1", `{"quota":{"network":5}}`, 403, "PolicyNotAuthorized"},
		{admin, "PUT", "/v2.0/quotas/p1", `{"quota":{"nonesuch":5}}`, 400, "Unrecognized attribute(s) 'nonesuch'"},
		{admin, "PUT", "/v2.0/quotas/p1", `{"quota":{"network":-2}}`, 400, "Invalid input for network"},
		{admin, "PUT", "/v2.0/quotas/p1", `{"quota":{"network":1}}`, 200, `"network":1`},
		{member, "POST", "/v2.0/networks", `{"network":{}}`, 409, "OverQuota"},
		{admin, "GET", "/v2.0/quotas", "", 200, `"project_id":"p1"`},
		{admin, "DELETE", "/v2.0/quotas/p1", "", 204, ""},
		{admin, "DELETE", "/v2.0/quotas/p1", "", 404, "TenantQuotaNotFound"},
		{admin, "PUT", "/v2.0/address-groups/" + group + "/add_addresses", `{"addresses":["10.0.0.0/8"]}`, 400, "AddressesAlreadyExist"},
		{admin, "PUT", "/v2.0/address-groups/" + group + "/add_addresses", `{"addresses":["192.0.2.1"]}`, 200, "192.0.2.1/32"},
		{admin, "PUT", "/v2.0/address-groups/" + group + "/remove_addresses", `{"addresses":["192.0.2.2"]}`, 404, "AddressesNotFound"},
		{admin, "PUT", "/v2.0/address-groups/" + group + "/remove_addresses", `{"addresses":["10.0.0.0/8"]}`, 200, `["192.0.2.1/32"]`},
		{admin, "PUT", rule, `{"dscp_marking_rule":{"dscp_mark":7}}`, 400, "Invalid input for dscp_mark"},
		{admin, "PUT", rule, `{"dscp_marking_rule":{"dscp_mark":8}}`, 200, `"dscp_mark":8`},
		{admin, "GET", "/v2.0/qos/policies/" + policy, "", 200, `"type":"dscp_marking"`},
		{member, "GET", "/v2.0/qos/policies/" + policy, "", 404, "QosPolicyNotFound"},
		{member, "DELETE", rule, "", 403, "PolicyNotAuthorized"},
		{admin, "DELETE", rule, "", 204, ""},
		{admin, "GET", rule, "", 404, "QosRuleNotFound"},
		{admin, "PUT", "/v2.0/policies/" + policy + "/tags/a", "", 201, ""},
		{admin, "DELETE", "/v2.0/qos/policies/" + policy, "", 204, ""},
		{admin, "GET", "/v2.0/agents?host=h1&alive=true", "", 200, `"agent_type":"Linux bridge agent"`},
		{admin, "POST", "/v2.0/agents", `{}`, 405, ""},
		{admin, "GET", "/v2.0/availability_zones", "", 200, `[]`},
		{admin, "POST", "/v2.0/ports", `{"port":{"network_id":"` + net + `"}}`, 201, `"fixed_ips":[]`},
		{admin, "POST", "/v2.0/ports", `{"port":{"network_id":"` + net + `","device_owner":"compute:nova"}}`, 201, any4},
	} {
		rec := tt.c.send(tt.method, tt.path, tt.body)
		if rec.Code != tt.status || !strings.Contains(rec.Body.String(), tt.want) {
			t.Errorf("%s %s %s: %d %s, want %d %s", tt.method, tt.path, tt.body, rec.Code, rec.Body, tt.status, tt.want)
		}
	}
}
