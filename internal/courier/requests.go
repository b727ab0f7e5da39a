package courier

import "net/netip"

// PoolRequest asks for an address pool.
type PoolRequest struct {
	Family     Family
	CIDR       netip.Prefix // the zero Prefix: cut a free one from the subnetpool
	Range      netip.Prefix // addresses are handed out from this part only; zero: from all
	Subnet     Reference    // an existing subnet to use
	SubnetPool Reference    // an existing subnetpool to cut from; zero: the default, or a new one
	Shared     *bool        // whether the subnetpool is all projects'; nil: a new one is not, an existing one may be
}

// Pool is an address pool that an engine holds.
type Pool struct {
	ID   PoolID
	CIDR netip.Prefix
}

// AddressRequest asks for an address of a pool.
type AddressRequest struct {
	Pool    PoolID
	Address netip.Addr // wished; the zero Addr: any
	Gateway bool       // it is to be the network's gateway
	MAC     MAC        // of the endpoint to be, where the engine tells it
}

// NetworkRequest asks for a network over pools that were requested before.
type NetworkRequest struct {
	ID       EngineNetworkID
	Pools    []NetworkPool // both families, in the engine's order
	Internal bool          // no way out: containers get no gateway
	MTU      int           // bytes; 0: Neutron's choice

	Network     Reference            // an existing Neutron network to use
	CreateName  string               // or the one of this name, made if there is none; several hosts share it
	Shared      *bool                // whether it is all projects'; nil: a new one is not, an existing one may be
	QoSPolicy   Reference            // of the network
	Subnets     map[Family]Reference // existing subnets to use
	SubnetPools map[Family]Reference // existing subnetpools to cut from
	Ports       PortWish             // of all its ports
}

// PortWish is what a user asks of a port beyond its addresses. What is zero, or
// nil, is not asked for.
type PortWish struct {
	SecurityGroups []Reference // empty, not nil: none
	QoSPolicy      Reference
	PortSecurity   *bool
	DNSName        string
	AddressPairs   []AddressPair
}

// IsZero reports whether nothing is asked for.
func (w PortWish) IsZero() bool {
	return w.SecurityGroups == nil && w.QoSPolicy.IsZero() && w.PortSecurity == nil && w.DNSName == "" && len(w.AddressPairs) == 0
}

// NetworkPool is one pool as CreateNetwork names it: by what it holds, since
// the engine does not pass its PoolID.
type NetworkPool struct {
	AddressSpace string
	CIDR         netip.Prefix
	Gateway      netip.Addr            // the zero Addr: none
	Auxiliary    map[string]netip.Addr // by name; reserved for other uses
}

// AttachRequest asks for an attachment of an endpoint to a network.
type AttachRequest struct {
	Network   EngineNetworkID
	Endpoint  EndpointID
	Addresses []netip.Addr // at most one of each family; none: Neutron's choice
	MAC       MAC          // wished; zero: Neutron's choice
	Published int          // how many ports the user asked to publish on the host
	Port      PortWish     // goes before what the network asks of its ports
}

// Attached is what Attach gives.
type Attached struct {
	MAC       MAC
	Addresses []netip.Prefix // with the length of their subnets
}

// Joined tells the engine how to finish an attachment inside the sandbox.
type Joined struct {
	Link     string       // the kernel name of the container's end
	Gateways []netip.Addr // at most one of each family; none on internal networks
	Routes   []Route      // the subnets' host routes
}

// AttachmentInfo is an attachment as Describe and Status tell it.
type AttachmentInfo struct {
	Network   EngineNetworkID `json:"docker_network_id"`
	Endpoint  EndpointID      `json:"endpoint_id,omitempty"` // "": an address that no endpoint has claimed
	Port      PortID          `json:"port_id"`
	MAC       MAC             `json:"mac_address"`
	Addresses []netip.Addr    `json:"addresses"`
	VIFType   string          `json:"vif_type,omitempty"`
	Link      string          `json:"link,omitempty"` // the host's end
	State     string          `json:"state"`          // pooled, reserved, attaching, attached, cooling, removing
	Published int             `json:"published_ports,omitempty"`
	Forwarded int             `json:"forwarded_ports,omitempty"` // of those, from a floating IP
	Exposed   string          `json:"exposed_ports,omitempty"`   // "tcp/80,443 udp/53"
}

// NetworkInfo is a network as Status tells it.
type NetworkInfo struct {
	ID       EngineNetworkID `json:"docker_network_id"`
	Neutron  NetworkID       `json:"network_id"`
	Name     string          `json:"name"`
	MTU      int             `json:"mtu"`
	Internal bool            `json:"internal"`
	CIDRs    []netip.Prefix  `json:"cidrs"`
	Origin   string          `json:"origin"` // created, adopted, or common: of all hosts that named it
	State    string          `json:"state"`  // creating, ready, removing
}

// PoolInfo is an address pool as Status tells it.
type PoolInfo struct {
	ID      PoolID          `json:"pool_id"`
	CIDR    netip.Prefix    `json:"cidr"`
	Network EngineNetworkID `json:"docker_network_id,omitempty"` // "": no network has taken it yet
	State   string          `json:"state"`                       // creating, ready, removing
}

// Status is a snapshot of what this host holds.
type Status struct {
	Networks    []NetworkInfo    `json:"networks"`
	Pools       []PoolInfo       `json:"pools"`
	Attachments []AttachmentInfo `json:"attachments"`
	// PortPools are those of networks that had a container lately; their ports
	// are no attachments yet.
	PortPools []PoolStats `json:"port_pools"`
	// Pending counts removals that are not yet carried out in Neutron and the
	// kernel; LastError is why the latest of them has to be tried again.
	Pending   int    `json:"pending_removals"`
	LastError string `json:"last_error,omitempty"`
	// Unexposed counts attachments whose exposed or published ports are not as
	// they should be yet; ExposeError is why it is tried again for one of them.
	Unexposed   int    `json:"pending_exposures,omitempty"`
	ExposeError string `json:"expose_error,omitempty"`
	// Unguarded counts attachments with exposed ports, but no port security.
	Unguarded int `json:"exposed_without_port_security,omitempty"`
	// Reconciled tells of the last comparison with Neutron and the kernel.
	Reconciled Reconciled `json:"reconciled"`
	// Losses are those of a damaged journal that have not been made good yet.
	Losses []Loss `json:"journal_losses,omitempty"`
}
