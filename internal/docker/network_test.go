package docker

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"kuryr/internal/courier"
)

// example is one call: what Docker sends, what the courier is asked, and what
// Docker gets.
type example struct {
	name   string
	method string
	body   string
	asked  any // nil: the courier is not asked at all
	want   string
}

// sameRequests compares what couriers are asked.
var sameRequests = cmp.Options{
	cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
	cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
	cmpopts.EquateEmpty(),
}

func runExamples(t *testing.T, o Options, examples []example) {
	t.Helper()
	for _, x := range examples {
		t.Run(x.method+"/"+x.name, func(t *testing.T) {
			m := furnished(t)
			m.routes = []courier.Route{
				{Destination: netip.MustParsePrefix("10.200.0.1/16"), NextHop: netip.MustParseAddr("10.0.0.9")},
				{Destination: netip.MustParsePrefix("0.0.0.0/0"), NextHop: netip.MustParseAddr("10.0.0.254")},
			}
			o.Log = testLog(t)
			code, got := post(t, New(m, o), x.method, x.body)
			if code != 200 || got != x.want {
				t.Errorf("answer: %d %s\n want: 200 %s", code, got, x.want)
			}
			var want []any
			if x.asked != nil {
				want = []any{x.asked}
			}
			if diff := cmp.Diff(want, m.asked, sameRequests); diff != "" {
				t.Errorf("the courier was asked (-want +got):\n%s", diff)
			}
		})
	}
}

func TestHandshake(t *testing.T) {
	runExamples(t, Options{}, []example{
		{"plain", "Plugin.Activate", "", nil, `{"Implements":["NetworkDriver","IpamDriver"]}`},
		{"plain", "NetworkDriver.GetCapabilities", "", nil, `{"Scope":"local","ConnectivityScope":"global","GwAllocChecker":true}`},
		{"a body that nobody reads", "NetworkDriver.GetCapabilities", "garbage", nil, `{"Scope":"local","ConnectivityScope":"global","GwAllocChecker":true}`},
		{"plain", "IpamDriver.GetCapabilities", "", nil, `{"RequiresMACAddress":false,"RequiresRequestReplay":false}`},
		{"plain", "IpamDriver.GetDefaultAddressSpaces", "", nil, `{"LocalDefaultAddressSpace":"no_address_space","GlobalDefaultAddressSpace":"no_address_space"}`},
		{"node", "NetworkDriver.DiscoverNew", `{"DiscoveryType":1,"DiscoveryData":{"Address":"198.51.100.1","Self":true}}`, nil, `{}`},
		{"node", "NetworkDriver.DiscoverDelete", `{"DiscoveryType":1}`, nil, `{}`},
	})
	runExamples(t, Options{Scope: "global", LocalAddressSpace: "l", GlobalAddressSpace: "g", RequiresMACAddress: true}, []example{
		{"options", "NetworkDriver.GetCapabilities", "", nil, `{"Scope":"global","ConnectivityScope":"global","GwAllocChecker":true}`},
		{"options", "IpamDriver.GetCapabilities", "", nil, `{"RequiresMACAddress":true,"RequiresRequestReplay":false}`},
		{"options", "IpamDriver.GetDefaultAddressSpaces", "", nil, `{"LocalDefaultAddressSpace":"l","GlobalDefaultAddressSpace":"g"}`},
	})
}

func TestNetworks(t *testing.T) {
	const swarm = `"NetworkID":"` + netSwarm + `"`
	runExamples(t, Options{}, []example{
		{"all that 29.7 sends", "NetworkDriver.CreateNetwork", `{` + swarm + `,"Options":{"com.docker.network.enable_ipv4":true,"com.docker.network.enable_ipv6":true,
			"com.docker.network.internal":true,"com.docker.network.generic":{"com.docker.network.driver.mtu":"1400","a":"b"}},
			"IPv4Data":[{"AddressSpace":"no_address_space","Pool":"10.50.0.0/24","Gateway":"10.50.0.1/24","AuxAddresses":{"q":"10.50.0.3/24"}}],
			"IPv6Data":[{"AddressSpace":"no_address_space","Pool":"fd00:5::/64","AuxAddresses":{}}],"New":1}`,
			courier.NetworkRequest{ID: netSwarm, Internal: true, MTU: 1400,
				Pools: []courier.NetworkPool{
					{AddressSpace: "no_address_space", CIDR: netip.MustParsePrefix("10.50.0.0/24"), Gateway: netip.MustParseAddr("10.50.0.1"),
						Auxiliary: map[string]netip.Addr{"q": netip.MustParseAddr("10.50.0.3")}},
					{AddressSpace: "no_address_space", CIDR: netip.MustParsePrefix("fd00:5::/64")},
				}}, `{}`},
		{"default IPAM", "NetworkDriver.CreateNetwork", `{` + swarm + `,"IPv4Data":[{"AddressSpace":"LocalDefault","Pool":"172.18.0.0/16","Gateway":"172.18.0.1/16"}]}`,
			courier.NetworkRequest{ID: netSwarm, Pools: []courier.NetworkPool{
				{AddressSpace: "LocalDefault", CIDR: netip.MustParsePrefix("172.18.0.0/16"), Gateway: netip.MustParseAddr("172.18.0.1")}}}, `{}`},
		{"neither family", "NetworkDriver.CreateNetwork", `{` + swarm + `,"IPv4Data":[],"IPv6Data":null,"Options":null}`, courier.NetworkRequest{ID: netSwarm}, `{}`},
		{"IPv4-mapped", "NetworkDriver.CreateNetwork", `{` + swarm + `,"IPv4Data":[{"Pool":"::ffff:10.5.0.0/120","Gateway":"::ffff:10.5.0.1/120"}]}`,
			courier.NetworkRequest{ID: netSwarm, Pools: []courier.NetworkPool{{CIDR: netip.MustParsePrefix("10.5.0.0/24"), Gateway: netip.MustParseAddr("10.5.0.1")}}}, `{}`},
		{"truth as text", "NetworkDriver.CreateNetwork", `{` + swarm + `,"Options":{"com.docker.network.internal":"true"}}`, courier.NetworkRequest{ID: netSwarm, Internal: true}, `{}`},
		{"there", "NetworkDriver.DeleteNetwork", `{` + refNet + `}`, courier.EngineNetworkID(netHex), `{}`},
		{"not there", "NetworkDriver.DeleteNetwork", `{` + swarm + `}`, courier.EngineNetworkID(netSwarm), `{}`},
		{"ordinary", "NetworkDriver.GwAllocCheck", `{"Options":{"com.docker.network.enable_ipv6":true,"com.docker.network.generic":{}}}`, nil, `{"SkipIPv4":false,"SkipIPv6":false}`},
		{"internal", "NetworkDriver.GwAllocCheck", `{"Options":{"com.docker.network.internal":true}}`, nil, `{"SkipIPv4":true,"SkipIPv6":true}`},
		{"options come back", "NetworkDriver.AllocateNetwork", `{` + swarm + `,"Options":{"a":"b"},"IPv4Data":[{"AddressSpace":"","Pool":"10.91.0.0/24","Gateway":"10.91.0.1/24"}],"IPv6Data":null}`, nil, `{"Options":{"a":"b"}}`},
		{"no options", "NetworkDriver.AllocateNetwork", `{` + swarm + `}`, nil, `{"Options":{}}`},
		{"any", "NetworkDriver.FreeNetwork", `{` + swarm + `}`, nil, `{}`},
	})
}

func TestEndpoints(t *testing.T) {
	other := `"NetworkID":"` + netHex + `","EndpointID":"e2"`
	attach := func(f func(*courier.AttachRequest)) courier.AttachRequest {
		r := courier.AttachRequest{Network: netHex, Endpoint: "e2", Addresses: []netip.Addr{netip.MustParseAddr("10.0.0.8")}}
		if f != nil {
			f(&r)
		}
		return r
	}
	const value = `{"Value":{"mac_address":"02:00:00:00:00:07","port_id":"3f2c0000-0000-4000-8000-000000000001","status":"attached"}}`
	runExamples(t, Options{LinkPrefix: "kur"}, []example{
		{"address given", "NetworkDriver.CreateEndpoint", `{` + other + `,"Interface":{"Address":"10.0.0.8/24","AddressIPv6":"","MacAddress":""},"Options":{}}`,
			attach(nil), `{"Interface":{"MacAddress":"fa:16:3e:00:00:02"}}`},
		{"all given", "NetworkDriver.CreateEndpoint", `{` + other + `,"Interface":{"Address":"10.0.0.8/24","AddressIPv6":"fd00::8/64","MacAddress":"02:00:00:00:00:AA"},
			"Options":{"com.docker.network.endpoint.macaddress":"AgAAAACq","com.docker.network.endpoint.dnsservers":["9.9.9.9"],
			"com.docker.network.endpoint.exposedports":[{"Proto":6,"Port":80}],"com.docker.network.portmap":[{"Proto":6,"Port":80},{"Proto":17,"Port":53}],"k1":"v"}}`,
			attach(func(r *courier.AttachRequest) {
				r.Addresses = append(r.Addresses, netip.MustParseAddr("fd00::8"))
				r.MAC = courier.MAC{2, 0, 0, 0, 0, 0xaa}
				r.Published = 2
			}), `{"Interface":{}}`},
		{"MAC in the option only", "NetworkDriver.CreateEndpoint", `{` + other + `,"Interface":{"Address":"10.0.0.8/24"},"Options":{"com.docker.network.endpoint.macaddress":"AgAAAACq"}}`,
			attach(func(r *courier.AttachRequest) { r.MAC = courier.MAC{2, 0, 0, 0, 0, 0xaa} }), `{"Interface":{"MacAddress":"02:00:00:00:00:aa"}}`},
		{"nothing given", "NetworkDriver.CreateEndpoint", `{` + other + `,"Interface":null,"Options":{"com.docker.network.portmap":null}}`,
			attach(func(r *courier.AttachRequest) { r.Addresses = nil }),
			`{"Interface":{"Address":"10.0.0.1/24","AddressIPv6":"fd00::1/64","MacAddress":"fa:16:3e:00:00:02"}}`},
		{"both families, a default route beside a gateway", "NetworkDriver.Join", `{` + refs + `,"SandboxKey":"/run/user/1/x","Options":{}}`, courier.EndpointID(epHex),
			`{"InterfaceName":{"SrcName":"t_c250bdf5ab09","DstPrefix":"kur"},"Gateway":"10.0.0.1","GatewayIPv6":"fd00::1",` +
				`"StaticRoutes":[{"Destination":"10.200.0.0/16","RouteType":0,"NextHop":"10.0.0.9"}],"DisableGatewayService":true}`},
		{"there", "NetworkDriver.Leave", `{` + refs + `}`, courier.EndpointID(epHex), `{}`},
		{"not there", "NetworkDriver.Leave", `{` + other + `}`, courier.EndpointID("e2"), `{}`},
		{"there", "NetworkDriver.DeleteEndpoint", `{` + refs + `}`, courier.EndpointID(epHex), `{}`},
		{"not there", "NetworkDriver.DeleteEndpoint", `{` + other + `}`, courier.EndpointID("e2"), `{}`},
		{"there", "NetworkDriver.EndpointOperInfo", `{` + refs + `}`, courier.EndpointID(epHex), value},
		{"not there", "NetworkDriver.EndpointOperInfo", `{` + other + `}`, courier.EndpointID("e2"), `{"Value":{}}`},
		{"ports", "NetworkDriver.ProgramExternalConnectivity", `{` + refs + `,"Options":{"com.docker.network.portmap":[{}]}}`, nil, `{}`},
		{"exposed ports", "NetworkDriver.ProgramExternalConnectivity", `{` + refs + `,"Options":{"com.docker.network.endpoint.exposedports":
			[{"Proto":6,"Port":81},{"Proto":17,"Port":53},{"Proto":6,"Port":80},{"Proto":132,"Port":9},{"Proto":6,"Port":81}]}}`,
			exposed{epHex, "tcp/80-81 udp/53 sctp/9", nil}, `{}`},
		{"published ports", "NetworkDriver.ProgramExternalConnectivity", `{` + refs + `,"Options":{"com.docker.network.portmap":[
			{"Proto":6,"IP":"","Port":80,"HostIP":"","HostPort":8080,"HostPortEnd":8080},{"Proto":6,"Port":80,"HostIP":"::","HostPort":8080},
			{"Proto":17,"Port":53,"HostIP":"0.0.0.0","HostPort":53},{"Proto":6,"Port":81,"HostIP":"127.0.0.1","HostPort":81},
			{"Proto":6,"Port":82,"HostPort":0},{"Proto":6,"Port":83,"HostPort":8000,"HostPortEnd":8010},{"Proto":1,"Port":8,"HostPort":8}]}}`,
			exposed{epHex, "", []courier.Forwarding{{Protocol: courier.TCP, External: 8080, Internal: 80}, {Protocol: courier.UDP, External: 53, Internal: 53}}}, `{}`},
		{"no ports", "NetworkDriver.ProgramExternalConnectivity", `{` + other + `,"Options":{}}`, nil, `{}`},
		{"any", "NetworkDriver.RevokeExternalConnectivity", `{` + other + `}`, exposed{Endpoint: "e2"}, `{}`},
	})
}

// TestJoinWithoutGateway: what internal networks look like to Docker, and
// networks whose one way out is a host route.
func TestJoinWithoutGateway(t *testing.T) {
	m := furnished(t)
	h := New(m, Options{})
	n := m.networks[netHex]
	n.Internal = true
	m.networks[netHex] = n
	const start = `{"InterfaceName":{"SrcName":"t_c250bdf5ab09","DstPrefix":"eth"},`
	if _, got := post(t, h, "NetworkDriver.Join", `{`+refs+`}`); got != start+`"DisableGatewayService":true}` {
		t.Errorf("internal: %s", got)
	}
	m.routes = []courier.Route{{Destination: netip.MustParsePrefix("::/0"), NextHop: netip.MustParseAddr("fd00::9")}}
	if _, got := post(t, h, "NetworkDriver.Join", `{`+refs+`}`); got != start+`"GatewayIPv6":"fd00::9","DisableGatewayService":true}` {
		t.Errorf("default route: %s", got)
	}
}
