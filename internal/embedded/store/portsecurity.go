package store

import (
	"slices"
	"strings"
)

// maxPairs is Neutron's default for max_allowed_address_pair.
const maxPairs = 10

// AddressPair is a MAC and an address or prefix that a port may use besides
// its own.
type AddressPair struct {
	MAC     string `json:"mac,omitempty"` // "": the port's
	Address string `json:"address"`       // as it was given
}

// secure gives a new port its port security, groups and pairs.
func (x *tx) secure(p *Port, on *Network, spec PortSpec) error {
	if !x.store.enforce {
		return nil
	}
	p.Security = on.PortSecurity == nil || *on.PortSecurity
	spec.Security.into(&p.Security)
	if strings.HasPrefix(p.DeviceOwner, "network:") { // Neutron trusts its own services' ports
		p.Security = false
	}
	switch {
	case len(spec.Pairs.V) > 0 && !p.Security:
		return pairsNeedSecurity()
	case len(spec.Groups.V) > 0 && !p.Security:
		return groupsNeedSecurity()
	}
	var err error
	switch {
	case spec.Groups.Set:
		p.Groups, err = x.checkGroups(spec.Groups.V)
	case p.Security:
		p.Groups = []string{x.ensureDefaultGroup(p.ProjectID)}
	}
	if err != nil {
		return err
	}
	p.Pairs, err = pairsOf(p, spec.Pairs.V)
	return err
}

// resecure changes a port's port security, groups and pairs.
func (x *tx) resecure(p *Port, spec PortSpec) (err error) {
	if !x.store.enforce {
		return nil
	}
	spec.Security.into(&p.Security)
	if spec.Groups.Set {
		if p.Groups, err = x.checkGroups(spec.Groups.V); err != nil {
			return err
		}
	}
	if spec.Pairs.Set {
		if p.Pairs, err = pairsOf(p, spec.Pairs.V); err != nil {
			return err
		}
	}
	switch {
	case p.Security:
		return nil
	case len(p.Pairs) > 0:
		return pairsNeedSecurity()
	case len(spec.Groups.V) > 0:
		return groupsNeedSecurity()
	case len(p.Groups) > 0:
		return errorf(Conflict, "PortSecurityPortHasSecurityGroup",
			"Port has security group associated. Cannot disable port security or IP address until security group is removed.")
	}
	return nil
}

func pairsNeedSecurity() *Error {
	return errorf(Conflict, "AddressPairAndPortSecurityRequired",
		"Port Security must be enabled in order to have allowed address pairs on a port.")
}

func groupsNeedSecurity() *Error {
	return errorf(BadRequest, "PortSecurityAndIPRequiredForSecurityGroups",
		"Port security must be enabled and port must have an IP address in order to use security groups.")
}

func (x *tx) checkGroups(ids []string) ([]string, error) {
	out := make([]string, 0, len(ids))
	for _, id := range ids {
		if find(x, x.groups, id) == nil {
			return nil, groupNotFound(id)
		}
		if !slices.Contains(out, id) {
			out = append(out, id)
		}
	}
	return out, nil
}

// pairsOf checks the pairs of a port.
func pairsOf(p *Port, pairs []AddressPair) ([]AddressPair, error) {
	if len(pairs) > maxPairs {
		return nil, errorf(BadRequest, "AllowedAddressPairExhausted",
			"The number of allowed address pair exceeds the maximum %d.", maxPairs)
	}
	seen := make(map[AddressPair]bool, len(pairs))
	for _, pair := range pairs {
		if pair.MAC == "" {
			pair.MAC = p.MAC
		}
		if seen[pair] {
			return nil, errorf(BadRequest, "DuplicateAddressPairInRequest",
				"Request contains duplicate address pair: mac_address %s ip_address %s.", pair.MAC, pair.Address)
		}
		seen[pair] = true
	}
	return slices.Clone(pairs), nil
}
