package courier

import (
	"context"
	"fmt"
	"net/netip"
	"time"
)

// Neutron is what the courier needs of OpenStack Networking. Deletes answer
// an Error of kind NotFound when the resource is already gone. Every method
// honours its context's deadline; a request that got no answer fails with
// kind Unavailable, and its effect is unknown: the courier looks it up by Mark.
type Neutron interface {
	Networks
	Subnets
	SubnetPools
	Ports
	Tags
	Policies
	Plugging
	SecurityGroups
	PortForwardings
	Belongings
}

// The Find methods look for what a user named: only what belongs to Kuryr's
// own project or is shared with it is found, the oldest first.

// Networks of Neutron.
type Networks interface {
	CreateNetwork(context.Context, NetworkSpec) (Network, error)
	// DeleteNetwork deletes the network and, as Neutron does, its subnets. A
	// network that has changed since it had this revision is left, with
	// Conflict.
	DeleteNetwork(ctx context.Context, id NetworkID, revision int) error
	NetworksByMark(context.Context, Mark) ([]Network, error)
	NetworksByTags(ctx context.Context, tags ...string) ([]Network, error)
	FindNetworks(context.Context, Reference) ([]Network, error)
}

// AnyRevision deletes a resource whatever has changed. Neutron counts from 0.
const AnyRevision = -1

// Subnets of Neutron.
type Subnets interface {
	CreateSubnet(context.Context, SubnetSpec) (Subnet, error)
	// DeleteSubnet takes a revision as DeleteNetwork does.
	DeleteSubnet(ctx context.Context, id SubnetID, revision int) error
	SubnetsOfNetwork(context.Context, NetworkID) ([]Subnet, error)
	// SubnetsOfNetworks is the same for many, in one request for some hundred.
	SubnetsOfNetworks(context.Context, []NetworkID) ([]Subnet, error)
	SubnetsOfPool(context.Context, SubnetPoolID) ([]Subnet, error)
	SubnetsByTags(ctx context.Context, tags ...string) ([]Subnet, error)
	FindSubnets(context.Context, Reference) ([]Subnet, error)
}

// SubnetPools of Neutron.
type SubnetPools interface {
	CreateSubnetPool(context.Context, SubnetPoolSpec) (SubnetPool, error)
	DeleteSubnetPool(context.Context, SubnetPoolID) error
	SubnetPoolsByMark(context.Context, Mark) ([]SubnetPool, error)
	SubnetPoolsByTags(ctx context.Context, tags ...string) ([]SubnetPool, error)
	FindSubnetPools(context.Context, Reference) ([]SubnetPool, error)
	// DefaultSubnetPools returns Neutron's own default of a family (is_default), if there is one.
	DefaultSubnetPools(context.Context, Family) ([]SubnetPool, error)
}

// Ports of Neutron.
type Ports interface {
	CreatePort(context.Context, PortSpec) (Port, error)
	// CreatePorts creates all or none, in one request.
	CreatePorts(context.Context, []PortSpec) ([]Port, error)
	UpdatePort(context.Context, PortID, PortUpdate) (Port, error)
	DeletePort(context.Context, PortID) error
	PortsByMark(context.Context, Mark) ([]Port, error)
	FindPorts(context.Context, PortQuery) ([]Port, error)
}

// Plugging is what Neutron tells of who plugs ports, and of how far that is.
type Plugging interface {
	// PortStatuses returns the status of those of the ports that exist, in one
	// request for many.
	PortStatuses(context.Context, []PortID) (map[PortID]string, error)
	// AgentsOfHost returns none, too, where policy hides them.
	AgentsOfHost(ctx context.Context, host string) ([]Agent, error)
}

// Agent is a process that plugs or serves ports on a host, as Neutron sees it.
type Agent struct {
	Type      string // "Open vSwitch agent", "OVN Controller agent" ...
	Alive     bool
	Heartbeat time.Time // the last; zero: not known
}

// SecurityGroups of Neutron, and which of them ports have.
type SecurityGroups interface {
	// CreateSecurityGroup makes a group. Neutron gives it rules of its own,
	// which the answer has.
	CreateSecurityGroup(context.Context, SecurityGroupSpec) (SecurityGroup, error)
	// DeleteSecurityGroup answers Conflict while a port has the group.
	DeleteSecurityGroup(context.Context, SecurityGroupID) error
	SecurityGroupsByName(context.Context, string) ([]SecurityGroup, error)
	// OpenPorts makes rules that let everybody in, all or none: Conflict when
	// there is one of them already.
	OpenPorts(context.Context, SecurityGroupID, []Opening, Mark) error
	DeleteSecurityGroupRule(context.Context, SecurityGroupRuleID) error
	PortSecurity(context.Context, PortID) (PortSecurity, error)
	// SetSecurityGroups changes a port's groups, unless the port has changed
	// since its PortSecurity was read: Conflict then.
	SetSecurityGroups(context.Context, PortSecurity, []SecurityGroupID) error
}

// PortForwardings of Neutron: from a floating IP, through a router.
type PortForwardings interface {
	FloatingIPsByAddress(context.Context, netip.Addr) ([]FloatingIPID, error)
	// PortForwardingsOf returns those from a floating IP to a port.
	PortForwardingsOf(context.Context, FloatingIPID, PortID) ([]PortForwarding, error)
	CreatePortForwarding(context.Context, FloatingIPID, PortForwardingSpec) error
	DeletePortForwarding(context.Context, FloatingIPID, PortForwardingID) error
}

// Tags of networks, subnets, subnetpools and ports.
type Tags interface {
	// Tag adds a tag; one that is there already is no error.
	Tag(ctx context.Context, r Resource, tag string) error
	// Untag answers NotFound when the tag or the resource is gone.
	Untag(ctx context.Context, r Resource, tag string) error
	// SetTags replaces all tags of a resource.
	SetTags(ctx context.Context, r Resource, tags []string) error
}

// Policies are what a port may be subject to.
type Policies interface {
	// FindSecurityGroups returns the groups that any of the references may mean.
	FindSecurityGroups(context.Context, []Reference) ([]SecurityGroup, error)
	FindQoSPolicies(context.Context, Reference) ([]QoSPolicy, error)
}

// Reference names a resource of Neutron as a user does: by its ID, or by a
// name, which need not be unique. The zero value names nothing.
type Reference struct{ ID, Name string }

// IsZero reports whether it names nothing.
func (r Reference) IsZero() bool { return r == Reference{} }

// String returns the reference in words.
func (r Reference) String() string {
	if r.ID != "" {
		return r.ID
	}
	return fmt.Sprintf("%q", r.Name)
}

// ResourceKind is a kind of what can be tagged, as Neutron's paths name it.
type ResourceKind string

// What can be tagged.
const (
	NetworkResource    ResourceKind = "networks"
	SubnetResource     ResourceKind = "subnets"
	SubnetPoolResource ResourceKind = "subnetpools"
	PortResource       ResourceKind = "ports"
)

// Resource is one thing that can be tagged.
type Resource struct {
	Kind ResourceKind
	ID   string
}

// Network is a Neutron network.
type Network struct {
	ID          NetworkID
	Name        string
	MTU         int // bytes
	Shared      bool
	QoSPolicy   QoSPolicyID
	Description string // Kuryr's mark, or a person's words
	Tags        []string
	Created     time.Time // to the second
	Revision    int
}

// NetworkSpec asks for a network.
type NetworkSpec struct {
	Name      string
	MTU       int // bytes; 0 leaves it to Neutron
	Shared    bool
	QoSPolicy QoSPolicyID // "": none
	Mark      Mark
}

// Route is a static route: packets for Destination go to NextHop.
type Route struct {
	Destination netip.Prefix
	NextHop     netip.Addr
}

// AddressRange is an inclusive range of addresses of one family.
type AddressRange struct{ First, Last netip.Addr }

// Subnet is a Neutron subnet.
type Subnet struct {
	ID          SubnetID
	Name        string
	Network     NetworkID
	CIDR        netip.Prefix
	Gateway     netip.Addr // the zero Addr: none
	HostRoutes  []Route
	Pool        SubnetPoolID // "": it was cut from none
	Description string       // Kuryr's mark, or a person's words
	Tags        []string
	Revision    int
}

// SubnetSpec asks for a subnet.
type SubnetSpec struct {
	Network         NetworkID
	Name            string
	CIDR            netip.Prefix
	Gateway         netip.Addr     // the zero Addr: a subnet without a gateway
	Pool            SubnetPoolID   // where the CIDR is taken from; "": nowhere
	AllocationPools []AddressRange // empty: Neutron's default, all but the gateway
	DHCP            bool
	Mark            Mark
}

// SubnetPool is a Neutron subnetpool.
type SubnetPool struct {
	ID               SubnetPoolID
	Name             string
	Prefixes         []netip.Prefix
	DefaultPrefixLen int
	Shared           bool
	Description      string // Kuryr's mark, or a person's words
	Tags             []string
}

// SubnetPoolSpec asks for a subnetpool.
type SubnetPoolSpec struct {
	Name             string
	Prefixes         []netip.Prefix
	DefaultPrefixLen int
	Shared           bool
	Mark             Mark
}

// FixedIP is an address of a port on one of its network's subnets.
type FixedIP struct {
	Subnet  SubnetID
	Address netip.Addr // in a request the zero Addr lets Neutron choose
}

// Binding is how Neutron bound a port on a host.
type Binding struct {
	Host       string         // binding:host_id
	VIFType    string         // binding:vif_type: bridge, tap, ovs, unbound, binding_failed ...
	VIFDetails map[string]any // binding:vif_details, unvalidated
}

// Port is a Neutron port.
type Port struct {
	ID          PortID
	Name        string
	Network     NetworkID
	MAC         MAC
	FixedIPs    []FixedIP
	Status      string // ACTIVE, DOWN, BUILD, ERROR
	DeviceID    string
	DeviceOwner string
	Binding     Binding
	Project     string
	Description string // Kuryr's mark, or a person's words
	Tags        []string
	Revision    int
}

// PortQuery selects ports; what is zero selects all.
type PortQuery struct {
	ID       PortID
	Network  NetworkID
	Subnet   SubnetID
	Address  netip.Addr
	MAC      MAC
	DeviceID string
	Tags     []string // all of them
}

// AddressPair are addresses that a port may use beside its own.
type AddressPair struct {
	Addresses netip.Prefix `json:"addresses"`
	MAC       MAC          `json:"mac,omitzero"` // the zero MAC: the port's
}

// QoSPolicy is a Neutron QoS policy.
type QoSPolicy struct {
	ID   QoSPolicyID
	Name string
}

// PortSettings are the attributes of a port that a user may choose. What is
// zero, or nil, is left as it is, or to Neutron.
type PortSettings struct {
	SecurityGroups []SecurityGroupID `json:"security_groups"` // empty, not nil: none
	QoSPolicy      QoSPolicyID       `json:"qos_policy,omitempty"`
	PortSecurity   *bool             `json:"port_security,omitempty"`
	DNSName        string            `json:"dns_name,omitempty"`
	AddressPairs   []AddressPair     `json:"address_pairs"` // empty, not nil: none
}

// PortSpec asks for a port.
type PortSpec struct {
	Network     NetworkID
	Name        string
	FixedIPs    []FixedIP
	MAC         MAC // the zero MAC: Neutron's choice
	DeviceID    string
	DeviceOwner string
	Host        string // binding:host_id; "": unbound
	Settings    PortSettings
	Mark        Mark
}

// PortUpdate changes a port; nil fields are left alone.
type PortUpdate struct {
	Name        *string
	DeviceID    *string
	DeviceOwner *string
	Host        *string
	FixedIPs    []FixedIP // nil: unchanged
	Settings    PortSettings
	// Revision is the one that the port must have: if it has changed since, it
	// is left, with Conflict. nil: whatever has changed.
	Revision *int
}

// SecurityGroup is a Neutron security group.
type SecurityGroup struct {
	ID          SecurityGroupID
	Name        string
	Project     string // which owns it
	Description string // Kuryr's mark, or a person's words
	Created     time.Time
	Rules       []SecurityGroupRule
}

// SecurityGroupSpec asks for a security group.
type SecurityGroupSpec struct {
	Name    string
	Project string // "": that of Kuryr's credentials
	Mark    Mark
}

// SecurityGroupRule is a rule of a security group.
type SecurityGroupRule struct {
	ID          SecurityGroupRuleID
	Description string  // Kuryr's mark, or a person's words
	Opens       Opening // the zero value: it permits something else
}

// Opening lets packets of a family in, from everybody.
type Opening struct {
	Family Family
	Ports  PortRange
}

// PortSecurity says what guards a port.
type PortSecurity struct {
	Port     PortID
	Project  string // which owns the port
	Enabled  bool   // without it packets pass whatever the groups say
	Groups   []SecurityGroupID
	Revision int
}

// Forwarding leads what comes for one port of an address to another of a
// container's.
type Forwarding struct {
	Protocol Protocol `json:"protocol"`
	External uint16   `json:"external"` // the floating IP's
	Internal uint16   `json:"internal"` // the container's
}

// PortForwarding is a port forwarding of a floating IP.
type PortForwarding struct {
	ID          PortForwardingID
	Description string     // Kuryr's mark, or a person's words
	Forwarding  Forwarding // the zero value: a range of ports
}

// PortForwardingSpec asks for a port forwarding.
type PortForwardingSpec struct {
	Port       PortID
	Address    netip.Addr // of the port
	Forwarding Forwarding
	Mark       Mark
}

// Linker makes the kernel's interfaces. All methods are idempotent.
type Linker interface {
	// Create makes the pair, both ends down, in the host's namespace, with
	// router advertisements off. A pair that exists with the same alias is kept.
	Create(context.Context, LinkSpec) error
	// Up sets the host's end up.
	Up(ctx context.Context, hostEnd string) error
	// Delete removes the pair by its host's end. A link that is gone is no
	// error; one without Kuryr's mark in its alias is refused with Conflict.
	Delete(ctx context.Context, hostEnd string) error
	// Adopt gives the alias to a pair that another program made and that has
	// none: it is Kuryr's from then on. A link that is gone is no error.
	Adopt(ctx context.Context, hostEnd, alias string) error
	// Pairs returns every pair of which an end is on the host, others' too.
	Pairs(context.Context) ([]Pair, error)
}

// LinkSpec describes an attachment's pair of kernel interfaces.
type LinkSpec struct {
	HostEnd      string
	ContainerEnd string
	MAC          MAC    // of the container's end
	MTU          int    // bytes, both ends; 0: the kernel's default
	Alias        string // starts with MarkPrefix
}

// Binder plugs links into the layer 2 that Neutron prepared for a port.
type Binder interface {
	Namer
	// Check tells whether a port with this binding can be plugged here, before
	// anything is made. Unbound, failed and unknown types are refused.
	Check(PortID, Binding) error
	// FailsOpen tells whether a port with this binding passes frames before
	// its security groups are in force: its link stays closed until Neutron
	// reports it ACTIVE.
	FailsOpen(Binding) bool
	// Bind plugs the host's end of the link. Idempotent.
	Bind(context.Context, Plug) error
	// Unbind undoes Bind, and removes what no other port uses any more.
	// Idempotent; called before or after the link itself is gone.
	Unbind(context.Context, Plug) error
	// Dissolve removes the bridge of a network, for ports of the vif_type bridge,
	// if nothing uses it any more: Kuryr's own, and where the network is inherited
	// the Python Kuryr's, which has no mark. Idempotent.
	Dissolve(ctx context.Context, network NetworkID, inherited bool) error
	// Unplugged returns those of the plugs that are not, or not wholly, as Bind
	// left them; Bind mends them. With an error it returns what it could tell.
	Unplugged(context.Context, []Plug) ([]Plug, error)
	// Plugged returns what Bind has made on this host and is still there, as far
	// as that can be told from its marks: enough for Unbind, but of a port's ID
	// perhaps no more than its names have. A network's bridge, which all its
	// ports share, is there only if nothing is on it, and has no port and the
	// zero Mark. With an error it returns what it could tell.
	Plugged(context.Context) ([]Plug, error)
}

// Namer is what of a Binder is for ports that are plugged before it is known what
// they are for.
type Namer interface {
	// Anonymous tells whether a port with this binding can be plugged so.
	Anonymous(Binding) bool
	// Name tells the layer 2 what the port of a plug is for, where it wants to
	// know. It touches nothing that goes through the port. Idempotent.
	Name(context.Context, Plug) error
}

// Plug is one link on its way into, or out of, a layer 2.
type Plug struct {
	Port    PortID
	Network NetworkID
	MAC     MAC
	MTU     int
	HostEnd string
	Binding Binding
	Device  string // device_id: what the port is for
	Project string // whose the port is; "": not known
	Mark    Mark
	// Inherited tells that the Python Kuryr plugged it: what was made for this
	// port alone has no mark, and is Kuryr's.
	Inherited bool
}

// Journal keeps what this host owns, durably. The courier writes an entry
// before the first outside effect of each step.
type Journal interface {
	// Load returns the last entry of every (Kind, ID) that was not forgotten.
	Load(context.Context) ([]Entry, error)
	// Write is atomic for its entries and durable when it returns, across a
	// loss of power too.
	Write(context.Context, ...Entry) error
	// Note is atomic and survives the death of the process at once, a loss of
	// power only with the next Write.
	Note(context.Context, ...Entry) error
}

// Entry is one record of the journal. Nil Data forgets it.
type Entry struct {
	Kind string // "pool", "network", "attachment", "exposed", "identity"
	ID   string
	Data []byte // JSON
}
