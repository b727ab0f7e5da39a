// Package courier is Kuryr's domain: it carries what a container engine asks
// for (networks, address pools, attachments) to Neutron, and has the
// attachment's link plugged into the layer 2 that Neutron prepared.
//
// It owns the life cycles and invariants of those three, the order of steps,
// and what is undone when one fails. It knows no protocol: engines reach it
// through the rooms to the north (docker, cni, netavark), and it reaches
// Neutron, the kernel and its journal through the interfaces in needs.go,
// which the rooms to the south implement. It imports the standard library only.
package courier
