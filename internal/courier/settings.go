package courier

import (
	"context"
	"slices"
)

// resolvePort looks up what a user named for a port. Nothing is asked of
// Neutron where nothing was named.
func (c *Courier) resolvePort(ctx context.Context, w PortWish) (PortSettings, error) {
	s := PortSettings{PortSecurity: w.PortSecurity, DNSName: w.DNSName, AddressPairs: w.AddressPairs}
	if w.PortSecurity != nil && !*w.PortSecurity {
		if len(w.SecurityGroups) > 0 || len(w.AddressPairs) > 0 {
			return s, &Error{Kind: Invalid, Op: "turn it off", Public: "security groups and allowed address pairs need port security",
				Hint: "leave neutron.port.port_security out, or them"}
		}
		// Neutron would refuse what the port has of them already.
		s.SecurityGroups, s.AddressPairs = []SecurityGroupID{}, []AddressPair{}
	}
	var err error
	if !w.QoSPolicy.IsZero() {
		if s.QoSPolicy, err = c.qosPolicy(ctx, w.QoSPolicy); err != nil {
			return s, err
		}
	}
	if len(w.SecurityGroups) > 0 || w.SecurityGroups != nil && s.SecurityGroups == nil {
		s.SecurityGroups, err = c.securityGroups(ctx, w.SecurityGroups)
	}
	return s, err
}

func (c *Courier) qosPolicy(ctx context.Context, r Reference) (QoSPolicyID, error) {
	found, err := c.Neutron.FindQoSPolicies(ctx, r)
	if err != nil {
		return "", err
	}
	p, err := only(found, "QoS policy", r, func(p QoSPolicy) string { return string(p.ID) })
	return p.ID, err
}

func (c *Courier) securityGroups(ctx context.Context, refs []Reference) ([]SecurityGroupID, error) {
	ids := []SecurityGroupID{}
	if len(refs) == 0 {
		return ids, nil
	}
	found, err := c.Neutron.FindSecurityGroups(ctx, refs)
	if err != nil {
		return nil, err
	}
	for _, r := range refs {
		var meant []SecurityGroup
		for _, g := range found {
			fits := r.ID != "" && string(g.ID) == r.ID || r.ID == "" && g.Name == r.Name
			known := slices.ContainsFunc(meant, func(m SecurityGroup) bool { return m.ID == g.ID }) // found by name and by ID
			if fits && !known {
				meant = append(meant, g)
			}
		}
		g, err := only(meant, "security group", r, func(g SecurityGroup) string { return string(g.ID) })
		if err != nil {
			return nil, err
		}
		if !slices.Contains(ids, g.ID) {
			ids = append(ids, g.ID)
		}
	}
	return ids, nil
}

// isZero tells whether nothing was chosen.
func (s PortSettings) isZero() bool {
	return s.SecurityGroups == nil && s.QoSPolicy == "" && s.PortSecurity == nil && s.DNSName == "" && s.AddressPairs == nil
}

// over returns the settings of a port of its own on top of its network's.
func (s PortSettings) over(network PortSettings) PortSettings {
	out := network
	if s.SecurityGroups != nil {
		out.SecurityGroups = s.SecurityGroups
	}
	if s.QoSPolicy != "" {
		out.QoSPolicy = s.QoSPolicy
	}
	if s.PortSecurity != nil {
		out.PortSecurity = s.PortSecurity
	}
	if s.DNSName != "" {
		out.DNSName = s.DNSName
	}
	if s.AddressPairs != nil {
		out.AddressPairs = s.AddressPairs
	}
	return out
}
