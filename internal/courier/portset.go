package courier

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Protocol is an IP protocol that has ports, by its number (IANA).
type Protocol uint8

// The protocols whose ports Docker exposes.
const (
	TCP  Protocol = 6
	UDP  Protocol = 17
	SCTP Protocol = 132
)

var protocolNames = map[Protocol]string{TCP: "tcp", UDP: "udp", SCTP: "sctp"}

// String returns the protocol's name as Neutron knows it.
func (p Protocol) String() string {
	if name, ok := protocolNames[p]; ok {
		return name
	}
	return strconv.Itoa(int(p))
}

// Known reports whether it is one of those above.
func (p Protocol) Known() bool { return protocolNames[p] != "" }

// MarshalText implements encoding.TextMarshaler.
func (p Protocol) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (p *Protocol) UnmarshalText(b []byte) error {
	for known, name := range protocolNames {
		if name == string(b) {
			*p = known
			return nil
		}
	}
	return fmt.Errorf("%q is not tcp, udp or sctp", b)
}

// PortRange is an inclusive range of a protocol's ports.
type PortRange struct {
	Protocol Protocol `json:"protocol"`
	First    uint16   `json:"first"`
	Last     uint16   `json:"last"`
}

// PortSet is a set of ports in its one form: sorted, with ranges that
// neither overlap nor touch. It is not changed once it is made.
type PortSet []PortRange

// NewPortSet returns the set of all ports in the ranges.
func NewPortSet(ranges ...PortRange) PortSet {
	all := slices.Clone(ranges)
	slices.SortFunc(all, func(a, b PortRange) int {
		return cmp.Or(cmp.Compare(a.Protocol, b.Protocol), cmp.Compare(a.First, b.First))
	})
	var out PortSet
	for _, r := range all {
		if n := len(out) - 1; n >= 0 && out[n].Protocol == r.Protocol && int(r.First) <= int(out[n].Last)+1 {
			out[n].Last = max(out[n].Last, r.Last)
			continue
		}
		out = append(out, r)
	}
	return out
}

// String returns the set as people write it: "tcp/80,443,8000-8080 udp/53".
func (s PortSet) String() string {
	var b strings.Builder
	for i, r := range s {
		switch {
		case i == 0:
			b.WriteString(r.Protocol.String() + "/")
		case s[i-1].Protocol != r.Protocol:
			b.WriteString(" " + r.Protocol.String() + "/")
		default:
			b.WriteByte(',')
		}
		b.WriteString(strconv.Itoa(int(r.First)))
		if r.Last != r.First {
			b.WriteString("-" + strconv.Itoa(int(r.Last)))
		}
	}
	return b.String()
}
