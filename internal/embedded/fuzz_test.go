package embedded_test

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"kuryr/internal/embedded"
)

// FuzzAPI: whatever comes, the answer is JSON, an error is in Neutron's form,
// and none is the server's fault.
func FuzzAPI(f *testing.F) {
	server, err := embedded.Open(embedded.Options{StateDir: f.TempDir(), Host: "node1", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() {
		if err := server.Close(); err != nil {
			f.Error(err)
		}
	})
	const id = "7c9e6679-7425-40de-944b-e07fc1f90ae7"
	for _, seed := range []struct{ method, target, body string }{
		{"GET", "/", ""},
		{"GET", "/v2.0/networks?name=a&name=b&shared=true&sort_key=name&sort_dir=desc&limit=2&marker=" + id, ""},
		{"GET", "/v2.0/ports?fixed_ips=ip_address%3D10.0.0.1&fields=id&fields=tags&tags-any=a,b&not-tags=c", ""},
		{"GET", "/v2.0/subnets?cidr=10.0.0.0/24&ip_version=4&page_reverse=true", ""},
		{"GET", "/v2.0/extensions/quotas", ""},
		{"POST", "/v2.0/networks", `{"network": {"name": "n", "mtu": 1400, "shared": false}}`},
		{"POST", "/v2.0/networks", `{"networks": [{"name": "a"}, {"name": "b"}]}`},
		{"POST", "/v2.0/subnets", `{"subnet": {"network_id": "` + id + `", "ip_version": 4, "cidr": "10.0.0.0/24", "gateway_ip": null,
			"allocation_pools": [{"start": "10.0.0.2", "end": "10.0.0.9"}], "host_routes": [{"destination": "0.0.0.0/0", "nexthop": "10.0.0.1"}]}}`},
		{"POST", "/v2.0/subnetpools", `{"subnetpool": {"name": "p", "prefixes": ["10.0.0.0/8", "fd00::/8"], "default_prefixlen": "24"}}`},
		{"POST", "/v2.0/ports", `{"port": {"network_id": "` + id + `", "mac_address": "fa:16:3e:00:00:01", "fixed_ips": [{"ip_address": "10.0.0.5"}],
			"binding:host_id": "node1", "allowed_address_pairs": [{"ip_address": "10.0.0.0/24"}], "extra_dhcp_opts": []}}`},
		{"POST", "/v2.0/security-groups", `{"security_group": {"name": "g"}}`},
		{"POST", "/v2.0/security-group-rules", `{"security_group_rule": {"security_group_id": "` + id + `", "direction": "ingress", "protocol": "tcp", "port_range_min": 1}}`},
		{"PUT", "/v2.0/networks/" + id, `{"network": {"name": null}}`},
		{"PUT", "/v2.0/networks/" + id + "/tags", `{"tags": ["a", "b"]}`},
		{"PUT", "/v2.0/subnetpools/" + id + "/add_prefixes", `{"prefixes": ["10.1.0.0/16"]}`},
		{"DELETE", "/v2.0/ports/" + id, ""},
	} {
		f.Add(seed.method, seed.target, []byte(seed.body))
	}
	handler := server.Handler()
	f.Fuzz(func(t *testing.T, method, target string, body []byte) {
		r, err := http.NewRequest(method, target, strings.NewReader(string(body)))
		if err != nil || !strings.HasPrefix(target, "/") {
			t.Skip("not a request that net/http would serve")
		}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if w.Code >= 500 {
			t.Fatalf("%s %s %q: %d %s", method, target, body, w.Code, w.Body)
		}
		if w.Code >= 300 && w.Code < 400 || w.Body.Len() == 0 {
			return // to the path without its dots and double slashes
		}
		var answer struct {
			NeutronError struct{ Type, Message string }
			Title        string // in place of it where Neutron leaves the answer to its framework
		}
		if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil && w.Code >= 400 || !json.Valid(w.Body.Bytes()) {
			t.Fatalf("%s %s %q: %d %q is not JSON: %v", method, target, body, w.Code, w.Body, err)
		}
		if w.Code >= 400 && answer.Title == "" && (answer.NeutronError.Type == "" || answer.NeutronError.Message == "") {
			t.Errorf("%s %s %q: %d %s", method, target, body, w.Code, w.Body)
		}
	})
}
