package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// client sends requests to an API under test.
type client struct {
	t testing.TB
	h http.Handler
}

func (c client) send(method, path, body string) *httptest.ResponseRecorder {
	rec := httptest.NewRecorder()
	c.h.ServeHTTP(rec, httptest.NewRequest(method, path, strings.NewReader(body)))
	return rec
}

// want sends a request, checks the status and returns the decoded body.
func (c client) want(status int, method, path, body string) map[string]any {
	c.t.Helper()
	rec := c.send(method, path, body)
	if rec.Code != status {
		c.t.Fatalf("%s %s %s: %d %s", method, path, body, rec.Code, rec.Body)
	}
	var out map[string]any
	if rec.Body.Len() > 0 && rec.Body.String() != "null" {
		if err := json.Unmarshal(rec.Body.Bytes(), &out); err != nil {
			c.t.Fatalf("%s %s: %v in %s", method, path, err, rec.Body)
		}
	}
	return out
}

// make creates a resource and returns its ID.
func (c client) make(collection, attributes string) string {
	c.t.Helper()
	name := strings.ReplaceAll(strings.TrimSuffix(collection, "s"), "-", "_")
	made := c.want(201, "POST", "/v2.0/"+collection, `{"`+name+`":{`+attributes+`}}`)
	return made[name].(map[string]any)["id"].(string)
}

// names lists the names of what a query finds, in order.
func (c client) names(collection, query string) string {
	c.t.Helper()
	var names []string
	for _, v := range c.want(200, "GET", "/v2.0/"+collection+"?"+query, "")[collection].([]any) {
		names = append(names, fmt.Sprint(v.(map[string]any)["name"]))
	}
	return strings.Join(names, " ")
}

// TestOwnRefusals checks what this server refuses and Neutron would not. What
// both refuse is in neutrontest.
func TestOwnRefusals(t *testing.T) {
	c := client{t, newAPI(t, "h1", 0)}
	for _, tt := range []struct{ attributes, message string }{
		{`"router:external":true`, "Invalid input for router:external. Reason: 'True' is not supported by this server, only 'False' is."},
		{`"provider:network_type":"vlan"`, "only 'local' is"},
		{`"provider:segmentation_id":7`, "only 'None' is"},
	} {
		rec := c.send("POST", "/v2.0/networks", `{"network":{`+tt.attributes+`}}`)
		if rec.Code != 400 || !strings.Contains(rec.Body.String(), tt.message) {
			t.Errorf("%s: %d %s, want %s", tt.attributes, rec.Code, rec.Body, tt.message)
		}
	}
}

func TestBodyIsBounded(t *testing.T) {
	c := client{t, newAPI(t, "h1", 0)}
	body := `{"network":{"name":"` + strings.Repeat("x", 10<<20) + `"}}`
	if rec := c.send("POST", "/v2.0/networks", body); rec.Code != http.StatusRequestEntityTooLarge {
		t.Errorf("status %d", rec.Code)
	}
}

func TestWebPagesAreNotServed(t *testing.T) {
	req := httptest.NewRequest("GET", "/v2.0/networks", nil)
	req.Header.Set("Origin", "http://evil.example")
	rec := httptest.NewRecorder()
	newAPI(t, "h1", 0).ServeHTTP(rec, req)
	if rec.Code != http.StatusForbidden {
		t.Errorf("status %d", rec.Code)
	}
}

func BenchmarkListByFilter(b *testing.B) {
	c := client{b, newAPI(b, "h1", 0)}
	net := c.make("networks", `"name":"n"`)
	c.make("subnets", `"network_id":"`+net+`","ip_version":4,"cidr":"10.0.0.0/8"`)
	for i := range 100 {
		port := fmt.Sprintf(`{"network_id":%q,"device_id":"device-%d"}`, net, i)
		c.want(201, "POST", "/v2.0/ports", `{"ports":[`+strings.Repeat(port+",", 999)+port+`]}`)
	}
	for b.Loop() {
		if rec := c.send("GET", "/v2.0/ports?device_id=device-7", ""); rec.Code != 200 {
			b.Fatal(rec.Body)
		}
	}
}

func BenchmarkCreatePort(b *testing.B) {
	c := client{b, newAPI(b, "h1", 0)}
	net := c.make("networks", `"name":"n"`)
	c.make("subnets", `"network_id":"`+net+`","ip_version":4,"cidr":"10.0.0.0/8"`)
	for b.Loop() {
		c.make("ports", `"network_id":"`+net+`","binding:host_id":"h1"`)
	}
}
