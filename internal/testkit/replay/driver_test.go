package replay

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
)

// driver is a network plugin that does just enough to follow the protocol.
// Unlike the recorder's, its subnets are 10.99.N.0/24 and its gateways .99.
type driver struct {
	n        int
	pools    map[string]netip.Prefix
	next     map[string]netip.Addr
	networks map[string]map[string]any // CreateNetwork requests
	hosts    map[string][]string       // addresses by endpoint
	sent     []string                  // methods
	spoil    func(method string, q, a map[string]any)
	status   int
}

func newDriver() *driver {
	return &driver{pools: map[string]netip.Prefix{}, next: map[string]netip.Addr{}, networks: map[string]map[string]any{}, hosts: map[string][]string{}, status: 200}
}

func (d *driver) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	method := strings.TrimPrefix(r.URL.Path, "/")
	d.sent = append(d.sent, method)
	q := map[string]any{}
	a := map[string]any{}
	if err := json.NewDecoder(r.Body).Decode(&q); err != nil && !bare(method) {
		a = map[string]any{"Err": "empty", "Error": "empty"}
	} else if err := d.do(method, q, a); err != "" {
		a = map[string]any{"Err": err, "Error": err}
	}
	if d.spoil != nil {
		d.spoil(method, q, a)
	}
	w.WriteHeader(d.status)
	if a["raw"] != nil {
		fmt.Fprint(w, a["raw"])
		return
	}
	json.NewEncoder(w).Encode(a)
}

func (d *driver) do(method string, q, a map[string]any) string {
	switch method {
	case "Plugin.Activate":
		a["Implements"] = []string{"NetworkDriver", "IpamDriver"}
	case "NetworkDriver.GetCapabilities":
		a["Scope"] = "local"
	case "IpamDriver.GetDefaultAddressSpaces":
		a["LocalDefaultAddressSpace"], a["GlobalDefaultAddressSpace"] = "here", "there"
	case "IpamDriver.RequestPool":
		if q["AddressSpace"] != "here" && q["AddressSpace"] != "there" {
			return "no such address space"
		}
		d.n++
		cidr := text(q["Pool"])
		if cidr == "" && q["V6"] == true {
			cidr = fmt.Sprintf("fd99:%x::/64", d.n)
		} else if cidr == "" {
			cidr = fmt.Sprintf("10.99.%d.0/24", d.n)
		}
		id := fmt.Sprint("p", d.n)
		d.pools[id] = netip.MustParsePrefix(cidr)
		first := d.pools[id].Addr()
		for range 99 {
			first = first.Next()
		}
		d.next[id] = first
		a["PoolID"], a["Pool"] = id, cidr
	case "IpamDriver.RequestAddress":
		id := text(q["PoolID"])
		addr, err := netip.ParseAddr(text(q["Address"]))
		if err != nil {
			addr = d.next[id]
			d.next[id] = addr.Next()
		}
		a["Address"] = netip.PrefixFrom(addr, d.pools[id].Bits()).String()
	case "NetworkDriver.CreateNetwork":
		d.networks[text(q["NetworkID"])] = q
	case "NetworkDriver.CreateEndpoint":
		i, _ := q["Interface"].(map[string]any)
		d.hosts[text(q["EndpointID"])] = []string{text(i["Address"]), text(i["AddressIPv6"])}
	case "NetworkDriver.EndpointOperInfo":
		a["Value"] = map[string]any{}
	case "NetworkDriver.Join":
		a["InterfaceName"] = map[string]any{"SrcName": "t" + text(q["EndpointID"])[:8], "DstPrefix": "eth"}
		a["DisableGatewayService"] = true
		d.gateways(q, a)
	}
	return ""
}

// gateways are those of the endpoint's subnets.
func (d *driver) gateways(q, a map[string]any) {
	n := d.networks[text(q["NetworkID"])]
	o, _ := n["Options"].(map[string]any)
	if o["com.docker.network.internal"] == true {
		return
	}
	for i, field := range []string{"Gateway", "GatewayIPv6"} {
		l, _ := n[[]string{"IPv4Data", "IPv6Data"}[i]].([]any)
		for _, v := range l {
			data := v.(map[string]any)
			host, err := netip.ParsePrefix(d.hosts[text(q["EndpointID"])][i])
			if err == nil && text(data["Gateway"]) != "" && netip.MustParsePrefix(text(data["Pool"])).Contains(host.Addr()) {
				a[field], _, _ = strings.Cut(text(data["Gateway"]), "/")
			}
		}
	}
}
