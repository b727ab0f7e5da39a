package dataplane

import "net/netip"

// Policy is what must be in force on this host, as the store has it. It is
// safe for concurrent use.
type Policy interface {
	Ports
	// Snapshot returns everything, of one moment. The caller changes nothing
	// in it, and neither does whoever made it.
	Snapshot() State
	// Changes receives after each change that Snapshot would show; several may
	// be told as one (its capacity is 1).
	Changes() <-chan struct{}
}

// State is a policy of one moment.
type State struct {
	Ports  []Port           // those bound to this host
	Groups map[string]Group // by ID: every group that a port or a rule names
}

// Port is one port that is bound to this host.
type Port struct {
	ID        string
	HostEnd   string // the host's end of its link: "tap" and the first 11 characters of ID
	Network   string // its network's ID; the bridge is "brq" and the first 11 characters
	MAC       [6]byte
	Addresses []netip.Addr
	Pairs     []AddressPair // allowed_address_pairs
	Security  bool          // port_security_enabled: false passes everything
	Up        bool          // admin_state_up: false drops everything
	Groups    []string      // IDs of its security groups
}

// AddressPair is a MAC and addresses that a port may use besides its own. The
// MAC is the port's where the API's user named none.
type AddressPair struct {
	MAC    [6]byte
	Prefix netip.Prefix
}

// Group is a security group: what its rules don't permit is dropped.
type Group struct {
	ID       string
	Stateful bool // answers to what was permitted are permitted
	Rules    []Rule
}

// Rule permits packets that match all of it.
type Rule struct {
	Egress           bool // from the port; otherwise to it
	IPv6             bool
	Protocol         int          // IANA number; -1: any
	PortMin, PortMax int          // of TCP, UDP, SCTP, …; or ICMP type and code; -1: any
	Prefix           netip.Prefix // of the other side (an address group is one Rule each); zero: any
	RemoteGroup      string       // the other side is an address of a port in this group; "": any
}
