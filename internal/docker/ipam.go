package docker

import (
	"context"
	"net/netip"

	"kuryr/internal/courier"
)

// addIPAMDriver adds the methods of the IPAM driver.
func (s *server) addIPAMDriver() {
	for name, m := range map[string]method{
		// No replay: what was requested before a restart is kept by Neutron and the journal.
		"GetCapabilities": plain("tell the IPAM driver's capabilities",
			ipamCapabilities{RequiresMACAddress: s.opts.RequiresMACAddress}),
		"GetDefaultAddressSpaces": plain("tell the default address spaces",
			addressSpaces{LocalDefaultAddressSpace: s.opts.LocalAddressSpace, GlobalDefaultAddressSpace: s.opts.GlobalAddressSpace}),
		"RequestPool":    with("provide an address pool", s.requestPool),
		"ReleasePool":    with("release the addresses", s.releasePool),
		"RequestAddress": with("provide an address", s.requestAddress),
		"ReleaseAddress": with("release an address", s.releaseAddress),
	} {
		s.methods["IpamDriver."+name] = m
	}
}

func (s *server) requestPool(ctx context.Context, q requestPoolRequest) (any, error) {
	o, err := s.neutronOptions(q.Options, onPool)
	if err != nil {
		return nil, err
	}
	noteUnknown(s.noted, q.Options)
	r := courier.PoolRequest{Family: courier.IPv4}
	if q.V6 {
		r.Family = courier.IPv6
	}
	if err := o.pool(&r); err != nil {
		return nil, err
	}
	if r.CIDR, r.Range, err = q.prefixes(r.Family); err != nil {
		return nil, err
	}
	pool, err := s.courier.RequestPool(ctx, r)
	if err != nil {
		return nil, err
	}
	return requestPoolResponse{PoolID: string(pool.ID), Pool: pool.CIDR.String(), Data: map[string]string{}}, nil
}

// prefixes reads the wished subnet and the part of it to hand addresses out
// from; both are zero where nothing is wished.
func (q requestPoolRequest) prefixes(f courier.Family) (cidr, part netip.Prefix, err error) {
	if q.Pool == "" {
		if q.SubPool != "" {
			return cidr, part, invalid("range %.60q has no subnet to lie in", q.SubPool).hinted("give --subnet too")
		}
		return cidr, part, nil
	}
	if cidr, err = parseCIDR("subnet", q.Pool, f); err != nil {
		return cidr, part, err
	}
	if cidr.Bits() == 0 {
		return cidr, part, invalid("subnet %s is every address there is", cidr)
	}
	if q.SubPool == "" {
		return cidr, part, nil
	}
	if part, err = parseCIDR("range", q.SubPool, f); err != nil {
		return cidr, part, err
	}
	if part.Bits() < cidr.Bits() || !cidr.Contains(part.Addr()) {
		return cidr, part, invalid("range %s is not in subnet %s", part, cidr)
	}
	return cidr, part, nil
}

func (s *server) releasePool(ctx context.Context, q poolRef) (any, error) {
	return removed(s.courier.ReleasePool(ctx, q.pool()))
}

func (s *server) requestAddress(ctx context.Context, q requestAddressRequest) (any, error) {
	noteUnknown(s.noted, q.Options, optAddressType, optMAC, optEndpointName, optSerial)
	r := courier.AddressRequest{Pool: q.pool(), Gateway: q.Options[optAddressType] == addressTypeGateway}
	var err error
	if q.Address != "" {
		if r.Address, err = parseAddr("address", q.Address); err != nil {
			return nil, err
		}
	}
	if r.MAC, err = parseMAC(q.Options[optMAC]); err != nil {
		return nil, err
	}
	got, err := s.courier.RequestAddress(ctx, r)
	if err != nil {
		return nil, err
	}
	return requestAddressResponse{Address: got.String(), Data: map[string]string{}}, nil
}

func (s *server) releaseAddress(ctx context.Context, q releaseAddressRequest) (any, error) {
	a, err := parseAddr("address", q.Address)
	if err != nil {
		return nil, err
	}
	return removed(s.courier.ReleaseAddress(ctx, q.pool(), a))
}
