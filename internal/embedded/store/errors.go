package store

import (
	"fmt"
	"net/netip"
	"strings"
)

// Kind says what sort of refusal an Error is; an API maps it to a status code.
type Kind int

// The kinds of Error.
const (
	BadRequest         Kind = iota + 1 // the request makes no sense
	Forbidden                          // not for who asks
	NotFound                           // what it names does not exist
	Conflict                           // it contradicts the present state
	PreconditionFailed                 // If-Match does not hold
	Internal                           // the server's fault, or what Neutron answers as if it were
	Unavailable                        // the state could not be written; nothing was changed
)

// Error is a refusal in Neutron's words. Type is the name of the exception
// that Neutron 21 raises in this case; clients look at it.
type Error struct {
	Kind    Kind
	Type    string
	Message string
	Cause   error // set for Internal and Unavailable; not for clients' eyes
}

// Error returns the message, with the cause if there is one.
func (e *Error) Error() string {
	if e.Cause != nil {
		return fmt.Sprintf("%s: %v", e.Message, e.Cause)
	}
	return e.Message
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

func errorf(k Kind, typ, format string, args ...any) *Error {
	return &Error{Kind: k, Type: typ, Message: fmt.Sprintf(format, args...)}
}

// InvalidInput is Neutron's general refusal of a value. Its message ends in a full stop.
func InvalidInput(format string, args ...any) *Error {
	return errorf(BadRequest, "InvalidInput", "Invalid input for operation: %s.", fmt.Sprintf(format, args...))
}

// badRequest is Neutron's BadRequest exception for a collection.
func badRequest(resource, msg string) *Error {
	return errorf(BadRequest, "BadRequest", "Bad %s request: %s.", resource, msg)
}

func networkNotFound(id string) *Error {
	return errorf(NotFound, "NetworkNotFound", "Network %s could not be found.", id)
}

func subnetNotFound(id string) *Error {
	return errorf(NotFound, "SubnetNotFound", "Subnet %s could not be found.", id)
}

func subnetPoolNotFound(id string) *Error {
	return errorf(NotFound, "SubnetPoolNotFound", "Subnet pool %s could not be found.", id)
}

func portNotFound(id string) *Error {
	return errorf(NotFound, "PortNotFound", "Port %s could not be found.", id)
}

func tagNotFound(tag string) *Error {
	return errorf(NotFound, "TagNotFound", "Tag %s could not be found.", tag)
}

func networkInUse(id string, ports []string) *Error {
	return errorf(Conflict, "NetworkInUse",
		"Unable to complete operation on network %s. There are one or more ports still in use on the network, id for these ports is: %s.",
		id, strings.Join(ports, ","))
}

func subnetInUse(id string) *Error {
	return errorf(Conflict, "SubnetInUse",
		"Unable to complete operation on subnet %s: One or more ports have an IP allocation from this subnet.", id)
}

func macInUse(network, mac string) *Error {
	return errorf(Conflict, "MacAddressInUse",
		"Unable to complete operation for network %s. The mac address %s is in use.", network, mac)
}

func addressTaken(a netip.Addr, subnet string) *Error {
	return errorf(Conflict, "IpAddressAlreadyAllocated", "IP address %s already allocated in subnet %s", a, subnet)
}

func noAddressLeft(network string) *Error {
	return errorf(Conflict, "IpAddressGenerationFailure", "No more IP addresses available on network %s.", network)
}

func subnetAllocation(reason string) *Error {
	return errorf(Internal, "SubnetAllocationError", "Failed to allocate subnet: %s.", reason)
}

func prefixBounds(typ string, n int, base string, m int) *Error {
	return errorf(BadRequest, "IllegalSubnetPoolPrefixBounds",
		"Illegal prefix bounds: %s=%d, %s=%d.", typ, n, base, m)
}

func prefixUpdate(msg string) *Error {
	return errorf(BadRequest, "IllegalSubnetPoolPrefixUpdate", "Illegal update to prefixes: %s.", msg)
}

func notWritten(cause error) *Error {
	return &Error{
		Kind: Unavailable, Type: "ServiceUnavailable",
		Message: "The state could not be written, nothing was changed.",
		Cause:   cause,
	}
}
