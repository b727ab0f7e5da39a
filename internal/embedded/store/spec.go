package store

import "net/netip"

// Opt is a value that a request may leave out.
type Opt[T any] struct {
	V   T
	Set bool
}

// Some returns a given value.
func Some[T any](v T) Opt[T] { return Opt[T]{V: v, Set: true} }

// into overwrites *p with the value, if it was given.
func (o Opt[T]) into(p *T) {
	if o.Set {
		*p = o.V
	}
}

// StandardSpec is the part of a request that every resource has.
type StandardSpec struct {
	ProjectID   Opt[string]
	Name        Opt[string]
	Description Opt[string]
}

func (s *StandardSpec) into(r *Standard) {
	s.Name.into(&r.Name)
	s.Description.into(&r.Description)
}

// NetworkSpec asks for a network, or for a change of one; what a change
// leaves out stays as it is.
type NetworkSpec struct {
	StandardSpec
	AdminStateUp Opt[bool]
	Shared       Opt[bool]
	MTU          Opt[int] // bytes; 0: the server's default
	DNSDomain    Opt[string]
	PortSecurity Opt[bool]
	QoSPolicyID  Opt[string] // "": none
}

// SubnetSpec asks for a subnet, or for a change of one.
type SubnetSpec struct {
	StandardSpec
	NetworkID      Opt[string]
	IPVersion      Opt[int]
	CIDR           Opt[netip.Prefix]
	PrefixLen      Opt[int]
	SubnetPoolID   Opt[string] // "": none
	UseDefaultPool Opt[bool]
	Gateway        Opt[netip.Addr] // the zero Addr: explicitly none
	Pools          Opt[[]Range]
	HostRoutes     Opt[[]Route]
	Nameservers    Opt[[]netip.Addr]
	EnableDHCP     Opt[bool]
	RAMode         Opt[string]
	AddressMode    Opt[string]
	ServiceTypes   Opt[[]string]
}

// SubnetPoolSpec asks for a subnetpool, or for a change of one.
type SubnetPoolSpec struct {
	StandardSpec
	Prefixes         Opt[[]netip.Prefix]
	DefaultPrefixLen Opt[int]
	MinPrefixLen     Opt[int]
	MaxPrefixLen     Opt[int]
	ScopeID          Opt[string] // address scope; "": none
	DefaultQuota     Opt[int]    // in /32 of IPv4, in /64 of IPv6
	IsDefault        Opt[bool]
	Shared           Opt[bool]
}

// FixedIPSpec asks for an address: a certain one, any of a subnet, or a
// certain one of a subnet.
type FixedIPSpec struct {
	SubnetID string
	Address  netip.Addr
}

// PortSpec asks for a port, or for a change of one.
type PortSpec struct {
	StandardSpec
	NetworkID    Opt[string]
	MAC          Opt[string]
	AdminStateUp Opt[bool]
	FixedIPs     Opt[[]FixedIPSpec] // given and empty: a port without addresses
	DeviceID     Opt[string]
	DeviceOwner  Opt[string]
	HostID       Opt[string]
	VNICType     Opt[string]
	Profile      Opt[map[string]any]
	DNSName      Opt[string]
	DNSDomain    Opt[string]
	Uplink       Opt[bool] // propagate_uplink_status
	Tags         Opt[[]string]
	QoSPolicyID  Opt[string] // "": none
	DHCPOptions  Opt[[]DHCPOptionSpec]
	Security     Opt[bool]          // port_security_enabled
	Groups       Opt[[]string]      // security groups
	Pairs        Opt[[]AddressPair] // allowed_address_pairs
}

// DHCPOptionSpec sets an option of a port, or takes it away.
type DHCPOptionSpec struct {
	DHCPOption
	Gone bool
}

// Match is an If-Match condition: the revision a row must have, or none.
type Match = Opt[int]
