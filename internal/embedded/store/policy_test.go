package store

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"kuryr/internal/embedded/dataplane"
)

func changed(s *Store) bool {
	select {
	case <-s.Changes():
		return true
	default:
		return false
	}
}

// TestSnapshot follows a port's policy through its life.
func TestSnapshot(t *testing.T) {
	ctx := context.Background()
	s := openAt(t, Options{Enforce: true})
	net, _ := network(t, s, "10.0.0.0/24")
	port(t, s, PortSpec{NetworkID: Some(net.ID)}) // of no host
	changed(s)
	addrs, err := s.CreateAddressGroups(ctx, []AddressGroupSpec{{Addresses: Some([]netip.Prefix{
		netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/32"),
	})}})
	if err != nil {
		t.Fatal(err)
	}
	groups, err := s.CreateSecurityGroups(ctx, []SecurityGroupSpec{{Stateful: Some(false)}})
	if err != nil {
		t.Fatal(err)
	}
	low, high := 80, 81
	if _, err := s.CreateSecurityGroupRules(ctx, []SecurityGroupRuleSpec{{
		GroupID: Some(groups[0].ID), Direction: Some(Ingress), Protocol: Some("tcp"), PortMin: Some(&low), PortMax: Some(&high),
		RemoteAddrs: Some(addrs[0].ID),
	}}); err != nil {
		t.Fatal(err)
	}
	p := port(t, s, PortSpec{
		NetworkID: Some(net.ID), HostID: Some(testHost), MAC: Some("fa:16:3e:00:00:07"), Groups: Some([]string{groups[0].ID}),
		Pairs: Some([]AddressPair{{Address: "10.9.0.0/16"}}),
	})
	if !changed(s) {
		t.Error("the port was not told of")
	}
	mac := [6]byte{0xfa, 0x16, 0x3e, 0, 0, 7}
	want := dataplane.State{
		Ports: []dataplane.Port{{
			ID: p.ID, HostEnd: "tap" + p.ID[:11], Network: net.ID, MAC: mac, Addresses: []netip.Addr{p.FixedIPs[0].Address},
			Pairs:    []dataplane.AddressPair{{MAC: mac, Prefix: netip.MustParsePrefix("10.9.0.0/16")}},
			Security: true, Up: true, Groups: []string{groups[0].ID},
		}},
		Groups: map[string]dataplane.Group{groups[0].ID: {ID: groups[0].ID, Rules: []dataplane.Rule{
			{Egress: true, Protocol: -1, PortMin: -1, PortMax: -1},
			{Egress: true, IPv6: true, Protocol: -1, PortMin: -1, PortMax: -1},
			{Protocol: 6, PortMin: 80, PortMax: 81, Prefix: netip.MustParsePrefix("192.0.2.0/24")},
		}}},
	}
	equal := cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{})
	if diff := cmp.Diff(want, s.Snapshot(), equal); diff != "" {
		t.Errorf("snapshot (-want +got):\n%s", diff)
	}
	if _, err := s.AddAddresses(ctx, addrs[0].ID, []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}); err != nil {
		t.Fatal(err)
	}
	if got := s.Snapshot().Groups[groups[0].ID].Rules; !changed(s) || len(got) != 4 {
		t.Errorf("a new address of the address group is not in force: %v", got)
	}
	if err := s.DeletePort(ctx, p.ID, Match{}); err != nil {
		t.Fatal(err)
	}
	if got := s.Snapshot(); !changed(s) || len(got.Ports)+len(got.Groups) != 0 {
		t.Errorf("the port is still there: %v", got)
	}
}

// TestSnapshotOfMany holds a snapshot to what a change may cost.
func TestSnapshotOfMany(t *testing.T) {
	ctx := context.Background()
	s := openAt(t, Options{Enforce: true})
	net, _ := network(t, s, "10.0.0.0/16")
	groups, err := s.CreateSecurityGroups(ctx, []SecurityGroupSpec{{}})
	if err != nil {
		t.Fatal(err)
	}
	var rules []SecurityGroupRuleSpec
	for n := 1; n <= 10_000; n++ {
		rules = append(rules, SecurityGroupRuleSpec{
			GroupID: Some(groups[0].ID), Direction: Some(Ingress), Protocol: Some("tcp"), PortMin: Some(&n), PortMax: Some(&n),
		})
	}
	if _, err := s.CreateSecurityGroupRules(ctx, rules); err != nil {
		t.Fatal(err)
	}
	ports := make([]PortSpec, 1000)
	for i := range ports {
		ports[i] = PortSpec{NetworkID: Some(net.ID), HostID: Some(testHost), Groups: Some([]string{groups[0].ID})}
	}
	if _, err := s.CreatePorts(ctx, ports); err != nil {
		t.Fatal(err)
	}
	s.Snapshot()
	port(t, s, ports[0])
	start := time.Now()
	got := s.Snapshot()
	if took := time.Since(start); len(got.Ports) != 1001 || len(got.Groups[groups[0].ID].Rules) != 10_002 || took > 50*time.Millisecond {
		t.Errorf("%d ports, %d rules after %v", len(got.Ports), len(got.Groups[groups[0].ID].Rules), took)
	}
}
