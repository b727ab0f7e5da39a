package chaos

import (
	"net/http"
	"strings"
)

// hostileCall is a call of Docker's protocol that no Docker makes, and its
// exact answer.
type hostileCall struct {
	what, method, body string
	code               int // 0: 200, as all answers that Docker is to show
	want               string
}

func (h hostileCall) status() int {
	if h.code == 0 {
		return http.StatusOK
	}
	return h.code
}

// hostile are the calls to a victim with that pool. docs/reliability.md has
// them in words.
func hostile(pool string) []hostileCall {
	const (
		other   = `"NetworkID":"` + victimNetwork + `","EndpointID":"0000e2e3e0e1e2e3e0e1e2e3e0e1e2e3e0e1e2e3e0e1e2e3e0e1e2e3e0e1e2e3"`
		fresh   = "cannot create endpoint 0000e2e3e0e1 on network 7d3c2b1a7d3c: "
		network = `"NetworkID":"1111111111111111111111111111111111111111111111111111111111111111"`
		made    = "cannot create network 111111111111: "
		empty   = "the request is empty, as Docker's are when it repeats one after a broken connection (repeat the command)"
	)
	pooled := `"PoolID":"` + pool + `"`
	address := "cannot provide an address of pool " + pool[:12] + ": "
	return []hostileCall{
		{"no body", "NetworkDriver.CreateNetwork", ``, 0, "cannot create network: " + empty},
		{"null", "NetworkDriver.DeleteNetwork", `null`, 0, "cannot delete network: " + empty},
		{"a list", "NetworkDriver.CreateNetwork", `[]`, 0, "cannot create network: the request is a JSON array, not an object"},
		{"half an object", "NetworkDriver.CreateNetwork", `{"NetworkID":`, 0, "cannot create network: the request is not JSON: unexpected end of JSON input"},
		{"binary", "NetworkDriver.CreateNetwork", "\x00\x01\x02", 0, `cannot create network: the request is not JSON: invalid character '\x00' looking for beginning of value`},
		{"not UTF-8", "NetworkDriver.CreateNetwork", "{\"NetworkID\":\"\xff\"}", 0, "cannot create network: the request is not UTF-8"},
		{"two requests in one", "NetworkDriver.DeleteNetwork", `{"NetworkID":"a"}{"NetworkID":"b"}`, 0, "cannot delete network: the request is not JSON: invalid character '{' after top-level value"},
		{"deep", "NetworkDriver.CreateNetwork", `{"Options":` + strings.Repeat("[", 100_000), 0, "cannot create network: the request is nested deeper than 32 levels"},
		{"many values", "NetworkDriver.CreateNetwork", `{"Options":{"x":[` + strings.Repeat("0,", 2<<20) + `0]}}`, 0, "cannot create network: the request has more than 1048576 values"},
		{"huge", "NetworkDriver.CreateNetwork", `{"x":"` + strings.Repeat("x", 16<<20) + `"}`, 0, "cannot create network: the request is longer than 16777216 bytes"},
		{"wrong type of an ID", "NetworkDriver.DeleteNetwork", `{"NetworkID":7}`, 0, "cannot delete network: the request's NetworkID can't be a JSON number"},
		{"wrong type of a list", "NetworkDriver.CreateNetwork", `{"NetworkID":"a","IPv4Data":"x"}`, 0, "cannot create network: the request's IPv4Data can't be a JSON string"},
		{"wrong type of options", "NetworkDriver.CreateNetwork", `{` + network + `,"Options":[]}`, 0, "cannot create network: the request's Options can't be a JSON array"},
		{"no ID", "NetworkDriver.DeleteNetwork", `{}`, 0, "cannot delete network: the request has no NetworkID"},
		{"no endpoint's ID", "NetworkDriver.DeleteEndpoint", `{"NetworkID":"` + victimNetwork + `"}`, 0, "cannot delete endpoint on network 7d3c2b1a7d3c: the request has no EndpointID"},
		{"an ID like a path", "NetworkDriver.DeleteNetwork", `{"NetworkID":"../../etc/passwd"}`, 0, `cannot delete network: "../../etc/passwd" is no NetworkID`},
		{"an ID like a command", "NetworkDriver.DeleteNetwork", `{"NetworkID":"$(reboot)"}`, 0, `cannot delete network: "$(reboot)" is no NetworkID`},
		{"an ID with a NUL", "NetworkDriver.DeleteNetwork", `{"NetworkID":"a\u0000b"}`, 0, `cannot delete network: "a\x00b" is no NetworkID`},
		{"an ID that moves the cursor", "NetworkDriver.DeleteNetwork", `{"NetworkID":"\u001b[2Ja"}`, 0, `cannot delete network: "\x1b[2Ja" is no NetworkID`},
		{"a long ID", "NetworkDriver.DeleteNetwork", `{"NetworkID":"` + strings.Repeat("a", 1<<20) + `"}`, 0, `cannot delete network: "` + strings.Repeat("a", 40) + `" is no NetworkID`},
		{"a key twice", "NetworkDriver.DeleteNetwork", `{"NetworkID":"a","NetworkID":"` + victimNetwork + `"}`, 0, `cannot delete network: the request has "NetworkID" twice`},
		{"a key in two cases", "NetworkDriver.DeleteNetwork", `{"NetworkID":"a","networkid":"` + victimNetwork + `"}`, 0, `cannot delete network: the request has "networkid" twice`},
		{"an option twice", "NetworkDriver.CreateNetwork", `{` + network + `,"Options":{"a":1,"a":2}}`, 0, `cannot create network: the request has "a" twice`},
		{"a CIDR of the other family", "NetworkDriver.CreateNetwork", `{` + network + `,"IPv4Data":[{"Pool":"fd00::/64"}]}`, 0, made + "pool fd00::/64 is not IPv4"},
		{"an address as a CIDR", "NetworkDriver.CreateNetwork", `{` + network + `,"IPv4Data":[{"Pool":"10.0.0.1/24"}]}`, 0, made + "pool 10.0.0.1/24 is not the address of a network (use 10.0.0.0/24)"},
		{"no CIDR", "NetworkDriver.CreateNetwork", `{` + network + `,"IPv4Data":[{"Pool":"10.0.0.0/33"}]}`, 0, made + `pool "10.0.0.0/33" is not an address with the length of a prefix (such as 10.0.0.0/24)`},
		{"a gateway elsewhere", "NetworkDriver.CreateNetwork", `{` + network + `,"IPv4Data":[{"Pool":"10.0.0.0/24","Gateway":"10.0.1.1/24"}]}`, 0, made + "gateway 10.0.1.1 is not in 10.0.0.0/24"},
		{"a name that moves the cursor", "NetworkDriver.CreateNetwork", `{` + network + `,"IPv4Data":[{"Pool":"10.0.0.0/24","AuxAddresses":{"\u001b[2J":"10.0.0.9/24"}}]}`, 0,
			made + `the name "\x1b[2J" of an auxiliary address is too long, or has control characters in it`},
		{"a number out of range", "NetworkDriver.CreateNetwork", `{` + network + `,"Options":{"com.docker.network.generic":{"com.docker.network.driver.mtu":"99999999999999999999"}}}`, 0,
			made + `option com.docker.network.driver.mtu is "99999999999999999999", not a number of bytes from 68 to 65535`},
		{"an option that is none", "NetworkDriver.CreateNetwork", `{` + network + `,"Options":{"com.docker.network.generic":{"neutron.net.../x":""}}}`, 0, made + "there is no option neutron.net.../x (docs/docker.md lists those there are)"},
		{"an UUID that is a path", "NetworkDriver.CreateNetwork", `{` + network + `,"Options":{"com.docker.network.generic":{"neutron.net.uuid":"../ports"}}}`, 0, made + `option neutron.net.uuid is "../ports", which is no UUID`},
		{"a line break in an option", "NetworkDriver.CreateNetwork", `{` + network + `,"Options":{"com.docker.network.generic":{"neutron.net.name":"a\nb"}}}`, 0, made + "option neutron.net.name is too long, or has control characters in it"},
		{"a port out of range", "NetworkDriver.CreateEndpoint", `{` + other + `,"Interface":{"Address":"10.99.0.8/24"},"Options":{"com.docker.network.portmap":[{"Proto":6,"Port":65536}]}}`, 0,
			fresh + "option com.docker.network.portmap is not a list of ports"},
		{"a multicast MAC", "NetworkDriver.CreateEndpoint", `{` + other + `,"Interface":{"MacAddress":"01:00:5e:00:00:01"}}`, 0, fresh + `"01:00:5e:00:00:01" is not the MAC address of a single interface`},
		{"no MAC", "NetworkDriver.CreateEndpoint", `{` + other + `,"Interface":{"MacAddress":"02:42:zz:00:00:01"}}`, 0, fresh + `"02:42:zz:00:00:01" is not a MAC address (six pairs of hexadecimal digits)`},
		{"a multicast address", "NetworkDriver.CreateEndpoint", `{` + other + `,"Interface":{"Address":"224.0.0.1/24"}}`, 0, fresh + "address 224.0.0.1 is not the address of a single interface"},
		{"an address of another network", "NetworkDriver.CreateEndpoint", `{` + other + `,"Interface":{"Address":"10.98.0.8/24"}}`, 0,
			"cannot attach endpoint 0000e2e3e0e1 to network kuryr-net-7d3c2b1a: an address lies on none of the network's subnets"},
		{"an address of the other family", "IpamDriver.RequestAddress", `{` + pooled + `,"Address":"fd00::1"}`, 0, "cannot request address fd00::1 of 10.99.0.0/24: no interface on that subnet can have it (take one inside of 10.99.0.0/24)"},
		{"an address with a zone", "IpamDriver.RequestAddress", `{` + pooled + `,"Address":"fe80::1%eth0"}`, 0, address + `address "fe80::1%eth0" is not an IP address`},
		{"a pool that is a path", "IpamDriver.ReleasePool", `{"PoolID":"../networks"}`, 0, `cannot release the addresses: "../networks" is no PoolID`},
		{"all addresses there are", "IpamDriver.RequestPool", `{"Pool":"0.0.0.0/0"}`, 0, "cannot provide an address pool: subnet 0.0.0.0/0 is every address there is"},
		{"a range without a subnet", "IpamDriver.RequestPool", `{"SubPool":"` + strings.Repeat("9", 1<<20) + `"}`, 0,
			`cannot provide an address pool: range "` + strings.Repeat("9", 60) + `" has no subnet to lie in (give --subnet too)`},
		{"no such method", "NetworkDriver.Fly", `{}`, http.StatusNotFound, `cannot serve "NetworkDriver.Fly": Kuryr has no such method`},
		{"a path out of the service", "..%2f..%2fetc%2fpasswd", `{}`, http.StatusNotFound, `cannot serve "../../etc/passwd": Kuryr has no such method`},
		{"a method that moves the cursor", "%1b%5b2J", `{}`, http.StatusNotFound, `cannot serve "\x1b[2J": Kuryr has no such method`},
		{"a long method", strings.Repeat("m", 8000), `{}`, http.StatusNotFound, `cannot serve "` + strings.Repeat("m", 60) + `": Kuryr has no such method`},
	}
}

// hostileRequest is one to the embedded Neutron; want is in its answer.
type hostileRequest struct {
	what, path, body string
	header           map[string]string
	status           int
	want             string
}

func hostileToNeutron() []hostileRequest {
	const badJSON = "Body contains invalid data"
	return []hostileRequest{
		{"not JSON", "/v2.0/networks", "\x00", nil, 400, badJSON},
		{"not UTF-8", "/v2.0/networks", "{\"network\":{\"name\":\"\xff\"}}", nil, 400, badJSON},
		{"deep", "/v2.0/networks", strings.Repeat(`{"network":`, 20_000), nil, 400, badJSON},
		{"many values", "/v2.0/networks", `{"networks":[` + strings.Repeat("{},", 600_000) + `{}]}`, nil, 400, "Body contains too many values"},
		{"huge", "/v2.0/networks", `{"network":{"name":"` + strings.Repeat("x", 11<<20) + `"}}`, nil, 413, "Request is too large."},
		{"a list", "/v2.0/networks", `[]`, nil, 400, badJSON},
		{"wrong type", "/v2.0/networks", `{"network":{"name":{}}}`, nil, 400, "is not a valid string"},
		{"a long name", "/v2.0/networks", `{"network":{"name":"` + strings.Repeat("x", 256) + `"}}`, nil, 400, "exceeds maximum length of 255"},
		{"an ID that is a path", "/v2.0/ports", `{"port":{"network_id":"../../x"}}`, nil, 400, "is not a valid UUID"},
		{"a multicast MAC", "/v2.0/ports", `{"port":{"network_id":"7d3c2b1a-7d3c-2b1a-7d3c-2b1a7d3c2b1a","mac_address":"not a MAC"}}`, nil, 400, "is not a valid MAC address"},
		{"a number out of range", "/v2.0/subnets", `{"subnet":{"network_id":"7d3c2b1a-7d3c-2b1a-7d3c-2b1a7d3c2b1a","ip_version":1e99,"cidr":"10.0.0.0/24"}}`, nil, 400, "is not an integer"},
		{"a path out of the service", "/v2.0/..%2f..%2fetc%2fpasswd", `{}`, nil, 404, "could not be found"},
		{"a page of the web", "/v2.0/networks", `{"network":{}}`, map[string]string{"Origin": "http://evil.example"}, 403, "requests of web pages are refused"},
		{"another host's name", "/v2.0/networks", `{"network":{}}`, map[string]string{"Host": "evil.example"}, 403, "a host other than this one"},
	}
}

// bytesOf is what is no HTTP, and how the answer begins; "" is none.
type bytesOf struct{ what, bytes, want string }

func notHTTP() []bytesOf {
	const bad = "HTTP/1.1 400 Bad Request\r\n"
	return []bytesOf{
		{"TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + strings.Repeat("\x00", 508) + "\r\n\r\n", bad},
		{"zeros", strings.Repeat("\x00", 4096) + "\r\n\r\n", bad},
		{"a line that is none", "HELO there\r\n\r\n", bad},
		{"a header that never ends", "GET / HTTP/1.1\r\nHost: \r\nX: " + strings.Repeat("x", 64<<10), "HTTP/1.1 431 Request Header Fields Too Large\r\n"},
		{"a header without a name", "GET / HTTP/1.1\r\nHost: \r\n: x\r\n\r\n", bad},
		{"two lengths", "POST / HTTP/1.1\r\nHost: \r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}", bad},
		{"a negative length", "POST / HTTP/1.1\r\nHost: \r\nContent-Length: -1\r\n\r\n", bad},
		{"a length out of range", "POST / HTTP/1.1\r\nHost: \r\nContent-Length: 99999999999999999999\r\n\r\n", bad},
		{"two hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", bad},
		{"another protocol's version", "GET / HTTP/9.9\r\n\r\n", "HTTP/1.1 505 HTTP Version Not Supported"},
	}
}
