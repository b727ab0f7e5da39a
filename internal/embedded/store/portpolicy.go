package store

import (
	"slices"
	"strings"
)

// mayOnNetwork refuses what Neutron leaves to the owner of a port's network:
// to choose addresses and to do without what keeps ports apart. What a shared
// network is for, a port with addresses that Neutron picks, others may have.
func (x *tx) mayOnNetwork(action string, on *Network, spec PortSpec) error {
	if x.mine(&on.Standard, "") == nil {
		return nil
	}
	rule := "rule:" + action + "_port"
	plain := rule
	for _, left := range []struct {
		asked bool
		part  string
	}{
		{spec.MAC.Set && spec.MAC.V != "", "%:mac_address"},
		{
			slices.ContainsFunc(spec.FixedIPs.V, func(f FixedIPSpec) bool { return f.Address.IsValid() }),
			"(%:fixed_ips and (%:fixed_ips:ip_address))",
		},
		{strings.HasPrefix(spec.DeviceOwner.V, "network:"), "%:device_owner"},
		{spec.Security.Set, "%:port_security_enabled"},
		{len(spec.Pairs.V) > 0, "(%:allowed_address_pairs and (%:allowed_address_pairs:ip_address))"},
	} {
		if left.asked {
			rule = "(" + rule + " and " + strings.ReplaceAll(left.part, "%", plain) + ")"
		}
	}
	if rule == plain {
		return nil
	}
	return errorf(Forbidden, "PolicyNotAuthorized", "%s is disallowed by policy", rule)
}
