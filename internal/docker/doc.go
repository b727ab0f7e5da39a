// Package docker is the face that Kuryr shows to a Docker engine: libnetwork's
// remote network driver and IPAM driver protocol, JSON over HTTP, as one
// http.Handler.
//
// It owns the protocol: names and shapes of what goes over the wire, the
// checking of every value that comes in, and how an error is put so that the
// person in front of `docker run` sees one line saying what failed, and what
// to do. What is asked for it hands to a Courier; it keeps no state of
// networks or endpoints of its own, never calls the engine's API, and never
// touches Neutron or the kernel.
//
// Any number of calls may run at once.
package docker
