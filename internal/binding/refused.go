package binding

import (
	"fmt"
	"path/filepath"

	"kuryr/internal/courier"
)

// The vif_types of ports that are not bound.
const (
	unbound       = "unbound"
	bindingFailed = "binding_failed"
)

// refuse says why a port with this binding can't be plugged, and what to do.
func refuse(port courier.PortID, how courier.Binding, programs string) error {
	e := &courier.Error{Kind: courier.Unsupported, Op: "plug", Subject: "port " + string(port)}
	switch how.VIFType {
	case unbound:
		e.Kind = courier.Conflict
		e.Public = "Neutron has not bound it (vif_type unbound)"
		e.Hint = "the port has no host: see that binding:host_id may be set by Kuryr's user (an administrator's or service's right) and that no policy clears it"
	case bindingFailed:
		e.Kind = courier.Conflict
		e.Public = fmt.Sprintf("Neutron failed to bind it to host %s (vif_type binding_failed)", how.Host)
		e.Hint = fmt.Sprintf("see that Neutron lists an agent that is alive on a host of exactly the name %q (openstack network agent list), and that the network's type is available there", how.Host)
	case "":
		e.Public = "Neutron does not tell how it is bound (no binding:vif_type)"
		e.Hint = "give Kuryr's user the right to see binding:vif_type (an administrator's or service's), or turn on Neutron's extension binding"
	default:
		e.Public = fmt.Sprintf("this version has no way to plug vif_type %.40s", how.VIFType)
		e.Hint = "the vif_types that can be plugged are bridge, ovs and tap"
		if what, known := needsMachine[how.VIFType]; known {
			e.Public = fmt.Sprintf("vif_type %s is %s", how.VIFType, what)
			e.Hint = "have Neutron bind containers' ports with another mechanism on this host: the vif_types that can be plugged are bridge, ovs and tap"
		}
		if programs != "" && plainName.MatchString(how.VIFType) {
			e.Hint += "; another one takes an executable " + filepath.Join(programs, how.VIFType) + ", see docs/bindings.md"
		}
	}
	return e
}

// needsMachine are vif_types that a container can't have, and what they are.
var needsMachine = map[string]string{
	"vhostuser":        "a socket for a virtual machine's network card (or a DPDK program), not an interface of the kernel",
	"hostdev_physical": "a PCI device handed to a virtual machine as a whole",
}
