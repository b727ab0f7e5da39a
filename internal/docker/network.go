package docker

import (
	"context"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"unicode"

	"kuryr/internal/courier"
	"kuryr/internal/observe"
)

// addNetworkDriver adds the methods of the network driver.
func (s *server) addNetworkDriver() {
	// Scope "local" with global connectivity is what fits a driver whose
	// networks live in Neutron: Docker creates them host by host, without a swarm.
	capabilities := networkCapabilities{Scope: s.opts.Scope, ConnectivityScope: "global", GwAllocChecker: true}
	for name, m := range map[string]method{
		"GetCapabilities":             plain("tell the network driver's capabilities", capabilities),
		"GwAllocCheck":                with("check what gateways a network needs", s.gwAllocCheck),
		"AllocateNetwork":             with("allocate network", s.allocateNetwork),
		"FreeNetwork":                 with("free network", s.freeNetwork),
		"CreateNetwork":               with("create network", s.createNetwork),
		"DeleteNetwork":               with("delete network", s.deleteNetwork),
		"CreateEndpoint":              with("create endpoint", s.createEndpoint),
		"DeleteEndpoint":              with("delete endpoint", s.deleteEndpoint),
		"EndpointOperInfo":            with("describe endpoint", s.endpointOperInfo),
		"Join":                        with("join endpoint", s.join),
		"Leave":                       with("leave endpoint", s.leave),
		"ProgramExternalConnectivity": with("publish ports of endpoint", s.programExternalConnectivity),
		"RevokeExternalConnectivity":  with("withdraw ports of endpoint", s.revokeExternalConnectivity),
		"DiscoverNew":                 plain("greet a node", empty{}), // Neutron knows the nodes
		"DiscoverDelete":              plain("forget a node", empty{}),
	} {
		s.methods["NetworkDriver."+name] = m
	}
}

// gwAllocCheck has Docker (from 28.0) reserve no gateways for internal
// networks. One that the user names is requested all the same.
func (s *server) gwAllocCheck(_ context.Context, q gwAllocCheckRequest) (any, error) {
	o, err := s.networkOptions(q.Options, false)
	if err != nil {
		return nil, err
	}
	return gwAllocCheckResponse{SkipIPv4: o.internal, SkipIPv6: o.internal}, nil
}

// allocateNetwork gives a swarm's manager the options that every node's
// CreateNetwork is to have: the user's own. What nodes would refuse is refused here.
func (s *server) allocateNetwork(_ context.Context, q allocateNetworkRequest) (any, error) {
	if _, _, err := s.driverOptions(q.Options, len(q.IPv6Data) > 0); err != nil {
		return nil, err
	}
	if _, err := networkPools(q.IPv4Data, q.IPv6Data); err != nil {
		return nil, err
	}
	if q.Options == nil {
		q.Options = map[string]string{}
	}
	return allocateNetworkResponse{Options: q.Options}, nil
}

// freeNetwork has nothing to undo: allocateNetwork keeps nothing.
func (s *server) freeNetwork(context.Context, networkRef) (any, error) { return empty{}, nil }

func (s *server) createNetwork(ctx context.Context, q createNetworkRequest) (any, error) {
	o, err := s.networkOptions(q.Options, len(q.IPv6Data) > 0)
	if err != nil {
		return nil, err
	}
	pools, err := networkPools(q.IPv4Data, q.IPv6Data)
	if err != nil {
		return nil, err
	}
	r := courier.NetworkRequest{ID: q.network(), Pools: pools, Internal: o.internal, MTU: o.mtu}
	if err := o.neutron.network(&r); err != nil {
		return nil, err
	}
	if err := s.courier.CreateNetwork(ctx, r); err != nil {
		return nil, err
	}
	if hungUp(ctx) {
		return nil, s.withdraw(ctx, r.ID)
	}
	return empty{}, nil
}

// withdraw deletes a network that Docker did not live to hear of. It writes a
// network down when it has the answer, so that nothing would ever lead to this
// one again: it has no container, of which the kernel could tell.
func (s *server) withdraw(ctx context.Context, id courier.EngineNetworkID) error {
	if err := s.courier.DeleteNetwork(ctx, id); err != nil && !gone(err) {
		return err
	}
	return invalid("Docker hung up before the network was made; it is deleted again").hinted("create it again")
}

// maxAuxiliaryName bounds the name of an auxiliary address, in bytes: that of
// its port in Neutron has a word in front.
const maxAuxiliaryName = 200

// networkPools reads the pools of a network, both families.
func networkPools(v4, v6 []ipamData) ([]courier.NetworkPool, error) {
	var out []courier.NetworkPool
	for _, d := range v4 {
		p, err := d.pool(courier.IPv4)
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	for _, d := range v6 {
		p, err := d.pool(courier.IPv6)
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}

// pool reads one pool and the addresses that are set aside in it.
func (d ipamData) pool(f courier.Family) (courier.NetworkPool, error) {
	if d.AddressSpace == "null" || d.Pool == "0.0.0.0/0" || d.Pool == "::/0" {
		return courier.NetworkPool{}, unsupported("Docker's null IPAM driver gives no addresses").
			hinted("create the network with --ipam-driver kuryr")
	}
	cidr, err := parseCIDR("pool", d.Pool, f)
	if err != nil {
		return courier.NetworkPool{}, err
	}
	out := courier.NetworkPool{AddressSpace: d.AddressSpace, CIDR: cidr}
	if d.Gateway != "" {
		if out.Gateway, err = within(cidr, "gateway", d.Gateway, f); err != nil {
			return courier.NetworkPool{}, err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(d.AuxAddresses)) {
		if len(name) > maxAuxiliaryName || strings.ContainsFunc(name, unicode.IsControl) {
			return courier.NetworkPool{}, invalid("the name %.40q of an auxiliary address is too long, or has control characters in it", name)
		}
		a, err := within(cidr, "auxiliary address", d.AuxAddresses[name], f)
		if err != nil {
			return courier.NetworkPool{}, err
		}
		if out.Auxiliary == nil {
			out.Auxiliary = map[string]netip.Addr{}
		}
		out.Auxiliary[name] = a
	}
	return out, nil
}

// within reads an address that must lie in a pool.
func within(cidr netip.Prefix, what, s string, f courier.Family) (netip.Addr, error) {
	p, err := parseHost(what, s, f)
	if err != nil {
		return netip.Addr{}, err
	}
	if !cidr.Contains(p.Addr()) {
		return netip.Addr{}, invalid("%s %s is not in %s", what, p.Addr(), cidr)
	}
	return p.Addr(), nil
}

func (s *server) deleteNetwork(ctx context.Context, q networkRef) (any, error) {
	return removed(s.courier.DeleteNetwork(ctx, q.network()))
}

func (s *server) createEndpoint(ctx context.Context, q createEndpointRequest) (any, error) {
	o, err := s.endpointOptions(q.Options)
	if err != nil {
		return nil, err
	}
	mac, err := parseMAC(q.Interface.MacAddress)
	if err != nil {
		return nil, err
	}
	if mac.IsZero() {
		mac = o.mac
	}
	addresses, err := q.Interface.addresses()
	if err != nil {
		return nil, err
	}
	got, err := s.courier.Attach(ctx, courier.AttachRequest{
		Network:   q.network(),
		Endpoint:  q.endpoint(),
		Addresses: addresses,
		MAC:       mac,
		Published: o.published,
		Port:      o.port,
	})
	if err != nil {
		return nil, err
	}
	return createEndpointResponse{Interface: q.Interface.missing(got)}, nil
}

// addresses reads the addresses that Docker has for the interface already.
func (i endpointInterface) addresses() ([]netip.Addr, error) {
	var out []netip.Addr
	for _, a := range []struct {
		text   string
		family courier.Family
	}{{i.Address, courier.IPv4}, {i.AddressIPv6, courier.IPv6}} {
		if a.text == "" {
			continue
		}
		p, err := parseHost("address", a.text, a.family)
		if err != nil {
			return nil, err
		}
		out = append(out, p.Addr())
	}
	return out, nil
}

// missing returns what Docker did not know before: it takes an answer that
// repeats what it sent, even the same, for an attempt to change it.
func (i endpointInterface) missing(got courier.Attached) endpointInterface {
	var out endpointInterface
	if i.MacAddress == "" {
		out.MacAddress = got.MAC.String()
	}
	for _, p := range got.Addresses {
		switch {
		case p.Addr().Is4() && i.Address == "" && out.Address == "":
			out.Address = p.String()
		case p.Addr().Is6() && i.AddressIPv6 == "" && out.AddressIPv6 == "":
			out.AddressIPv6 = p.String()
		}
	}
	return out
}

func (s *server) deleteEndpoint(ctx context.Context, q endpointRef) (any, error) {
	return removed(s.courier.Detach(ctx, q.network(), q.endpoint()))
}

// endpointOperInfo never fails for what it can't find out: Docker 20.10 gives
// a container's start up on an error, and does nothing with the values.
func (s *server) endpointOperInfo(ctx context.Context, q endpointRef) (any, error) {
	info, err := s.courier.Describe(ctx, q.network(), q.endpoint())
	if err != nil {
		if !gone(err) {
			s.log.LogAttrs(ctx, slog.LevelWarn, "an endpoint can't be described", slog.String(observe.EngineNetwork, q.network().Short()),
				slog.String(observe.Endpoint, q.endpoint().Short()), slog.String(observe.Err, causes(err)))
		}
		return operInfoResponse{Value: map[string]any{}}, nil
	}
	return operInfoResponse{Value: map[string]any{
		"status":      info.State,
		"port_id":     info.Port,
		"mac_address": info.MAC.String(),
	}}, nil
}

func (s *server) join(ctx context.Context, q joinRequest) (any, error) {
	got, err := s.courier.Join(ctx, q.network(), q.endpoint())
	if err != nil {
		return nil, err
	}
	// Without DisableGatewayService a network that has no gateway makes Docker
	// add an interface of its own, docker_gwbridge, and a way out through the host.
	out := joinResponse{
		InterfaceName:         interfaceName{SrcName: got.Link, DstPrefix: s.opts.LinkPrefix},
		DisableGatewayService: true,
	}
	for _, g := range got.Gateways {
		out.setGateway(g)
	}
	for _, r := range got.Routes {
		if r.Destination.Bits() == 0 {
			// As a static route it makes Docker 29 fail the start: "no default route".
			out.setGateway(r.NextHop)
			continue
		}
		out.StaticRoutes = append(out.StaticRoutes, staticRoute{
			Destination: r.Destination.Masked().String(), // host bits make the start fail
			RouteType:   routeNextHop,
			NextHop:     r.NextHop.String(),
		})
	}
	return out, nil
}

// setGateway sets the gateway of an address's family, the first one given.
func (r *joinResponse) setGateway(a netip.Addr) {
	to := &r.Gateway
	if a.Is6() {
		to = &r.GatewayIPv6
	}
	if *to == "" {
		*to = a.String()
	}
}

func (s *server) leave(ctx context.Context, q endpointRef) (any, error) {
	return removed(s.courier.Leave(ctx, q.network(), q.endpoint()))
}

// programExternalConnectivity opens the container's exposed ports, on the
// network that its way out leads through, and has published ones forwarded.
// Docker knows no way to be told that these are not, but an error, which ends
// the container.
func (s *server) programExternalConnectivity(ctx context.Context, q connectivityRequest) (any, error) {
	exposed, err := q.Options.exposed()
	if err != nil {
		return nil, err
	}
	published, err := q.Options.published()
	if err != nil {
		return nil, err
	}
	forwarded, err := s.courier.Expose(ctx, q.network(), q.endpoint(), courier.Exposure{Ports: exposed, Forward: forwardings(published)})
	if err != nil {
		return nil, err
	}
	if n := len(published) - forwarded; n > 0 {
		s.log.LogAttrs(ctx, slog.LevelWarn, "published ports are not forwarded", slog.Int(observe.Count, n),
			slog.String(observe.EngineNetwork, q.network().Short()), slog.String(observe.Endpoint, q.endpoint().Short()))
	}
	return empty{}, nil
}

// revokeExternalConnectivity comes when the endpoint goes, or another network
// is the way out from now on. Docker leaves the call out after a restart of
// its own (29.7): Leave and DeleteEndpoint serve as well.
func (s *server) revokeExternalConnectivity(ctx context.Context, q endpointRef) (any, error) {
	return removed(s.courier.Conceal(ctx, q.network(), q.endpoint()))
}
