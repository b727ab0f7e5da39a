package docker

import (
	"encoding/json"

	"kuryr/internal/courier"
)

// The types of this file are libnetwork's, field for field; Docker sends and
// expects these very names. Answers leave out what is empty where Docker reads
// absence as "nothing to say".

// mimetype is what Docker names in Accept (it asks for no type in particular).
const mimetype = "application/vnd.docker.plugins.v1.2+json"

// Keys of Docker's own options.
const (
	optGeneric      = "com.docker.network.generic"     // map of all -o k=v
	optEnableIPv4   = "com.docker.network.enable_ipv4" // from 28.0
	optEnableIPv6   = "com.docker.network.enable_ipv6"
	optInternal     = "com.docker.network.internal"   // absent means false in 20.10
	optMTU          = "com.docker.network.driver.mtu" // inside generic
	optExposed      = "com.docker.network.endpoint.exposedports"
	optPortMap      = "com.docker.network.portmap"
	optMAC          = "com.docker.network.endpoint.macaddress" // base64 for endpoints, text for addresses
	optDNS          = "com.docker.network.endpoint.dnsservers"
	optIfName       = "com.docker.network.endpoint.ifname"
	optSysctls      = "com.docker.network.endpoint.sysctls"
	optNo6to4       = "com.docker.network.driver.private.no_proxy_6to4"
	optEndpointName = "com.docker.network.endpoint.name"
	optSerial       = "com.docker.network.ipam.serial"
	optAddressType  = "RequestAddressType"

	addressTypeGateway = "com.docker.network.gateway"
)

// empty is the answer of methods that have nothing to say.
type empty struct{}

// errorResponse carries the same text under both keys: the network driver's
// side of Docker reads Err, the IPAM driver's reads Error.
type errorResponse struct {
	Err   string
	Error string
}

type activateResponse struct{ Implements []string }

// ref is an identifier in a request: which one, and its value.
type ref struct{ field, value string }

// networkRef names a network; requests that concern one embed it.
type networkRef struct{ NetworkID string }

func (r networkRef) refs() []ref { return []ref{{"NetworkID", r.NetworkID}} }

func (r networkRef) network() courier.EngineNetworkID { return courier.EngineNetworkID(r.NetworkID) }

// endpointRef names an endpoint on a network.
type endpointRef struct{ NetworkID, EndpointID string }

func (r endpointRef) refs() []ref {
	return []ref{{"NetworkID", r.NetworkID}, {"EndpointID", r.EndpointID}}
}

func (r endpointRef) network() courier.EngineNetworkID { return courier.EngineNetworkID(r.NetworkID) }

func (r endpointRef) endpoint() courier.EndpointID { return courier.EndpointID(r.EndpointID) }

// poolRef names an address pool.
type poolRef struct{ PoolID string }

func (r poolRef) refs() []ref { return []ref{{"PoolID", r.PoolID}} }

func (r poolRef) pool() courier.PoolID { return courier.PoolID(r.PoolID) }

// unnamed is embedded in requests that concern nothing that exists.
type unnamed struct{}

func (unnamed) refs() []ref { return nil }

// NetworkDriver.

type networkCapabilities struct {
	Scope             string
	ConnectivityScope string
	GwAllocChecker    bool
}

// options are values of any JSON type by key.
type options map[string]json.RawMessage

type gwAllocCheckRequest struct {
	unnamed
	Options options
}

type gwAllocCheckResponse struct{ SkipIPv4, SkipIPv6 bool }

// ipamData is one pool of a network. Addresses are "ip/length".
type ipamData struct {
	AddressSpace string
	Pool         string
	Gateway      string            // absent: none
	AuxAddresses map[string]string // by name
}

type createNetworkRequest struct {
	networkRef
	Options  options
	IPv4Data []ipamData
	IPv6Data []ipamData
}

// allocateNetworkRequest comes to swarm managers only. Its options are what
// CreateNetwork has under the generic key.
type allocateNetworkRequest struct {
	networkRef
	Options  map[string]string
	IPv4Data []ipamData
	IPv6Data []ipamData
}

type allocateNetworkResponse struct{ Options map[string]string }

type endpointInterface struct {
	Address     string `json:",omitempty"` // "ip/length"
	AddressIPv6 string `json:",omitempty"`
	MacAddress  string `json:",omitempty"`
}

type createEndpointRequest struct {
	endpointRef
	Interface endpointInterface
	Options   options
}

type createEndpointResponse struct{ Interface endpointInterface }

type operInfoResponse struct{ Value map[string]any }

// joinRequest has a SandboxKey too, of which nothing is needed: Docker itself
// moves the link.
type joinRequest struct {
	endpointRef
	Options options
}

type interfaceName struct{ SrcName, DstPrefix string }

// Types of static routes.
const routeNextHop = 0

type staticRoute struct {
	Destination string
	RouteType   int
	NextHop     string
}

type joinResponse struct {
	InterfaceName         interfaceName
	Gateway               string        `json:",omitempty"` // bare address
	GatewayIPv6           string        `json:",omitempty"`
	StaticRoutes          []staticRoute `json:",omitempty"`
	DisableGatewayService bool
}

type connectivityRequest struct {
	endpointRef
	Options options
}

// exposedPort is a port of a container's, and its IP protocol's number.
type exposedPort struct {
	Proto uint8
	Port  uint16
}

// publishedPort is a port of a container's that is to be reached at the host's.
type publishedPort struct {
	Proto       uint8
	Port        uint16
	HostIP      string // "", "0.0.0.0" or "::": any
	HostPort    uint16 // 0: any
	HostPortEnd uint16 // any from HostPort on
}

// IpamDriver.

type ipamCapabilities struct{ RequiresMACAddress, RequiresRequestReplay bool }

type addressSpaces struct{ LocalDefaultAddressSpace, GlobalDefaultAddressSpace string }

type requestPoolRequest struct {
	unnamed
	AddressSpace string
	Pool         string // CIDR; empty: the driver's choice
	SubPool      string // CIDR within Pool; empty: all of it
	Options      map[string]string
	V6           bool
}

type requestPoolResponse struct {
	PoolID string
	Pool   string
	Data   map[string]string
}

type requestAddressRequest struct {
	poolRef
	Address string // bare; empty: the driver's choice
	Options map[string]string
}

type requestAddressResponse struct {
	Address string // "ip/length"
	Data    map[string]string
}

type releaseAddressRequest struct {
	poolRef
	Address string // bare
}
