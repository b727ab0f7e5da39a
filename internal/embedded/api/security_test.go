package api_test

import (
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"kuryr/internal/embedded/api"
	"kuryr/internal/embedded/store"
)

func TestRuleRefusals(t *testing.T) {
	c := client{t, newAPI(t, "h1", 0)}
	group := c.make("security-groups", `"name":"g"`)
	addrs := c.make("address-groups", `"addresses":["10.0.0.0/8"]`)
	none := "4f3959a6-84fb-4fa6-92b1-78424505f5a3"
	tests := []struct {
		attributes   string
		status       int
		typ, message string
	}{
		{`"direction":"up"`, 400, "HTTPBadRequest", "up is not in ['ingress', 'egress']"},
		{`"direction":"ingress","ethertype":"ARP"`, 400, "HTTPBadRequest", "'ARP' is not in ['IPv4', 'IPv6']"},
		{`"direction":"ingress","protocol":"nonesuch"`, 400, "SecurityGroupRuleInvalidProtocol", "protocol nonesuch not supported"},
		{`"direction":"ingress","protocol":256`, 400, "SecurityGroupRuleInvalidProtocol", "protocol 256 not supported"},
		{`"direction":"ingress","port_range_min":1,"port_range_max":2`, 400, "SecurityGroupProtocolRequiredWithPorts", "Must also specify protocol"},
		{`"direction":"ingress","protocol":"tcp","port_range_min":0,"port_range_max":2`, 400, "SecurityGroupInvalidPortValue", "Invalid value for port 0"},
		{`"direction":"ingress","protocol":"tcp","port_range_min":70000,"port_range_max":70000`, 400, "SecurityGroupInvalidPortValue", "Invalid value for port 70000"},
		{`"direction":"ingress","protocol":"udp","port_range_min":9`, 400, "SecurityGroupInvalidPortRange", "port_range_min must be <= port_range_max"},
		{`"direction":"ingress","protocol":"gre","port_range_min":9,"port_range_max":9`, 400, "SecurityGroupInvalidProtocolForPort", "Invalid protocol gre"},
		{`"direction":"ingress","protocol":"icmp","port_range_min":300`, 400, "SecurityGroupInvalidIcmpValue", "ICMP type (port_range_min) 300"},
		{`"direction":"ingress","protocol":"icmp","port_range_max":3`, 400, "SecurityGroupMissingIcmpType", "ICMP code (port-range-max) 3"},
		{`"direction":"ingress","protocol":"ipv6-icmp"`, 400, "SecurityGroupEthertypeConflictWithProtocol", "Invalid ethertype IPv4"},
		{`"direction":"ingress","remote_ip_prefix":"fd00::/8"`, 400, "SecurityGroupRuleParameterConflict", "Conflicting value ethertype IPv4 for CIDR fd00::/8"},
		{`"direction":"ingress","remote_ip_prefix":"x"`, 400, "HTTPBadRequest", "'x' is not a valid IP subnet"},
		{`"direction":"ingress","remote_ip_prefix":"10.0.0.0/8","remote_group_id":"` + group + `"`, 400, "SecurityGroupMultipleRemoteEntites", "Only one of"},
		{`"direction":"ingress","remote_group_id":"` + none + `"`, 404, "SecurityGroupNotFound", none},
		{`"direction":"ingress","remote_address_group_id":"` + none + `"`, 404, "AddressGroupNotFound", none},
		{`"direction":"egress"`, 409, "SecurityGroupRuleExists", "Rule id is"},
		{`"direction":"egress","remote_address_group_id":"` + addrs + `"`, 201, "", ""},
		{`"direction":"egress","remote_ip_prefix":"10.0.0.7"`, 201, "", `"normalized_cidr":"10.0.0.7/32"`},
		{`"direction":"egress","remote_ip_prefix":"10.9.9.9/8"`, 201, "", `"remote_ip_prefix":"10.9.9.9/8","remote_address_group_id":null,"normalized_cidr":"10.0.0.0/8"`},
		{`"direction":"egress","remote_ip_prefix":"10.0.0.0/8"`, 409, "SecurityGroupRuleExists", "Rule id is"},
		{`"direction":"ingress","ethertype":"ipv6","protocol":"icmpv6","port_range_min":0`, 201, "", `"protocol":"ipv6-icmp"`},
		{`"direction":"ingress","ethertype":"IPv6","protocol":"58","port_range_min":0`, 409, "SecurityGroupRuleExists", ""},
	}
	for _, tt := range tests {
		t.Run(tt.attributes, func(t *testing.T) {
			rec := c.send("POST", "/v2.0/security-group-rules", `{"security_group_rule":{"security_group_id":"`+group+`",`+tt.attributes+`}}`)
			body := rec.Body.String()
			if rec.Code != tt.status || !strings.Contains(body, `"`+tt.typ) || !strings.Contains(body, tt.message) {
				t.Errorf("%d %s, want %d %s %q", rec.Code, body, tt.status, tt.typ, tt.message)
			}
		})
	}
	c.want(409, "DELETE", "/v2.0/address-groups/"+addrs, "")
	same := `{"security_group_id":"` + group + `","direction":"ingress","protocol":"tcp"}`
	c.want(409, "POST", "/v2.0/security-group-rules", `{"security_group_rules":[`+same+`,`+same+`]}`)
	if got := len(c.want(200, "GET", "/v2.0/security-group-rules?protocol=tcp", "")["security_group_rules"].([]any)); got != 0 {
		t.Errorf("%d rules are left of a bulk that failed", got)
	}
}

// TestDefaultGroup checks that a project has one group of that name, and that
// its ports are in it.
func TestDefaultGroup(t *testing.T) {
	c := client{t, newAPI(t, "h1", 0)}
	groups := c.want(200, "GET", "/v2.0/security-groups", "")["security_groups"].([]any)
	if len(groups) != 1 {
		t.Fatalf("%d groups at first, want the default one", len(groups))
	}
	group := groups[0].(map[string]any)
	if group["name"] != "default" || len(group["security_group_rules"].([]any)) != 4 {
		t.Errorf("the first group is %v", group)
	}
	net := c.make("networks", `"name":"n"`)
	id := group["id"].(string)
	port := c.want(201, "POST", "/v2.0/ports", `{"port":{"network_id":"`+net+`","name":"p"}}`)["port"].(map[string]any)
	if got := port["security_groups"].([]any); len(got) != 1 || got[0] != id {
		t.Errorf("a port's groups are %v, want the default one", got)
	}
	if got := c.names("ports", "security_groups="+id); got != "p" {
		t.Errorf("the group's ports are %q", got)
	}
	c.want(409, "POST", "/v2.0/security-groups", `{"security_group":{"name":"default"}}`)
	c.want(409, "PUT", "/v2.0/security-groups/"+id, `{"security_group":{"name":"x"}}`)
	c.want(409, "PUT", "/v2.0/security-groups/"+id, `{"security_group":{"stateful":false}}`)
	c.want(409, "DELETE", "/v2.0/security-groups/"+id, "")
	off := c.want(200, "PUT", "/v2.0/networks/"+net, `{"network":{"port_security_enabled":false}}`)
	if off["network"].(map[string]any)["port_security_enabled"] != false {
		t.Error("the network still protects its ports")
	}
	port = c.want(201, "POST", "/v2.0/ports", `{"port":{"network_id":"`+net+`"}}`)["port"].(map[string]any)
	if port["port_security_enabled"] != false || len(port["security_groups"].([]any)) != 0 {
		t.Errorf("a port of an open network is %v", port)
	}
}

// TestUnprotected checks that a server that enforces nothing promises nothing.
func TestUnprotected(t *testing.T) {
	s, err := store.Open(store.Options{Path: filepath.Join(t.TempDir(), "neutron.db"), Host: "h1"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	c := client{t, api.New(s, api.Options{Log: slog.New(slog.DiscardHandler)})}
	net := c.make("networks", `"name":"n"`)
	made := c.want(201, "POST", "/v2.0/ports", `{"port":{"network_id":"`+net+`","binding:host_id":"h1"}}`)["port"].(map[string]any)
	if made["port_security_enabled"] != false || len(made["security_groups"].([]any)) != 0 ||
		made["binding:vif_details"].(map[string]any)["port_filter"] != false {
		t.Errorf("the port claims protection: %v", made)
	}
	c.want(400, "POST", "/v2.0/ports", `{"port":{"network_id":"`+net+`","port_security_enabled":true}}`)
	c.want(404, "GET", "/v2.0/security-groups", "")
	c.want(404, "GET", "/v2.0/extensions/security-group", "")
}
