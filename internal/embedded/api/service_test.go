package api_test

import (
	"strings"
	"testing"
)

// TestServices checks what only this server answers. What Neutron would, too,
// is in neutrontest.
func TestServices(t *testing.T) {
	h := newAPI(t, "h1", 0)
	admin := client{t, h}
	net := admin.make("networks", `"name":"n"`)
	any4 := admin.make("subnets", `"network_id":"`+net+`","name":"c","ip_version":4,"cidr":"10.1.0.0/24","service_types":["compute:nova"]`)
	for _, tt := range []struct {
		method, path, body string
		status             int
		want               string
	}{
		{"GET", "/v2.0/agents?host=h1&alive=true", "", 200, `"agent_type":"Linux bridge agent"`},
		{"POST", "/v2.0/agents", `{}`, 405, ""},
		{"GET", "/v2.0/availability_zones", "", 200, `[]`},
		{"POST", "/v2.0/ports", `{"port":{"network_id":"` + net + `"}}`, 201, `"fixed_ips":[]`},
		{"POST", "/v2.0/ports", `{"port":{"network_id":"` + net + `","device_owner":"compute:nova"}}`, 201, any4},
	} {
		rec := admin.send(tt.method, tt.path, tt.body)
		if rec.Code != tt.status || !strings.Contains(rec.Body.String(), tt.want) {
			t.Errorf("%s %s %s: %d %s, want %d %s", tt.method, tt.path, tt.body, rec.Code, rec.Body, tt.status, tt.want)
		}
	}
}
