package courier

import "context"

// Belongings lists what carries a host's mark in Neutron, whatever its intent.
// Neutron filters descriptions by the whole of them only, so these are lists
// of much more, of which page after page is let go. What is told of each is no
// more than the look needs: ID, name, description, tags, revision, and of
// ports and subnets the network. What other projects own is left out.
type Belongings interface {
	NetworksOfHost(ctx context.Context, host string) ([]Network, error)
	SubnetsOfHost(ctx context.Context, host string) ([]Subnet, error)
	SubnetPoolsOfHost(ctx context.Context, host string) ([]SubnetPool, error)
	// PortsOfHost returns the host's ports with their status, device and
	// binding:host_id: those that are bound to it, and those that hold auxiliary
	// addresses. One that was bound elsewhere since is found by PortsByID.
	PortsOfHost(ctx context.Context, host string) ([]Port, error)
	// PortsByID returns those of the ports that exist, as PortsOfHost does.
	PortsByID(context.Context, []PortID) ([]Port, error)
	SecurityGroupsOfHost(ctx context.Context, host string) ([]SecurityGroup, error)
}

// Pair is a pair of kernel interfaces as it is now.
type Pair struct {
	HostEnd string
	Alias   string // "": a crash came before it was written, or somebody took it away
	Ours    bool   // Kuryr made it
	Up      bool   // the host's end
	Master  string // the bridge that the host's end is on; "": none
	Peer    string // the other end's name, if that is on this host
}

// Away tells whether the other end is in a sandbox. It can't be gone: the
// kernel removes both ends of a pair together.
func (p Pair) Away() bool { return p.Peer == "" }
