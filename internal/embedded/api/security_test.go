package api_test

import (
	"log/slog"
	"path/filepath"
	"testing"

	"kuryr/internal/embedded/api"
	"kuryr/internal/embedded/store"
)

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
