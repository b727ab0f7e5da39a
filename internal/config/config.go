package config

import "time"

// DefaultFile is the configuration file that is read, when it exists, unless
// another one is named.
const DefaultFile = "/etc/kuryr/kuryr.conf"

// Config is everything that can be set, checked. A Config that Load returned
// without an error needs no further validation.
type Config struct {
	// Host names this machine to Neutron (binding:host_id). Never empty, no white space.
	Host string
	// StateDir is the directory, absolute, of the journal and the embedded Neutron's database.
	StateDir string
	// KuryrURI adds a TCP listener for the engine: "http://ADDRESS:PORT" on a
	// loopback address or, exactly when EnableSSL is set, "https://ADDRESS:PORT"
	// on any. Empty: the Unix socket only.
	KuryrURI string
	// EnableSSL serves KuryrURI over TLS, for clients with a certificate.
	EnableSSL bool
	// SSLCertFile and SSLKeyFile are the paths, absolute, of the server's own
	// certificate and key; SSLCAFile, set when EnableSSL is, is that of the
	// authorities of the clients' certificates. All are PEM.
	SSLCertFile, SSLKeyFile, SSLCAFile string
	// DockerSocket is the Unix socket, absolute, on which Docker finds the plugin.
	DockerSocket string
	// AdminSocket is the Unix socket, absolute, of the admin API.
	AdminSocket string
	// SocketGroup owns both sockets (0660); without such a group they are root's alone (0600).
	SocketGroup string
	// CapabilityScope is "local" or "global", as the engine is told.
	CapabilityScope string
	// LocalAddressSpace and GlobalAddressSpace are the IPAM driver's default address spaces.
	LocalAddressSpace, GlobalAddressSpace string
	// ProcessExternalConnectivity opens exposed ports, and forwards published ones.
	ProcessExternalConnectivity bool
	// RequiresMACAddress has the engine choose MAC addresses before it asks for an address.
	RequiresMACAddress bool
	// SubnetPoolPrefix starts the names of the subnetpools that Kuryr makes.
	SubnetPoolPrefix string
	// RequestTimeout is the deadline of each call from the engine.
	RequestTimeout time.Duration
	// LostRequestTimeout is how long what a request to Neutron may have made whose
	// answer was lost is looked for.
	LostRequestTimeout time.Duration
	ReconcileInterval  time.Duration // how often what this host holds is compared with Neutron
	// Debug logs wire traffic too.
	Debug bool
	// NeutronListen is the loopback "ADDRESS:PORT" on which the embedded
	// Neutron is also served over TCP. Empty: in process only.
	NeutronListen string
	// BindDir is the folder of executables for vif_types that are not built in.
	BindDir string
	// VethDstPrefix starts the names of the interfaces inside containers.
	VethDstPrefix string
	// OVSDBConnection is the address, "unix:PATH", of Open vSwitch's database.
	OVSDBConnection string
	// IntegrationBridge is the Open vSwitch bridge of ports for which Neutron names none.
	IntegrationBridge string
	// VIFPluggingIsFatal has an attachment fail whose port does not become ACTIVE.
	VIFPluggingIsFatal bool
	// VIFPluggingTimeout is how long an attachment waits for that; 0: as long as its call may take.
	VIFPluggingTimeout time.Duration
	// PortPoolMax is how many ports are kept ready for each network at most; 0:
	// none. PortPoolMin are kept of each that had a container lately, beyond as
	// many as were asked for, and PortPoolBatch made in one request at most.
	PortPoolMax, PortPoolMin, PortPoolBatch int
	// PortPoolCoolDown is how long an address rests before another container gets it.
	PortPoolCoolDown time.Duration
	// PortPoolIdle is after how long a pool shrinks to PortPoolMin.
	PortPoolIdle time.Duration
	// EnableDHCP is set on the subnets that Kuryr makes.
	EnableDHCP bool
	// DefaultPoolV4 and DefaultPoolV6 name the subnetpools that networks without a --subnet are cut from.
	DefaultPoolV4, DefaultPoolV6 string
	// AllowedOptions are the neutron. options that users of Docker may give; never nil.
	AllowedOptions []string
	// CompatTags writes the Python Kuryr's tags too.
	CompatTags bool
	// Cloud is how a real Neutron is reached; without one (Cloud.Real) the embedded Neutron is used.
	Cloud Cloud
	// AuthSection names the section of the file that holds the credentials. Empty: neutron.
	AuthSection string
	// PortForwardingIP is the IPv4 address of the floating IP from which
	// published ports are forwarded; "": they are not.
	PortForwardingIP string
}

// Sources is where settings come from. In order of precedence: flags, the
// environment, the file, the defaults.
type Sources struct {
	// File is the path of the configuration file; empty: none is read.
	File string
	// FileGiven says that a person named File: it is then an error if it does not exist.
	FileGiven bool
	// LookupEnv reads the environment, as os.LookupEnv does; nil: it is empty.
	LookupEnv func(name string) (value string, ok bool)
	// Flags holds the flags that were given, by Option.Flag.
	Flags map[string]string
	// Hostname is the default of host; nil: os.Hostname.
	Hostname func() (string, error)
}
