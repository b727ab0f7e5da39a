package neutron

import (
	"fmt"
	"net/netip"

	"github.com/google/uuid"

	"kuryr/internal/courier"
)

// The functions of this file turn what Neutron answered into values that the
// rest of Kuryr can rely on. Their errors wrap errAnswer.

func nonsense(format string, args ...any) error {
	return fmt.Errorf("%w: %s", errAnswer, fmt.Sprintf(format, args...))
}

// readID accepts UUIDs in their usual form only: IDs become parts of URLs and
// of the names of kernel interfaces.
func readID[T ~string](what, s string) (T, error) {
	if len(s) != 36 || uuid.Validate(s) != nil {
		return "", nonsense("%.60q is not the ID of a %s", s, what)
	}
	return T(s), nil
}

func readAddr(what, s string) (netip.Addr, error) {
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" {
		return netip.Addr{}, nonsense("%.60q is not an address (%s)", s, what)
	}
	return a.Unmap(), nil
}

func readPrefix(what, s string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(s)
	if err != nil || p != p.Masked() || p.Addr().Is4In6() {
		return netip.Prefix{}, nonsense("%.60q is not a CIDR (%s)", s, what)
	}
	return p, nil
}

// checkID refuses what is not the ID of one thing, before it becomes part of a
// URL: an empty one would name the whole collection.
func checkID[T ~string](op string, id T) error {
	if len(id) == 36 && uuid.Validate(string(id)) == nil {
		return nil
	}
	return &courier.Error{Kind: courier.Invalid, Op: op, Subject: string(id), Public: "it is not an ID of Neutron's"}
}
