package api_test

import "testing"

// TestSpellings checks that one thing is found by all its spellings, of which
// Neutron knows but the stored one.
func TestSpellings(t *testing.T) {
	c := client{t, newAPI(t, "h1", 0)}
	net := c.make("networks", `"name":"n"`)
	c.make("subnets", `"network_id":"`+net+`","ip_version":6,"cidr":"fd00::/64"`)
	c.make("ports", `"name":"p","network_id":"`+net+`","mac_address":"FA-16-3E-00-00-01","fixed_ips":[{"ip_address":"FD00::0:77"}]`)
	for _, query := range []string{
		"mac_address=fa:16:3e:00:00:01", "mac_address=FA-16-3E-00-00-01", "fixed_ips=ip_address%3Dfd00:0::77",
	} {
		if got := c.names("ports", query); got != "p" {
			t.Errorf("%s: %q", query, got)
		}
	}
}

// TestStricter checks where this server is stricter than Neutron 21, in which
// whoever saw a resource could tag it (CVE-2024-53916), and add subnets to it.
func TestStricter(t *testing.T) {
	h := newAPI(t, "h1", 0)
	admin, member := client{t, h}, client{t, as("p1", "member", h)}
	net := admin.make("networks", `"name":"n","shared":true`)
	member.want(200, "GET", "/v2.0/networks/"+net, "")
	member.want(403, "PUT", "/v2.0/networks/"+net+"/tags/a", "")
	member.want(403, "PUT", "/v2.0/networks/"+net+"/tags", `{"tags":["a"]}`)
	member.want(403, "DELETE", "/v2.0/networks/"+net+"/tags", "")
	member.want(403, "POST", "/v2.0/subnets", `{"subnet":{"network_id":"`+net+`","ip_version":4,"cidr":"10.1.0.0/24"}}`)
	admin.want(405, "DELETE", "/v2.0/networks", "")
	admin.want(400, "POST", "/v2.0/subnets", `{"subnet":{"network_id":"`+net+`","ip_version":4,"cidr":null}}`)
	admin.want(404, "GET", "/v2.0/rbac-policies", "")
}

// TestJSONPaths checks the paths of old clients, which name a format.
func TestJSONPaths(t *testing.T) {
	c := client{t, newAPI(t, "h1", 0)}
	net := c.make("networks", `"name":"n"`)
	c.want(200, "GET", "/v2.0/networks/"+net+".json", "")
	c.want(200, "GET", "/v2.0/networks/"+net+"/", "")
	c.want(200, "GET", "/v2.0/networks.json?name=n", "")
	c.want(201, "PUT", "/v2.0/networks/"+net+"/tags/a.json", "")
	if got := c.names("networks", "tags=a.json"); got != "n" {
		t.Errorf("found by its tag: %q", got)
	}
}
