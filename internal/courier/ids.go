package courier

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"strings"
)

// Identifiers of Neutron's resources (UUIDs in text form).
type (
	// NetworkID is a Neutron network's.
	NetworkID string
	// SubnetID is a Neutron subnet's.
	SubnetID string
	// SubnetPoolID is a Neutron subnetpool's.
	SubnetPoolID string
	// PortID is a Neutron port's.
	PortID string
	// SecurityGroupID is a Neutron security group's.
	SecurityGroupID string
	// QoSPolicyID is a Neutron QoS policy's.
	QoSPolicyID string
	// SecurityGroupRuleID is a rule's of a security group.
	SecurityGroupRuleID string
	// FloatingIPID is a Neutron floating IP's.
	FloatingIPID string
	// PortForwardingID is a port forwarding's of a floating IP.
	PortForwardingID string
)

// Identifiers that come from, or are given to, a container engine.
type (
	// EngineNetworkID is the engine's own identifier of a network: for Docker
	// 64 hexadecimal digits, or 25 base-36 characters in swarm mode. Opaque.
	EngineNetworkID string
	// EndpointID is the engine's identifier of an attachment (CNM: endpoint).
	EndpointID string
	// PoolID names one RequestPool's result to the engine. It is the UUID of
	// the subnetpool made for it or, for a pool cut from an adopted
	// subnetpool, a UUID that is tagged on that subnetpool.
	PoolID string
)

// Short returns the first 12 characters, as Docker's own tools print IDs.
func (id EngineNetworkID) Short() string { return short(string(id)) }

// Short returns the first 12 characters, as Docker's own tools print IDs.
func (id EndpointID) Short() string { return short(string(id)) }

func short(s string) string {
	if len(s) > 12 {
		return s[:12]
	}
	return s
}

// MAC is a 48-bit Ethernet address. The zero value means "not given".
type MAC [6]byte

// withoutSeparators takes out of a MAC address what joins its digits.
var withoutSeparators = strings.NewReplacer(":", "", "-", "")

// ParseMAC reads six pairs of hexadecimal digits joined by colons or hyphens.
// Multicast addresses and the zero address are refused: no interface can have them.
func ParseMAC(s string) (MAC, error) {
	var m MAC
	digits := withoutSeparators.Replace(s)
	if len(s) != 17 || len(digits) != 12 {
		return MAC{}, fmt.Errorf("%.40q is not a MAC address (six pairs of hexadecimal digits)", s)
	}
	if _, err := hex.Decode(m[:], []byte(digits)); err != nil {
		return MAC{}, fmt.Errorf("%.40q is not a MAC address (six pairs of hexadecimal digits)", s)
	}
	if m[0]&1 != 0 || m.IsZero() {
		return MAC{}, fmt.Errorf("%.40q is not the MAC address of a single interface", s)
	}
	return m, nil
}

// IsZero reports whether no address was given.
func (m MAC) IsZero() bool { return m == MAC{} }

// String returns the address in lower case with colons, or "" when none was given.
func (m MAC) String() string {
	if m.IsZero() {
		return ""
	}
	return fmt.Sprintf("%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5])
}

// MarshalText implements encoding.TextMarshaler.
func (m MAC) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (m *MAC) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		*m = MAC{}
		return nil
	}
	v, err := ParseMAC(string(b))
	if err != nil {
		return err
	}
	*m = v
	return nil
}

// Family is an IP version, 4 or 6.
type Family int

// The two families.
const (
	IPv4 Family = 4
	IPv6 Family = 6
)

// FamilyOf returns the family of an address. IPv4-mapped IPv6 addresses are
// unmapped at the edges and never reach the courier.
func FamilyOf(a netip.Addr) Family {
	if a.Is4() {
		return IPv4
	}
	return IPv6
}

// HostEnd names the host's end of a port's link, as Nova and the Python Kuryr
// do: "tap" and the first 11 characters of the port's ID, 14 bytes in all
// (the kernel's limit is 15).
func HostEnd(p PortID) string { return "tap" + head(string(p)) }

// ContainerEnd names the container's end of a port's link before the engine
// renames it: "t_c" and the first 11 characters of the port's ID.
func ContainerEnd(p PortID) string { return "t_c" + head(string(p)) }

// BridgeName names the Linux bridge of a network, as Neutron's linuxbridge
// agent does: "brq" and the first 11 characters of the network's ID.
func BridgeName(n NetworkID) string { return "brq" + head(string(n)) }

func head(id string) string {
	if len(id) > 11 {
		return id[:11]
	}
	return id
}
