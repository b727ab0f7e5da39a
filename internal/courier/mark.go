package courier

import "strings"

// Mark says who made a resource and why: every POST to Neutron carries it in
// the resource's description, and every link in its alias. Nothing without
// it is ever deleted on Kuryr's own initiative.
type Mark struct {
	Host   string // the host that made it, as binding:host_id names it
	Intent string // the UUID of the journal's intent
}

// commonPrefix starts the intent in the mark of what was made for all who name
// it, not for one engine's network alone.
const commonPrefix = "common-"

// common returns the mark of what m's intent makes for all.
func (m Mark) common() Mark { return Mark{Host: m.Host, Intent: commonPrefix + m.Intent} }

// isMarked and isCommon read a resource's description.
func isMarked(description string) bool { _, ok := ParseMark(description); return ok }

func isCommon(description string) bool {
	m, ok := ParseMark(description)
	return ok && strings.HasPrefix(m.Intent, commonPrefix)
}

// usedPrefix starts the tags on what a Kuryr made and several engines' networks
// use: one for each of them, with its intent. Whoever would delete it sees that
// it is used. Tags may not have more than 60 characters (before Neutron 23).
const usedPrefix = "kuryr.used:"

func usedTag(intent string) string { return usedPrefix + intent }

// users returns how many of the tags are those of others' use.
func users(tags []string, intent string) int {
	n := 0
	for _, t := range tags {
		if strings.HasPrefix(t, usedPrefix) && t != usedTag(intent) {
			n++
		}
	}
	return n
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
