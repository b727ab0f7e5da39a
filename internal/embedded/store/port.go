package store

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"

	"github.com/google/uuid"
)

// macTries is how often a random MAC address is drawn before giving up, as in Neutron.
const macTries = 16

// viewPort adds the binding. Nothing of a port's binding is stored: it follows from its
// host, of which this server knows one, itself.
func (s *Store) viewPort(st *state, p *Port) PortView {
	v := PortView{Port: p, Status: "DOWN", VIFType: "binding_failed", Filtered: s.enforce, Protected: s.enforce && p.Security}
	v.NetworkPolicy = st.networks.rows[p.NetworkID].QoSPolicyID
	switch {
	case p.HostID == "":
		v.VIFType = "unbound"
	case p.HostID == s.host && p.VNICType == "normal":
		v.VIFType = "bridge"
		if _, ok := s.plugged[tapOf(p.ID)]; ok && p.AdminStateUp {
			v.Status = "ACTIVE"
		}
	}
	return v
}

// SetPlugged tells whether the link of a port is plugged on this host: the
// bound port whose ID starts with what follows "tap" in the name of the
// link's host end is ACTIVE from now on, if its admin_state_up says so, or DOWN. Other names are ignored.
// Nothing is stored: after a start all ports are DOWN until told.
func (s *Store) SetPlugged(hostEnd string, plugged bool) {
	if len(hostEnd) != 14 || hostEnd[:3] != "tap" {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if plugged {
		s.plugged[hostEnd[3:]] = struct{}{}
	} else {
		delete(s.plugged, hostEnd[3:])
	}
}

// Ports lists ports, in no order; a nil keep accepts all. Besides attributes,
// a query may name "fixed_ips.ip_address" and "fixed_ips.subnet_id".
func (s *Store) Ports(ctx context.Context, q Query, keep func(PortView) bool) ([]PortView, error) {
	return list(ctx, s, portsOf, func(st *state) []*Port {
		if q["id"] == nil {
			if addrs, ok := q["fixed_ips.ip_address"]; ok {
				return st.portsWith(addrs)
			}
			if subnets, ok := q["fixed_ips.subnet_id"]; ok {
				return st.portsOn(subnets)
			}
		}
		return candidates(st.ports, q, []by{
			{"mac_address", st.portMAC}, {"device_id", st.portDevice}, {"description", st.portMark},
			{"name", st.portName}, {"security_groups", st.portGroup}, {"network_id", st.portNetwork},
		})
	}, s.viewPort, keep)
}

// portsWith returns the ports that hold one of some addresses on any subnet.
func (s *state) portsWith(addrs []string) []*Port {
	var ids []string
	for _, text := range addrs {
		a, err := netip.ParseAddr(text)
		if err != nil {
			continue // no port has it
		}
		for _, sp := range s.spaces {
			if id, ok := sp.used[a]; ok {
				ids = append(ids, id)
			}
		}
	}
	return rowsByID(s.ports, ids)
}

func (s *state) portsOn(subnets []string) []*Port {
	var ids []string
	for _, id := range subnets {
		if sp := s.spaces[id]; sp != nil {
			for _, port := range sp.used {
				ids = append(ids, port)
			}
		}
	}
	return rowsByID(s.ports, ids)
}

// Port returns a port.
func (s *Store) Port(ctx context.Context, id string) (PortView, error) {
	return show(ctx, s, portsOf, id, s.viewPort, portNotFound(id))
}

// CreatePorts makes all ports or none.
func (s *Store) CreatePorts(ctx context.Context, specs []PortSpec) ([]PortView, error) {
	return create(ctx, s, specs, createPort, s.viewPort)
}

func createPort(x *tx, spec PortSpec) (*Port, error) {
	if err := x.quota("port", spec.StandardSpec); err != nil {
		return nil, err
	}
	network := spec.NetworkID.V
	on := find(x, x.networks, network)
	if on == nil {
		return nil, networkNotFound(network)
	}
	p := &Port{
		Standard:  x.standard(x.newPortID(), spec.StandardSpec),
		NetworkID: network, AdminStateUp: true, VNICType: "normal",
	}
	if err := x.mayOnNetwork("create", on, spec); err != nil {
		return nil, err
	}
	p.NoAddresses = spec.FixedIPs.Set && len(spec.FixedIPs.V) == 0
	p.Revision = 1 // as Neutron's, whose addresses are its first change
	spec.into(p)
	if len(spec.Tags.V) > 0 {
		p.Tags = sortedTags(spec.Tags.V)
		p.Revision++
	}
	if err := x.setMAC(p, spec.MAC); err != nil {
		return nil, err
	}
	ips, err := x.addresses(p, spec.FixedIPs)
	if err != nil {
		return nil, err
	}
	p.FixedIPs = ips
	if err := x.checkPolicy(p.QoSPolicyID); err != nil {
		return nil, err
	}
	if err := x.secure(p, on, spec); err != nil {
		return nil, err
	}
	set(x, x.ports, p.ID, p)
	return p, nil
}

// into carries over what needs no check against other rows.
func (s PortSpec) into(p *Port) {
	s.StandardSpec.into(&p.Standard)
	s.AdminStateUp.into(&p.AdminStateUp)
	s.DeviceID.into(&p.DeviceID)
	s.DeviceOwner.into(&p.DeviceOwner)
	s.HostID.into(&p.HostID)
	s.VNICType.into(&p.VNICType)
	s.Profile.into(&p.Profile)
	s.DNSName.into(&p.DNSName)
	s.DNSDomain.into(&p.DNSDomain)
	s.QoSPolicyID.into(&p.QoSPolicyID)
	if s.DHCPOptions.Set {
		p.setDHCPOptions(s.DHCPOptions.V)
	}
	if s.Uplink.Set {
		p.NoUplink = !s.Uplink.V
	}
}

// newPortID makes an ID whose first 11 characters no other port has, since
// they name the port's link.
func (x *tx) newPortID() string {
	for {
		id := uuid.NewString()
		if _, taken := x.taps[tapOf(id)]; !taken {
			return id
		}
	}
}

// setMAC gives a port the MAC address it asks for, or a random one of
// Neutron's range. No two ports of a network have the same.
func (x *tx) setMAC(p *Port, want Opt[string]) error {
	if want.Set && want.V != "" {
		if holder, taken := x.macHolder(p.NetworkID, want.V); taken && holder != p.ID {
			return macInUse(p.NetworkID, want.V)
		}
		p.MAC = want.V
		return nil
	}
	for range macTries {
		n := rand.Uint32()
		mac := fmt.Sprintf("fa:16:3e:%02x:%02x:%02x", byte(n>>16), byte(n>>8), byte(n))
		if _, taken := x.macHolder(p.NetworkID, mac); !taken {
			p.MAC = mac
			return nil
		}
	}
	return errorf(Unavailable, "NetworkMacAddressGenerationFailure",
		"Unable to generate unique mac on network %s.", p.NetworkID)
}

// UpdatePort changes a port.
func (s *Store) UpdatePort(ctx context.Context, id string, spec PortSpec, m Match) (out PortView, err error) {
	err = s.update(ctx, func(x *tx) error {
		old := find(x, x.ports, id)
		if old == nil {
			return portNotFound(id)
		}
		if err := x.may("update_port", m, &old.Standard); err != nil {
			return err
		}
		if err := x.mayOnNetwork("update", x.networks.rows[old.NetworkID], spec); err != nil {
			return err
		}
		p := *old
		spec.into(&p)
		if err := s.changeMAC(x, old, &p, spec.MAC); err != nil {
			return err
		}
		if spec.FixedIPs.Set || p.MAC != old.MAC {
			ips, err := x.readdress(old, &p, spec.FixedIPs)
			if err != nil {
				return err
			}
			p.FixedIPs = ips
		}
		if err := x.checkPolicy(spec.QoSPolicyID.V); err != nil {
			return err
		}
		if err := x.resecure(&p, spec); err != nil {
			return err
		}
		p.touch(x.now)
		set(x, x.ports, id, &p)
		out = s.viewPort(x.state, &p)
		return nil
	})
	return out, err
}

// changeMAC refuses to change the MAC address of a bound port: the interface
// has the old one.
func (s *Store) changeMAC(x *tx, old, p *Port, want Opt[string]) error {
	if !want.Set || want.V == old.MAC {
		return nil
	}
	if vif := s.viewPort(x.state, old).VIFType; vif == "bridge" {
		return errorf(Conflict, "PortBound",
			"Unable to complete operation on port %s, port is already bound, port type: %s, old_mac %s, new_mac %s.",
			p.ID, vif, old.MAC, want.V)
	}
	return x.setMAC(p, want)
}

// DeletePort deletes a port and frees its addresses.
func (s *Store) DeletePort(ctx context.Context, id string, m Match) error {
	return s.update(ctx, func(x *tx) error {
		p := find(x, x.ports, id)
		if p == nil {
			return portNotFound(id)
		}
		if err := x.may("delete_port", m, &p.Standard); err != nil {
			return err
		}
		set(x, x.ports, id, nil)
		return nil
	})
}

// strip takes a port's addresses on a subnet away from it.
func (x *tx) strip(port, subnet string) {
	p := *x.ports.rows[port]
	p.FixedIPs = slices.DeleteFunc(slices.Clone(p.FixedIPs), func(ip FixedIP) bool { return ip.SubnetID == subnet })
	p.touch(x.now)
	set(x, x.ports, port, &p)
}

func portsOf(s *state) *table[Port] { return s.ports }

// setDHCPOptions sets and takes away options; the others stay.
func (p *Port) setDHCPOptions(specs []DHCPOptionSpec) {
	options := slices.Clone(p.DHCPOptions)
	for _, o := range specs {
		options = slices.DeleteFunc(options, func(have DHCPOption) bool {
			return have.Name == o.Name && have.IPVersion == o.IPVersion
		})
		if !o.Gone {
			options = append(options, o.DHCPOption)
		}
	}
	p.DHCPOptions = options
}
