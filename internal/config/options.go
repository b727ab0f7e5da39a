package config

import (
	"slices"
	"strings"

	"kuryr/internal/observe"
)

// Option is one setting that has an effect.
type Option struct {
	Section, Name string   // in kuryr.conf
	Aliases       []string // other names of the same section, accepted without a word
	Env           string   // environment variable, besides EnvName; may be empty
	EnvAliases    []string // other variables, accepted without a word
	Flag          string   // command line flag without its dashes; may be empty
	Value         string   // what a value looks like, for help and reference
	Default       string   // as it would be written in the file
	DefaultNote   string   // says what the default is where Default can't
	Doc           string   // one or more sentences; the first is the flag's help

	field  func(*Config) any // what store and show take
	check  func(string) *fault
	effect effect
	moved  bool // auth_section names the section it is in
}

// Secret reports whether nobody may see the option's value.
func (o Option) Secret() bool {
	_, ok := o.field(new(Config)).(*observe.Secret)
	return ok
}

// Envs are all variables but EnvName, the one that wins first.
func (o Option) Envs() []string {
	if o.Env == "" {
		return nil
	}
	return append([]string{o.Env}, o.EnvAliases...)
}

// EnvName is the variable that oslo.config reads for the option:
// OS_<SECTION>__<NAME>.
func (o Option) EnvName() string { return envName(o.Section, o.Name) }

func envName(section, name string) string {
	return "OS_" + strings.ToUpper(section) + "__" + strings.ToUpper(name)
}

// Usage is the first sentence of Doc, without its full stop and capital: a flag's help.
func (o Option) Usage() string {
	first, _, _ := strings.Cut(o.Doc, ". ")
	first = strings.TrimSuffix(first, ".")
	return strings.ToLower(first[:1]) + first[1:]
}

// Options returns every setting that has an effect, in the order in which
// they are shown: by section.
func Options() []Option {
	return slices.Concat(hostOptions(), tcpOptions(), engineOptions(), bindingOptions(), ovsOptions(), poolOptions(), neutronOptions(), cloudOptions(), reuseOptions())
}

// hostOptions are about this host: its name, files and sockets.
func hostOptions() []Option {
	return []Option{{
		Section: defaultSection, Name: "host", Env: "KURYR_HOST", Flag: "host", Value: "NAME", DefaultNote: "the machine's host name",
		Doc:   "Name of this machine in Neutron (`binding:host_id`). It must not change while containers run.",
		field: func(c *Config) any { return &c.Host }, check: word(maxName),
	}, {
		Section: defaultSection, Name: "state_dir", Env: "KURYR_STATE_DIR", Flag: "state-dir", Value: "DIRECTORY", Default: "/var/lib/kuryr",
		Doc:   "Directory of the journal and the embedded Neutron's database. It is made when it does not exist.",
		field: func(c *Config) any { return &c.StateDir }, check: directory,
	}, {
		Section: defaultSection, Name: "docker_socket", Flag: "docker-socket", Value: "PATH", Default: "/run/docker/plugins/kuryr.sock",
		Doc:   "Path of the Unix socket on which Docker talks to Kuryr. Docker finds the plugin `kuryr` by the default path.",
		field: func(c *Config) any { return &c.DockerSocket }, check: socketPath,
	}, {
		Section: defaultSection, Name: "admin_socket", Env: "KURYR_ADMIN_SOCKET", Flag: "admin-socket", Value: "PATH", Default: "/run/kuryr/kuryr.sock",
		Doc:   "Path of the admin API's Unix socket. `kuryr status` reads it.",
		field: func(c *Config) any { return &c.AdminSocket }, check: socketPath,
	}, {
		Section: defaultSection, Name: "socket_group", Value: "GROUP", Default: "docker",
		Doc:   "Group that may use both sockets (mode 0660). When the machine has no such group they are root's alone (0600).",
		field: func(c *Config) any { return &c.SocketGroup }, check: word(maxName),
	}, {
		Section: defaultSection, Name: "neutron_listen", Flag: "neutron-listen", Value: "ADDRESS:PORT", DefaultNote: "not served over TCP",
		Doc:   "Loopback address on which the embedded Neutron is also served over TCP. It asks nobody for credentials.",
		field: func(c *Config) any { return &c.NeutronListen }, check: loopbackOrEmpty,
	}, {
		Section: defaultSection, Name: "debug", Flag: "debug", Value: "BOOLEAN", Default: "false",
		Doc:   "Log the details of every call too.",
		field: func(c *Config) any { return &c.Debug },
	}}
}

// tcpOptions are about an engine that does not use the Unix socket.
func tcpOptions() []Option {
	const certs = "/var/lib/kuryr/certs/" // the Python Kuryr's
	return []Option{{
		Section: defaultSection, Name: "kuryr_uri", Env: "OS_KURYR_URI", Value: "URL", DefaultNote: "the Unix socket only",
		Doc: "URL on which the engine reaches Kuryr over TCP too, such as `http://127.0.0.1:23750`. " +
			"Without `enable_ssl` only on a loopback address, since there is no authentication.",
		field: func(c *Config) any { return &c.KuryrURI }, check: kuryrURI,
	}, {
		Section: defaultSection, Name: "enable_ssl", Value: "BOOLEAN", Default: "false",
		Doc:   "Serve `kuryr_uri` over TLS, on any address, to clients whose certificate `ssl_ca_file` vouches for.",
		field: func(c *Config) any { return &c.EnableSSL },
	}, {
		Section: defaultSection, Name: "ssl_cert_file", Value: "FILE", Default: certs + "cert.pem",
		Doc:   "Certificate (PEM) that Kuryr shows, with those between it and its authority. It is read again when it changes.",
		field: func(c *Config) any { return &c.SSLCertFile }, check: pathOrEmpty,
	}, {
		Section: defaultSection, Name: "ssl_key_file", Value: "FILE", Default: certs + "key.pem",
		Doc:   "Key (PEM) of `ssl_cert_file`.",
		field: func(c *Config) any { return &c.SSLKeyFile }, check: pathOrEmpty,
	}, {
		Section: defaultSection, Name: "ssl_ca_file", Value: "FILE", DefaultNote: "none; `enable_ssl` needs one",
		Doc:   "Authorities (PEM) of the clients' certificates. Whoever has one may do everything that Docker may.",
		field: func(c *Config) any { return &c.SSLCAFile }, check: pathOrEmpty,
	}}
}

// engineOptions are about what the container engine sees.
func engineOptions() []Option {
	return []Option{{
		Section: defaultSection, Name: "capability_scope", Env: "CAPABILITY_SCOPE", Value: "local|global", Default: "local",
		Doc:   "Scope of networks that the engine is told. Docker dropped the cluster store that `global` needs in version 23.",
		field: func(c *Config) any { return &c.CapabilityScope }, check: oneOf("local", "global"),
	}, {
		Section: defaultSection, Name: "local_default_address_space", Value: "NAME", Default: "no_address_space",
		Doc:   "Default address space of networks of local scope.",
		field: func(c *Config) any { return &c.LocalAddressSpace }, check: word(maxName),
	}, {
		Section: defaultSection, Name: "global_default_address_space", Value: "NAME", Default: "no_address_space",
		Doc:   "Default address space of networks of global scope.",
		field: func(c *Config) any { return &c.GlobalAddressSpace }, check: word(maxName),
	}, {
		Section: defaultSection, Name: "process_external_connectivity", Value: "BOOLEAN", Default: "true",
		Doc:   "Open exposed ports (`--expose`, `-p`, `EXPOSE`) by security groups, to everybody.",
		field: func(c *Config) any { return &c.ProcessExternalConnectivity },
	}, {
		Section: defaultSection, Name: "requires_mac_address", Value: "BOOLEAN", Default: "false",
		Doc:   "Have the engine choose each MAC address before it asks for an IP address, as the Python Kuryr did.",
		field: func(c *Config) any { return &c.RequiresMACAddress },
	}, {
		Section: defaultSection, Name: "subnetpool_name_prefix", Value: "PREFIX", Default: "kuryrPool",
		Doc:   "Start of the names of the subnetpools that Kuryr makes.",
		field: func(c *Config) any { return &c.SubnetPoolPrefix }, check: name(maxPoolPrefix),
	}, {
		Section: defaultSection, Name: "request_timeout", Value: "SECONDS", Default: "20",
		Doc:   "Deadline of each call from the engine, 1 to 300 seconds.",
		field: func(c *Config) any { return &c.RequestTimeout },
	}, {
		Section: defaultSection, Name: "lost_request_timeout", Value: "SECONDS", Default: "30",
		Doc:   "How long Kuryr looks for what a request to Neutron has made whose answer was lost, 1 to 300 seconds. What appears later is deleted by the next comparison (`reconcile_interval`). Without meaning where the embedded Neutron serves.",
		field: func(c *Config) any { return &c.LostRequestTimeout },
	}, {
		Section: defaultSection, Name: "reconcile_interval", Value: "SECONDS", Default: "300",
		Doc:   "How often what this host holds is compared with what Neutron, the kernel and Open vSwitch have, 10 to 86400 seconds. What is broken is mended, and what this host made and nobody owns any more is deleted. The kernel is looked at every 10 seconds in any case.",
		field: func(c *Config) any { return &c.ReconcileInterval }, check: secondsFrom(10, 86400),
	}}
}

// bindingOptions are about the interfaces of containers.
func bindingOptions() []Option {
	return []Option{{
		Section: defaultSection, Name: "bindir", Value: "DIRECTORY", Default: "/usr/libexec/kuryr",
		Doc: "Folder of executables that plug ports of a `binding:vif_type` that Kuryr does not know, each named as its vif_type. " +
			"They are run as root, so they and all folders above must be root's, and writable by nobody else.",
		field: func(c *Config) any { return &c.BindDir }, check: directory,
	}, {
		Section: "binding", Name: "veth_dst_prefix", Value: "PREFIX", Default: "eth",
		Doc:   "Start of the interfaces' names inside containers. The engine appends a number.",
		field: func(c *Config) any { return &c.VethDstPrefix }, check: linkPrefix,
	}}
}

// ovsOptions are about Open vSwitch on this host, named as Neutron's agent
// names them.
func ovsOptions() []Option {
	const section = "ovs"
	return []Option{{
		Section: section, Name: "ovsdb_connection", Value: "unix:PATH", Default: "unix:/run/openvswitch/db.sock",
		Doc: "Open vSwitch's database on this host, for ports that Neutron binds with vif_type `ovs` (ML2/OVN, ML2/OVS). " +
			"It is not connected to before the first such port.",
		field: func(c *Config) any { return &c.OVSDBConnection }, check: unixConnection,
	}, {
		Section: section, Name: "integration_bridge", Value: "NAME", Default: "br-int",
		Doc:   "Open vSwitch bridge of ports whose `binding:vif_details` name none. ML2/OVN names none.",
		field: func(c *Config) any { return &c.IntegrationBridge }, check: interfaceName,
	}}
}

// poolOptions are about the ports that are kept ready, named as the Kuryr for
// Kubernetes named them.
func poolOptions() []Option {
	const section = "vif_pool"
	return []Option{{
		Section: section, Name: "ports_pool_max", Value: "NUMBER", Default: "64",
		Doc: "How many ports are kept ready for each network on this host at most, 0 to 1000, and less than an eighth of its smallest subnet. 0: none. " +
			"A container that gets one starts without a call to Neutron.",
		field: func(c *Config) any { return &c.PortPoolMax }, check: numberFrom(0, maxCount),
	}, {
		Section: section, Name: "ports_pool_min", Value: "NUMBER", Default: "3",
		Doc:   "How many ports are kept ready for each network that had a container lately, beyond as many as were asked for in the last 20 seconds, 0 to 1000.",
		field: func(c *Config) any { return &c.PortPoolMin }, check: numberFrom(0, maxCount),
	}, {
		Section: section, Name: "ports_pool_batch", Value: "NUMBER", Default: "10",
		Doc:   "How many ports are made in one request at most, 1 to 1000. Where fewer are missing, and five or `ports_pool_min` are left, they are made when nobody has asked for 20 seconds.",
		field: func(c *Config) any { return &c.PortPoolBatch }, check: numberFrom(1, maxCount),
	}, {
		Section: section, Name: "ports_pool_cooldown", Value: "SECONDS", Default: "10",
		Doc:   "How long the port, and so the address, of a container that is gone rests before another container gets it, 0 to 300 seconds.",
		field: func(c *Config) any { return &c.PortPoolCoolDown }, check: secondsOrZero,
	}, {
		Section: section, Name: "ports_pool_idle", Value: "SECONDS", Default: "300",
		Doc:   "After how long without a container's start a network's pool shrinks to `ports_pool_min`, 10 to 86400 seconds; after 12 times this to nothing.",
		field: func(c *Config) any { return &c.PortPoolIdle }, check: secondsFrom(10, 86400),
	}}
}

// neutronOptions are about Neutron and what is made in it.
func neutronOptions() []Option {
	return []Option{{
		Section: neutronSection, Name: "enable_dhcp", Value: "BOOLEAN", Default: "true",
		Doc:   "Set `enable_dhcp` on the subnets that Kuryr makes.",
		field: func(c *Config) any { return &c.EnableDHCP },
	}, {
		Section: neutronSection, Name: "default_subnetpool_v4", Value: "NAME", Default: "kuryr",
		Doc:   "Subnetpool from which IPv4 subnets are cut when `docker network create` names none.",
		field: func(c *Config) any { return &c.DefaultPoolV4 }, check: name(maxName),
	}, {
		Section: neutronSection, Name: "default_subnetpool_v6", Value: "NAME", Default: "kuryr6",
		Doc:   "Subnetpool from which IPv6 subnets are cut when `docker network create --ipv6` names none.",
		field: func(c *Config) any { return &c.DefaultPoolV6 }, check: name(maxName),
	}, {
		Section: neutronSection, Name: "vif_plugging_is_fatal", Value: "BOOLEAN", Default: "false",
		Doc: "Let a container start only once Neutron says that its port is ACTIVE, or fail. " +
			"Without it a container waits where frames would pass unfiltered before (the linuxbridge agent), and starts without network when the time is up.",
		field: func(c *Config) any { return &c.VIFPluggingIsFatal },
	}, {
		Section: neutronSection, Name: "vif_plugging_timeout", Value: "SECONDS", Default: "0",
		Doc:   "How long to wait for a port to become ACTIVE, 0 to 300 seconds. 0: as long as the call may take (`request_timeout`).",
		field: func(c *Config) any { return &c.VIFPluggingTimeout }, check: secondsOrZero,
	}, {
		Section: neutronSection, Name: "port_forwarding_ip", Value: "ADDRESS", DefaultNote: "published ports are not forwarded",
		Doc:   "Address of a floating IP, of no port, from which published ports (`-p HOST:CONTAINER`) are forwarded. Not with the embedded Neutron.",
		field: func(c *Config) any { return &c.PortForwardingIP }, check: ipv4OrEmpty,
	}}
}
