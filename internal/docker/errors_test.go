package docker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"kuryr/internal/courier"
)

// refusedWith posts a call and returns the error that Docker would show.
func refusedWith(t *testing.T, m *memory, method, body string) string {
	t.Helper()
	code, got := post(t, New(m, Options{Log: testLog(t)}), method, body)
	var e errorResponse
	if err := json.Unmarshal([]byte(got), &e); err != nil || code != 200 || e.Err != e.Error || e.Err == "" {
		t.Fatalf("not an error for both sides of Docker: %d %s", code, got)
	}
	if strings.ContainsAny(e.Err, "\r\n") {
		t.Errorf("more than one line: %q", e.Err)
	}
	return e.Err
}

// badRequest is refused with one line, before anything is touched.
type badRequest struct{ method, body, want string }

func runBad(t *testing.T, requests []badRequest) {
	t.Helper()
	for _, x := range requests {
		t.Run(fmt.Sprintf("%s %.60s", x.method, x.body), func(t *testing.T) {
			m := furnished(t)
			if got := refusedWith(t, m, x.method, x.body); got != x.want {
				t.Errorf("got  %s\nwant %s", got, x.want)
			}
			if m.asked != nil {
				t.Errorf("the courier was asked %v", m.asked)
			}
		})
	}
}

// TestBadBodies: what is no request, or names nothing.
func TestBadBodies(t *testing.T) {
	const (
		pool    = "cannot provide an address pool: "
		emptied = "the request is empty, as Docker's are when it repeats one after a broken connection (repeat the command)"
	)
	runBad(t, []badRequest{
		{"NetworkDriver.CreateNetwork", ``, "cannot create network: " + emptied},
		{"NetworkDriver.CreateNetwork", `null`, "cannot create network: " + emptied},
		{"NetworkDriver.CreateEndpoint", " \n", "cannot create endpoint: " + emptied},
		{"NetworkDriver.DeleteEndpoint", ``, "cannot delete endpoint: " + emptied},
		{"NetworkDriver.GwAllocCheck", ``, "cannot check what gateways a network needs: " + emptied},
		{"NetworkDriver.EndpointOperInfo", ``, "cannot describe endpoint: " + emptied},
		{"IpamDriver.RequestPool", ``, pool + emptied},
		{"IpamDriver.ReleasePool", ``, "cannot release the addresses: " + emptied},
		{"IpamDriver.RequestPool", `[]`, pool + "the request is a JSON array, not an object"},
		{"IpamDriver.RequestPool", `{"V6":"yes"}`, pool + "the request's V6 can't be a JSON string"},
		{"IpamDriver.RequestPool", `{} {}`, pool + "the request is not JSON: invalid character '{' after top-level value"},
		{"IpamDriver.RequestPool", strings.Repeat(" ", maxBody) + `{}`, pool + "the request is longer than 16777216 bytes"},
		{"NetworkDriver.Join", `{}`, "cannot join endpoint: the request has no NetworkID"},
		{"NetworkDriver.Join", `{` + refNet + `}`, "cannot join endpoint on network 4aa1af9a5359: the request has no EndpointID"},
		{"NetworkDriver.DeleteNetwork", `{"NetworkID":"../../etc"}`, `cannot delete network: "../../etc" is no NetworkID`},
		{"NetworkDriver.DeleteNetwork", `{"NetworkID":"a\nb"}`, `cannot delete network: "a\nb" is no NetworkID`},
		{"NetworkDriver.FreeNetwork", `{"NetworkID":"` + strings.Repeat("a", 129) + `"}`, `cannot free network: "` + strings.Repeat("a", 40) + `" is no NetworkID`},
		{"IpamDriver.RequestAddress", `{"PoolID":""}`, "cannot provide an address: the request has no PoolID"},
	})
}

// TestBadNetworks: pools and options that can't be meant, or not here.
func TestBadNetworks(t *testing.T) {
	const network = "cannot create network 4aa1af9a5359: "
	data := func(v4 string) string { return `{` + refNet + `,"IPv4Data":[` + v4 + `]}` }
	opts := func(o string) string { return `{` + refNet + `,"Options":{` + o + `}}` }
	runBad(t, []badRequest{
		{"NetworkDriver.CreateNetwork", data(`{"AddressSpace":"null","Pool":"0.0.0.0/0"}`), network + "Docker's null IPAM driver gives no addresses (create the network with --ipam-driver kuryr)"},
		{"NetworkDriver.CreateNetwork", data(`{"Pool":"10.0.0.5/24"}`), network + "pool 10.0.0.5/24 is not the address of a network (use 10.0.0.0/24)"},
		{"NetworkDriver.CreateNetwork", data(`{"Pool":"10.0.0.0"}`), network + `pool "10.0.0.0" is not an address with the length of a prefix (such as 10.0.0.0/24)`},
		{"NetworkDriver.CreateNetwork", data(`{"Pool":"fd00::/64"}`), network + "pool fd00::/64 is not IPv4"},
		{"NetworkDriver.CreateNetwork", data(`{"Pool":"::ffff:0:0/95"}`), network + "pool ::ffff:0:0/95 is neither IPv4 nor IPv6"},
		{"NetworkDriver.CreateNetwork", data(`{"Pool":"10.0.0.0/24","Gateway":"10.0.1.1/24"}`), network + "gateway 10.0.1.1 is not in 10.0.0.0/24"},
		{"NetworkDriver.CreateNetwork", data(`{"Pool":"10.0.0.0/24","Gateway":"10.0.0.1"}`), network + `gateway "10.0.0.1" is not an address with the length of a prefix (such as 10.0.0.0/24)`},
		{"NetworkDriver.CreateNetwork", data(`{"Pool":"10.0.0.0/24","AuxAddresses":{"q":"10.9.0.1/24"}}`), network + "auxiliary address 10.9.0.1 is not in 10.0.0.0/24"},
		{"NetworkDriver.AllocateNetwork", data(`{"Pool":"x"}`), `cannot allocate network 4aa1af9a5359: pool "x" is not an address with the length of a prefix (such as 10.0.0.0/24)`},
		{"NetworkDriver.CreateNetwork", opts(`"com.docker.network.generic":{"neutron.net.uuid":"1","a":"b"}`), network + `option neutron.net.uuid is "1", which is no UUID`},
		{"NetworkDriver.AllocateNetwork", opts(`"neutron.net.shard":"2"`), "cannot allocate network 4aa1af9a5359: there is no option neutron.net.shard (docs/docker.md lists those there are)"},
		{"NetworkDriver.CreateNetwork", opts(`"com.docker.network.generic":{"com.docker.network.driver.mtu":"big"}`), network + `option com.docker.network.driver.mtu is "big", not a number of bytes from 68 to 65535`},
		{"NetworkDriver.CreateNetwork", opts(`"com.docker.network.generic":{"com.docker.network.driver.mtu":"67"}`), network + `option com.docker.network.driver.mtu is "67", not a number of bytes from 68 to 65535`},
		{"NetworkDriver.GwAllocCheck", opts(`"com.docker.network.generic":{"com.docker.network.driver.mtu":"1200"},"com.docker.network.enable_ipv6":true`), `cannot check what gateways a network needs: option com.docker.network.driver.mtu is "1200", not a number of bytes from 1280 to 65535 (IPv6 needs 1280)`},
		{"NetworkDriver.CreateNetwork", opts(`"com.docker.network.generic":{"a":1}`), network + "option com.docker.network.generic is not a map of strings"},
		{"NetworkDriver.CreateNetwork", opts(`"com.docker.network.internal":7`), network + "option com.docker.network.internal is neither true nor false"},
	})
}

// TestBadEndpoints: addresses, MACs and options of endpoints.
func TestBadEndpoints(t *testing.T) {
	const endpoint = "cannot create endpoint 250bdf5ab099 on network 4aa1af9a5359: "
	runBad(t, []badRequest{
		{"NetworkDriver.CreateEndpoint", `{` + refs + `,"Interface":{"Address":"10.0.0.9"}}`, endpoint + `address "10.0.0.9" is not an address with the length of a prefix (such as 10.0.0.0/24)`},
		{"NetworkDriver.CreateEndpoint", `{` + refs + `,"Interface":{"AddressIPv6":"10.0.0.9/24"}}`, endpoint + "address 10.0.0.9/24 is not IPv6"},
		{"NetworkDriver.CreateEndpoint", `{` + refs + `,"Interface":{"Address":"224.0.0.1/24"}}`, endpoint + "address 224.0.0.1 is not the address of a single interface"},
		{"NetworkDriver.CreateEndpoint", `{` + refs + `,"Interface":{"MacAddress":"zz"}}`, endpoint + `"zz" is not a MAC address (six pairs of hexadecimal digits)`},
		{"NetworkDriver.CreateEndpoint", `{` + refs + `,"Interface":{"MacAddress":"01:00:00:00:00:01"}}`, endpoint + `"01:00:00:00:00:01" is not the MAC address of a single interface`},
		{"NetworkDriver.CreateEndpoint", `{` + refs + `,"Options":{"com.docker.network.endpoint.macaddress":"AgA="}}`, endpoint + "option com.docker.network.endpoint.macaddress is not a MAC address in base64"},
		{"NetworkDriver.CreateEndpoint", `{` + refs + `,"Options":{"com.docker.network.portmap":"80"}}`, endpoint + "option com.docker.network.portmap is not a list of ports"},
		{"NetworkDriver.CreateEndpoint", `{` + refs + `,"Options":{"neutron.port.uuid":"80"}}`, endpoint + "there is no option neutron.port.uuid (docs/docker.md lists those there are)"},
		{"NetworkDriver.ProgramExternalConnectivity", `{` + refs + `,"Options":{"com.docker.network.endpoint.exposedports":{"Proto":6}}}`, "cannot publish ports of endpoint 250bdf5ab099 on network 4aa1af9a5359: option com.docker.network.endpoint.exposedports is not a list of ports"},
		{"NetworkDriver.ProgramExternalConnectivity", `{` + refs + `,"Options":{"com.docker.network.endpoint.exposedports":[{"Proto":6,"Port":65536}]}}`, "cannot publish ports of endpoint 250bdf5ab099 on network 4aa1af9a5359: option com.docker.network.endpoint.exposedports is not a list of ports"},
		{"NetworkDriver.ProgramExternalConnectivity", `{` + refs + `,"Options":{"com.docker.network.endpoint.exposedports":[{"Proto":6,"Port":80},{"Proto":1,"Port":8}]}}`, "cannot publish ports of endpoint 250bdf5ab099 on network 4aa1af9a5359: option com.docker.network.endpoint.exposedports has ports of IP protocol 1, not of tcp, udp or sctp"},
		{"NetworkDriver.ProgramExternalConnectivity", `{` + refs + `,"Options":{"com.docker.network.endpoint.exposedports":[{"Proto":17,"Port":0}]}}`, "cannot publish ports of endpoint 250bdf5ab099 on network 4aa1af9a5359: option com.docker.network.endpoint.exposedports has a port 0"},
		{"NetworkDriver.ProgramExternalConnectivity", `{` + refs + `,"Options":{"com.docker.network.portmap":"80"}}`, "cannot publish ports of endpoint 250bdf5ab099 on network 4aa1af9a5359: option com.docker.network.portmap is not a list of ports"},
	})
}

// TestBadPools: subnets, ranges and addresses of the IPAM driver.
func TestBadPools(t *testing.T) {
	const (
		pool    = "cannot provide an address pool: "
		address = "cannot provide an address of pool 00000000-000: "
	)
	runBad(t, []badRequest{
		{"IpamDriver.RequestPool", `{"Pool":"10.0.0.5/24"}`, pool + "subnet 10.0.0.5/24 is not the address of a network (use 10.0.0.0/24)"},
		{"IpamDriver.RequestPool", `{"Pool":"10.0.0.0/24","V6":true}`, pool + "subnet 10.0.0.0/24 is not IPv6"},
		{"IpamDriver.RequestPool", `{"Pool":"0.0.0.0/0"}`, pool + "subnet 0.0.0.0/0 is every address there is"},
		{"IpamDriver.RequestPool", `{"SubPool":"10.0.0.0/24"}`, pool + `range "10.0.0.0/24" has no subnet to lie in (give --subnet too)`},
		{"IpamDriver.RequestPool", `{"Pool":"10.0.0.0/24","SubPool":"10.0.0.0/23"}`, pool + "range 10.0.0.0/23 is not in subnet 10.0.0.0/24"},
		{"IpamDriver.RequestPool", `{"Pool":"10.0.0.0/24","SubPool":"10.0.1.0/25"}`, pool + "range 10.0.1.0/25 is not in subnet 10.0.0.0/24"},
		{"IpamDriver.RequestPool", `{"Pool":"10.0.0.0/24","SubPool":"10.0.0.9/25"}`, pool + "range 10.0.0.9/25 is not the address of a network (use 10.0.0.0/25)"},
		{"IpamDriver.RequestPool", `{"Options":{"neutron.pool.uuid":"abc"}}`, pool + `option neutron.pool.uuid is "abc", which is no UUID`},
		{"IpamDriver.RequestAddress", `{` + refPool + `,"Address":"10.0.0.1/24"}`, address + `address "10.0.0.1/24" is not an IP address`},
		{"IpamDriver.RequestAddress", `{` + refPool + `,"Address":"fe80::1%eth0"}`, address + `address "fe80::1%eth0" is not an IP address`},
		{"IpamDriver.RequestAddress", `{` + refPool + `,"Address":"0.0.0.0"}`, address + "address 0.0.0.0 is not the address of a single interface"},
		{"IpamDriver.RequestAddress", `{` + refPool + `,"Options":{"com.docker.network.endpoint.macaddress":"x"}}`, address + `"x" is not a MAC address (six pairs of hexadecimal digits)`},
		{"IpamDriver.ReleaseAddress", `{` + refPool + `}`, `cannot release an address of pool 00000000-000: address "" is not an IP address`},
	})
}

// TestErrorsOfTheCourier: the one line for each kind, with the error's own hint first.
func TestErrorsOfTheCourier(t *testing.T) {
	cause := errors.New("409: IpAddressInUse: a body\nof Neutron's")
	for _, x := range []struct {
		name string
		err  error
		want string
	}{
		{"conflict", &courier.Error{Kind: courier.Conflict, Op: "create port", Subject: "10.0.0.5", Public: "the address is in use", Hint: "give another --ip", Err: cause},
			"cannot create port 10.0.0.5: the address is in use (give another --ip)"},
		{"exhausted", &courier.Error{Kind: courier.Exhausted, Op: "create port", Public: "no address is left"}, "cannot create port: no address is left"},
		{"not found", &courier.Error{Kind: courier.NotFound, Op: "join endpoint", Subject: "x", Public: "there is none"}, "cannot join endpoint x: there is none"},
		{"unavailable", &courier.Error{Kind: courier.Unavailable, Op: "create port", Public: "Neutron does not answer"},
			"cannot create port: Neutron does not answer (try again; kuryr status shows what is down)"},
		{"unauthorized", &courier.Error{Kind: courier.Unauthorized, Op: "create port", Public: "forbidden"},
			"cannot create port: forbidden (check Kuryr's credentials and what Neutron's policy allows them)"},
		{"internal", &courier.Error{Op: "create port", Err: cause},
			"cannot create port: 409: IpAddressInUse: a body of Neutron's (a fault of Kuryr's own: its log says more)"},
		{"wrapped", fmt.Errorf("at the edge: %w", &courier.Error{Kind: courier.Invalid, Op: "create port", Public: "no", Hint: "a\nhint"}), "cannot create port: no (a hint)"},
		{"nested hint", &courier.Error{Op: "attach", Public: "no port", Err: &courier.Error{Kind: courier.Unavailable, Op: "x", Hint: "wait"}}, "cannot attach: no port (wait)"},
		{"late", fmt.Errorf("post: %w", context.DeadlineExceeded),
			"cannot join endpoint 250bdf5ab099 on network 4aa1af9a5359: it took too long (try again; kuryr status shows what is down)"},
		{"foreign", errors.New("password=secret"),
			"cannot join endpoint 250bdf5ab099 on network 4aa1af9a5359: unexpected error (a fault of Kuryr's own: its log says more)"},
	} {
		t.Run(x.name, func(t *testing.T) {
			m := furnished(t)
			m.fault = func(string) error { return x.err }
			if got := refusedWith(t, m, "NetworkDriver.Join", `{`+refs+`}`); got != x.want {
				t.Errorf("got  %s\nwant %s", got, x.want)
			}
		})
	}
}

// TestEveryMethodPassesErrorsOn: no error of the courier is lost, but those
// that Docker 20.10 would end a container for.
func TestEveryMethodPassesErrorsOn(t *testing.T) {
	for method, body := range map[string]string{
		"NetworkDriver.CreateNetwork":  `{"NetworkID":"n2"}`,
		"NetworkDriver.DeleteNetwork":  `{` + refNet + `}`,
		"NetworkDriver.CreateEndpoint": `{` + refs + `}`,
		"NetworkDriver.DeleteEndpoint": `{` + refs + `}`,
		"NetworkDriver.Join":           `{` + refs + `}`,
		"NetworkDriver.Leave":          `{` + refs + `}`,
		"IpamDriver.RequestPool":       `{}`,
		"IpamDriver.ReleasePool":       `{` + refPool + `}`,
		"IpamDriver.RequestAddress":    `{` + refPool + `}`,
		"IpamDriver.ReleaseAddress":    `{` + refPool + `,"Address":"10.0.0.7"}`,
	} {
		m := furnished(t)
		if method == "IpamDriver.ReleaseAddress" {
			m.pools[poolID].taken = map[netip.Addr]bool{netip.MustParseAddr("10.0.0.7"): true}
		}
		m.fault = func(op string) error { return refusal(courier.Conflict, op, "boom") }
		if got := refusedWith(t, m, method, body); !strings.HasSuffix(got, ": boom") {
			t.Errorf("%s: %s", method, got)
		}
	}
	m := furnished(t)
	m.fault = func(op string) error { return refusal(courier.Unavailable, op, "boom") }
	if _, got := post(t, New(m, Options{}), "NetworkDriver.EndpointOperInfo", `{`+refs+`}`); got != `{"Value":{}}` {
		t.Errorf("EndpointOperInfo: %s", got)
	}
}
