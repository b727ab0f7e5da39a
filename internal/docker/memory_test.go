package docker

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"

	"kuryr/internal/courier"
)

// memory is a Courier that keeps everything in memory. It chooses other
// addresses than the recorded drivers did.
type memory struct {
	mu        sync.Mutex
	n         int // of pools made
	pools     map[courier.PoolID]*memoryPool
	networks  map[courier.EngineNetworkID]courier.NetworkRequest
	endpoints map[courier.EndpointID]courier.AttachRequest
	routes    []courier.Route
	asked     []any                 // what came in, in order
	fault     func(op string) error // nil: none; of a removal that is carried out all the same
}

type memoryPool struct {
	courier.Pool
	part  netip.Prefix
	taken map[netip.Addr]bool
}

// released is an address that was given back.
type released struct {
	Pool    courier.PoolID
	Address netip.Addr
}

func newMemory() *memory {
	return &memory{
		pools:     map[courier.PoolID]*memoryPool{},
		networks:  map[courier.EngineNetworkID]courier.NetworkRequest{},
		endpoints: map[courier.EndpointID]courier.AttachRequest{},
	}
}

func (m *memory) begin(op string, request any) (end func(), err error) {
	m.mu.Lock()
	m.asked = append(m.asked, request)
	if m.fault != nil {
		err = m.fault(op)
	}
	return m.mu.Unlock, err
}

func refusal(k courier.Kind, op, why string) error {
	return &courier.Error{Kind: k, Op: op, Public: why}
}

func (m *memory) RequestPool(_ context.Context, r courier.PoolRequest) (courier.Pool, error) {
	end, err := m.begin("RequestPool", r)
	defer end()
	if err != nil {
		return courier.Pool{}, err
	}
	m.n++
	p := &memoryPool{taken: map[netip.Addr]bool{}, part: r.Range}
	p.ID = courier.PoolID(fmt.Sprintf("00000000-0000-4000-8000-%012d", m.n))
	switch p.CIDR = r.CIDR; {
	case p.CIDR.IsValid():
	case r.Family == courier.IPv6:
		p.CIDR = netip.MustParsePrefix(fmt.Sprintf("fd00:cafe:%x::/64", m.n))
	default:
		p.CIDR = netip.MustParsePrefix(fmt.Sprintf("10.%d.%d.0/24", 230+m.n/256, m.n%256))
	}
	if !p.part.IsValid() {
		p.part = p.CIDR
	}
	m.pools[p.ID] = p
	return p.Pool, nil
}

func (m *memory) ReleasePool(_ context.Context, id courier.PoolID) error {
	end, err := m.begin("ReleasePool", id)
	defer end()
	if m.pools[id] == nil {
		return refusal(courier.NotFound, "release pool", "there is none")
	}
	delete(m.pools, id)
	return err
}

func (m *memory) RequestAddress(_ context.Context, r courier.AddressRequest) (netip.Prefix, error) {
	end, err := m.begin("RequestAddress", r)
	defer end()
	if err != nil {
		return netip.Prefix{}, err
	}
	p := m.pools[r.Pool]
	if p == nil {
		return netip.Prefix{}, refusal(courier.NotFound, "provide an address", "there is no such pool")
	}
	a := r.Address
	if !a.IsValid() {
		for a = p.part.Addr(); a == p.CIDR.Addr() || p.taken[a]; {
			for range 7 { // not the neighbour, which is the recorder's choice
				a = a.Next()
			}
			if !p.part.Contains(a) {
				return netip.Prefix{}, refusal(courier.Exhausted, "provide an address", "none is free in "+p.part.String())
			}
		}
	}
	if p.taken[a] {
		return netip.Prefix{}, refusal(courier.Conflict, "provide address "+a.String(), "it is in use")
	}
	p.taken[a] = true
	return netip.PrefixFrom(a, p.CIDR.Bits()), nil
}

func (m *memory) ReleaseAddress(_ context.Context, id courier.PoolID, a netip.Addr) error {
	end, err := m.begin("ReleaseAddress", released{id, a})
	defer end()
	if m.pools[id] == nil || !m.pools[id].taken[a] {
		return refusal(courier.NotFound, "release an address", "it is not in use")
	}
	delete(m.pools[id].taken, a)
	return err
}

func (m *memory) CreateNetwork(_ context.Context, r courier.NetworkRequest) error {
	end, err := m.begin("CreateNetwork", r)
	defer end()
	if err != nil {
		return err
	}
	if _, ok := m.networks[r.ID]; ok {
		return refusal(courier.Conflict, "create network", "it exists")
	}
	m.networks[r.ID] = r
	return nil
}

func (m *memory) DeleteNetwork(_ context.Context, id courier.EngineNetworkID) error {
	end, err := m.begin("DeleteNetwork", id)
	defer end()
	if _, ok := m.networks[id]; !ok {
		return refusal(courier.NotFound, "delete network", "there is none")
	}
	delete(m.networks, id)
	return err
}

func (m *memory) Attach(_ context.Context, r courier.AttachRequest) (courier.Attached, error) {
	end, err := m.begin("Attach", r)
	defer end()
	if err != nil {
		return courier.Attached{}, err
	}
	n, ok := m.networks[r.Network]
	if !ok {
		return courier.Attached{}, refusal(courier.NotFound, "create endpoint", "there is no such network")
	}
	if r.MAC.IsZero() {
		r.MAC = courier.MAC{0xfa, 0x16, 0x3e, 0, 0, byte(len(m.endpoints) + 1)}
	}
	var out courier.Attached
	if len(r.Addresses) == 0 { // no IPAM driver
		for _, p := range n.Pools {
			r.Addresses = append(r.Addresses, p.CIDR.Addr().Next())
		}
	}
	for _, a := range r.Addresses {
		for _, p := range n.Pools {
			if p.CIDR.Contains(a) {
				out.Addresses = append(out.Addresses, netip.PrefixFrom(a, p.CIDR.Bits()))
			}
		}
	}
	if len(out.Addresses) != len(r.Addresses) {
		return courier.Attached{}, refusal(courier.Invalid, "create endpoint", "an address is not the network's")
	}
	m.endpoints[r.Endpoint] = r
	out.MAC = r.MAC
	return out, nil
}

func (m *memory) Join(_ context.Context, nid courier.EngineNetworkID, id courier.EndpointID) (courier.Joined, error) {
	end, err := m.begin("Join", id)
	defer end()
	if err != nil {
		return courier.Joined{}, err
	}
	e, ok := m.endpoints[id]
	if !ok || e.Network != nid {
		return courier.Joined{}, refusal(courier.NotFound, "join endpoint", "there is none")
	}
	out := courier.Joined{Link: courier.ContainerEnd(courier.PortID(id)), Routes: m.routes}
	n := m.networks[nid]
	for _, p := range n.Pools {
		if !n.Internal && p.Gateway.IsValid() && slices.ContainsFunc(e.Addresses, p.CIDR.Contains) {
			out.Gateways = append(out.Gateways, p.Gateway)
		}
	}
	return out, nil
}

func (m *memory) Leave(_ context.Context, _ courier.EngineNetworkID, id courier.EndpointID) error {
	end, err := m.begin("Leave", id)
	defer end()
	if _, ok := m.endpoints[id]; !ok {
		return refusal(courier.NotFound, "leave endpoint", "there is none")
	}
	return err
}

func (m *memory) Detach(_ context.Context, _ courier.EngineNetworkID, id courier.EndpointID) error {
	end, err := m.begin("Detach", id)
	defer end()
	if _, ok := m.endpoints[id]; !ok {
		return refusal(courier.NotFound, "delete endpoint", "there is none")
	}
	delete(m.endpoints, id)
	return err
}

func (m *memory) Describe(_ context.Context, _ courier.EngineNetworkID, id courier.EndpointID) (courier.AttachmentInfo, error) {
	end, err := m.begin("Describe", id)
	defer end()
	if err != nil {
		return courier.AttachmentInfo{}, err
	}
	e, ok := m.endpoints[id]
	if !ok {
		return courier.AttachmentInfo{}, refusal(courier.NotFound, "describe endpoint", "there is none")
	}
	return courier.AttachmentInfo{Endpoint: id, Port: "3f2c0000-0000-4000-8000-000000000001", MAC: e.MAC, State: "attached"}, nil
}

// exposed is what Expose was asked for; nothing stands for Conceal.
type exposed struct {
	Endpoint courier.EndpointID
	Ports    string
	Forward  []courier.Forwarding
}

func (m *memory) Expose(_ context.Context, _ courier.EngineNetworkID, id courier.EndpointID, x courier.Exposure) (int, error) {
	if len(x.Ports)+len(x.Forward) == 0 {
		return 0, nil
	}
	end, err := m.begin("Expose", exposed{id, x.Ports.String(), x.Forward})
	defer end()
	if _, ok := m.endpoints[id]; !ok {
		return 0, refusal(courier.NotFound, "expose ports", "there is no such endpoint")
	}
	return len(x.Forward), err
}

func (m *memory) Conceal(_ context.Context, _ courier.EngineNetworkID, id courier.EndpointID) error {
	end, err := m.begin("Conceal", exposed{Endpoint: id})
	defer end()
	return err
}

// left lists what was not removed.
func (m *memory) left() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []string
	for id, p := range m.pools {
		out = append(out, fmt.Sprintf("pool %s %s %v", id, p.CIDR, p.taken))
	}
	for id := range m.networks {
		out = append(out, "network "+string(id))
	}
	for id := range m.endpoints {
		out = append(out, "endpoint "+string(id))
	}
	return out
}
