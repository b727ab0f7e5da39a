package replay

import (
	"net"
	"net/netip"
	"slices"
	"strings"
)

// fields are the names that a success may carry, by method. Docker reads a
// misspelt one as absent.
var fields = map[string][]string{
	"Plugin.Activate":                    {"Implements"},
	"NetworkDriver.GetCapabilities":      {"Scope", "ConnectivityScope", "GwAllocChecker"},
	"NetworkDriver.GwAllocCheck":         {"SkipIPv4", "SkipIPv6"},
	"NetworkDriver.AllocateNetwork":      {"Options"},
	"NetworkDriver.CreateEndpoint":       {"Interface"},
	"NetworkDriver.EndpointOperInfo":     {"Value"},
	"NetworkDriver.Join":                 {"InterfaceName", "Gateway", "GatewayIPv6", "StaticRoutes", "DisableGatewayService"},
	"IpamDriver.GetCapabilities":         {"RequiresMACAddress", "RequiresRequestReplay"},
	"IpamDriver.GetDefaultAddressSpaces": {"LocalDefaultAddressSpace", "GlobalDefaultAddressSpace"},
	"IpamDriver.RequestPool":             {"PoolID", "Pool", "Data"},
	"IpamDriver.RequestAddress":          {"Address", "Data"},
}

// judge checks a success against the rules of its method.
func (r *runner) judge(method string, q map[string]any, a answer) {
	r.t.Helper()
	for name := range a.fields {
		if !slices.Contains(fields[method], name) {
			r.errorf("the answer has a field %q that Docker does not know: %s", name, a.body)
		}
	}
	switch method {
	case "Plugin.Activate":
		l, _ := a.fields["Implements"].([]any)
		if !slices.Contains(l, any("NetworkDriver")) || !slices.Contains(l, any("IpamDriver")) {
			r.errorf("implements %s, not both drivers", a.body)
		}
	case "NetworkDriver.GetCapabilities":
		if !slices.Contains([]string{"local", "global"}, text(a.fields["Scope"])) {
			r.errorf("Docker drops a driver without a scope: %s", a.body)
		}
		if !slices.Contains([]string{"", "local", "global"}, text(a.fields["ConnectivityScope"])) {
			r.errorf("no such connectivity scope: %s", a.body)
		}
	case "IpamDriver.GetDefaultAddressSpaces":
		if text(a.fields["LocalDefaultAddressSpace"]) == "" || text(a.fields["GlobalDefaultAddressSpace"]) == "" {
			r.errorf("an address space has no name: %s", a.body)
		}
	case "IpamDriver.RequestPool":
		r.judgePool(q, a)
	case "IpamDriver.RequestAddress":
		r.judgeAddress(q, a)
	case "NetworkDriver.CreateEndpoint":
		r.judgeEndpoint(q, a)
	case "NetworkDriver.Join":
		r.judgeJoin(q, a)
	case "NetworkDriver.EndpointOperInfo":
		if _, ok := a.fields["Value"].(map[string]any); !ok {
			r.errorf("no Value: %s", a.body)
		}
	}
}

// judgePool: an ID of its own, and the wished subnet, or one that is free.
func (r *runner) judgePool(q map[string]any, a answer) {
	r.t.Helper()
	id := text(a.fields["PoolID"])
	if id == "" || r.pool(id) != nil {
		r.errorf("PoolID %q is not one of its own", id)
	}
	cidr, err := netip.ParsePrefix(text(a.fields["Pool"]))
	if err != nil || cidr != cidr.Masked() {
		r.errorf("Pool %q is not the address of a network", a.fields["Pool"])
		return
	}
	if v6, _ := q["V6"].(bool); v6 != cidr.Addr().Is6() {
		r.errorf("Pool %s is of the wrong family", cidr)
	}
	if want := text(q["Pool"]); want != "" {
		if cidr.String() != want {
			r.errorf("Pool %s is not the wished %s", cidr, want)
		}
		return
	}
	for _, p := range r.held {
		if p.cidr.Overlaps(cidr) {
			r.errorf("Pool %s was chosen though %s is in use: Docker asks again without end", cidr, p.cidr)
		}
	}
}

// judgeAddress: with its length, in its pool, the wished one, and free.
func (r *runner) judgeAddress(q map[string]any, a answer) {
	r.t.Helper()
	got, err := netip.ParsePrefix(text(a.fields["Address"]))
	p := r.pool(text(q["PoolID"]))
	switch {
	case err != nil:
		r.errorf("Address %q is not an address with the length of a prefix", a.fields["Address"])
	case p == nil: // released before; the recorder took that
	case !p.cidr.Contains(got.Addr()) || got.Bits() != p.cidr.Bits():
		r.errorf("Address %s is not one of %s", got, p.cidr)
	case text(q["Address"]) != "" && text(q["Address"]) != got.Addr().String():
		r.errorf("Address %s is not the wished %s", got, q["Address"])
	case p.taken[got.Addr()]:
		r.errorf("Address %s was given already", got)
	}
}

// judgeEndpoint: nothing that the request had.
func (r *runner) judgeEndpoint(q map[string]any, a answer) {
	r.t.Helper()
	asked, _ := q["Interface"].(map[string]any)
	given, ok := a.fields["Interface"].(map[string]any)
	if !ok && a.fields["Interface"] != nil {
		r.errorf("Interface is no object: %s", a.body)
	}
	for name, v := range given {
		s := text(v)
		if text(asked[name]) != "" && s != "" {
			r.errorf("%s %q was given by Docker: an answer may not have it", name, s)
		}
		var err error
		switch {
		case name == "MacAddress" && s != "":
			_, err = net.ParseMAC(s)
		case (name == "Address" || name == "AddressIPv6") && s != "":
			_, err = netip.ParsePrefix(s)
		case s != "":
			r.errorf("the interface has a field %q that Docker does not know", name)
		}
		if err != nil {
			r.errorf("%s: %v", name, err)
		}
	}
}

// judgeJoin: a link of its own, the gateways of the endpoint's own subnets,
// and no way out through the host.
func (r *runner) judgeJoin(q map[string]any, a answer) {
	r.t.Helper()
	name, _ := a.fields["InterfaceName"].(map[string]any)
	src, dst := text(name["SrcName"]), text(name["DstPrefix"])
	if src == "" || len(src) > 15 || dst == "" || len(dst) > 12 || strings.ContainsAny(src+dst, "/ ") {
		r.errorf("interfaces can't be named so: %s", a.body)
	}
	e := r.endpoints[text(q["EndpointID"])]
	for _, other := range r.endpoints {
		if other != e && other.link == src {
			r.errorf("link %q is another endpoint's", src)
		}
	}
	r.judgeGateway("Gateway", text(a.fields["Gateway"]), e, netip.Addr.Is4)
	r.judgeGateway("GatewayIPv6", text(a.fields["GatewayIPv6"]), e, netip.Addr.Is6)
	disabled, _ := a.fields["DisableGatewayService"].(bool)
	if !disabled && text(a.fields["Gateway"]) == "" && text(a.fields["GatewayIPv6"]) == "" {
		r.errorf("no gateway, and DisableGatewayService is not set: Docker adds an interface to docker_gwbridge")
	}
	routes, _ := a.fields["StaticRoutes"].([]any)
	for _, v := range routes {
		r.judgeRoute(v)
	}
}

// judgeGateway checks the gateway of one family: what the network has for the
// endpoint's subnet, and none on internal networks.
func (r *runner) judgeGateway(field, got string, e *endpoint, family func(netip.Addr) bool) {
	r.t.Helper()
	want := ""
	for _, s := range e.network.subnets {
		mine := slices.ContainsFunc(e.addresses, s.cidr.Contains)
		if mine && family(s.cidr.Addr()) && s.gateway.IsValid() && !e.network.internal {
			want = s.gateway.String()
			break
		}
	}
	if got != want {
		r.errorf("%s is %q, want %q", field, got, want)
	}
}

func (r *runner) judgeRoute(v any) {
	r.t.Helper()
	route, _ := v.(map[string]any)
	dst, err := netip.ParsePrefix(text(route["Destination"]))
	if err != nil || dst != dst.Masked() {
		r.errorf("route to %q: not the address of a network", route["Destination"])
	} else if dst.Bits() == 0 {
		r.errorf("a default route as a static one makes Docker 29 fail the start")
	}
	if kind, _ := route["RouteType"].(float64); kind == 0 {
		if _, err := netip.ParseAddr(text(route["NextHop"])); err != nil {
			r.errorf("route to %s: next hop: %v", dst, err)
		}
	}
}
