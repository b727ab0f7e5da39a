package store

import (
	"context"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

func rng(first, last string) Range { return Range{addr(first), addr(last)} }

func TestSubnetRules(t *testing.T) {
	ctx := context.Background()
	cidr := func(s string) Opt[netip.Prefix] { return Some(netip.MustParsePrefix(s)) }
	none := netip.Addr{}
	tests := []struct {
		name    string
		spec    SubnetSpec
		err     string // Neutron's exception; "": it succeeds
		gateway string
		pools   []Range
	}{
		{"default v4", SubnetSpec{CIDR: cidr("10.0.0.0/24")}, "", "10.0.0.1", []Range{rng("10.0.0.2", "10.0.0.254")}},
		{"host bits are cut off", SubnetSpec{CIDR: cidr("10.0.0.9/24")}, "", "10.0.0.1", []Range{rng("10.0.0.2", "10.0.0.254")}},
		{"default v6", SubnetSpec{CIDR: cidr("fd00::/64")}, "", "fd00::", []Range{rng("fd00::1", "fd00::ffff:ffff:ffff:ffff")}},
		{"gateway in the middle", SubnetSpec{CIDR: cidr("10.0.0.0/28"), Gateway: Some(addr("10.0.0.5"))}, "", "10.0.0.5",
			[]Range{rng("10.0.0.1", "10.0.0.4"), rng("10.0.0.6", "10.0.0.14")}},
		{"no gateway", SubnetSpec{CIDR: cidr("10.0.0.0/28"), Gateway: Some(none)}, "", "", []Range{rng("10.0.0.1", "10.0.0.14")}},
		{"gateway elsewhere", SubnetSpec{CIDR: cidr("10.0.0.0/28"), Gateway: Some(addr("10.9.9.9"))}, "", "10.9.9.9", []Range{rng("10.0.0.1", "10.0.0.14")}},
		{"/31 without gateway", SubnetSpec{CIDR: cidr("10.0.0.0/31"), Gateway: Some(none), EnableDHCP: Some(false)}, "", "", []Range{rng("10.0.0.0", "10.0.0.1")}},
		{"/31 with DHCP", SubnetSpec{CIDR: cidr("10.0.0.0/31"), Gateway: Some(none)}, "InvalidInput", "", nil},
		{"/0", SubnetSpec{CIDR: cidr("0.0.0.0/0"), EnableDHCP: Some(false), Gateway: Some(none)}, "InvalidInput", "", nil},
		{"multicast with DHCP", SubnetSpec{CIDR: cidr("224.0.0.0/24")}, "InvalidInput", "", nil},
		{"gateway is the network", SubnetSpec{CIDR: cidr("10.0.0.0/28"), Gateway: Some(addr("10.0.0.0"))}, "InvalidInput", "", nil},
		{"gateway is the broadcast", SubnetSpec{CIDR: cidr("10.0.0.0/28"), Gateway: Some(addr("10.0.0.15"))}, "InvalidInput", "", nil},
		{"gateway of the other family", SubnetSpec{CIDR: cidr("10.0.0.0/28"), Gateway: Some(addr("fd00::1"))}, "InvalidInput", "", nil},
		{"pools", SubnetSpec{CIDR: cidr("10.0.0.0/28"), Pools: Some([]Range{rng("10.0.0.8", "10.0.0.9"), rng("10.0.0.4", "10.0.0.5")})}, "", "10.0.0.1",
			[]Range{rng("10.0.0.8", "10.0.0.9"), rng("10.0.0.4", "10.0.0.5")}},
		{"pool outside", SubnetSpec{CIDR: cidr("10.0.0.0/28"), Pools: Some([]Range{rng("10.0.0.8", "10.0.0.20")})}, "OutOfBoundsAllocationPool", "", nil},
		{"pool with broadcast", SubnetSpec{CIDR: cidr("10.0.0.0/28"), Pools: Some([]Range{rng("10.0.0.8", "10.0.0.15")})}, "OutOfBoundsAllocationPool", "", nil},
		{"pool backwards", SubnetSpec{CIDR: cidr("10.0.0.0/28"), Pools: Some([]Range{rng("10.0.0.8", "10.0.0.4")})}, "InvalidAllocationPool", "", nil},
		{"pool of the other family", SubnetSpec{CIDR: cidr("10.0.0.0/28"), Pools: Some([]Range{rng("fd00::8", "fd00::9")})}, "InvalidAllocationPool", "", nil},
		{"pools overlap", SubnetSpec{CIDR: cidr("10.0.0.0/28"), Pools: Some([]Range{rng("10.0.0.4", "10.0.0.8"), rng("10.0.0.8", "10.0.0.9")})}, "OverlappingAllocationPools", "", nil},
		{"pool over the gateway", SubnetSpec{CIDR: cidr("10.0.0.0/28"), Pools: Some([]Range{rng("10.0.0.1", "10.0.0.8")})}, "GatewayConflictWithAllocationPools", "", nil},
		{"no cidr, no pool", SubnetSpec{IPVersion: Some(4)}, "BadRequest", "", nil},
		{"no default pool", SubnetSpec{IPVersion: Some(4), UseDefaultPool: Some(true)}, "BadRequest", "", nil},
		{"cidr and length", SubnetSpec{CIDR: cidr("10.0.0.0/28"), PrefixLen: Some(24)}, "BadRequest", "", nil},
		{"version", SubnetSpec{IPVersion: Some(6), CIDR: cidr("10.0.0.0/28")}, "InvalidInput", "", nil},
		{"unknown subnetpool", SubnetSpec{CIDR: cidr("10.0.0.0/28"), SubnetPoolID: Some("nowhere")}, "SubnetPoolNotFound", "", nil},
		{"unknown network", SubnetSpec{NetworkID: Some("nowhere"), CIDR: cidr("10.0.0.0/28")}, "NetworkNotFound", "", nil},
		{"IPv6 mode on IPv4", SubnetSpec{CIDR: cidr("10.0.0.0/28"), RAMode: Some("slaac")}, "InvalidInput", "", nil},
		{"two IPv6 modes", SubnetSpec{CIDR: cidr("fd00::/64"), RAMode: Some("slaac"), AddressMode: Some("dhcpv6-stateful")}, "InvalidInput", "", nil},
		{"slaac needs /64", SubnetSpec{CIDR: cidr("fd00::/80"), RAMode: Some("slaac"), AddressMode: Some("slaac")}, "InvalidInput", "", nil},
		{"too many name servers", SubnetSpec{CIDR: cidr("10.0.0.0/28"), Nameservers: Some(make([]netip.Addr, 6))}, "DNSNameServersExhausted", "", nil},
		{"too many routes", SubnetSpec{CIDR: cidr("10.0.0.0/28"), HostRoutes: Some(make([]Route, 21))}, "HostRoutesExhausted", "", nil},
		{"route of the other family", SubnetSpec{CIDR: cidr("10.0.0.0/28"),
			HostRoutes: Some([]Route{{netip.MustParsePrefix("10.1.0.0/16"), addr("fd00::1")}})}, "InvalidInput", "", nil},
	}
	s := openAt(t, Options{})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			net, _ := network(t, s)
			if !tt.spec.NetworkID.Set {
				tt.spec.NetworkID = Some(net.ID)
			}
			if !tt.spec.IPVersion.Set {
				tt.spec.IPVersion = Some(version(tt.spec.CIDR.V.Addr()))
			}
			got, err := s.CreateSubnets(ctx, []SubnetSpec{tt.spec})
			if typ := typeOf(t, err); typ != tt.err {
				t.Fatalf("got %q (%v), want %q", typ, err, tt.err)
			}
			if err != nil {
				return
			}
			want := netip.Addr{}
			if tt.gateway != "" {
				want = addr(tt.gateway)
			}
			if got[0].Gateway != want {
				t.Errorf("gateway is %v, want %v", got[0].Gateway, want)
			}
			if diff := cmp.Diff(tt.pools, got[0].Pools, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
				t.Errorf("pools (-want +got):\n%s", diff)
			}
		})
	}
}

func TestSubnetUpdateRules(t *testing.T) {
	ctx := context.Background()
	s := openAt(t, Options{})
	net, subs := network(t, s, "10.0.0.0/28")
	held := port(t, s, PortSpec{NetworkID: Some(net.ID)}) // 10.0.0.2
	update := func(spec SubnetSpec) (SubnetView, error) { return s.UpdateSubnet(ctx, subs[0].ID, spec, Match{}) }

	if _, err := update(SubnetSpec{Gateway: Some(addr("10.0.0.5"))}); typeOf(t, err) != "GatewayConflictWithAllocationPools" {
		t.Errorf("gateway into the pool: %v", err)
	}
	if got, err := update(SubnetSpec{Gateway: Some(netip.Addr{})}); err != nil || got.Gateway.IsValid() {
		t.Errorf("no gateway: %v, %v", got.Gateway, err)
	}
	if _, err := update(SubnetSpec{Pools: Some([]Range{rng("10.0.0.2", "10.0.0.3")})}); err != nil {
		t.Fatal(err)
	}
	p := port(t, s, PortSpec{NetworkID: Some(net.ID)})
	if p.FixedIPs[0].Address != addr("10.0.0.3") {
		t.Errorf("of a pool of two, one held by %s, got %v", held.ID, p.FixedIPs[0].Address)
	}
	if _, err := s.CreatePorts(ctx, []PortSpec{{NetworkID: Some(net.ID)}}); typeOf(t, err) != "IpAddressGenerationFailure" {
		t.Errorf("pool is empty: %v", err)
	}
	before, _ := s.Network(ctx, net.ID)
	if _, err := update(SubnetSpec{StandardSpec: StandardSpec{Name: Some("x")}}); err != nil {
		t.Fatal(err)
	}
	if after, _ := s.Network(ctx, net.ID); after.Revision != before.Revision+1 {
		t.Errorf("a change of a subnet counts as one of its network: revision %d after %d", after.Revision, before.Revision)
	}
	if err := s.DeleteSubnet(ctx, subs[0].ID, Match{}); typeOf(t, err) != "SubnetInUse" {
		t.Errorf("delete in use: %v", err)
	}
}

func TestSubnetPoolRules(t *testing.T) {
	ctx := context.Background()
	prefixes := func(list ...string) Opt[[]netip.Prefix] {
		var out []netip.Prefix
		for _, p := range list {
			out = append(out, netip.MustParsePrefix(p))
		}
		return Some(out)
	}
	tests := []struct {
		name string
		spec SubnetPoolSpec
		err  string
		want []int // min, default, max
	}{
		{"v4", SubnetPoolSpec{Prefixes: prefixes("10.0.0.0/8")}, "", []int{8, 8, 32}},
		{"v6", SubnetPoolSpec{Prefixes: prefixes("fd00::/48")}, "", []int{64, 64, 128}},
		{"min is default", SubnetPoolSpec{Prefixes: prefixes("10.0.0.0/8"), MinPrefixLen: Some(20)}, "", []int{20, 20, 32}},
		{"none", SubnetPoolSpec{}, "EmptySubnetPoolPrefixList", nil},
		{"mixed", SubnetPoolSpec{Prefixes: prefixes("10.0.0.0/8", "fd00::/48")}, "PrefixVersionMismatch", nil},
		{"default below min", SubnetPoolSpec{Prefixes: prefixes("10.0.0.0/8"), MinPrefixLen: Some(24), DefaultPrefixLen: Some(20)}, "IllegalSubnetPoolPrefixBounds", nil},
		{"default above max", SubnetPoolSpec{Prefixes: prefixes("10.0.0.0/8"), MaxPrefixLen: Some(24), DefaultPrefixLen: Some(26)}, "IllegalSubnetPoolPrefixBounds", nil},
		{"max too long", SubnetPoolSpec{Prefixes: prefixes("10.0.0.0/8"), MaxPrefixLen: Some(33)}, "IllegalSubnetPoolPrefixBounds", nil},
		{"min above max", SubnetPoolSpec{Prefixes: prefixes("10.0.0.0/8"), MinPrefixLen: Some(28), MaxPrefixLen: Some(24)}, "IllegalSubnetPoolPrefixBounds", nil},
	}
	s := openAt(t, Options{})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := s.CreateSubnetPools(ctx, []SubnetPoolSpec{tt.spec})
			if typ := typeOf(t, err); typ != tt.err {
				t.Fatalf("got %q (%v), want %q", typ, err, tt.err)
			}
			if err != nil {
				return
			}
			lens := []int{got[0].MinPrefixLen, got[0].DefaultPrefixLen, got[0].MaxPrefixLen}
			if diff := cmp.Diff(tt.want, lens); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestSubnetPoolLife(t *testing.T) {
	ctx := context.Background()
	s := openAt(t, Options{})
	pool := func(spec SubnetPoolSpec) SubnetPoolView {
		t.Helper()
		got, err := s.CreateSubnetPools(ctx, []SubnetPoolSpec{spec})
		if err != nil {
			t.Fatal(err)
		}
		return got[0]
	}
	p := pool(SubnetPoolSpec{Prefixes: Some([]netip.Prefix{netip.MustParsePrefix("10.0.0.0/24")}), DefaultPrefixLen: Some(25), IsDefault: Some(true), DefaultQuota: Some(512)})
	_, err := s.CreateSubnetPools(ctx, []SubnetPoolSpec{{Prefixes: Some([]netip.Prefix{netip.MustParsePrefix("10.1.0.0/24")}), IsDefault: Some(true)}})
	if typeOf(t, err) != "InvalidInput" {
		t.Errorf("a second default: %v", err)
	}
	cut := func(spec SubnetSpec) (SubnetView, error) {
		net, _ := network(t, s)
		spec.NetworkID, spec.IPVersion = Some(net.ID), Some(4)
		got, err := s.CreateSubnets(ctx, []SubnetSpec{spec})
		if err != nil {
			return SubnetView{}, err
		}
		return got[0], nil
	}
	one, err := cut(SubnetSpec{UseDefaultPool: Some(true)})
	if err != nil || one.CIDR.String() != "10.0.0.0/25" || one.Gateway != addr("10.0.0.1") {
		t.Fatalf("%v %v %v", one.CIDR, one.Gateway, err)
	}
	if two, err := cut(SubnetSpec{SubnetPoolID: Some(p.ID), PrefixLen: Some(26), Gateway: Some(netip.Addr{})}); err != nil || two.CIDR.String() != "10.0.0.128/26" || two.Gateway.IsValid() {
		t.Fatalf("%v %v %v", two.CIDR, two.Gateway, err)
	}
	if _, err := cut(SubnetSpec{SubnetPoolID: Some(p.ID), PrefixLen: Some(25)}); typeOf(t, err) != "SubnetAllocationError" {
		t.Errorf("no room: %v", err)
	}
	if _, err := cut(SubnetSpec{SubnetPoolID: Some(p.ID), PrefixLen: Some(4)}); typeOf(t, err) != "MinPrefixSubnetAllocationError" {
		t.Errorf("too large: %v", err)
	}
	if _, err := s.AddPrefixes(ctx, p.ID, []netip.Prefix{netip.MustParsePrefix("10.0.1.0/24")}); err != nil {
		t.Fatal(err)
	}
	if _, err := cut(SubnetSpec{SubnetPoolID: Some(p.ID), PrefixLen: Some(23)}); typeOf(t, err) != "SubnetPoolQuotaExceeded" {
		t.Errorf("over quota: %v", err)
	}
	if got, err := cut(SubnetSpec{SubnetPoolID: Some(p.ID), PrefixLen: Some(25)}); err != nil || got.CIDR.String() != "10.0.1.0/25" {
		t.Errorf("after the pool has grown: %v, %v", got.CIDR, err)
	}
	_, err = s.UpdateSubnetPool(ctx, p.ID, SubnetPoolSpec{Prefixes: Some([]netip.Prefix{netip.MustParsePrefix("10.0.0.0/24")})}, Match{})
	if typeOf(t, err) != "IllegalSubnetPoolPrefixUpdate" {
		t.Errorf("prefixes can't shrink: %v", err)
	}
	if _, err := s.RemovePrefixes(ctx, p.ID, []netip.Prefix{netip.MustParsePrefix("10.0.1.0/26")}); typeOf(t, err) != "IllegalSubnetPoolPrefixUpdate" {
		t.Errorf("remove what is in use: %v", err)
	}
	got, err := s.RemovePrefixes(ctx, p.ID, []netip.Prefix{netip.MustParsePrefix("10.0.1.128/25")})
	if err != nil || len(got.Prefixes) != 2 {
		t.Errorf("remove what is free: %v, %v", got.Prefixes, err)
	}
	if err := s.DeleteSubnetPool(ctx, p.ID, Match{}); typeOf(t, err) != "SubnetPoolDeleteError" {
		t.Errorf("delete in use: %v", err)
	}
}

// TestFailedBulkLeavesNothing makes sure that what a bulk request did before
// it failed is undone, in the rows and in all that is derived from them.
func TestFailedBulkLeavesNothing(t *testing.T) {
	ctx := context.Background()
	path := t.TempDir() + "/neutron.db"
	s := openAt(t, Options{Path: path})
	net, subs := network(t, s, "10.0.0.0/29", "fd00::/64")
	p := port(t, s, PortSpec{NetworkID: Some(net.ID)})
	rows, worked := dump(s), derived(s)
	bulk := func(last PortSpec) []PortSpec {
		last.NetworkID = Some(net.ID)
		return []PortSpec{{NetworkID: Some(net.ID)}, {NetworkID: Some(net.ID)}, last}
	}
	for want, specs := range map[string][]PortSpec{
		"MacAddressInUse":            bulk(PortSpec{MAC: Some(p.MAC)}),
		"IpAddressAlreadyAllocated":  bulk(PortSpec{FixedIPs: Some([]FixedIPSpec{{Address: p.FixedIPs[0].Address}})}),
		"InvalidIpForNetwork":        bulk(PortSpec{FixedIPs: Some([]FixedIPSpec{{Address: addr("10.9.9.9")}})}),
		"InvalidIpForSubnet":         bulk(PortSpec{FixedIPs: Some([]FixedIPSpec{{SubnetID: subs[0].ID, Address: addr("10.9.9.9")}})}),
		"IpAddressGenerationFailure": append(bulk(PortSpec{}), bulk(PortSpec{})...),
		"SubnetNotFound":             bulk(PortSpec{FixedIPs: Some([]FixedIPSpec{{SubnetID: "nowhere"}})}),
	} {
		if _, err := s.CreatePorts(ctx, specs); typeOf(t, err) != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	same := cmp.Comparer(func(a, b netip.Addr) bool { return a == b })
	prefix := cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })
	if diff := cmp.Diff(rows, dump(s), same, prefix); diff != "" {
		t.Errorf("rows:\n%s", diff)
	}
	if diff := cmp.Diff(worked, derived(s), same, prefix); diff != "" {
		t.Errorf("derived:\n%s", diff)
	}
	checkSame(t, s, path)
}

func TestPortAddressUpdate(t *testing.T) {
	ctx := context.Background()
	path := t.TempDir() + "/neutron.db"
	s := openAt(t, Options{Path: path})
	net, subs := network(t, s, "10.0.0.0/24", "fd00::/64")
	p := port(t, s, PortSpec{NetworkID: Some(net.ID)})
	other := port(t, s, PortSpec{NetworkID: Some(net.ID)})
	four := p.FixedIPs[0]

	got, err := s.UpdatePort(ctx, p.ID, PortSpec{FixedIPs: Some([]FixedIPSpec{
		{SubnetID: subs[0].ID}, {Address: addr("10.0.0.99")},
	})}, Match{})
	if err != nil {
		t.Fatal(err)
	}
	if len(got.FixedIPs) != 2 || got.FixedIPs[0] != four || got.FixedIPs[1].Address != addr("10.0.0.99") {
		t.Errorf("want %v kept, the IPv6 address gone, 10.0.0.99 new; got %v", four, got.FixedIPs)
	}
	if _, err := s.UpdatePort(ctx, p.ID, PortSpec{FixedIPs: Some([]FixedIPSpec{{Address: other.FixedIPs[0].Address}})}, Match{}); typeOf(t, err) != "IpAddressAlreadyAllocated" {
		t.Errorf("another port's address: %v", err)
	}
	if again, err := s.Port(ctx, p.ID); err != nil || len(again.FixedIPs) != 2 {
		t.Errorf("after the refusal: %v, %v", again.FixedIPs, err)
	}
	if got, err = s.UpdatePort(ctx, p.ID, PortSpec{FixedIPs: Some([]FixedIPSpec{})}, Match{}); err != nil || len(got.FixedIPs) != 0 {
		t.Errorf("no addresses: %v, %v", got.FixedIPs, err)
	}
	if taker := port(t, s, PortSpec{NetworkID: Some(net.ID), FixedIPs: Some([]FixedIPSpec{{Address: four.Address}})}); taker.FixedIPs[0] != four {
		t.Errorf("the released address: %v", taker.FixedIPs)
	}
	checkSame(t, s, path)
}

func TestAddressesThatFollowTheMAC(t *testing.T) {
	ctx := context.Background()
	path := t.TempDir() + "/neutron.db"
	s := openAt(t, Options{Path: path})
	net, _ := network(t, s, "10.0.0.0/24")
	old := port(t, s, PortSpec{NetworkID: Some(net.ID), MAC: Some("fa:16:3e:00:00:01")})
	subs, err := s.CreateSubnets(ctx, []SubnetSpec{{
		NetworkID: Some(net.ID), IPVersion: Some(6), CIDR: Some(netip.MustParsePrefix("fd00::/64")),
		RAMode: Some("slaac"), AddressMode: Some("slaac"),
	}})
	if err != nil {
		t.Fatal(err)
	}
	want := FixedIP{subs[0].ID, addr("fd00::f816:3eff:fe00:1")}
	if p, _ := s.Port(ctx, old.ID); len(p.FixedIPs) != 2 || p.FixedIPs[1] != want {
		t.Errorf("a port that was there before: %v", p.FixedIPs)
	}
	young := port(t, s, PortSpec{NetworkID: Some(net.ID), MAC: Some("fa:16:3e:00:00:02")})
	if len(young.FixedIPs) != 2 {
		t.Errorf("a port that comes later: %v", young.FixedIPs)
	}
	moved, err := s.UpdatePort(ctx, young.ID, PortSpec{MAC: Some("fa:16:3e:00:00:03")}, Match{})
	if err != nil || len(moved.FixedIPs) != 2 || moved.FixedIPs[1].Address != addr("fd00::f816:3eff:fe00:3") || moved.FixedIPs[0] != young.FixedIPs[0] &&
		moved.FixedIPs[0] != young.FixedIPs[1] {
		t.Errorf("another MAC: %v, %v", moved.FixedIPs, err)
	}
	_, err = s.CreatePorts(ctx, []PortSpec{{NetworkID: Some(net.ID), FixedIPs: Some([]FixedIPSpec{{Address: addr("fd00::9")}})}})
	if typeOf(t, err) != "AllocationOnAutoAddressSubnet" {
		t.Errorf("an address of one's own choice: %v", err)
	}
	if err := s.DeleteSubnet(ctx, subs[0].ID, Match{}); err != nil {
		t.Errorf("such addresses don't hold a subnet: %v", err)
	}
	if p, _ := s.Port(ctx, old.ID); len(p.FixedIPs) != 1 {
		t.Errorf("after the subnet is gone: %v", p.FixedIPs)
	}
	checkSame(t, s, path)
}

func TestBindingAndStatus(t *testing.T) {
	ctx := context.Background()
	s := openAt(t, Options{})
	net, _ := network(t, s, "10.0.0.0/24")
	tests := []struct {
		host, vnic, vif string
	}{
		{"", "normal", "unbound"},
		{testHost, "normal", "bridge"},
		{testHost, "direct", "binding_failed"},
		{"elsewhere", "normal", "binding_failed"},
	}
	for _, tt := range tests {
		p := port(t, s, PortSpec{NetworkID: Some(net.ID), HostID: Some(tt.host), VNICType: Some(tt.vnic)})
		if p.VIFType != tt.vif || p.Status != "DOWN" {
			t.Errorf("host %q, %s: %s, %s", tt.host, tt.vnic, p.VIFType, p.Status)
		}
		s.SetPlugged("tap"+p.ID[:11], true)
		p, err := s.Port(ctx, p.ID)
		want := "DOWN"
		if tt.vif == "bridge" {
			want = "ACTIVE"
		}
		if err != nil || p.Status != want {
			t.Errorf("host %q, %s, plugged: %s, want %s", tt.host, tt.vnic, p.Status, want)
		}
		s.SetPlugged("tap"+p.ID[:11], false)
		if p, _ := s.Port(ctx, p.ID); p.Status != "DOWN" {
			t.Errorf("unplugged: %s", p.Status)
		}
	}
	s.SetPlugged("eth0", true) // none of ours
	bound := port(t, s, PortSpec{NetworkID: Some(net.ID), HostID: Some(testHost)})
	if _, err := s.UpdatePort(ctx, bound.ID, PortSpec{MAC: Some("fa:16:3e:00:00:09")}, Match{}); typeOf(t, err) != "PortBound" {
		t.Errorf("MAC of a bound port: %v", err)
	}
}

func TestRevisions(t *testing.T) {
	ctx := context.Background()
	s := openAt(t, Options{})
	net, _ := network(t, s)
	name := NetworkSpec{StandardSpec: StandardSpec{Name: Some("x")}}
	got, err := s.UpdateNetwork(ctx, net.ID, name, Some(net.Revision))
	if err != nil || got.Revision != net.Revision+1 {
		t.Fatalf("%d after %d, %v", got.Revision, net.Revision, err)
	}
	if _, err := s.UpdateNetwork(ctx, net.ID, name, Some(net.Revision)); typeOf(t, err) != "RevisionNumberConstraintFailed" {
		t.Errorf("stale update: %v", err)
	}
	if err := s.DeleteNetwork(ctx, net.ID, Some(net.Revision)); typeOf(t, err) != "RevisionNumberConstraintFailed" {
		t.Errorf("stale delete: %v", err)
	}
	if err := s.AddTag(ctx, NetworkResource, net.ID, "a"); err != nil {
		t.Fatal(err)
	}
	if err := s.AddTag(ctx, NetworkResource, net.ID, "a"); err != nil {
		t.Fatal(err)
	}
	if n, _ := s.Network(ctx, net.ID); n.Revision != got.Revision+1 {
		t.Errorf("a tag counts once: revision %d after %d", n.Revision, got.Revision)
	}
}
