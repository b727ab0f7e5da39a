package store

import (
	"net/netip"
	"time"
)

// Standard holds the attributes that every Neutron resource has.
type Standard struct {
	ID          string   `json:"id"` // a UUID
	ProjectID   string   `json:"project"`
	Name        string   `json:"name,omitempty"`
	Description string   `json:"description,omitempty"`
	Tags        []string `json:"tags,omitempty"` // sorted
	Created     int64    `json:"created"`        // Unix time in nanoseconds
	Updated     int64    `json:"updated"`
	Revision    int      `json:"revision,omitempty"`
}

// CreatedAt returns the time of creation as Neutron writes it.
func (s *Standard) CreatedAt() string { return stamp(s.Created) }

// UpdatedAt returns the time of the last change as Neutron writes it.
func (s *Standard) UpdatedAt() string { return stamp(s.Updated) }

func stamp(ns int64) string { return time.Unix(0, ns).UTC().Format("2006-01-02T15:04:05Z") }

// touch counts a change.
func (s *Standard) touch(now time.Time) {
	s.Updated = now.UnixNano()
	s.Revision++
}

// Network is a stored network. Rows are read-only once they are stored.
type Network struct {
	Standard
	AdminStateUp bool `json:"up"`
	Shared       bool `json:"shared,omitempty"`
	MTU          int  `json:"mtu"` // bytes
	// PortSecurity is the default of the network's ports; nil: as the server.
	PortSecurity *bool  `json:"security,omitempty"`
	QoSPolicyID  string `json:"qos,omitempty"`
	DNSDomain    string `json:"dns_domain,omitempty"`
}

// Subnet is a stored subnet.
type Subnet struct {
	Standard
	NetworkID    string       `json:"network"`
	SubnetPoolID string       `json:"pool,omitempty"`
	CIDR         netip.Prefix `json:"cidr"`
	Gateway      netip.Addr   `json:"gateway"` // the zero Addr: none
	Pools        []Range      `json:"pools"`   // allocation pools
	HostRoutes   []Route      `json:"routes,omitempty"`
	Nameservers  []netip.Addr `json:"nameservers,omitempty"`
	EnableDHCP   bool         `json:"dhcp,omitempty"`
	RAMode       string       `json:"ra_mode,omitempty"`
	AddressMode  string       `json:"address_mode,omitempty"`
	ServiceTypes []string     `json:"service_types,omitempty"` // device_owners of the ports it serves unasked; none: all
}

// IPVersion returns 4 or 6.
func (s *Subnet) IPVersion() int { return version(s.CIDR.Addr()) }

// automatic reports whether ports get their EUI-64 address on the subnet
// without asking (SLAAC and stateless DHCPv6).
func (s *Subnet) automatic() bool {
	for _, m := range [...]string{s.AddressMode, s.RAMode} {
		switch m {
		case "slaac", "dhcpv6-stateless":
			return true
		case "dhcpv6-stateful":
			return false
		}
	}
	return false
}

func version(a netip.Addr) int {
	if a.Is4() {
		return 4
	}
	return 6
}

// Route is a static route that a subnet tells its ports.
type Route struct {
	Destination netip.Prefix `json:"destination"`
	NextHop     netip.Addr   `json:"nexthop"`
}

// SubnetPool is a stored subnetpool.
type SubnetPool struct {
	Standard
	Prefixes         []netip.Prefix `json:"prefixes"` // compact and sorted
	DefaultPrefixLen int            `json:"default_prefixlen"`
	MinPrefixLen     int            `json:"min_prefixlen"`
	MaxPrefixLen     int            `json:"max_prefixlen"`
	ScopeID          string         `json:"scope,omitempty"` // address scope
	DefaultQuota     *int           `json:"default_quota,omitempty"`
	IsDefault        bool           `json:"is_default,omitempty"`
	Shared           bool           `json:"shared,omitempty"`
}

// IPVersion returns 4 or 6.
func (p *SubnetPool) IPVersion() int { return version(p.Prefixes[0].Addr()) }

// FixedIP is an address that a port holds on a subnet.
type FixedIP struct {
	SubnetID string     `json:"subnet_id"`
	Address  netip.Addr `json:"ip_address"`
}

// Port is a stored port.
type Port struct {
	Standard
	NetworkID    string         `json:"network"`
	MAC          string         `json:"mac"` // lower case, with colons
	AdminStateUp bool           `json:"up"`
	FixedIPs     []FixedIP      `json:"ips,omitempty"`
	DeviceID     string         `json:"device,omitempty"`
	DeviceOwner  string         `json:"owner,omitempty"`
	HostID       string         `json:"host,omitempty"` // binding:host_id
	VNICType     string         `json:"vnic"`
	Profile      map[string]any `json:"profile,omitempty"` // binding:profile
	DNSName      string         `json:"dns_name,omitempty"`
	DNSDomain    string         `json:"dns_domain,omitempty"`
	Security     bool           `json:"security,omitempty"` // port_security_enabled
	Groups       []string       `json:"groups,omitempty"`   // security groups
	Pairs        []AddressPair  `json:"pairs,omitempty"`    // allowed_address_pairs
	QoSPolicyID  string         `json:"qos,omitempty"`
	DHCPOptions  []DHCPOption   `json:"dhcp_options,omitempty"`
	NoUplink     bool           `json:"no_uplink,omitempty"` // propagate_uplink_status is false
	NoAddresses  bool           `json:"no_ips,omitempty"`    // it was made to have none
}

// DHCPOption is an option that a DHCP server would tell the port.
type DHCPOption struct {
	Name      string `json:"opt_name"`
	Value     string `json:"opt_value"`
	IPVersion int    `json:"ip_version"`
}

// NetworkView is a network with what follows from other rows.
type NetworkView struct {
	*Network
	Subnets  []string // IDs, sorted
	Scope4   string   // address scope of its IPv4 subnets, "": none
	Scope6   string
	Security bool // its ports are protected, unless they say otherwise
}

// SubnetView is a subnet with what follows from other rows.
type SubnetView struct {
	*Subnet
	Shared bool // its network is
}

// SubnetPoolView is a subnetpool.
type SubnetPoolView struct{ *SubnetPool }

// PortView is a port with what follows from other rows, the host and the kernel.
type PortView struct {
	*Port
	Status        string // ACTIVE or DOWN
	VIFType       string // bridge, unbound or binding_failed
	NetworkPolicy string // QoS policy of its network
	Protected     bool   // its port security is enabled, and the host enforces it
	Filtered      bool   // the host enforces port security
}
