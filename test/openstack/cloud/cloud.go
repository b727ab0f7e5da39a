// Package cloud describes the lab: a real Keystone and Neutron on this
// machine, which `go run ./test/openstack/lab up` brings up. It says where
// everything is and how to get there; it starts and stops nothing.
//
// Every machine of the lab is a network namespace: a controller (databases,
// Keystone, Neutron, OVN's centre), the compute hosts (Open vSwitch and
// ovn-controller, or an agent), and the outside (what lies behind the external
// network). They are joined by three networks: management, tunnels, external.
package cloud

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"kuryr/internal/testkit"
)

// DefaultDir is the lab's directory unless another one is asked for.
const DefaultDir = "/var/lib/kuryr-lab"

// Variable names the environment variable that holds the directory of the
// lab that tests are to use. It is set where a lab is meant to be up.
const Variable = "KURYR_OPENSTACK_LAB"

// Mechanism is how Neutron makes networks.
type Mechanism string

// The mechanisms.
const (
	OVN         Mechanism = "ovn"         // ML2/OVN
	OVS         Mechanism = "ovs"         // ML2/OVS, firewall in OpenFlow
	OVSHybrid   Mechanism = "ovs-hybrid"  // ML2/OVS, firewall in iptables on a bridge between (hybrid plug)
	LinuxBridge Mechanism = "linuxbridge" // ML2/linuxbridge with VXLAN
)

// Mechanisms lists them all.
var Mechanisms = []Mechanism{OVN, OVS, OVSHybrid, LinuxBridge}

// UsesOVS reports whether hosts have an Open vSwitch.
func (m Mechanism) UsesOVS() bool { return m != LinuxBridge }

// HasRouters reports whether the lab has routers, and an external network. Only
// OVN has them without an agent of their own.
func (m Mechanism) HasRouters() bool { return m == OVN }

// Names of the machines that are not compute hosts.
const (
	Controller = "controller"
	Outside    = "outside"
	Fabric     = "fabric" // the switches between all others
)

// Addresses in the lab.
const (
	ControllerAddress = "10.250.0.2" // on the management network
	OutsideAddress    = "172.24.4.1" // the external network's gateway
	OutsideAddress6   = "2001:db8:4::1"

	AuthURL    = "http://" + ControllerAddress + ":5000/v3"
	NetworkURL = "http://" + ControllerAddress + ":9696"
	// The same two over TLS, with a certificate of the lab's own authority.
	SecureAuthURL    = "https://" + ControllerAddress + ":5443/v3"
	SecureNetworkURL = "https://" + ControllerAddress + ":9443"
)

// Regions of the catalog: one cloud, reached without and with TLS.
const (
	Region       = "RegionOne"
	SecureRegion = "RegionTLS"
)

// ExternalNetwork is the name of the network that leads to the outside.
const ExternalNetwork = "public"

// Account is a user with a password, in a project. Passwords are for tests only.
type Account struct {
	User, Password, Project string
	Roles                   []string
}

// Accounts of the lab, each a cloud of the same name in clouds.yaml.
var (
	Admin = Account{"admin", "admin-test", "admin", []string{"admin"}}
	// Kuryr is a service user: binding:host_id takes an administrator.
	Kuryr = Account{"kuryr", "kuryr-test", "kuryr", []string{"admin", "member"}}
	// Member is a plain user in Kuryr's project.
	Member = Account{"member", "member-test", "kuryr", []string{"member"}}
	// Demo is a plain user in a project of its own.
	Demo = Account{"demo", "demo-test", "demo", []string{"member"}}
)

// More clouds of clouds.yaml, all of the user Kuryr.
const (
	KuryrApp = "kuryr-app" // by application credential
	KuryrTLS = "kuryr-tls" // over TLS
)

// Lab is one that is up.
type Lab struct {
	Dir       string    `json:"-"`
	Mechanism Mechanism `json:"mechanism"`
	Hosts     []string  `json:"hosts"` // names of the compute hosts, as binding:host_id takes them
}

// ErrDown says that no lab is up.
var ErrDown = errors.New("the lab is not up: make openstack-up")

// Open reads which lab is up in a directory.
func Open(dir string) (*Lab, error) {
	b, err := os.ReadFile(description(dir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrDown
	} else if err != nil {
		return nil, err
	}
	l := Lab{Dir: dir}
	if err := json.Unmarshal(b, &l); err != nil {
		return nil, fmt.Errorf("%s: %w", description(dir), err)
	}
	return &l, nil
}

// Save writes what Open reads.
func (l *Lab) Save() error {
	b, err := json.MarshalIndent(l, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(description(l.Dir), append(b, '\n'), 0o644)
}

func description(dir string) string { return filepath.Join(dir, "lab.json") }

// Machine is the machine of that name. It is the lab's: whoever uses it stops
// what he has started on it, and does not close it.
func (l *Lab) Machine(name string) *testkit.Machine {
	return &testkit.Machine{Name: Namespace(name), Dir: filepath.Join(l.Dir, name)}
}

// Namespace is the network namespace of a machine, as `ip netns` knows it.
func Namespace(machine string) string { return "oslab-" + machine }

// OVSDir is where the Open vSwitch of a host has its sockets (OVS_RUNDIR) and
// database.
func (l *Lab) OVSDir(host string) string { return filepath.Join(l.Dir, host, "ovs") }

// OVSDB is the address of the Open vSwitch database of a host.
func (l *Lab) OVSDB(host string) string { return "unix:" + filepath.Join(l.OVSDir(host), "db.sock") }

// ManagementAddress is where the controller reaches a host, and others see it.
func (l *Lab) ManagementAddress(host string) string {
	return fmt.Sprintf("10.250.0.%d", l.number(host))
}

// TunnelAddress is a host's end of all tunnels.
func (l *Lab) TunnelAddress(host string) string { return fmt.Sprintf("10.250.1.%d", l.number(host)) }

func (l *Lab) number(host string) int { return 11 + slices.Index(l.Hosts, host) }

// Clouds is the path of clouds.yaml.
func (l *Lab) Clouds() string { return filepath.Join(l.Dir, "clouds.yaml") }

// CA is the path of the certificate that TLS clients of the lab need.
func (l *Lab) CA() string { return filepath.Join(l.Dir, "tls", "ca.pem") }
