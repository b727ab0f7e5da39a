package store

import (
	"context"
	"slices"

	"github.com/google/uuid"
)

// Largest and smallest MTU of a network, in bytes: what a veth and a bridge
// can do, and what IPv4 needs at least.
const (
	maxMTU = 65535
	minMTU = 68
)

func (s *Store) viewNetwork(st *state, n *Network) NetworkView {
	subnets := st.subnetNetwork.list(n.ID)
	slices.Sort(subnets)
	return NetworkView{Network: n, Subnets: subnets, Scope4: st.scopeOf(subnets, 4), Scope6: st.scopeOf(subnets, 6), Security: s.enforce && (n.PortSecurity == nil || *n.PortSecurity)}
}

// Networks lists networks, in no order; a nil keep accepts all.
func (s *Store) Networks(ctx context.Context, q Query, keep func(NetworkView) bool) ([]NetworkView, error) {
	return list(ctx, s, networksOf, func(st *state) []*Network {
		return candidates(st.networks, q, []by{{"description", st.networkMark}, {"name", st.networkName}})
	}, s.viewNetwork, keep)
}

// Network returns a network.
func (s *Store) Network(ctx context.Context, id string) (NetworkView, error) {
	return show(ctx, s, networksOf, id, s.viewNetwork, networkNotFound(id))
}

// CreateNetworks makes all networks or none.
func (s *Store) CreateNetworks(ctx context.Context, specs []NetworkSpec) ([]NetworkView, error) {
	return create(ctx, s, specs, createNetwork, s.viewNetwork)
}

func createNetwork(x *tx, spec NetworkSpec) (*Network, error) {
	if err := x.quota("network", spec.StandardSpec); err != nil {
		return nil, err
	}
	if err := x.checkPolicy(spec.QoSPolicyID.V); err != nil {
		return nil, err
	}
	n := &Network{Standard: x.standard(uuid.NewString(), spec.StandardSpec), AdminStateUp: true}
	n.Revision = 1 // as Neutron's, whose segment is its first change
	if err := spec.into(n, x.store.mtu); err != nil {
		return nil, err
	}
	if n.QoSPolicyID == "" {
		n.QoSPolicyID = x.defaultPolicy(n.ProjectID)
	}
	x.ensureDefaultGroup(n.ProjectID)
	set(x, x.networks, n.ID, n)
	return n, nil
}

func (s NetworkSpec) into(n *Network, mtu int) error {
	s.AdminStateUp.into(&n.AdminStateUp)
	s.Shared.into(&n.Shared)
	s.MTU.into(&n.MTU)
	s.DNSDomain.into(&n.DNSDomain)
	s.QoSPolicyID.into(&n.QoSPolicyID)
	if s.PortSecurity.Set {
		n.PortSecurity = &s.PortSecurity.V
	}
	if n.MTU == 0 {
		n.MTU = mtu
	}
	if n.MTU > maxMTU {
		return InvalidInput("Requested MTU is too big, maximum is %d", maxMTU)
	}
	if n.MTU < minMTU {
		return InvalidInput("Requested MTU is too small, minimum is %d", minMTU)
	}
	return nil
}

// UpdateNetwork changes a network.
func (s *Store) UpdateNetwork(ctx context.Context, id string, spec NetworkSpec, m Match) (out NetworkView, err error) {
	err = s.update(ctx, func(x *tx) error {
		old := find(x, x.networks, id)
		if old == nil {
			return networkNotFound(id)
		}
		if err := x.may("update_network", m, &old.Standard); err != nil {
			return err
		}
		if err := x.checkPolicy(spec.QoSPolicyID.V); err != nil {
			return err
		}
		n := *old
		spec.StandardSpec.into(&n.Standard)
		if err := spec.into(&n, x.store.mtu); err != nil {
			return err
		}
		n.touch(x.now)
		set(x, x.networks, id, &n)
		out = s.viewNetwork(x.state, &n)
		return nil
	})
	return out, err
}

// DeleteNetwork deletes a network and its subnets. Ports stand in the way,
// except those that Neutron made for its own services.
func (s *Store) DeleteNetwork(ctx context.Context, id string, m Match) error {
	return s.update(ctx, func(x *tx) error {
		n := find(x, x.networks, id)
		if n == nil {
			return networkNotFound(id)
		}
		if err := x.may("delete_network", m, &n.Standard); err != nil {
			return err
		}
		var own, inUse []string
		x.portNetwork.each(id, func(port string) bool {
			if goesWithNetwork(x.ports.rows[port].DeviceOwner) {
				own = append(own, port)
			} else {
				inUse = append(inUse, port)
			}
			return true
		})
		if len(inUse) > 0 {
			slices.Sort(inUse)
			return networkInUse(id, inUse)
		}
		for _, port := range own {
			set(x, x.ports, port, nil)
		}
		for _, subnet := range x.subnetNetwork.list(id) {
			set(x, x.subnets, subnet, nil)
		}
		set(x, x.networks, id, nil)
		return nil
	})
}

// goesWithNetwork reports whether Neutron deletes a port by itself when its
// network or subnet goes.
func goesWithNetwork(owner string) bool {
	return owner == "network:dhcp" || owner == "network:distributed"
}

// touchNetwork counts a change of a network's subnets.
func (x *tx) touchNetwork(id string) {
	n := *x.networks.rows[id]
	n.touch(x.now)
	set(x, x.networks, id, &n)
}

func networksOf(s *state) *table[Network] { return s.networks }
