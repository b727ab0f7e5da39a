package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
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

func TestRefusals(t *testing.T) {
	c := client{t, newAPI(t, "h1", 0)}
	net := c.make("networks", `"name":"n"`)
	subnet := c.make("subnets", `"network_id":"`+net+`","ip_version":4,"cidr":"10.0.0.0/24"`)
	port := c.make("ports", `"network_id":"`+net+`"`)
	group := c.make("security-groups", `"name":"g"`)
	in := func(attributes string) string { return `{"port":{"network_id":"` + net + `",` + attributes + `}}` }
	on := func(attributes string) string {
		return `{"subnet":{"network_id":"` + net + `","ip_version":4,` + attributes + `}}`
	}
	tests := []struct {
		method, path, body string
		status             int
		typ, message       string // message: a part of it
	}{
		{"POST", "/v2.0/networks", `{"network":null}`, 400, "HTTPBadRequest", "Unable to find 'network' in request body"},
		{"POST", "/v2.0/networks", `{"network":[]}`, 400, "HTTPBadRequest", "Object 'network' contains invalid data"},
		{"POST", "/v2.0/networks", `{"networks":[]}`, 400, "HTTPBadRequest", "Resources required"},
		{"POST", "/v2.0/networks", `{"networks":7}`, 400, "HTTPBadRequest", "Body contains invalid data"},
		{"POST", "/v2.0/networks", `[]`, 400, "HTTPBadRequest", "Body contains invalid data"},
		{"POST", "/v2.0/networks", `{"network":{}} {}`, 400, "HTTPBadRequest", "Body contains invalid data"},
		{"PUT", "/v2.0/networks/" + net, `{"networks":[{}]}`, 400, "HTTPBadRequest", "Bulk operation not supported"},
		{"PUT", "/v2.0/networks/" + net, `{"network":{"id":"x"}}`, 400, "HTTPBadRequest", "Cannot update read-only attribute id"},
		{"PUT", "/v2.0/ports/" + port, `{"port":{"network_id":"x"}}`, 400, "HTTPBadRequest", "Cannot update read-only attribute network_id"},
		{"PUT", "/v2.0/networks/" + net, `{"network":{"project_id":"x"}}`, 400, "HTTPBadRequest", "Cannot update read-only attribute tenant_id"},
		{"POST", "/v2.0/networks", `{"network":{"b":1,"a":1}}`, 400, "HTTPBadRequest", "Unrecognized attribute(s) 'a, b'"},
		{"POST", "/v2.0/networks", `{"network":{"tenant_id":"a","project_id":"b"}}`, 400, "HTTPBadRequest", "'project_id' and 'tenant_id' do not match"},
		{"POST", "/v2.0/networks", `{"network":{"name":7}}`, 400, "HTTPBadRequest", "'7' is not a valid string"},
		{"POST", "/v2.0/networks", `{"network":{"name":null}}`, 400, "HTTPBadRequest", "'None' is not a valid string"},
		{"POST", "/v2.0/networks", `{"network":{"admin_state_up":"perhaps"}}`, 400, "InvalidInput", "'perhaps' cannot be converted to boolean"},
		{"POST", "/v2.0/networks", `{"network":{"mtu":"big"}}`, 400, "InvalidInput", "'big' is not an integer"},
		{"POST", "/v2.0/networks", `{"network":{"mtu":-1}}`, 400, "HTTPBadRequest", "'-1' should be non-negative"},
		{"POST", "/v2.0/networks", `{"network":{"mtu":70000}}`, 400, "InvalidInput", "Requested MTU is too big, maximum is 65535"},
		{"POST", "/v2.0/ports", in(`"port_security_enabled":false,"allowed_address_pairs":[{"ip_address":"10.0.0.0/8"}]`), 409, "AddressPairAndPortSecurityRequired", "Port Security must be enabled"},
		{"POST", "/v2.0/ports", in(`"allowed_address_pairs":[{"mac_address":"fa:16:3e:00:00:01"}]`), 400, "AllowedAddressPairsMissingIP", "must contain ip_address"},
		{"POST", "/v2.0/ports", in(`"allowed_address_pairs":[{"ip_address":"10.0.0.1"},{"ip_address":"10.0.0.1"}]`), 400, "DuplicateAddressPairInRequest", "ip_address 10.0.0.1."},
		{"POST", "/v2.0/ports", in(`"allowed_address_pairs":[{"ip_address":"x"}]`), 400, "HTTPBadRequest", "'x' is not a valid IP subnet"},
		{"POST", "/v2.0/networks", `{"network":{"router:external":true}}`, 400, "HTTPBadRequest", "not supported by this server"},
		{"POST", "/v2.0/networks", `{"network":{"provider:network_type":"vlan"}}`, 400, "HTTPBadRequest", "only 'local' is"},
		{"POST", "/v2.0/ports", in(`"security_groups":["` + net + `"]`), 404, "SecurityGroupNotFound", "does not exist"},
		{"POST", "/v2.0/ports", in(`"port_security_enabled":false,"security_groups":["` + group + `"]`), 400, "PortSecurityAndIPRequiredForSecurityGroups", "Port security must be enabled"},
		{"POST", "/v2.0/ports", in(`"fixed_ips":null`), 400, "HTTPBadRequest", "Invalid data format for fixed IP: 'None'"},
		{"POST", "/v2.0/ports", in(`"fixed_ips":[{"ip_address":"10.0.0.999"}]`), 400, "HTTPBadRequest", "'10.0.0.999' is not a valid IP address"},
		{"POST", "/v2.0/ports", in(`"fixed_ips":[{"ip_address":"10.0.0.9"},{"ip_address":"10.0.0.9"}]`), 400, "HTTPBadRequest", "Duplicate IP address '10.0.0.9'"},
		{"POST", "/v2.0/ports", in(`"fixed_ips":[{"subnet_id":"x"}]`), 400, "HTTPBadRequest", "'x' is not a valid UUID"},
		{"POST", "/v2.0/ports", in(`"fixed_ips":[{}]`), 400, "InvalidInput", "IP allocation requires subnet_id or ip_address"},
		{"POST", "/v2.0/ports", in(`"mac_address":"00:00:00:00:00:00"`), 400, "HTTPBadRequest", "is not a valid MAC address"},
		{"POST", "/v2.0/ports", in(`"binding:vnic_type":"x"`), 400, "HTTPBadRequest", "x is not in valid_values"},
		{"POST", "/v2.0/ports", in(`"binding:profile":7`), 400, "HTTPBadRequest", "'7' is not a dictionary"},
		{"POST", "/v2.0/ports", in(`"tags":["a","a"]`), 400, "HTTPBadRequest", "Duplicate items in the list: 'a'"},
		{"POST", "/v2.0/ports", in(`"dns_name":"a_b"`), 400, "HTTPBadRequest", "not a valid PQDN or FQDN"},
		{"PUT", "/v2.0/ports/" + port, `{"port":{"tags":[]}}`, 400, "HTTPBadRequest", "Cannot update read-only attribute tags"},
		{"POST", "/v2.0/subnets", `{"subnet":{}}`, 400, "HTTPBadRequest", "Required attribute 'ip_version' not specified"},
		{"POST", "/v2.0/subnets", `{"subnet":{"network_id":"` + net + `","ip_version":5}}`, 400, "HTTPBadRequest", "5 is not in [4, 6]"},
		{"POST", "/v2.0/subnets", on(`"cidr":null`), 400, "InvalidInput", "None is not in a CIDR format"},
		{"POST", "/v2.0/subnets", on(`"cidr":"10.1.0.0/24","gateway_ip":"x"`), 400, "HTTPBadRequest", "'x' is not a valid IP address"},
		{"POST", "/v2.0/subnets", on(`"cidr":"10.1.0.0/24","allocation_pools":[{"start":"10.1.0.2"}]`), 400, "HTTPBadRequest", "Validation of dictionary's keys failed"},
		{"POST", "/v2.0/subnets", on(`"cidr":"10.1.0.0/24","allocation_pools":7`), 400, "HTTPBadRequest", "Invalid data format for IP pool: '7'"},
		{"POST", "/v2.0/subnets", on(`"cidr":"10.1.0.0/24","host_routes":[{"destination":"10.2.0.1/16","nexthop":"10.1.0.2"}]`), 400, "HTTPBadRequest", "'10.2.0.0/16' is recommended"},
		{"POST", "/v2.0/subnets", on(`"cidr":"10.1.0.0/24","dns_nameservers":["x"]`), 400, "HTTPBadRequest", "'x' is not a valid nameserver"},
		{"POST", "/v2.0/subnets", on(`"cidr":"10.1.0.0/24","ipv6_ra_mode":"x"`), 400, "HTTPBadRequest", "Invalid input for ipv6_ra_mode"},
		{"POST", "/v2.0/subnets", on(`"cidr":"10.1.0.0/24","service_types":["x"]`), 400, "InvalidSubnetServiceType", "x does not correspond"},
		{"PUT", "/v2.0/subnets/" + subnet, `{"subnet":{"cidr":"10.1.0.0/24"}}`, 400, "HTTPBadRequest", "Cannot update read-only attribute cidr"},
		{"POST", "/v2.0/subnetpools", `{"subnetpool":{"prefixes":["10.0.0.0/8"]}}`, 400, "HTTPBadRequest", "Required attribute 'name' not specified"},
		{"POST", "/v2.0/subnetpools", `{"subnetpool":{"name":" ","prefixes":["10.0.0.0/8"]}}`, 400, "HTTPBadRequest", "Blank strings are not permitted"},
		{"POST", "/v2.0/subnetpools", `{"subnetpool":{"name":"p","prefixes":["10.0.0.0"]}}`, 400, "HTTPBadRequest", "'10.0.0.0/32' is recommended"},
		{"POST", "/v2.0/subnetpools", `{"subnetpool":{"name":"p","prefixes":["x"]}}`, 400, "HTTPBadRequest", "'x' is not a valid IP subnet"},
		{"PUT", "/v2.0/subnetpools/x/add_prefixes", `{"prefixes":[]}`, 400, "HTTPBadRequest", "Request body contains invalid data"},
		{"PUT", "/v2.0/subnetpools/x/add_prefixes", `{"prefixes":["10.0.0.0/8"]}`, 404, "SubnetPoolNotFound", "Subnet pool x could not be found."},
		{"DELETE", "/v2.0/networks/" + net, `{}`, 400, "HTTPBadRequest", "Request body is not supported in DELETE."},
		{"POST", "/v2.0/networks/" + net, `{}`, 405, "HTTPMethodNotAllowed", "not allowed"},
		{"DELETE", "/v2.0/networks", ``, 405, "HTTPMethodNotAllowed", "not allowed"},
		{"HEAD", "/v2.0/networks", ``, 405, "", ""},
		{"GET", "/v2.0/networks/" + net + "/nonesuch", ``, 404, "HTTPNotFound", "The resource could not be found."},
		{"GET", "/nonesuch", ``, 404, "HTTPNotFound", "The resource could not be found."},
		{"GET", "/v2.0/networks/x/tags", ``, 404, "TagResourceNotFound", "Resource networks x could not be found."},
		{"PUT", "/v2.0/networks/x/tags/a", ``, 404, "TagResourceNotFound", "Resource networks x could not be found."},
		{"DELETE", "/v2.0/networks/" + net + "/tags/a", ``, 404, "TagNotFound", "Tag a could not be found."},
		{"PUT", "/v2.0/networks/" + net + "/tags", `{}`, 400, "InvalidInput", "Invalid tags body"},
		{"PUT", "/v2.0/networks/" + net + "/tags", `{"tags":[7]}`, 400, "InvalidInput", "'7' is not a valid string"},
		{"GET", "/v2.0/ports?fixed_ips=x", ``, 400, "InvalidInput", "'x' is not of the form <key>=[value]"},
		{"GET", "/v2.0/ports?b=1&a=1", ``, 400, "HTTPBadRequest", "['a', 'b'] is invalid attribute for filtering"},
		{"GET", "/v2.0/networks?shared=perhaps", ``, 400, "InvalidInput", "'perhaps' cannot be converted to boolean"},
		{"GET", "/v2.0/networks?sort_key=name", ``, 400, "HTTPBadRequest", "The number of sort_keys and sort_dirs must be same"},
		{"GET", "/v2.0/networks?sort_key=name&sort_dir=up", ``, 400, "HTTPBadRequest", "['up'] is invalid value for sort_dirs"},
		{"GET", "/v2.0/networks?limit=1&marker=x", ``, 404, "NetworkNotFound", "Network x could not be found."},
	}
	for _, tt := range tests {
		t.Run(tt.method+" "+tt.path+" "+tt.body, func(t *testing.T) {
			rec := c.send(tt.method, tt.path, tt.body)
			if rec.Code != tt.status {
				t.Fatalf("status %d, want %d: %s", rec.Code, tt.status, rec.Body)
			}
			var e struct{ NeutronError map[string]string }
			if err := json.Unmarshal(rec.Body.Bytes(), &e); err != nil {
				t.Fatalf("%v in %s", err, rec.Body)
			}
			if tt.typ != "" && (e.NeutronError["type"] != tt.typ || !strings.Contains(e.NeutronError["message"], tt.message)) {
				t.Errorf("got %v, want %s: ...%s...", e.NeutronError, tt.typ, tt.message)
			}
			if d, ok := e.NeutronError["detail"]; !ok || d != "" {
				t.Errorf("detail is %q, %v", d, ok)
			}
		})
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

func TestIfMatch(t *testing.T) {
	c := client{t, newAPI(t, "h1", 0)}
	id := c.make("networks", `"name":"n"`)
	for _, tt := range []struct {
		header string
		status int
	}{
		{"revision_number=1", 200}, {`"revision_number=2"`, 200}, {"revision_number=2", 412},
		{"revision_number=x", 400}, {"revision_number=3, revision_number=3", 400}, {`"something-else"`, 200},
	} {
		req := httptest.NewRequest("PUT", "/v2.0/networks/"+id, strings.NewReader(`{"network":{"name":"x"}}`))
		req.Header.Set("If-Match", tt.header)
		rec := httptest.NewRecorder()
		c.h.ServeHTTP(rec, req)
		if rec.Code != tt.status {
			t.Errorf("%s: %d, want %d: %s", tt.header, rec.Code, tt.status, rec.Body)
		}
	}
}

func TestFilters(t *testing.T) {
	c := client{t, newAPI(t, "h1", 1400)}
	a := c.make("networks", `"name":"a","description":"one","shared":true`)
	b := c.make("networks", `"name":"b","mtu":1300,"admin_state_up":"False"`)
	c.make("networks", `"name":""`)
	c.want(200, "PUT", "/v2.0/networks/"+a+"/tags", `{"tags":["x","y"]}`)
	c.want(201, "PUT", "/v2.0/networks/"+b+"/tags/y", "")
	four := c.make("subnets", `"name":"four","network_id":"`+a+`","ip_version":4,"cidr":"10.0.0.0/24"`)
	c.make("subnets", `"name":"six","network_id":"`+a+`","ip_version":"6","cidr":"FD00:0:0:0::/64","gateway_ip":null`)
	c.make("ports", `"name":"p","network_id":"`+a+`","mac_address":"FA-16-3E-00-00-01","device_id":"d","binding:host_id":"h1","fixed_ips":[{"ip_address":"10.0.0.77"}]`)
	c.make("ports", `"name":"q","network_id":"`+a+`","device_id":"e","fixed_ips":[{"ip_address":"FD00::0:77"},{"subnet_id":"`+four+`"}]`)
	c.make("ports", `"name":"r","network_id":"`+b+`"`)
	sorted := "&sort_key=name&sort_dir=asc"
	for _, tt := range []struct{ collection, query, want string }{
		{"networks", "name=a&name=b", "a b"},
		{"networks", "name=", ""},
		{"networks", "description=one", "a"},
		{"networks", "shared=true", "a"},
		{"networks", "shared=0", " b"},
		{"networks", "admin_state_up=False", "b"},
		{"networks", "mtu=1400&name=a", "a"},
		{"networks", "id=" + b + "&id=" + a, "a b"},
		{"networks", "id=nonesuch", ""},
		{"networks", "tags=x,y", "a"},
		{"networks", "tags=y", "a b"},
		{"networks", "tags-any=x,y", "a b"},
		{"networks", "not-tags=x,y", " b"},
		{"networks", "not-tags-any=x", " b"},
		{"networks", "status=ACTIVE&name=b", "b"},
		{"networks", "status=DOWN", ""},
		{"networks", "provider:network_type=local&name=a", "a"},
		{"networks", "revision_number=1&name=", ""},
		{"subnets", "ip_version=6", "six"},
		{"subnets", "cidr=fd00:0::/64", "six"},
		{"subnets", "network_id=" + a, "four six"},
		{"subnets", "gateway_ip=10.0.0.1", "four"},
		{"subnets", "shared=True", "four six"},
		{"subnets", "enable_dhcp=true&ip_version=4", "four"},
		{"ports", "mac_address=fa:16:3e:00:00:01", "p"},
		{"ports", "mac_address=FA-16-3E-00-00-01", "p"},
		{"ports", "device_id=d&device_id=e", "p q"},
		{"ports", "binding:host_id=h1", "p"},
		{"ports", "network_id=" + a, "p q"},
		{"ports", "fixed_ips=ip_address%3D10.0.0.77", "p"},
		{"ports", "fixed_ips=ip_address%3Dfd00:0::77", "q"},
		{"ports", "fixed_ips=subnet_id%3D" + four, "p q"},
		{"ports", "fixed_ips=ip_address_substr%3D77", "p q"},
		{"ports", "fixed_ips=ip_address_substr%3D77&fixed_ips=ip_address%3D10.0.0.77", "p"},
		{"ports", "fixed_ips=ip_address%3Dnonsense", ""},
		{"ports", "status=DOWN&name=r", "r"},
	} {
		if got := c.names(tt.collection, tt.query+sorted); got != tt.want {
			t.Errorf("%s?%s: %q, want %q", tt.collection, tt.query, got, tt.want)
		}
	}
}

func TestFields(t *testing.T) {
	c := client{t, newAPI(t, "h1", 0)}
	id := c.make("networks", `"name":"a","tenant_id":"mine"`)
	for query, want := range map[string]map[string]any{
		"fields=name":                {"name": "a"},
		"fields=tenant_id":           {"tenant_id": "mine", "project_id": "mine"},
		"fields=nonesuch&fields=mtu": {"mtu": 1500.0},
	} {
		got := c.want(200, "GET", "/v2.0/networks/"+id+"?"+query, "")["network"]
		if diff := cmp.Diff(any(want), got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", query, diff)
		}
	}
}

// TestPages follows the links of a list to its end and back.
func TestPages(t *testing.T) {
	c := client{t, newAPI(t, "h1", 0)}
	for _, n := range "gfedcba" {
		c.make("networks", fmt.Sprintf(`"name":%q`, string(n)))
	}
	query := "limit=3&sort_key=name&sort_dir=desc&fields=name"
	walk := func(query, rel string) (names []string, last string) {
		for query != "" {
			last = query
			page := c.want(200, "GET", "/v2.0/networks?"+query, "")
			query = ""
			var page1 []string
			for _, v := range page["networks"].([]any) {
				page1 = append(page1, v.(map[string]any)["name"].(string))
			}
			names = append(names, strings.Join(page1, ""))
			for _, l := range page["networks_links"].([]any) {
				if l := l.(map[string]any); l["rel"] == rel && len(page1) > 0 {
					u, err := url.Parse(l["href"].(string))
					if err != nil {
						t.Fatal(err)
					}
					query = u.RawQuery
				}
			}
		}
		return names, last
	}
	names, last := walk(query, "next")
	if diff := cmp.Diff([]string{"gfe", "dcb", "a"}, names); diff != "" {
		t.Errorf("forward (-want +got):\n%s", diff)
	}
	names, _ = walk(last, "previous")
	if diff := cmp.Diff([]string{"a", "dcb", "gfe", ""}, names); diff != "" {
		t.Errorf("back (-want +got):\n%s", diff)
	}
}

func TestBulkIsAllOrNothing(t *testing.T) {
	c := client{t, newAPI(t, "h1", 0)}
	net := c.make("networks", `"name":"n"`)
	c.make("subnets", `"network_id":"`+net+`","ip_version":4,"cidr":"10.0.0.0/29"`)
	port := `{"network_id":"` + net + `"}`
	c.want(409, "POST", "/v2.0/ports", `{"ports":[`+strings.Repeat(port+",", 5)+port+`]}`)
	if got := c.names("ports", ""); got != "" {
		t.Errorf("left behind: %q", got)
	}
	made := c.want(201, "POST", "/v2.0/ports", `{"ports":[`+strings.Repeat(port+",", 4)+`{"port":`+port+`}]}`)
	if n := len(made["ports"].([]any)); n != 5 {
		t.Errorf("%d ports made", n)
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
