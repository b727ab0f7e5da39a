package docker

import (
	"net/netip"
	"strings"
	"testing"

	"kuryr/internal/courier"
)

const (
	uuidA = "01234567-89ab-4def-8123-456789abcde0"
	uuidB = "01234567-89ab-4def-8123-456789abcde1"
)

// TestNeutronOptions: what the courier is asked for with each option.
func TestNeutronOptions(t *testing.T) {
	yes, no := true, false
	ref := func(id, name string) courier.Reference { return courier.Reference{ID: id, Name: name} }
	network := func(o string) string {
		return `{"NetworkID":"` + netSwarm + `","Options":{"com.docker.network.generic":{` + o + `}}}`
	}
	pool := func(o string, v6 bool) string {
		if v6 {
			return `{"Options":{` + o + `},"V6":true}`
		}
		return `{"Options":{` + o + `}}`
	}
	const cut4, cut6 = `{"PoolID":"00000000-0000-4000-8000-000000000002","Pool":"10.230.2.0/24","Data":{}}`, `{"PoolID":"00000000-0000-4000-8000-000000000002","Pool":"fd00:cafe:2::/64","Data":{}}`
	const both = `"neutron.subnet.uuid":"` + uuidA + `","neutron.subnet.v6.name":"six","neutron.pool.name":"p","neutron.pool.v6.uuid":"` + uuidB + `","neutron.net.shared":"True"`
	runExamples(t, Options{}, []example{
		{"existing network, as Zun says it", "NetworkDriver.CreateNetwork",
			network(`"neutron.net.uuid":"` + strings.ToUpper(uuidA) + `","neutron.net.shared":"False","neutron.pool.uuid":"","neutron.subnet.uuid":"` + uuidB + `"`),
			courier.NetworkRequest{ID: netSwarm, Network: ref(uuidA, ""), Shared: &no, Subnets: map[courier.Family]courier.Reference{4: ref(uuidB, "")}}, `{}`},
		{"both families", "NetworkDriver.CreateNetwork", network(`"neutron.net.name":"a b",` + both),
			courier.NetworkRequest{ID: netSwarm, Network: ref("", "a b"), Shared: &yes,
				Subnets:     map[courier.Family]courier.Reference{4: ref(uuidA, ""), 6: ref("", "six")},
				SubnetPools: map[courier.Family]courier.Reference{4: ref("", "p"), 6: ref(uuidB, "")}}, `{}`},
		{"new network", "NetworkDriver.CreateNetwork", network(`"neutron.net.create_name":"blue","neutron.net.mtu":"1400","neutron.net.qos_policy":"gold","neutron.port.dns_name":"web"`),
			courier.NetworkRequest{ID: netSwarm, CreateName: "blue", MTU: 1400, QoSPolicy: ref("", "gold"), Ports: courier.PortWish{DNSName: "web"}}, `{}`},
		{"ports", "NetworkDriver.CreateNetwork", network(`"neutron.port.security_groups":"web; ` + uuidA + `,db","neutron.port.qos_policy":"` + uuidB + `","neutron.port.port_security":"1",
			"neutron.port.allowed_address_pairs":"10.0.0.9,fd00::/64=02:00:00:00:00:01"`),
			courier.NetworkRequest{ID: netSwarm, Ports: courier.PortWish{
				SecurityGroups: []courier.Reference{ref("", "web"), ref(uuidA, ""), ref("", "db")}, QoSPolicy: ref(uuidB, ""), PortSecurity: &yes,
				AddressPairs: []courier.AddressPair{{Addresses: netip.MustParsePrefix("10.0.0.9/32")},
					{Addresses: netip.MustParsePrefix("fd00::/64"), MAC: courier.MAC{2, 0, 0, 0, 0, 1}}}}}, `{}`},
		{"existing subnet", "IpamDriver.RequestPool", pool(both, false), courier.PoolRequest{Family: 4, Subnet: ref(uuidA, ""), SubnetPool: ref("", "p"), Shared: &yes}, cut4},
		{"existing IPv6 subnet", "IpamDriver.RequestPool", pool(both, true), courier.PoolRequest{Family: 6, Subnet: ref("", "six"), SubnetPool: ref(uuidB, ""), Shared: &yes}, cut6},
		{"endpoint", "NetworkDriver.CreateEndpoint", `{"NetworkID":"` + netHex + `","EndpointID":"e2","Interface":{"Address":"10.0.0.8/24"},"Options":{"neutron.port.security_groups":"","neutron.port.port_security":"false"}}`,
			courier.AttachRequest{Network: netHex, Endpoint: "e2", Addresses: []netip.Addr{netip.MustParseAddr("10.0.0.8")},
				Port: courier.PortWish{SecurityGroups: []courier.Reference{}, PortSecurity: &no}}, `{"Interface":{"MacAddress":"fa:16:3e:00:00:02"}}`},
	})
	// EquateEmpty hides the difference, which is the whole of the option.
	if w, err := (neutron{optPortGroups: ""}).port(); err != nil || w.SecurityGroups == nil || w.IsZero() {
		t.Errorf("no security groups at all: %+v, %v", w, err)
	}
}

// TestBadNeutronOptions: one line, and the courier is not asked.
func TestBadNeutronOptions(t *testing.T) {
	const start = "cannot create network 4aa1af9a5359: "
	opts := func(o string) string { return `{` + refNet + `,"Options":{"com.docker.network.generic":{` + o + `}}}` }
	const network = "NetworkDriver.CreateNetwork"
	runBad(t, []badRequest{
		{network, opts(`"neutron.net.uuid":"` + uuidA + `","neutron.net.name":"x"`), start + "options neutron.net.uuid and neutron.net.name are both given (give one of them)"},
		{network, opts(`"neutron.net.uuid":"` + uuidA + `","neutron.net.create_name":"x"`), start + "option neutron.net.create_name is for a network that may have to be made, and another option names one that is there (give one of them)"},
		{network, opts(`"neutron.net.create_name":" "`), start + "option neutron.net.create_name is not a name of 1 to 255 characters"},
		{network, opts(`"neutron.net.shared":"maybe"`), start + `option neutron.net.shared is "maybe", neither true nor false`},
		{network, opts(`"neutron.net.mtu":"9"`), start + `option neutron.net.mtu is "9", not a number of bytes from 68 to 65535`},
		{network, opts(`"neutron.net.mtu":"1400","com.docker.network.driver.mtu":"1500"`), start + "options com.docker.network.driver.mtu and neutron.net.mtu differ (give one of them)"},
		{network, opts(`"neutron.net.qos_policy":""`), start + "option neutron.net.qos_policy is empty"},
		{network, opts(`"neutron.net.name":"a\nb"`), start + "option neutron.net.name is too long, or has control characters in it"},
		{network, opts(`"neutron.port.dns_name":"-x"`), start + `option neutron.port.dns_name is "-x", which is no DNS name`},
		{network, opts(`"neutron.port.allowed_address_pairs":"10.0.0.9/24"`), start + `option neutron.port.allowed_address_pairs has "10.0.0.9/24", which is neither an address nor a CIDR`},
		{network, opts(`"neutron.port.allowed_address_pairs":"0.0.0.0/0"`), start + "option neutron.port.allowed_address_pairs has 0.0.0.0/0, which is every address there is (neutron.port.port_security=false turns the check off)"},
		{network, opts(`"neutron.port.allowed_address_pairs":"10.0.0.9=x"`), start + `option neutron.port.allowed_address_pairs: "x" is not a MAC address (six pairs of hexadecimal digits)`},
		{"IpamDriver.RequestPool", `{"Options":{"neutron.net.uuid":"` + uuidA + `"}}`, "cannot provide an address pool: option neutron.net.uuid has no meaning as --ipam-opt (give it with -o)"},
		{"NetworkDriver.CreateEndpoint", `{` + refs + `,"Options":{"neutron.net.uuid":"` + uuidA + `"}}`, "cannot create endpoint 250bdf5ab099 on network 4aa1af9a5359: option neutron.net.uuid has no meaning as --driver-opt (give it with -o)"},
		{"NetworkDriver.CreateEndpoint", `{` + refs + `,"Options":{"neutron.port.qos_policy":7}}`, "cannot create endpoint 250bdf5ab099 on network 4aa1af9a5359: option neutron.port.qos_policy is not text"},
	})
}

// TestAllowedOptions: the operator's list, by name and by how names start.
func TestAllowedOptions(t *testing.T) {
	for _, x := range []struct {
		allowed []string
		option  string
		want    bool
	}{
		{nil, optPortSecure, true},
		{[]string{}, optNetUUID, false},
		{[]string{optNetUUID}, optNetUUID, true},
		{[]string{optNetUUID}, optNetName, false},
		{[]string{"neutron.net.*"}, optNetName, true},
		{[]string{"neutron.net.*"}, optPoolName, false},
		{[]string{"*"}, optPortPairs, true},
		{[]string{"safe"}, optPortPairs, false},
		{[]string{"safe"}, optPortSecure, false},
		{[]string{"safe"}, optPortGroups, true},
		{[]string{"safe", "neutron.port.port_security"}, optPortSecure, true},
	} {
		s := New(newMemory(), Options{Allowed: x.allowed}).(*server)
		if got := s.allows(x.option); got != x.want {
			t.Errorf("%q allows %s: %t", x.allowed, x.option, got)
		}
	}
	m := furnished(t)
	_, got := post(t, New(m, Options{Allowed: []string{"neutron.net.*"}}), "NetworkDriver.CreateEndpoint", `{`+refs+`,"Options":{"neutron.port.port_security":"false"}}`)
	if want := "option neutron.port.port_security is not allowed on this host (the operator can add it to allowed_options of kuryr.conf)"; !strings.Contains(got, want) || m.asked != nil {
		t.Errorf("%s; the courier was asked %v", got, m.asked)
	}
}
