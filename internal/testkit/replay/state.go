package replay

import (
	"encoding/json"
	"maps"
	"net/netip"
	"slices"
)

// state is what Docker would know by now, in the driver's terms, and how the
// recording names it.
type state struct {
	spaces    map[string]string // address spaces: recorded to the driver's
	pools     map[string]*pool  // by recorded PoolID
	held      []*pool           // not released yet, oldest first
	networks  map[string]*network
	endpoints map[string]*endpoint
}

// pool is an address pool that the driver gave.
type pool struct {
	id             string
	cidr, recorded netip.Prefix
	addresses      map[netip.Addr]netip.Addr // recorded to the driver's
	taken          map[netip.Addr]bool       // the driver's, not released yet
}

// network is a network that the driver made.
type network struct {
	id       string
	internal bool
	subnets  []subnet
	pools    []*pool // those of the driver's own
	removed  bool
}

type subnet struct {
	cidr    netip.Prefix
	gateway netip.Addr // the zero Addr: none
}

// endpoint is an endpoint that the driver made.
type endpoint struct {
	network   *network
	addresses []netip.Addr
	link      string // "": not joined
}

func newState() *state {
	return &state{spaces: map[string]string{}, pools: map[string]*pool{}, networks: map[string]*network{}, endpoints: map[string]*endpoint{}}
}

// learnSpaces asks the driver for its address spaces; the recorder's were
// lab_local and lab_global.
func (r *runner) learnSpaces(s *Scenario) {
	r.t.Helper()
	r.where = s.Name + ": asking for the address spaces"
	a, ok := r.send("IpamDriver.GetDefaultAddressSpaces", nil)
	if !ok {
		return
	}
	r.judge("IpamDriver.GetDefaultAddressSpaces", nil, a)
	r.spaces["lab_local"] = text(a.fields["LocalDefaultAddressSpace"])
	r.spaces["lab_global"] = text(a.fields["GlobalDefaultAddressSpace"])
}

// translate puts a recorded request into the driver's terms. It reports false
// for one that Docker would not send: about something that the driver refused to make.
func (r *runner) translate(method string, q map[string]any) bool {
	if s, ok := r.spaces[text(q["AddressSpace"])]; ok {
		q["AddressSpace"] = s
	}
	if id, ok := q["PoolID"]; ok {
		p := r.pools[text(id)]
		if p == nil {
			return false
		}
		q["PoolID"] = p.id
		if text(q["Address"]) != "" {
			q["Address"] = p.translate(text(q["Address"]))
		}
	}
	switch method {
	case "NetworkDriver.CreateNetwork", "NetworkDriver.AllocateNetwork":
		return r.translateData(q["IPv4Data"]) && r.translateData(q["IPv6Data"])
	case "NetworkDriver.FreeNetwork":
		return true
	}
	if id, ok := q["NetworkID"]; ok && !removal(method) {
		n := r.networks[text(id)]
		if n == nil || n.removed {
			return false
		}
		if i, ok := q["Interface"].(map[string]any); ok {
			n.translate(i, "Address")
			n.translate(i, "AddressIPv6")
		} else if method != "NetworkDriver.EndpointOperInfo" && r.endpoints[text(q["EndpointID"])] == nil {
			return false
		}
	}
	return true
}

// translateData puts the pools that a network is made of into the driver's terms.
func (r *runner) translateData(list any) bool {
	l, _ := list.([]any)
	for _, v := range l {
		d := v.(map[string]any)
		p := r.newest(text(d["Pool"]))
		if s, ok := r.spaces[text(d["AddressSpace"])]; ok {
			d["AddressSpace"] = s
			if p == nil {
				return false
			}
		}
		if p == nil {
			continue // of another IPAM driver
		}
		d["Pool"] = p.cidr.String()
		if g := text(d["Gateway"]); g != "" {
			d["Gateway"] = p.translate(g)
		}
		aux, _ := d["AuxAddresses"].(map[string]any)
		for name, a := range aux {
			aux[name] = p.translate(text(a))
		}
	}
	return true
}

// newest returns the pool that was given last of those held for a recorded CIDR.
func (r *runner) newest(cidr string) *pool {
	for _, p := range slices.Backward(r.held) {
		if p.recorded.String() == cidr {
			return p
		}
	}
	return nil
}

// translate puts an address, with the length of a prefix or without, into the
// driver's terms. One that the user chose stays as it is.
func (p *pool) translate(s string) string {
	if a, err := netip.ParseAddr(s); err == nil {
		if b, ok := p.addresses[a]; ok {
			return b.String()
		}
	}
	if a, err := netip.ParsePrefix(s); err == nil {
		if b, ok := p.addresses[a.Addr()]; ok {
			return netip.PrefixFrom(b, p.cidr.Bits()).String()
		}
	}
	return s
}

// translate does the same for a field of an interface on a network.
func (n *network) translate(i map[string]any, field string) {
	old := text(i[field])
	for _, p := range n.pools {
		if s := p.translate(old); s != old {
			i[field] = s
			return
		}
	}
}

// learn remembers what a call made, and how the recording calls it.
func (r *runner) learn(c Call, q map[string]any, a answer) {
	var recorded struct{ PoolID, Pool, Address string }
	if c.Response != nil && !c.Failed() {
		_ = json.Unmarshal(c.Response, &recorded) // an answer of another shape says nothing
	}
	switch c.Method {
	case "IpamDriver.RequestPool":
		p := &pool{id: text(a.fields["PoolID"]), addresses: map[netip.Addr]netip.Addr{}, taken: map[netip.Addr]bool{}}
		p.cidr, _ = netip.ParsePrefix(text(a.fields["Pool"]))
		p.recorded, _ = netip.ParsePrefix(recorded.Pool)
		r.held = append(r.held, p)
		if recorded.PoolID != "" {
			r.pools[recorded.PoolID] = p
		}
	case "IpamDriver.RequestAddress":
		got, err := netip.ParsePrefix(text(a.fields["Address"]))
		p := r.pool(text(q["PoolID"]))
		if err != nil || p == nil {
			return
		}
		p.taken[got.Addr()] = true
		if old, err := netip.ParsePrefix(recorded.Address); err == nil {
			p.addresses[old.Addr()] = got.Addr()
		}
	case "NetworkDriver.CreateNetwork":
		r.networks[text(q["NetworkID"])] = r.newNetwork(q)
	case "NetworkDriver.CreateEndpoint":
		r.endpoints[text(q["EndpointID"])] = r.newEndpoint(q, a)
	case "NetworkDriver.Join":
		if e := r.endpoints[text(q["EndpointID"])]; e != nil {
			name, _ := a.fields["InterfaceName"].(map[string]any)
			e.link = text(name["SrcName"])
		}
	}
}

// pool returns a held pool by the driver's ID.
func (r *runner) pool(id string) *pool {
	i := slices.IndexFunc(r.held, func(p *pool) bool { return p.id == id })
	if i < 0 {
		return nil
	}
	return r.held[i]
}

func (r *runner) newNetwork(q map[string]any) *network {
	n := &network{id: text(q["NetworkID"])}
	options, _ := q["Options"].(map[string]any)
	n.internal, _ = options["com.docker.network.internal"].(bool)
	v4, _ := q["IPv4Data"].([]any)
	v6, _ := q["IPv6Data"].([]any)
	for _, v := range append(slices.Clone(v4), v6...) {
		d := v.(map[string]any)
		cidr, err := netip.ParsePrefix(text(d["Pool"]))
		if err != nil {
			continue
		}
		gateway, _ := netip.ParsePrefix(text(d["Gateway"]))
		n.subnets = append(n.subnets, subnet{cidr: cidr, gateway: gateway.Addr()})
		for _, p := range slices.Backward(r.held) {
			if p.cidr == cidr {
				n.pools = append(n.pools, p)
				break
			}
		}
	}
	return n
}

func (r *runner) newEndpoint(q map[string]any, a answer) *endpoint {
	e := &endpoint{network: r.networks[text(q["NetworkID"])]}
	asked, _ := q["Interface"].(map[string]any)
	given, _ := a.fields["Interface"].(map[string]any)
	for _, i := range []map[string]any{asked, given} {
		for _, key := range []string{"Address", "AddressIPv6"} {
			if p, err := netip.ParsePrefix(text(i[key])); err == nil {
				e.addresses = append(e.addresses, p.Addr())
			}
		}
	}
	return e
}

// forget drops what a removal took away.
func (r *runner) forget(method string, q map[string]any) {
	switch method {
	case "IpamDriver.ReleasePool":
		r.held = slices.DeleteFunc(r.held, func(p *pool) bool { return p.id == text(q["PoolID"]) })
	case "IpamDriver.ReleaseAddress":
		a, err := netip.ParseAddr(text(q["Address"]))
		if p := r.pool(text(q["PoolID"])); p != nil && err == nil {
			delete(p.taken, a)
			maps.DeleteFunc(p.addresses, func(_, b netip.Addr) bool { return a == b })
		}
	case "NetworkDriver.DeleteNetwork":
		if n := r.networks[text(q["NetworkID"])]; n != nil {
			n.removed = true
		}
	case "NetworkDriver.DeleteEndpoint":
		delete(r.endpoints, text(q["EndpointID"]))
	case "NetworkDriver.Leave":
		if e := r.endpoints[text(q["EndpointID"])]; e != nil {
			e.link = ""
		}
	}
}
