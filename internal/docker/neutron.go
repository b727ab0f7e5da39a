package docker

import (
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/google/uuid"

	"kuryr/internal/courier"
)

// neutronPrefix starts the options that say what is used, or made, in Neutron.
const neutronPrefix = "neutron."

// The options of neutronPrefix.
const (
	optNetUUID    = "neutron.net.uuid"
	optNetName    = "neutron.net.name"
	optNetShared  = "neutron.net.shared"
	optNetCreate  = "neutron.net.create_name"
	optNetQoS     = "neutron.net.qos_policy"
	optNetMTU     = "neutron.net.mtu"
	optSubnetUUID = "neutron.subnet.uuid"
	optSubnetName = "neutron.subnet.name"
	optSubnet6ID  = "neutron.subnet.v6.uuid"
	optSubnet6    = "neutron.subnet.v6.name"
	optPoolUUID   = "neutron.pool.uuid"
	optPoolName   = "neutron.pool.name"
	optPool6ID    = "neutron.pool.v6.uuid"
	optPool6      = "neutron.pool.v6.name"
	optPortGroups = "neutron.port.security_groups"
	optPortQoS    = "neutron.port.qos_policy"
	optPortSecure = "neutron.port.port_security"
	optPortDNS    = "neutron.port.dns_name"
	optPortPairs  = "neutron.port.allowed_address_pairs"
)

// place is where an option may be given.
type place int

// The places, and what Docker's command line calls them.
const (
	onNetwork  place = 1 << iota // docker network create -o
	onPool                       // docker network create --ipam-opt
	onEndpoint                   // docker network connect --driver-opt
)

var placeNames = map[place]string{onNetwork: "-o", onPool: "--ipam-opt", onEndpoint: "--driver-opt"}

// NeutronOption is an option of a network or endpoint that is Neutron's business.
type NeutronOption struct {
	Name   string
	Value  string // what a value looks like
	Doc    string
	places place
}

// Places returns the flags of Docker's command line that take the option.
func (o NeutronOption) Places() (flags []string) {
	for _, p := range []place{onNetwork, onPool, onEndpoint} {
		if o.places&p != 0 {
			flags = append(flags, placeNames[p])
		}
	}
	return flags
}

// NeutronOptions returns all of them, in the order of the reference.
func NeutronOptions() []NeutronOption {
	return []NeutronOption{
		{optNetUUID, "UUID", "Use this Neutron network. It is never changed or deleted.", onNetwork},
		{optNetName, "NAME", "The same, by a name that only one network has.", onNetwork},
		{optNetCreate, "NAME", "Use the network of this name, and make it if there is none. Hosts that do so at once end with one network, the oldest. The last to leave deletes what was made so.", onNetwork},
		{optNetShared, "BOOLEAN", "Share a new network, or subnetpool, with all projects. An existing one must be as it says.", onNetwork | onPool},
		{optNetQoS, "NAME|UUID", "QoS policy of a new network. An existing one must have it.", onNetwork},
		{optNetMTU, "BYTES", "MTU of a new network. On an existing one, of the containers' interfaces; it can't be larger than the network's.", onNetwork},
		{optSubnetUUID, "UUID", "Use this IPv4 subnet; its network, too, if none is named.", onNetwork | onPool},
		{optSubnetName, "NAME", "The same, by a name that only one IPv4 subnet has.", onNetwork | onPool},
		{optSubnet6ID, "UUID", "Use this IPv6 subnet.", onNetwork | onPool},
		{optSubnet6, "NAME", "The same, by a name that only one IPv6 subnet has.", onNetwork | onPool},
		{optPoolUUID, "UUID", "Cut the IPv4 subnet from this subnetpool. Without `--subnet` a free CIDR of it is taken, if given with `--ipam-opt`.", onNetwork | onPool},
		{optPoolName, "NAME", "The same, by a name that only one IPv4 subnetpool has.", onNetwork | onPool},
		{optPool6ID, "UUID", "Cut the IPv6 subnet from this subnetpool.", onNetwork | onPool},
		{optPool6, "NAME", "The same, by a name that only one IPv6 subnetpool has.", onNetwork | onPool},
		{optPortGroups, "NAME|UUID,...", "Security groups of the ports, instead of the project's default group. Empty: none, so that nothing passes.", onNetwork | onEndpoint},
		{optPortQoS, "NAME|UUID", "QoS policy of the ports.", onNetwork | onEndpoint},
		{optPortSecure, "BOOLEAN", "Whether port security (security groups, no spoofed addresses) applies to the ports.", onNetwork | onEndpoint},
		{optPortDNS, "NAME", "DNS name of the ports.", onNetwork | onEndpoint},
		{optPortPairs, "ADDRESS[/LENGTH][=MAC],...", "Further addresses that the containers may use.", onNetwork | onEndpoint},
	}
}

// neutron is the options of one request that start with neutronPrefix.
type neutron map[string]string

// neutronOptions picks them out of o, and refuses those that are unknown, that
// don't belong there, or that the operator does not allow.
func (s *server) neutronOptions(o map[string]string, at place) (neutron, error) {
	var out neutron
	known := NeutronOptions()
	for _, name := range slices.Sorted(maps.Keys(o)) {
		if !strings.HasPrefix(name, neutronPrefix) {
			continue
		}
		i := slices.IndexFunc(known, func(k NeutronOption) bool { return k.Name == name })
		switch {
		case i < 0:
			return nil, invalid("there is no option %.60s", name).hinted("docs/docker.md lists those there are")
		case known[i].places&at == 0:
			return nil, invalid("option %s has no meaning as %s", name, placeNames[at]).hinted("give it with %s", strings.Join(known[i].Places(), " or "))
		case !s.allows(name):
			return nil, &flaw{kind: courier.Unauthorized, public: "option " + name + " is not allowed on this host",
				hint: "the operator can add it to allowed_options of kuryr.conf"}
		case len(o[name]) > maxOptionValue || strings.ContainsFunc(o[name], unicode.IsControl):
			return nil, invalid("option %s is too long, or has control characters in it", name)
		}
		if out == nil {
			out = neutron{}
		}
		out[name] = o[name]
	}
	return out, nil
}

// maxOptionValue bounds a value, in bytes: a dozen security groups by UUID.
const maxOptionValue = 1024

// maxNeutronName bounds a name, in characters, as Neutron does.
const maxNeutronName = 255

// safeOptions stands for all options but those with which a container may send
// from addresses that are not its own.
const safeOptions = "safe"

// allows tells whether the operator lets users of Docker give an option.
func (s *server) allows(name string) bool {
	if s.opts.Allowed == nil {
		return true
	}
	return slices.ContainsFunc(s.opts.Allowed, func(pattern string) bool {
		stem, open := strings.CutSuffix(pattern, "*")
		if pattern == safeOptions {
			return name != optPortSecure && name != optPortPairs
		}
		return name == pattern || open && strings.HasPrefix(name, stem)
	})
}

// reference reads the options that name one resource, by its UUID or its name.
// An empty value is none: so Zun says that there is nothing.
func (o neutron) reference(idOption, nameOption string) (courier.Reference, error) {
	id, name := o[idOption], o[nameOption]
	switch {
	case id != "" && name != "":
		return courier.Reference{}, invalid("options %s and %s are both given", idOption, nameOption).hinted("give one of them")
	case id != "" && !isUUID(id):
		return courier.Reference{}, invalid("option %s is %.60q, which is no UUID", idOption, id)
	case len(name) > maxNeutronName:
		return courier.Reference{}, invalid("option %s is longer than %d characters", nameOption, maxNeutronName)
	}
	return courier.Reference{ID: strings.ToLower(id), Name: name}, nil
}

func isUUID(s string) bool { return len(s) == 36 && uuid.Validate(s) == nil }

// either reads an option that names a resource by its UUID or its name.
func (o neutron) either(option string) (courier.Reference, error) {
	v, given := o[option]
	if !given {
		return courier.Reference{}, nil
	}
	return nameOrID(option, v)
}

func nameOrID(option, v string) (courier.Reference, error) {
	v = strings.TrimSpace(v)
	switch {
	case v == "":
		return courier.Reference{}, invalid("option %s is empty", option)
	case len(v) > maxNeutronName:
		return courier.Reference{}, invalid("option %s has a name longer than %d characters", option, maxNeutronName)
	case isUUID(v):
		return courier.Reference{ID: strings.ToLower(v)}, nil
	}
	return courier.Reference{Name: v}, nil
}

// truth reads a truth value; nil: not given.
func (o neutron) truth(option string) (*bool, error) {
	text, given := o[option]
	if !given {
		return nil, nil
	}
	v, err := strconv.ParseBool(text)
	if err != nil {
		return nil, invalid("option %s is %.60q, neither true nor false", option, text)
	}
	return &v, nil
}

// list reads a list; nil: not given. A semicolon separates as a comma does,
// which means something else within docker run --network name=...,driver-opt=...
func (o neutron) list(option string) []string {
	text, given := o[option]
	if !given {
		return nil
	}
	out := []string{}
	for _, v := range strings.FieldsFunc(text, func(c rune) bool { return c == ',' || c == ';' }) {
		if v = strings.TrimSpace(v); v != "" {
			out = append(out, v)
		}
	}
	return out
}

// byFamily reads the options that name a subnet, or a subnetpool, of each family.
func (o neutron) byFamily(id4, name4, id6, name6 string) (map[courier.Family]courier.Reference, error) {
	var out map[courier.Family]courier.Reference
	for f, options := range map[courier.Family][2]string{courier.IPv4: {id4, name4}, courier.IPv6: {id6, name6}} {
		r, err := o.reference(options[0], options[1])
		if err != nil {
			return nil, err
		}
		if !r.IsZero() {
			if out == nil {
				out = map[courier.Family]courier.Reference{}
			}
			out[f] = r
		}
	}
	return out, nil
}

func (o neutron) subnets() (map[courier.Family]courier.Reference, error) {
	return o.byFamily(optSubnetUUID, optSubnetName, optSubnet6ID, optSubnet6)
}

func (o neutron) subnetPools() (map[courier.Family]courier.Reference, error) {
	return o.byFamily(optPoolUUID, optPoolName, optPool6ID, optPool6)
}

// network puts the options of a network into r.
func (o neutron) network(r *courier.NetworkRequest) (err error) {
	if r.Network, err = o.reference(optNetUUID, optNetName); err != nil {
		return err
	}
	if r.CreateName = o[optNetCreate]; r.CreateName != "" && !r.Network.IsZero() {
		return invalid("option %s is for a network that may have to be made, and another option names one that is there", optNetCreate).hinted("give one of them")
	}
	if _, given := o[optNetCreate]; given && (strings.TrimSpace(r.CreateName) == "" || len(r.CreateName) > maxNeutronName) {
		return invalid("option %s is not a name of 1 to %d characters", optNetCreate, maxNeutronName)
	}
	if r.Shared, err = o.truth(optNetShared); err != nil {
		return err
	}
	if r.QoSPolicy, err = o.either(optNetQoS); err != nil {
		return err
	}
	if r.Subnets, err = o.subnets(); err != nil {
		return err
	}
	if r.SubnetPools, err = o.subnetPools(); err != nil {
		return err
	}
	r.Ports, err = o.port()
	return err
}

// pool puts the options of an address pool into r. Docker gives those of both
// families with each of a network's pools.
func (o neutron) pool(r *courier.PoolRequest) (err error) {
	if r.Shared, err = o.truth(optNetShared); err != nil {
		return err
	}
	subnets, err := o.subnets()
	if err != nil {
		return err
	}
	pools, err := o.subnetPools()
	r.Subnet, r.SubnetPool = subnets[r.Family], pools[r.Family]
	return err
}

// port reads what is asked of ports.
func (o neutron) port() (w courier.PortWish, err error) {
	for _, v := range o.list(optPortGroups) {
		r, err := nameOrID(optPortGroups, v)
		if err != nil {
			return w, err
		}
		w.SecurityGroups = append(w.SecurityGroups, r)
	}
	if _, given := o[optPortGroups]; given && w.SecurityGroups == nil {
		w.SecurityGroups = []courier.Reference{}
	}
	if w.QoSPolicy, err = o.either(optPortQoS); err != nil {
		return w, err
	}
	if w.PortSecurity, err = o.truth(optPortSecure); err != nil {
		return w, err
	}
	if name, given := o[optPortDNS]; given {
		if !isDNSName(name) {
			return w, invalid("option %s is %.60q, which is no DNS name", optPortDNS, name)
		}
		w.DNSName = name
	}
	for _, v := range o.list(optPortPairs) {
		p, err := addressPair(v)
		if err != nil {
			return w, err
		}
		w.AddressPairs = append(w.AddressPairs, p)
	}
	return w, nil
}

// isDNSName knows the names of hosts (RFC 1123), labels joined by dots.
func isDNSName(s string) bool {
	if len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(strings.TrimSuffix(s, "."), ".") {
		bad := strings.ContainsFunc(label, func(c rune) bool {
			return !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-')
		})
		if bad || label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
	}
	return true
}

// addressPair reads ADDRESS, ADDRESS/LENGTH, and either with =MAC.
func addressPair(s string) (p courier.AddressPair, err error) {
	address, mac, hasMAC := strings.Cut(s, "=")
	if a, err := netip.ParseAddr(address); err == nil && a.Zone() == "" {
		a = a.Unmap()
		p.Addresses = netip.PrefixFrom(a, a.BitLen())
	} else if p.Addresses, err = netip.ParsePrefix(address); err != nil || p.Addresses != p.Addresses.Masked() || p.Addresses.Addr().Is4In6() {
		return p, invalid("option %s has %.60q, which is neither an address nor a CIDR", optPortPairs, address)
	}
	if p.Addresses.Bits() == 0 {
		return p, invalid("option %s has %s, which is every address there is", optPortPairs, p.Addresses).hinted("%s=false turns the check off", optPortSecure)
	}
	if hasMAC {
		if p.MAC, err = courier.ParseMAC(mac); err != nil {
			return p, invalid("option %s: %v", optPortPairs, err)
		}
	}
	return p, nil
}
