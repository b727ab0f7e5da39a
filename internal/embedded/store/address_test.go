package store

import (
	"context"
	"net/netip"
	"testing"

	"pgregory.net/rapid"
)

// TestFreeSetAgainstModel compares the treap with a plain set.
func TestFreeSetAgainstModel(t *testing.T) {
	base := netip.MustParseAddr("10.0.0.0")
	at := func(n int) netip.Addr {
		b := base.As4()
		b[3] += byte(n)
		return netip.AddrFrom4(b)
	}
	rapid.Check(t, func(t *rapid.T) {
		const size = 64
		var set freeSet
		model := [size]bool{}
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			n := rapid.IntRange(0, size-1).Draw(t, "address")
			if model[n] {
				if !set.take(Range{at(n), at(n)}) {
					t.Fatalf("%v is free and can't be taken", at(n))
				}
			} else {
				if set.take(Range{at(n), at(n)}) {
					t.Fatalf("%v is not free and was taken", at(n))
				}
				set.add(Range{at(n), at(n)})
			}
			model[n] = !model[n]
			from := rapid.IntRange(0, size-1).Draw(t, "from")
			want := from
			for want < size && !model[want] {
				want++
			}
			got, ok := set.next(at(from))
			if ok != (want < size) || ok && got != at(want) {
				t.Fatalf("next(%v) is %v, %v; want %v, %v", at(from), got, ok, at(want), want < size)
			}
			checkRuns(t, &set, model[:], at)
		}
	})
}

// checkRuns makes sure that runs are in order, hold what they should and do not touch.
func checkRuns(t *rapid.T, set *freeSet, model []bool, at func(int) netip.Addr) {
	var last netip.Addr
	total := 0
	set.each(func(r Range) bool {
		if last.IsValid() && !last.Next().Less(r.First) {
			t.Fatalf("run %v touches the one before, which ends at %v", r, last)
		}
		for a := r.First; ; a = a.Next() {
			total++
			if a == r.Last {
				break
			}
		}
		last = r.Last
		return true
	})
	want := 0
	for n, free := range model {
		if free {
			want++
			if a, ok := set.next(at(n)); !ok || a != at(n) {
				t.Fatalf("%v is free and not in the set", at(n))
			}
		}
	}
	if total != want {
		t.Fatalf("%d addresses in the set, want %d", total, want)
	}
}

// TestAddressAllocation drives ports of one network at random: no address is
// given out twice or outside of the pools, exhaustion comes exactly when all
// are out, and what is released is free again.
func TestAddressAllocation(t *testing.T) {
	ctx := context.Background()
	s := openAt(t, Options{})
	rapid.Check(t, func(t *rapid.T) {
		cidr := rapid.SampledFrom([]string{"10.9.0.0/29", "10.9.0.0/28", "fd09::/125", "fd09::/64"}).Draw(t, "cidr")
		net, subs := rapidNetwork(t, s, cidr)
		held := map[netip.Addr]string{}
		free := poolSize(subs[0].Pools)
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			if len(held) > 0 && rapid.IntRange(0, 2).Draw(t, "delete") == 0 {
				a := rapid.SampledFrom(sortedKeys(held)).Draw(t, "which")
				if err := s.DeletePort(ctx, held[a], Match{}); err != nil {
					t.Fatal(err)
				}
				delete(held, a)
				continue
			}
			ports, err := s.CreatePorts(ctx, []PortSpec{{NetworkID: Some(net.ID)}})
			if len(held) == free {
				if e, ok := err.(*Error); !ok || e.Type != "IpAddressGenerationFailure" {
					t.Fatalf("all %d addresses are out, and CreatePorts answers %v", free, err)
				}
				continue
			}
			if err != nil {
				t.Fatalf("%d of %d addresses are out: %v", len(held), free, err)
			}
			a := ports[0].FixedIPs[0].Address
			if other := held[a]; other != "" {
				t.Fatalf("%v was given to %s and %s", a, other, ports[0].ID)
			}
			if !inPools(subs[0].Pools, a) {
				t.Fatalf("%v is in none of %v", a, subs[0].Pools)
			}
			held[a] = ports[0].ID
		}
		for _, id := range held {
			if err := s.DeletePort(ctx, id, Match{}); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.DeleteNetwork(ctx, net.ID, Match{}); err != nil {
			t.Fatal(err)
		}
	})
}

func rapidNetwork(t *rapid.T, s *Store, cidr string) (NetworkView, []SubnetView) {
	ctx := context.Background()
	nets, err := s.CreateNetworks(ctx, []NetworkSpec{{}})
	if err != nil {
		t.Fatal(err)
	}
	subs, err := s.CreateSubnets(ctx, []SubnetSpec{{
		NetworkID: Some(nets[0].ID), CIDR: Some(netip.MustParsePrefix(cidr)), EnableDHCP: Some(false),
	}})
	if err != nil {
		t.Fatal(err)
	}
	return nets[0], subs
}

// poolSize counts addresses, up to a thousand.
func poolSize(pools []Range) int {
	n := 0
	for _, p := range pools {
		for a := p.First; n < 1000; a = a.Next() {
			n++
			if a == p.Last {
				break
			}
		}
	}
	return n
}

func inPools(pools []Range, a netip.Addr) bool {
	for _, p := range pools {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

func sortedKeys(m map[netip.Addr]string) []netip.Addr {
	var out []netip.Addr
	for a := range m {
		i := 0
		for i < len(out) && out[i].Less(a) {
			i++
		}
		out = append(out[:i], append([]netip.Addr{a}, out[i:]...)...)
	}
	return out
}

func TestReleasedAddressRests(t *testing.T) {
	s := openAt(t, Options{})
	net, _ := network(t, s, "10.1.0.0/24")
	first := port(t, s, PortSpec{NetworkID: Some(net.ID)})
	if err := s.DeletePort(context.Background(), first.ID, Match{}); err != nil {
		t.Fatal(err)
	}
	for range 252 { // all of the pool's 253 but the released one
		p := port(t, s, PortSpec{NetworkID: Some(net.ID)})
		if p.FixedIPs[0].Address == first.FixedIPs[0].Address {
			t.Fatal("a released address was handed out while others were free")
		}
	}
	p := port(t, s, PortSpec{NetworkID: Some(net.ID)})
	if p.FixedIPs[0].Address != first.FixedIPs[0].Address {
		t.Fatalf("the last free address is %v, got %v", first.FixedIPs[0].Address, p.FixedIPs[0].Address)
	}
}

func TestAllocationGoesOnAfterRestart(t *testing.T) {
	path := t.TempDir() + "/neutron.db"
	s := openAt(t, Options{Path: path})
	net, _ := network(t, s, "10.1.0.0/24")
	port(t, s, PortSpec{NetworkID: Some(net.ID)})
	last := port(t, s, PortSpec{NetworkID: Some(net.ID)})
	gone := port(t, s, PortSpec{NetworkID: Some(net.ID), FixedIPs: Some([]FixedIPSpec{{Address: netip.MustParseAddr("10.1.0.2").Prev()}})})
	if err := s.DeletePort(context.Background(), gone.ID, Match{}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openAt(t, Options{Path: path})
	p := port(t, s, PortSpec{NetworkID: Some(net.ID)})
	if want := last.FixedIPs[0].Address.Next(); p.FixedIPs[0].Address != want {
		t.Errorf("got %v, want %v", p.FixedIPs[0].Address, want)
	}
}

// TestPoolCutting cuts subnets from two overlapping subnetpools at random:
// within one pool they never overlap, and never leave its prefixes.
func TestPoolCutting(t *testing.T) {
	ctx := context.Background()
	s := openAt(t, Options{})
	rapid.Check(t, func(t *rapid.T) {
		pools, err := s.CreateSubnetPools(ctx, []SubnetPoolSpec{
			{Prefixes: Some([]netip.Prefix{netip.MustParsePrefix("10.0.0.0/24"), netip.MustParsePrefix("10.0.2.0/24")}), DefaultPrefixLen: Some(28)},
			{Prefixes: Some([]netip.Prefix{netip.MustParsePrefix("10.0.0.0/25")}), DefaultPrefixLen: Some(28)},
		})
		if err != nil {
			t.Fatal(err)
		}
		cut := [2]map[string]netip.Prefix{{}, {}}
		networks := map[string]string{}
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			which := rapid.IntRange(0, 1).Draw(t, "pool")
			if len(cut[which]) > 0 && rapid.IntRange(0, 3).Draw(t, "delete") == 0 {
				for id := range cut[which] {
					if err := s.DeleteNetwork(ctx, networks[id], Match{}); err != nil {
						t.Fatal(err)
					}
					delete(cut[which], id)
					break
				}
				continue
			}
			cutOne(t, s, pools[which], cut[which], networks)
		}
		for which, subnets := range cut {
			for id := range subnets {
				if err := s.DeleteNetwork(ctx, networks[id], Match{}); err != nil {
					t.Fatal(err)
				}
			}
			if err := s.DeleteSubnetPool(ctx, pools[which].ID, Match{}); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func cutOne(t *rapid.T, s *Store, pool SubnetPoolView, cut map[string]netip.Prefix, networks map[string]string) {
	ctx := context.Background()
	bits := rapid.IntRange(26, 29).Draw(t, "bits")
	nets, err := s.CreateNetworks(ctx, []NetworkSpec{{}})
	if err != nil {
		t.Fatal(err)
	}
	subs, err := s.CreateSubnets(ctx, []SubnetSpec{{
		NetworkID: Some(nets[0].ID), IPVersion: Some(4), SubnetPoolID: Some(pool.ID), PrefixLen: Some(bits),
	}})
	if err != nil {
		if e, ok := err.(*Error); !ok || e.Type != "SubnetAllocationError" {
			t.Fatal(err)
		}
		if freeBlock(pool.Prefixes, cut, bits) {
			t.Fatalf("there is room for a /%d beside %v, and CreateSubnets answers %v", bits, cut, err)
		}
		return
	}
	got := subs[0].CIDR
	if got.Bits() != bits || !covers(pool.Prefixes, []netip.Prefix{got}) {
		t.Fatalf("asked for a /%d of %v, got %v", bits, pool.Prefixes, got)
	}
	for _, other := range cut {
		if other.Overlaps(got) {
			t.Fatalf("%v overlaps %v of the same pool", got, other)
		}
	}
	cut[subs[0].ID], networks[subs[0].ID] = got, nets[0].ID
}

// freeBlock looks for room by trying every block.
func freeBlock(prefixes []netip.Prefix, cut map[string]netip.Prefix, bits int) bool {
	for _, p := range prefixes {
		for b := netip.PrefixFrom(p.Addr(), bits); p.Contains(b.Addr()); b = netip.PrefixFrom(rangeOf(b).Last.Next(), bits) {
			free := true
			for _, c := range cut {
				free = free && !c.Overlaps(b)
			}
			if free {
				return true
			}
		}
	}
	return false
}
