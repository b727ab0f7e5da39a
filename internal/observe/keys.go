package observe

// Keys of log attributes. A message is constant; what varies is an attribute
// under one of these.
const (
	// What is being done, for whom, and how it went.
	Op      = "op"      // operation, as in courier.Error: "create port"
	Request = "request" // the caller's request, by its number in this process
	Method  = "method"  // of the engine's protocol, or HTTP
	Status  = "status"  // HTTP status of an answer
	Ms      = "ms"      // how long it took, in milliseconds
	Err     = "err"     // an error's text
	Kind    = "kind"    // an error's kind, or a record's

	// Neutron's resources, by ID.
	Network    = "network"
	Subnet     = "subnet"
	SubnetPool = "subnetpool"
	Port       = "port"

	// The engine's, by ID.
	EngineNetwork = "docker_network"
	Pool          = "pool"
	Endpoint      = "endpoint"
	Sandbox       = "sandbox"
	Container     = "container"

	// This host's.
	Host    = "host"    // as binding:host_id names it
	Link    = "link"    // a kernel interface, by name
	Bridge  = "bridge"  // a Linux bridge, by name
	Address = "address" // an IP address
	MAC     = "mac"
	VIFType = "vif_type"
	Path    = "path"   // of a file or socket
	Listen  = "listen" // where a service listens
	Version = "version"
	Count   = "count"
	Warning = "warning"
)
