package api_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// as makes every request one of a project's.
func as(project, roles string, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Set("X-Project-Id", project)
		r.Header.Set("X-Roles", roles)
		h.ServeHTTP(w, r)
	})
}

// TestProjects checks what two projects see of each other.
func TestProjects(t *testing.T) {
	h := newAPI(t, "h1", 0)
	admin := client{t, h}
	one, two := client{t, as("p1", "member,reader", h)}, client{t, as("p2", "member", h)}
	own := one.make("networks", `"name":"own"`)
	shared := admin.make("networks", `"name":"shared","shared":true`)
	subnet := admin.make("subnets", `"network_id":"`+shared+`","name":"s","ip_version":4,"cidr":"10.0.0.0/24"`)
	port := one.make("ports", `"name":"p","network_id":"`+shared+`"`)

	for _, tt := range []struct {
		c                       client
		collection, query, want string
	}{
		{admin, "networks", "sort_key=name&sort_dir=asc", "own shared"},
		{one, "networks", "sort_key=name&sort_dir=asc", "own shared"},
		{two, "networks", "", "shared"},
		{two, "subnets", "", "s"},
		{one, "ports", "", "p"},
		{two, "ports", "", ""},
		{admin, "ports", "", "p"},
	} {
		if got := tt.c.names(tt.collection, tt.query); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.collection, got, tt.want)
		}
	}
	refusals := []struct {
		c                  client
		status             int
		method, path, body string
	}{
		{two, 404, "GET", "/v2.0/networks/" + own, ""},
		{two, 404, "PUT", "/v2.0/networks/" + own, `{"network":{"name":"x"}}`},
		{two, 404, "DELETE", "/v2.0/networks/" + own, ""},
		{two, 404, "PUT", "/v2.0/networks/" + own + "/tags/a", ""},
		{two, 403, "PUT", "/v2.0/networks/" + shared, `{"network":{"name":"x"}}`},
		{two, 403, "PUT", "/v2.0/networks/" + shared + "/tags/a", ""},
		{two, 403, "DELETE", "/v2.0/subnets/" + subnet, ""},
		{two, 403, "POST", "/v2.0/subnets", `{"subnet":{"network_id":"` + shared + `","ip_version":4,"cidr":"10.1.0.0/24"}}`},
		{two, 404, "DELETE", "/v2.0/ports/" + port, ""},
		{two, 400, "POST", "/v2.0/networks", `{"network":{"project_id":"p1"}}`},
		{two, 403, "POST", "/v2.0/subnetpools", `{"subnetpool":{"name":"p","prefixes":["10.0.0.0/8"],"shared":true}}`},
		{one, 403, "PUT", "/v2.0/ports/" + port, `{"port":{"binding:host_id":"h1"}}`},
		{admin, 200, "PUT", "/v2.0/ports/" + port, `{"port":{"binding:host_id":"h1"}}`},
	}
	for _, tt := range refusals {
		if rec := tt.c.send(tt.method, tt.path, tt.body); rec.Code != tt.status {
			t.Errorf("%s %s %s: %d %s, want %d", tt.method, tt.path, tt.body, rec.Code, rec.Body, tt.status)
		}
	}
	groups := func(c client) string {
		got := c.want(200, "GET", "/v2.0/security-groups", "")["security_groups"].([]any)
		if len(got) != 1 {
			t.Fatalf("a project sees %d groups, want its own", len(got))
		}
		return got[0].(map[string]any)["id"].(string)
	}
	if groups(one) == groups(two) {
		t.Error("two projects have the same default group")
	}
	two.want(404, "POST", "/v2.0/ports", `{"port":{"network_id":"`+shared+`","security_groups":["`+groups(one)+`"]}}`)
	rec := httptest.NewRecorder()
	one.h.ServeHTTP(rec, httptest.NewRequest("GET", "/v2.0/ports/"+port, nil))
	if strings.Contains(rec.Body.String(), "binding:host_id") || !strings.Contains(rec.Body.String(), "binding:vnic_type") {
		t.Errorf("a member sees %s", rec.Body)
	}
}
