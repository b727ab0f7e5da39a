package docker

import (
	"net/netip"
	"testing"

	"kuryr/internal/courier"
)

func TestPools(t *testing.T) {
	answer := func(cidr string) string {
		return `{"PoolID":"00000000-0000-4000-8000-000000000002","Pool":"` + cidr + `","Data":{}}`
	}
	runExamples(t, Options{}, []example{
		{"cut one", "IpamDriver.RequestPool", `{"AddressSpace":"no_address_space","Pool":"","SubPool":"","Options":{},"V6":false}`,
			courier.PoolRequest{Family: courier.IPv4}, answer("10.230.2.0/24")},
		{"cut one of IPv6", "IpamDriver.RequestPool", `{"Options":null,"V6":true}`, courier.PoolRequest{Family: courier.IPv6}, answer("fd00:cafe:2::/64")},
		{"wished", "IpamDriver.RequestPool", `{"Pool":"10.50.0.0/24","SubPool":"10.50.0.128/25","Options":{"o":"1"}}`,
			courier.PoolRequest{Family: courier.IPv4, CIDR: netip.MustParsePrefix("10.50.0.0/24"), Range: netip.MustParsePrefix("10.50.0.128/25")},
			answer("10.50.0.0/24")},
		{"wished of IPv6", "IpamDriver.RequestPool", `{"Pool":"FD00:77::/64","V6":true}`,
			courier.PoolRequest{Family: courier.IPv6, CIDR: netip.MustParsePrefix("fd00:77::/64")}, answer("fd00:77::/64")},
		{"there", "IpamDriver.ReleasePool", `{` + refPool + `}`, courier.PoolID(poolID), `{}`},
		{"not there", "IpamDriver.ReleasePool", `{"PoolID":"gone"}`, courier.PoolID("gone"), `{}`},
	})
}

func TestAddresses(t *testing.T) {
	runExamples(t, Options{}, []example{
		{"any", "IpamDriver.RequestAddress", `{` + refPool + `,"Address":"","Options":null}`,
			courier.AddressRequest{Pool: poolID}, `{"Address":"10.0.0.7/24","Data":{}}`},
		{"named", "IpamDriver.RequestAddress", `{` + refPool + `,"Address":"","Options":{"com.docker.network.endpoint.name":"c1","com.docker.network.endpoint.macaddress":"02:42:0A:00:00:01"}}`,
			courier.AddressRequest{Pool: poolID, MAC: courier.MAC{2, 0x42, 10, 0, 0, 1}}, `{"Address":"10.0.0.7/24","Data":{}}`},
		{"gateway", "IpamDriver.RequestAddress", `{` + refPool + `,"Address":"10.0.0.1","Options":{"RequestAddressType":"com.docker.network.gateway"}}`,
			courier.AddressRequest{Pool: poolID, Address: netip.MustParseAddr("10.0.0.1"), Gateway: true}, `{"Address":"10.0.0.1/24","Data":{}}`},
		{"IPv4-mapped", "IpamDriver.RequestAddress", `{` + refPool + `,"Address":"::ffff:10.0.0.9"}`,
			courier.AddressRequest{Pool: poolID, Address: netip.MustParseAddr("10.0.0.9")}, `{"Address":"10.0.0.9/24","Data":{}}`},
		{"not there", "IpamDriver.ReleaseAddress", `{` + refPool + `,"Address":"10.0.0.1"}`, released{poolID, netip.MustParseAddr("10.0.0.1")}, `{}`},
		{"of no pool", "IpamDriver.ReleaseAddress", `{"PoolID":"gone","Address":"fd00::5"}`, released{"gone", netip.MustParseAddr("fd00::5")}, `{}`},
	})
}
