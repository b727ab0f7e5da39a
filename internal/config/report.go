package config

import (
	"fmt"
	"strings"
)

// Report says where each setting came from, for `kuryr config show` and the
// log. It holds no secrets.
type Report struct {
	File     string    // the file that was read; empty: none
	Settings []Setting // every option that has an effect, then those without that were set
	Warnings []string  // one line each; what was accepted and has no effect
}

// Setting is one option's value and origin.
type Setting struct {
	Section string `json:"section"`
	Option  string `json:"option"`
	Value   string `json:"value"` // "***" for a secret
	Origin  Origin `json:"origin"`
	Ignored bool   `json:"ignored,omitempty"` // the option has no effect
}

// OriginKind is what sort of source a value has.
type OriginKind string

// The kinds of origins, the weakest first.
const (
	FromDefault OriginKind = "default"
	FromFile    OriginKind = "file"
	FromEnv     OriginKind = "env"
	FromFlag    OriginKind = "flag"
)

// Origin is where a value came from.
type Origin struct {
	Kind OriginKind `json:"kind"`
	Name string     `json:"name,omitempty"` // of the variable or, without dashes, of the flag
	File string     `json:"file,omitempty"`
	Line int        `json:"line,omitempty"` // in File, from 1
}

// String returns "default", "FILE:LINE", "env NAME" or "flag --NAME".
func (o Origin) String() string {
	switch o.Kind {
	case FromFile:
		return fmt.Sprintf("%s:%d", o.File, o.Line)
	case FromEnv:
		return "env " + o.Name
	case FromFlag:
		return "flag --" + o.Name
	}
	return string(o.Kind)
}

// at names an option where it was set, for an error's subject.
func (o Origin) at(section, name string) string {
	option := "[" + section + "] " + name
	switch o.Kind {
	case FromFile:
		return fmt.Sprintf("%s at %s:%d", option, o.File, o.Line)
	case FromEnv:
		return o.Name + " (environment)"
	case FromFlag:
		return "--" + o.Name
	}
	return option
}

// suggest returns the candidate that a person most likely meant, or "": the
// nearest by edit distance, at most a third of the word away.
func suggest(word string, candidates []string) string {
	best, limit := "", max(1, len(word)/3)
	for _, c := range candidates {
		if d := distance(strings.ToLower(word), strings.ToLower(c)); d <= limit {
			best, limit = c, d-1
		}
	}
	return best
}

// distance is Damerau's edit distance restricted to neighbours: insertions,
// deletions, substitutions and swaps.
func distance(a, b string) int {
	before, above := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range above {
		above[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row := make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(above[j]+1, row[j-1]+1, above[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, above = above, row
	}
	return above[len(b)]
}
