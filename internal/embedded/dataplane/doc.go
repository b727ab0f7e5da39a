// Package dataplane is what the embedded Neutron knows of the layer 2 on this
// host: which ports are plugged. It stands where a real Neutron has its agents.
//
// It watches interfaces and tells what it sees. It changes none: Kuryr's
// bindings plug the ports.
package dataplane
