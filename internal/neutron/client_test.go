package neutron_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"kuryr/internal/courier"
	"kuryr/internal/neutron"
)

const portID = courier.PortID("e39425e2-1f2c-4be2-90c0-53b08a3b2552")

// client returns a client of a server that h is.
func client(t *testing.T, h http.HandlerFunc) *neutron.Client {
	t.Helper()
	return newClient(t, neutron.Options{Endpoint: "http://neutron.example:9696/", Transport: neutron.InProcess(h)})
}

func newClient(t *testing.T, o neutron.Options) *neutron.Client {
	t.Helper()
	o.Log = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
	c, err := neutron.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// capture is an answer of Neutron 21.0.0 (Zed), and what it answers.
type capture struct {
	Request struct {
		Method string
		Path   string
		Body   json.RawMessage
	}
	Status    int
	RequestID string `json:"request_id"`
	Body      json.RawMessage
}

func readCapture(t *testing.T, name string) capture {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name + ".json")
	if err != nil {
		t.Fatal(err)
	}
	var c capture
	if err := json.Unmarshal(b, &c); err != nil {
		t.Fatal(err)
	}
	return c
}

func (c capture) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Openstack-Request-Id", c.RequestID)
	w.WriteHeader(c.Status)
	w.Write(c.Body)
}

func answer(status int, body string) http.HandlerFunc {
	return capture{Status: status, Body: json.RawMessage(body)}.ServeHTTP
}

func TestEndpoints(t *testing.T) {
	for endpoint, want := range map[string]string{
		"http://h:9696":                 "/v2.0/ports/",
		"http://h:9696/":                "/v2.0/ports/",
		"http://h:9696/v2.0":            "/v2.0/ports/",
		"http://h:9696/v2.0/":           "/v2.0/ports/",
		"https://cloud.example/network": "/network/v2.0/ports/",
	} {
		var got string
		h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			got = r.URL.Path
			w.WriteHeader(http.StatusNoContent)
		})
		c := newClient(t, neutron.Options{Endpoint: endpoint, Transport: neutron.InProcess(h)})
		if err := c.DeletePort(t.Context(), portID); err != nil || got != want+string(portID) {
			t.Errorf("%s: asked for %s (%v)", endpoint, got, err)
		}
	}
	for _, bad := range []string{"", "neutron:9696", "ftp://h/", "http://", "http://h/?x=1", "unix:///run/x"} {
		if _, err := neutron.New(neutron.Options{Endpoint: bad}); courier.KindOf(err) != courier.Invalid {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestRequestBodies(t *testing.T) {
	mark := courier.Mark{Host: "h1", Intent: "8a3f"}
	const network, subnet = "f3fec963-cd68-4b59-81c2-1c6806159461", "08296882-7a9e-4fbb-ae00-5460987e8eac"
	mac := courier.MAC{2, 0, 0, 0, 0, 1}
	name, off := "", false
	settings := courier.PortSettings{SecurityGroups: []courier.SecurityGroupID{subnet}, QoSPolicy: network, PortSecurity: &off, DNSName: "web",
		AddressPairs: []courier.AddressPair{{Addresses: netip.MustParsePrefix("10.0.0.9/32"), MAC: mac}, {Addresses: netip.MustParsePrefix("fd00::/64")}}}
	const settingsBody = `"security_groups":["` + subnet + `"],"qos_policy_id":"` + network + `","port_security_enabled":false,"dns_name":"web",` +
		`"allowed_address_pairs":[{"ip_address":"10.0.0.9","mac_address":"02:00:00:00:00:01"},{"ip_address":"fd00::/64"}]`
	for _, tt := range []struct {
		name string
		call func(context.Context, *neutron.Client) error
		want string // method, path, body
	}{
		{"network", func(ctx context.Context, c *neutron.Client) error {
			_, err := c.CreateNetwork(ctx, courier.NetworkSpec{Name: "n", MTU: 1400, Mark: mark})
			return err
		}, `POST /v2.0/networks {"network":{"name":"n","mtu":1400,"description":"kuryr:h1:8a3f"}}`},
		{"subnet without gateway", func(ctx context.Context, c *neutron.Client) error {
			_, err := c.CreateSubnet(ctx, courier.SubnetSpec{Network: network, CIDR: netip.MustParsePrefix("fd00::/64"), Mark: mark})
			return err
		}, `POST /v2.0/subnets {"subnet":{"network_id":"` + network + `","cidr":"fd00::/64","ip_version":6,"gateway_ip":null,` +
			`"enable_dhcp":false,"description":"kuryr:h1:8a3f"}}`},
		{"subnet", func(ctx context.Context, c *neutron.Client) error {
			_, err := c.CreateSubnet(ctx, courier.SubnetSpec{Network: network, Name: "s", CIDR: netip.MustParsePrefix("10.0.0.0/24"),
				Gateway: netip.MustParseAddr("10.0.0.1"), Pool: "d372e867-f595-46b6-b9e5-854cefb4e689", DHCP: true, Mark: mark,
				AllocationPools: []courier.AddressRange{{First: netip.MustParseAddr("10.0.0.9"), Last: netip.MustParseAddr("10.0.0.20")}}})
			return err
		}, `POST /v2.0/subnets {"subnet":{"network_id":"` + network + `","name":"s","cidr":"10.0.0.0/24","ip_version":4,"gateway_ip":"10.0.0.1",` +
			`"subnetpool_id":"d372e867-f595-46b6-b9e5-854cefb4e689","enable_dhcp":true,"description":"kuryr:h1:8a3f",` +
			`"allocation_pools":[{"start":"10.0.0.9","end":"10.0.0.20"}]}}`},
		{"subnetpool with a short default", func(ctx context.Context, c *neutron.Client) error {
			_, err := c.CreateSubnetPool(ctx, courier.SubnetPoolSpec{Name: "p", DefaultPrefixLen: 48, Mark: mark,
				Prefixes: []netip.Prefix{netip.MustParsePrefix("fd00::/48")}})
			return err
		}, `POST /v2.0/subnetpools {"subnetpool":{"name":"p","prefixes":["fd00::/48"],"default_prefixlen":48,"min_prefixlen":48,` +
			`"description":"kuryr:h1:8a3f"}}`},
		{"subnetpool", func(ctx context.Context, c *neutron.Client) error {
			_, err := c.CreateSubnetPool(ctx, courier.SubnetPoolSpec{Name: "p", DefaultPrefixLen: 24, Mark: mark,
				Prefixes: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/16")}})
			return err
		}, `POST /v2.0/subnetpools {"subnetpool":{"name":"p","prefixes":["10.0.0.0/16"],"default_prefixlen":24,"description":"kuryr:h1:8a3f"}}`},
		{"port", func(ctx context.Context, c *neutron.Client) error {
			_, err := c.CreatePort(ctx, courier.PortSpec{Network: network, Name: "p", MAC: mac, DeviceID: "d", DeviceOwner: "o", Host: "h1",
				Mark: mark, FixedIPs: []courier.FixedIP{{Subnet: subnet, Address: netip.MustParseAddr("10.0.0.5")}, {Subnet: subnet}}})
			return err
		}, `POST /v2.0/ports {"port":{"network_id":"` + network + `","name":"p","mac_address":"02:00:00:00:00:01","device_id":"d",` +
			`"device_owner":"o","binding:host_id":"h1","description":"kuryr:h1:8a3f",` +
			`"fixed_ips":[{"subnet_id":"` + subnet + `","ip_address":"10.0.0.5"},{"subnet_id":"` + subnet + `"}]}}`},
		{"ports", func(ctx context.Context, c *neutron.Client) error {
			_, err := c.CreatePorts(ctx, []courier.PortSpec{{Network: network, Mark: mark}, {Network: network, Host: "h1", Mark: mark}})
			return err
		}, `POST /v2.0/ports {"ports":[{"network_id":"` + network + `","description":"kuryr:h1:8a3f"},` +
			`{"network_id":"` + network + `","description":"kuryr:h1:8a3f","binding:host_id":"h1"}]}`},
		{"shared network with a QoS policy", func(ctx context.Context, c *neutron.Client) error {
			_, err := c.CreateNetwork(ctx, courier.NetworkSpec{Name: "n", Shared: true, QoSPolicy: network, Mark: mark})
			return err
		}, `POST /v2.0/networks {"network":{"name":"n","shared":true,"qos_policy_id":"` + network + `","description":"kuryr:h1:8a3f"}}`},
		{"port with settings", func(ctx context.Context, c *neutron.Client) error {
			_, err := c.CreatePort(ctx, courier.PortSpec{Network: network, Mark: mark, Settings: settings})
			return err
		}, `POST /v2.0/ports {"port":{"network_id":"` + network + `","description":"kuryr:h1:8a3f",` + settingsBody + `}}`},
		{"port's settings", func(ctx context.Context, c *neutron.Client) error {
			_, err := c.UpdatePort(ctx, portID, courier.PortUpdate{Settings: settings})
			return err
		}, `PUT /v2.0/ports/` + string(portID) + ` {"port":{` + settingsBody + `}}`},
		{"port without settings", func(ctx context.Context, c *neutron.Client) error {
			_, err := c.UpdatePort(ctx, portID, courier.PortUpdate{Settings: courier.PortSettings{
				SecurityGroups: []courier.SecurityGroupID{}, AddressPairs: []courier.AddressPair{}}})
			return err
		}, `PUT /v2.0/ports/` + string(portID) + ` {"port":{"security_groups":[],"allowed_address_pairs":[]}}`},
		{"port's owner", func(ctx context.Context, c *neutron.Client) error {
			host, none := "h1", ""
			_, err := c.UpdatePort(ctx, portID, courier.PortUpdate{DeviceID: &none, DeviceOwner: &name, Host: &host})
			return err
		}, `PUT /v2.0/ports/` + string(portID) + ` {"port":{"device_id":"","device_owner":"","binding:host_id":"h1"}}`},
		{"tags", func(ctx context.Context, c *neutron.Client) error {
			return c.SetTags(ctx, courier.Resource{Kind: courier.PortResource, ID: string(portID)}, []string{"a", "b"})
		}, `PUT /v2.0/ports/` + string(portID) + `/tags {"tags":["a","b"]}`},
		{"network by name", func(ctx context.Context, c *neutron.Client) error {
			_, err := c.FindNetworks(ctx, courier.Reference{Name: "a&b=c"})
			return err
		}, `GET /v2.0/networks?name=a%26b%3Dc null`},
		{"network by ID", func(ctx context.Context, c *neutron.Client) error {
			_, err := c.FindNetworks(ctx, courier.Reference{ID: network})
			return err
		}, `GET /v2.0/networks?id=` + network + ` null`},
		{"security groups by name", func(ctx context.Context, c *neutron.Client) error {
			_, err := c.FindSecurityGroups(ctx, []courier.Reference{{Name: "a"}, {Name: "b"}})
			return err
		}, `GET /v2.0/security-groups?fields=id&fields=name&fields=project_id&fields=shared&name=a&name=b null`},
		{"QoS policy by name", func(ctx context.Context, c *neutron.Client) error {
			_, err := c.FindQoSPolicies(ctx, courier.Reference{Name: "a"})
			return err
		}, `GET /v2.0/qos/policies?name=a null`},
		{"default subnetpool", func(ctx context.Context, c *neutron.Client) error {
			_, err := c.DefaultSubnetPools(ctx, courier.IPv6)
			return err
		}, `GET /v2.0/subnetpools?ip_version=6&is_default=true null`},
		{"port by address", func(ctx context.Context, c *neutron.Client) error {
			_, err := c.FindPorts(ctx, courier.PortQuery{Network: network, Subnet: subnet, Address: netip.MustParseAddr("10.0.0.9")})
			return err
		}, `GET /v2.0/ports?fixed_ips=ip_address%3D10.0.0.9&fixed_ips=subnet_id%3D` + subnet + `&network_id=` + network + ` null`},
		{"port's name", func(ctx context.Context, c *neutron.Client) error {
			_, err := c.UpdatePort(ctx, portID, courier.PortUpdate{Name: &name})
			return err
		}, `PUT /v2.0/ports/` + string(portID) + ` {"port":{"name":""}}`},
		{"port's addresses", func(ctx context.Context, c *neutron.Client) error {
			_, err := c.UpdatePort(ctx, portID, courier.PortUpdate{FixedIPs: []courier.FixedIP{}})
			return err
		}, `PUT /v2.0/ports/` + string(portID) + ` {"port":{"fixed_ips":[]}}`},
		{"tag", func(ctx context.Context, c *neutron.Client) error {
			return c.Tag(ctx, courier.Resource{Kind: courier.SubnetPoolResource, ID: network}, "a b/c?d")
		}, `PUT /v2.0/subnetpools/` + network + `/tags/a%20b%2Fc%3Fd null`},
		{"list by mark", func(ctx context.Context, c *neutron.Client) error {
			_, err := c.PortsByMark(ctx, courier.Mark{Host: "h&1=2 +", Intent: "8a3f"})
			return err
		}, `GET /v2.0/ports?description=kuryr%3Ah%261%3D2+%2B%3A8a3f null`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got string
			var body any
			c := client(t, func(w http.ResponseWriter, r *http.Request) {
				got = r.Method + " " + r.URL.RequestURI()
				if r.Header.Get("X-Auth-Token") != "" || !strings.HasPrefix(r.Header.Get("X-Openstack-Request-Id"), "req-") {
					t.Errorf("headers: %v", r.Header)
				}
				if b, _ := io.ReadAll(r.Body); len(b) > 0 {
					if err := json.Unmarshal(b, &body); err != nil {
						t.Errorf("body %q: %v", b, err)
					}
				}
				w.WriteHeader(http.StatusTeapot)
			})
			if err := tt.call(t.Context(), c); err == nil {
				t.Fatal("no error of a server that makes no coffee")
			}
			want := strings.SplitN(tt.want, " ", 3)
			var wantBody any
			if err := json.Unmarshal([]byte(want[2]), &wantBody); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(want[0]+" "+want[1], got); d != "" {
				t.Error(d)
			}
			if d := cmp.Diff(wantBody, body); d != "" {
				t.Error(d)
			}
		})
	}
}

// TestRevisions: what is bound to a revision says so in the header that Neutron reads.
func TestRevisions(t *testing.T) {
	device, four := "d", 4
	for _, x := range []struct {
		call func(context.Context, *neutron.Client) error
		want string
	}{
		{func(ctx context.Context, c *neutron.Client) error {
			return c.DeleteNetwork(ctx, courier.NetworkID(portID), 7)
		}, "DELETE revision_number=7"},
		{func(ctx context.Context, c *neutron.Client) error {
			return c.DeleteNetwork(ctx, courier.NetworkID(portID), courier.AnyRevision)
		}, "DELETE "},
		{func(ctx context.Context, c *neutron.Client) error {
			return c.DeleteSubnet(ctx, courier.SubnetID(portID), 3)
		}, "DELETE revision_number=3"},
		{func(ctx context.Context, c *neutron.Client) error {
			_, err := c.UpdatePort(ctx, portID, courier.PortUpdate{DeviceID: &device, Revision: &four})
			return err
		}, "PUT revision_number=4"},
		{func(ctx context.Context, c *neutron.Client) error {
			_, err := c.UpdatePort(ctx, portID, courier.PortUpdate{DeviceID: &device})
			return err
		}, "PUT "},
	} {
		var got string
		c := client(t, func(w http.ResponseWriter, r *http.Request) {
			got = r.Method + " " + r.Header.Get("If-Match")
			readCapture(t, "revision-if-match-stale").ServeHTTP(w, r)
		})
		if err := x.call(t.Context(), c); courier.KindOf(err) != courier.Conflict || got != x.want {
			t.Errorf("sent %q, want %q (%v)", got, x.want, err)
		}
	}
}

func TestAnswersOfARealNeutron(t *testing.T) {
	ctx := t.Context()
	of := func(name string) *neutron.Client { return client(t, readCapture(t, name).ServeHTTP) }
	diff := func(name string, want, got any, err error) {
		t.Helper()
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if d := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{}), cmpopts.EquateEmpty()); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
	}
	n, err := of("network-create").CreateNetwork(ctx, courier.NetworkSpec{})
	diff("network", courier.Network{ID: "f3fec963-cd68-4b59-81c2-1c6806159461", Name: "cap-net", MTU: 1450,
		Description: "x", Created: time.Date(2026, 11, 23, 2, 9, 35, 0, time.UTC), Revision: 1}, n, err)

	pool, err := of("subnetpool-create").CreateSubnetPool(ctx, courier.SubnetPoolSpec{})
	diff("subnetpool", courier.SubnetPool{ID: "d372e867-f595-46b6-b9e5-854cefb4e689", Name: "kuryrPool", DefaultPrefixLen: 24,
		Prefixes: []netip.Prefix{netip.MustParsePrefix("10.70.0.0/16")}}, pool, err)

	spec := courier.SubnetSpec{CIDR: netip.MustParsePrefix("10.70.0.0/24"), Network: n.ID}
	four, err := of("subnet-create-from-pool").CreateSubnet(ctx, spec)
	diff("subnet", courier.Subnet{ID: "246b6182-f146-4d8a-944a-bdabd2cfbf59", Name: "a", Network: n.ID,
		Pool: pool.ID, CIDR: spec.CIDR, Gateway: netip.MustParseAddr("10.70.0.1")}, four, err)
	six, err := of("subnet-create-v6-slaac").CreateSubnet(ctx, spec)
	diff("IPv6 subnet", courier.Subnet{ID: "d253fd81-6a49-4ec1-b8ae-8ff1eedbcd41", Network: "8aec6d8e-6362-48e9-8c6e-beb4ca2fbb81",
		CIDR: netip.MustParsePrefix("fd00:81::/64"), Gateway: netip.MustParseAddr("fd00:81::")}, six, err)

	bound, err := of("lb-port-create-bound").CreatePort(ctx, courier.PortSpec{Network: n.ID})
	diff("bound port", courier.Port{ID: portID, Name: "dp0", DeviceID: "a021c66f-a9d1-4690-94cf-6757ab94a9d2", DeviceOwner: "compute:kuryr", Revision: 1, Network: "21df1968-9b83-4e88-affe-0bbbf81406e8", Project: "99ccf9d6f1de4c649c4da7b700f05e46",
		MAC: courier.MAC{0xfa, 0x16, 0x3e, 0x3e, 0x4a, 0x4b}, Status: "DOWN",
		FixedIPs: []courier.FixedIP{{Subnet: "c49e7c9e-7060-41cf-b680-7abb2bbf5183", Address: netip.MustParseAddr("10.61.0.154")}},
		Binding:  courier.Binding{Host: "h1", VIFType: "bridge", VIFDetails: map[string]any{"connectivity": "l2", "port_filter": true}}}, bound, err)
	failed, err := of("port-create-binding-failed").CreatePort(ctx, courier.PortSpec{Network: n.ID})
	diff("port without agent", courier.Binding{Host: "no-such-host", VIFType: "binding_failed", VIFDetails: map[string]any{}}, failed.Binding, err)

	three, err := of("port-bulk").CreatePorts(ctx, []courier.PortSpec{{Network: n.ID}, {Network: n.ID}, {Network: n.ID}})
	if err != nil || len(three) != 3 || three[2].ID != "52407026-8ac7-4f7e-9810-ff63fef56402" {
		t.Errorf("bulk: %v, %v", three, err)
	}
	if _, err := of("port-bulk").CreatePorts(ctx, []courier.PortSpec{{Network: n.ID}, {Network: n.ID}}); err == nil {
		t.Error("three ports for two were accepted")
	}
	_, err = of("port-bulk").CreatePort(ctx, courier.PortSpec{})
	if courier.KindOf(err) != courier.Invalid || !strings.HasSuffix(err.Error(), ": NetworkID is missing") {
		t.Errorf("a port on no network: %v", err)
	}
}

func TestHostRoutes(t *testing.T) {
	c := client(t, answer(200, `{"subnets":[{"id":"246b6182-f146-4d8a-944a-bdabd2cfbf59","network_id":"f3fec963-cd68-4b59-81c2-1c6806159461",
		"cidr":"10.70.0.0/24","gateway_ip":null,"host_routes":[{"destination":"192.0.2.0/24","nexthop":"10.70.0.254"}]}]}`))
	got, err := c.SubnetsOfNetwork(t.Context(), "f3fec963-cd68-4b59-81c2-1c6806159461")
	want := []courier.Route{{Destination: netip.MustParsePrefix("192.0.2.0/24"), NextHop: netip.MustParseAddr("10.70.0.254")}}
	if err != nil || len(got) != 1 || got[0].Gateway.IsValid() || fmt.Sprint(got[0].HostRoutes) != fmt.Sprint(want) {
		t.Errorf("%v, %v", got, err)
	}
}

// All pages are read, and the links' host is never called.
func TestPages(t *testing.T) {
	page := readCapture(t, "networks-list-page")
	var queries []string
	c := client(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Host != "neutron.example:9696" {
			t.Errorf("asked %s", r.Host)
		}
		queries = append(queries, r.URL.RawQuery)
		if len(queries) == 3 {
			answer(200, `{"networks":[]}`)(w, r)
			return
		}
		p := page
		p.Body = json.RawMessage(strings.ReplaceAll(string(p.Body), "marker=8", fmt.Sprintf("marker=%d", len(queries))))
		p.ServeHTTP(w, r)
	})
	all, err := c.NetworksByMark(t.Context(), courier.Mark{Host: "h", Intent: "i"})
	if err != nil || len(all) != 2 {
		t.Errorf("%v, %v", all, err)
	}
	const next = "limit=1&sort_key=name&sort_dir=asc&marker=%daec6d8e-6362-48e9-8c6e-beb4ca2fbb81"
	if d := cmp.Diff([]string{"description=kuryr%3Ah%3Ai", fmt.Sprintf(next, 1), fmt.Sprintf(next, 2)}, queries); d != "" {
		t.Error(d)
	}
	_, err = client(t, page.ServeHTTP).NetworksByMark(t.Context(), courier.Mark{})
	if err == nil || !strings.Contains(err.Error(), "the list of networks has no end") {
		t.Errorf("a list without end: %v", err)
	}
}

func TestNonsenseIsRefused(t *testing.T) {
	good := string(readCapture(t, "lb-port-create-bound").Body)
	for _, tt := range []struct{ name, old, new, want string }{
		{"ID", string(portID), "../../networks", `"../../networks" is not the ID of a port`},
		{"ID in braces", string(portID), "{" + string(portID) + "}", `is not the ID of a port`},
		{"network", "21df1968-9b83-4e88-affe-0bbbf81406e8", "x", `"x" is not the ID of a network`},
		{"MAC", "fa:16:3e:3e:4a:4b", "01:00:5e:00:00:01", "is not the MAC address of a single interface"},
		{"address", "10.61.0.154", "10.61.0.154%eth0", "is not an address"},
		{"status", `"DOWN"`, `7`, "makes no sense"},
		{"key", `"port":`, `"prot":`, "makes no sense"},
		{"cut", good[len(good)/2:], "", "broke off its answer"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bad := strings.ReplaceAll(good, tt.old, tt.new)
			_, err := client(t, answer(201, bad)).CreatePort(t.Context(), courier.PortSpec{Network: "f3fec963-cd68-4b59-81c2-1c6806159461"})
			if err == nil || !strings.Contains(err.Error(), tt.want) || courier.KindOf(err) != courier.Unavailable {
				t.Errorf("got %v (%v), want %s", err, courier.KindOf(err), tt.want)
			}
		})
	}
	for name, body := range map[string]string{
		"not JSON": "<html>", "empty": "", "null": "null", "list": "[]", "other": `{"networks":[]}`,
		"prefix length": `{"subnetpools":[{"id":"d372e867-f595-46b6-b9e5-854cefb4e689","prefixes":["10.0.0.0/8"],"default_prefixlen":"24x"}]}`,
		"prefix":        `{"subnetpools":[{"id":"d372e867-f595-46b6-b9e5-854cefb4e689","prefixes":["10.0.0.1/8"],"default_prefixlen":"24"}]}`,
	} {
		got, err := client(t, answer(200, body)).FindSubnetPools(t.Context(), courier.Reference{Name: "x"})
		if courier.KindOf(err) != courier.Unavailable {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

// TestWhatIsRepeated: reads, and writes that are the same twice, where nobody
// answered; nothing else.
func TestWhatIsRepeated(t *testing.T) {
	fault := errors.New("connection reset by test")
	seven := 7
	calls := map[string]func(context.Context, *neutron.Client) error{
		"read": func(ctx context.Context, c *neutron.Client) error {
			_, err := c.PortsByMark(ctx, courier.Mark{})
			return err
		},
		"delete": func(ctx context.Context, c *neutron.Client) error { return c.DeletePort(ctx, portID) },
		"tag": func(ctx context.Context, c *neutron.Client) error {
			return c.Tag(ctx, courier.Resource{Kind: courier.PortResource, ID: string(portID)}, "t")
		},
		"create": func(ctx context.Context, c *neutron.Client) error {
			_, err := c.CreatePort(ctx, courier.PortSpec{Network: "f3fec963-cd68-4b59-81c2-1c6806159461"})
			return err
		},
		"update at a revision": func(ctx context.Context, c *neutron.Client) error {
			_, err := c.UpdatePort(ctx, portID, courier.PortUpdate{Revision: &seven})
			return err
		},
	}
	for _, tt := range []struct {
		name string
		fail func(http.ResponseWriter)
		want int32 // requests for what may be repeated
	}{
		{"502", func(w http.ResponseWriter) { w.WriteHeader(502) }, 3},
		{"503", func(w http.ResponseWriter) { w.WriteHeader(503) }, 3},
		{"504", func(w http.ResponseWriter) { w.WriteHeader(504) }, 3},
		{"429", func(w http.ResponseWriter) { w.WriteHeader(429) }, 3},
		{"no answer", nil, 3},
		{"cut answer", func(w http.ResponseWriter) { io.WriteString(w, `{"ports":[`) }, 3},
		{"500", func(w http.ResponseWriter) { w.WriteHeader(500) }, 1},
		{"nonsense", func(w http.ResponseWriter) { io.WriteString(w, `x`) }, 1},
	} {
		for name, call := range calls {
			harmless := name == "read" || name == "delete" || name == "tag"
			if tt.name == "cut answer" && name != "read" {
				continue // no other wants more than the status
			}
			t.Run(tt.name+"/"+name, func(t *testing.T) {
				var requests atomic.Int32
				h := neutron.InProcess(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					switch {
					case requests.Load() < 3:
						tt.fail(w)
					case r.Method == http.MethodDelete:
						w.WriteHeader(http.StatusNoContent)
					case r.Method == http.MethodPut:
						w.WriteHeader(http.StatusCreated)
					default:
						io.WriteString(w, `{"ports":[]}`)
					}
				}))
				c := newClient(t, neutron.Options{Endpoint: "http://neutron.example", Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
					if requests.Add(1) < 3 && tt.fail == nil {
						return nil, fault
					}
					return h.RoundTrip(r)
				})})
				want := int32(1)
				if harmless {
					want = tt.want
				}
				err := call(t.Context(), c)
				if requests.Load() != want || (err == nil) != (want == 3) {
					t.Errorf("%d requests, want %d: %v", requests.Load(), want, err)
				}
			})
		}
	}
}

// TestRetriesAreFew: what an ill cloud is asked beyond the calls themselves is bounded.
func TestRetriesAreFew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var requests atomic.Int32
		var well atomic.Bool
		c := client(t, func(w http.ResponseWriter, _ *http.Request) {
			if requests.Add(1); !well.Load() {
				w.WriteHeader(503)
				return
			}
			io.WriteString(w, `{"networks":[]}`)
		})
		const calls = 100
		for range calls {
			c.Ping(t.Context())
		}
		if n := requests.Load(); n != calls+10 {
			t.Errorf("%d calls were %d requests, want %d", calls, n, calls+10)
		}
		well.Store(true)
		for range 25 { // they earn two retries
			if err := c.Ping(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		well.Store(false)
		requests.Store(0)
		c.Ping(t.Context())
		if n := requests.Load(); n != 3 {
			t.Errorf("a call was %d requests, want 3", n)
		}
	})
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestRetriesEndWithTheContext(t *testing.T) {
	c := client(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) })
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	start := time.Now()
	_, err := c.PortsByMark(ctx, courier.Mark{})
	if courier.KindOf(err) != courier.Unavailable || time.Since(start) > time.Second {
		t.Errorf("%v after %v", err, time.Since(start))
	}
}

func TestNobodyListens(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	endpoint := "http://" + l.Addr().String() + "/v2.0/"
	err = newClient(t, neutron.Options{Endpoint: endpoint}).DeletePort(t.Context(), portID)
	if courier.KindOf(err) != courier.Unavailable || !strings.Contains(err.Error(), "Neutron cannot be reached: ") ||
		!strings.HasSuffix(err.Error(), "connection refused") || courier.HintOf(err) != "see that Neutron answers at "+endpoint {
		t.Errorf("%v; hint: %s", err, courier.HintOf(err))
	}
}

func TestHangingServerAndRedirects(t *testing.T) {
	release := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			http.Redirect(w, r, "http://elsewhere.example/", http.StatusFound)
			return
		}
		<-release
	}))
	defer s.Close()
	defer close(release)
	c := newClient(t, neutron.Options{Endpoint: s.URL})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	err := c.DeletePort(ctx, portID)
	if err == nil || err.Error() != "cannot delete port "+string(portID)+": Neutron did not answer in time" {
		t.Errorf("hanging: %v", err)
	}
	_, err = c.PortsByMark(t.Context(), courier.Mark{Host: "h", Intent: "i"})
	if err == nil || err.Error() != "cannot look up ports marked kuryr:h:i: Neutron answered 302 Found" {
		t.Errorf("redirect: %v", err)
	}
}

// TestListLosesARace: what Neutron answers for a list while somebody deletes
// what is on it must not read as "there is nothing".
func TestListLosesARace(t *testing.T) {
	for races, want := range map[int]courier.Kind{2: 0, 1000: courier.Unavailable} {
		asked := 0
		c := client(t, func(w http.ResponseWriter, _ *http.Request) {
			if asked++; asked <= races {
				w.WriteHeader(http.StatusNotFound)
				io.WriteString(w, `{"NeutronError":{"type":"NetworkNotFound","message":"Network x could not be found.","detail":""}}`)
				return
			}
			io.WriteString(w, `{"ports":[]}`)
		})
		_, err := c.PortsByMark(t.Context(), courier.Mark{Host: "h", Intent: "i"})
		if (err == nil) != (want == 0) || err != nil && courier.KindOf(err) != want {
			t.Errorf("%d races: %v (%v)", races, err, courier.KindOf(err))
		}
	}
}
