package store

import (
	"net"
	"net/netip"
	"slices"
)

// request is one address a port is to get: a certain one of a subnet, or any
// of the first subnet that has one left.
type request struct {
	subnets []string
	address netip.Addr
}

// addresses finds addresses for a new port: what it asks for, else one of an
// IPv4 subnet and one of an IPv6 subnet; and its own on every subnet where
// addresses follow from the MAC. They are taken when it returns, and free
// again if the transaction is undone.
func (x *tx) addresses(p *Port, want Opt[[]FixedIPSpec]) ([]FixedIP, error) {
	if want.Set && len(want.V) == 0 {
		return nil, nil
	}
	subnets := x.subnetsOf(p.NetworkID)
	var reqs []request
	var err error
	if want.Set {
		reqs, err = x.requests(p, want.V, subnets)
	} else {
		reqs = oneOfEach(serving(subnets, p.DeviceOwner))
	}
	if err != nil {
		return nil, err
	}
	reqs = append(reqs, automaticRequests(p, subnets, nil)...)
	return x.takeAll(p, reqs)
}

// serving leaves out the subnets that are for other kinds of ports.
func serving(subnets []*Subnet, owner string) []*Subnet {
	return slices.DeleteFunc(slices.Clone(subnets), func(s *Subnet) bool {
		return len(s.ServiceTypes) > 0 && !slices.Contains(s.ServiceTypes, owner)
	})
}

// oneOfEach asks for an address of either family.
func oneOfEach(subnets []*Subnet) []request {
	var four, six request
	for _, s := range subnets {
		switch {
		case s.IPVersion() == 4:
			four.subnets = append(four.subnets, s.ID)
		case !s.automatic():
			six.subnets = append(six.subnets, s.ID)
		}
	}
	return slices.DeleteFunc([]request{four, six}, func(r request) bool { return len(r.subnets) == 0 })
}

// automaticRequests asks for the addresses that follow from the MAC.
func automaticRequests(p *Port, subnets []*Subnet, except map[string]bool) []request {
	if isRouter(p.DeviceOwner) {
		return nil
	}
	var out []request
	for _, s := range subnets {
		if s.automatic() && !except[s.ID] {
			out = append(out, request{subnets: []string{s.ID}, address: eui64(s.CIDR, p.MAC)})
		}
	}
	return out
}

// requests checks what a port asks for against its network's subnets.
func (x *tx) requests(p *Port, want []FixedIPSpec, subnets []*Subnet) ([]request, error) {
	if len(subnets) == 0 && len(want) > 0 {
		return nil, InvalidInput("IP allocation requires subnets for network")
	}
	var out []request
	for _, w := range want {
		s, err := x.subnetFor(p, w, subnets)
		if err != nil {
			return nil, err
		}
		automatic := s.automatic() && !isRouter(p.DeviceOwner)
		switch {
		case automatic && w.Address.IsValid():
			return nil, errorf(BadRequest, "AllocationOnAutoAddressSubnet",
				"IPv6 address %s cannot be directly assigned to a port on subnet %s as the subnet is configured for automatic addresses",
				w.Address, s.ID)
		case !automatic: // the others are asked for anyway
			out = append(out, request{subnets: []string{s.ID}, address: w.Address})
		}
	}
	return out, nil
}

// subnetFor finds the subnet of one wish.
func (x *tx) subnetFor(p *Port, w FixedIPSpec, subnets []*Subnet) (*Subnet, error) {
	if w.SubnetID == "" {
		if !w.Address.IsValid() {
			return nil, InvalidInput("IP allocation requires subnet_id or ip_address")
		}
		for _, s := range subnets {
			if onSubnet(s.CIDR, w.Address, p.DeviceOwner) {
				return s, nil
			}
		}
		return nil, errorf(BadRequest, "InvalidIpForNetwork",
			"IP address %s is not a valid IP for any of the subnets on the specified network.", w.Address)
	}
	s := x.subnets.rows[w.SubnetID]
	switch {
	case s == nil:
		return nil, subnetNotFound(w.SubnetID)
	case s.NetworkID != p.NetworkID:
		return nil, InvalidInput("Failed to create port on network %s, because fixed_ips included invalid subnet %s",
			p.NetworkID, w.SubnetID)
	case w.Address.IsValid() && !onSubnet(s.CIDR, w.Address, p.DeviceOwner):
		return nil, errorf(BadRequest, "InvalidIpForSubnet",
			"IP address %s is not a valid IP for the specified subnet.", w.Address)
	}
	return s, nil
}

// takeAll serves requests, those for certain addresses first, lest one for
// any address takes what the next one asks for.
func (x *tx) takeAll(p *Port, reqs []request) ([]FixedIP, error) {
	slices.SortStableFunc(reqs, func(a, b request) int {
		switch {
		case a.address.IsValid() == b.address.IsValid():
			return 0
		case a.address.IsValid():
			return -1
		}
		return 1
	})
	var out []FixedIP
	for _, r := range reqs {
		ip, err := x.serve(p, r)
		if err != nil {
			return nil, err
		}
		x.take(ip, p.ID)
		out = append(out, ip)
	}
	return out, nil
}

func (x *tx) serve(p *Port, r request) (FixedIP, error) {
	if r.address.IsValid() {
		id := r.subnets[0]
		if _, taken := x.spaces[id].used[r.address]; taken {
			return FixedIP{}, addressTaken(r.address, id)
		}
		return FixedIP{id, r.address}, nil
	}
	for _, id := range r.subnets {
		if a, ok := x.spaces[id].pick(); ok {
			return FixedIP{id, a}, nil
		}
	}
	return FixedIP{}, noAddressLeft(p.NetworkID)
}

func (x *tx) take(ip FixedIP, port string) {
	x.spaces[ip.SubnetID].take(ip.Address, port)
	x.onUndo(func() { x.spaces[ip.SubnetID].release(ip.Address, port) })
}

func (x *tx) release(ip FixedIP, port string) {
	x.spaces[ip.SubnetID].release(ip.Address, port)
	x.onUndo(func() { x.spaces[ip.SubnetID].take(ip.Address, port) })
}

// readdress works out the addresses of a changed port: what is asked for
// again stays, a wish for a subnet is met by an address the port has there,
// the rest is released and taken. What follows from the MAC follows it.
func (x *tx) readdress(old, p *Port, want Opt[[]FixedIPSpec]) ([]FixedIP, error) {
	subnets := x.subnetsOf(p.NetworkID)
	left := slices.Clone(old.FixedIPs)
	if !want.Set {
		for _, ip := range left {
			if !x.follows(ip) {
				want.V = append(want.V, FixedIPSpec(ip))
			}
		}
	}
	kept, added := keep(&left, want.V)
	for _, ip := range left {
		// Neutron leaves what follows from the MAC unless the MAC changes.
		if x.follows(ip) && p.MAC == old.MAC && !isRouter(p.DeviceOwner) {
			kept = append(kept, ip)
		}
	}
	reqs, err := x.requests(p, added, subnets)
	if err != nil {
		return nil, err
	}
	for _, ip := range left {
		if !slices.Contains(kept, ip) {
			x.release(ip, p.ID)
		}
	}
	has := make(map[string]bool)
	for _, ip := range kept {
		has[ip.SubnetID] = true
	}
	if !want.Set || len(want.V) > 0 {
		reqs = append(reqs, automaticRequests(p, subnets, has)...)
	}
	taken, err := x.takeAll(p, reqs)
	if err != nil {
		return nil, err
	}
	return append(kept, taken...), nil
}

// follows reports whether an address follows from its port's MAC.
func (x *tx) follows(ip FixedIP) bool { return x.subnets.rows[ip.SubnetID].automatic() }

// keep moves the addresses that are wished for again out of left, and returns
// them and the wishes that none of them meets.
func keep(left *[]FixedIP, want []FixedIPSpec) (kept []FixedIP, added []FixedIPSpec) {
	meet := func(w FixedIPSpec, fits func(FixedIP) bool) {
		if i := slices.IndexFunc(*left, fits); i >= 0 {
			kept = append(kept, (*left)[i])
			*left = slices.Delete(*left, i, i+1)
			return
		}
		added = append(added, w)
	}
	for _, w := range want {
		if w.Address.IsValid() {
			meet(w, func(ip FixedIP) bool {
				return ip.Address == w.Address && (w.SubnetID == "" || w.SubnetID == ip.SubnetID)
			})
		}
	}
	for _, w := range want {
		if !w.Address.IsValid() {
			meet(w, func(ip FixedIP) bool { return ip.SubnetID == w.SubnetID })
		}
	}
	return kept, added
}

// addAutomatic gives the ports that are on a network their address on a new
// subnet where addresses follow from the MAC.
func (x *tx) addAutomatic(s *Subnet) {
	for _, id := range x.portNetwork.list(s.NetworkID) {
		p := *x.ports.rows[id]
		if isRouter(p.DeviceOwner) || goesWithNetwork(p.DeviceOwner) {
			continue
		}
		ip := FixedIP{s.ID, eui64(s.CIDR, p.MAC)}
		p.FixedIPs = append(slices.Clone(p.FixedIPs), ip)
		p.touch(x.now)
		set(x, x.ports, id, &p)
	}
}

// eui64 returns the address in a /64 that follows from a MAC address (RFC 4291, appendix A).
func eui64(cidr netip.Prefix, mac string) netip.Addr {
	m, err := net.ParseMAC(mac)
	if err != nil || len(m) != 6 {
		return netip.Addr{} // not reached: every stored MAC was checked
	}
	b := cidr.Addr().As16()
	copy(b[8:], []byte{m[0] ^ 2, m[1], m[2], 0xff, 0xfe, m[3], m[4], m[5]})
	return netip.AddrFrom16(b)
}
