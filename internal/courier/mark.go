package courier

import "strings"

// Mark says who made a resource and why: every POST to Neutron carries it in
// the resource's description, and every link in its alias. Nothing without
// it is ever deleted on Kuryr's own initiative.
type Mark struct {
	Host   string // the host that made it, as binding:host_id names it
	Intent string // the UUID of the journal's intent
}

// MarkPrefix starts every mark, and every alias of a link or bridge that Kuryr made.
const MarkPrefix = "kuryr:"

// String returns the mark as it is written: "kuryr:HOST:INTENT".
func (m Mark) String() string { return MarkPrefix + m.Host + ":" + m.Intent }

// ParseMark reads what String wrote.
func ParseMark(s string) (Mark, bool) {
	rest, ok := strings.CutPrefix(s, MarkPrefix)
	if !ok {
		return Mark{}, false
	}
	i := strings.LastIndexByte(rest, ':')
	if i < 0 || i == len(rest)-1 {
		return Mark{}, false
	}
	return Mark{Host: rest[:i], Intent: rest[i+1:]}, true
}
