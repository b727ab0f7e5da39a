package store

import (
	"context"
	"math/big"
	"slices"
	"strconv"
)

// IPAvailabilityView is a network and how many addresses its subnets have.
type IPAvailabilityView struct {
	*Network
	Subnets []SubnetIPs
}

// SubnetIPs is a subnet and how many addresses it has.
type SubnetIPs struct {
	*Subnet
	Used  int
	Total *big.Int // of its allocation pools; an IPv6 subnet has more than an int holds
}

// Used returns how many addresses the ports of the network hold.
func (v IPAvailabilityView) Used() int {
	n := 0
	for _, s := range v.Subnets {
		n += s.Used
	}
	return n
}

// Total returns how many addresses the allocation pools of the network have.
func (v IPAvailabilityView) Total() *big.Int {
	n := new(big.Int)
	for _, s := range v.Subnets {
		n.Add(n, s.Total)
	}
	return n
}

// ipAvailability counts the addresses of a network, of some IP versions only
// if there are any.
func ipAvailability(st *state, n *Network, versions []string) IPAvailabilityView {
	v := IPAvailabilityView{Network: n}
	for _, sub := range st.subnetsOf(n.ID) {
		if versions != nil && !slices.Contains(versions, strconv.Itoa(sub.IPVersion())) {
			continue
		}
		ips := SubnetIPs{Subnet: sub, Used: len(st.spaces[sub.ID].used), Total: new(big.Int)}
		for _, r := range sub.Pools {
			ips.Total.Add(ips.Total, r.size())
		}
		if len(sub.Pools) == 0 {
			ips.Total = rangeOf(sub.CIDR).size()
		}
		v.Subnets = append(v.Subnets, ips)
	}
	return v
}

// size returns how many addresses a range has.
func (r Range) size() *big.Int {
	first, last := new(big.Int).SetBytes(r.First.AsSlice()), new(big.Int).SetBytes(r.Last.AsSlice())
	return last.Add(last.Sub(last, first), big.NewInt(1))
}

// IPAvailabilities lists how many addresses networks have, which only
// administrators see; a nil keep accepts all. A query may name "ip_version".
func (s *Store) IPAvailabilities(ctx context.Context, q Query, keep func(IPAvailabilityView) bool) ([]IPAvailabilityView, error) {
	if !s.caller(ctx).Admin {
		return nil, nil
	}
	view := func(st *state, n *Network) IPAvailabilityView { return ipAvailability(st, n, q["ip_version"]) }
	return list(ctx, s, networksOf, func(st *state) []*Network {
		return candidates(st.networks, Query{}, nil)
	}, view, keep)
}

// IPAvailability returns how many addresses a network has.
func (s *Store) IPAvailability(ctx context.Context, id string) (IPAvailabilityView, error) {
	return show(ctx, s, networksOf, id, func(st *state, n *Network) IPAvailabilityView {
		return ipAvailability(st, n, nil)
	}, networkNotFound(id))
}
