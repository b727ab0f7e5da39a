package faults

import (
	"path"
	"strings"
	"time"
)

// Kind says what becomes of a request that a rule takes.
type Kind string

// The kinds of faults.
const (
	Pass   Kind = "pass"   // it is served; for rules that only delay
	Answer Kind = "answer" // an error answer, without effect
	Lose   Kind = "lose"   // it is served, then the connection breaks instead of an answer
	Break  Kind = "break"  // the connection breaks, without effect
)

// Plan is what fails, and when.
type Plan struct {
	Seed  uint64 // of the probabilities
	Rules []Rule
}

// Rule takes requests and says what becomes of them. Zero fields are as said.
type Rule struct {
	Method string // "": any
	// Path is matched against the whole path without its query: "*" stands for
	// any part of one segment, "**" as the last segment for all that may follow,
	// nothing included. "": any.
	Path        string
	Skip        int           // how many matching requests pass before the first is taken
	Count       int           // how many are taken at most; 0: no limit
	Probability float64       // of each to be taken, after Skip; 1 when the file says nothing
	Delay       time.Duration // before anything else happens
	Do          Kind
	Status      int           // of an Answer
	Type        string        // the NeutronError's
	Message     string        // the NeutronError's
	RetryAfter  time.Duration // in whole seconds; 0: no such header
}

// matches reports whether the rule is about such a request.
func (r *Rule) matches(method, requestPath string) bool {
	return (r.Method == "" || r.Method == method) && (r.Path == "" || matchPath(r.Path, requestPath))
}

// rest ends a pattern that takes whatever follows.
const rest = "/**"

func matchPath(pattern, p string) bool {
	base, open := strings.CutSuffix(pattern, rest)
	if open {
		// As many segments as the base has, which the rest may follow.
		n := strings.Count(base, "/") + 1
		segments := strings.SplitN(p, "/", n+1)
		if len(segments) < n {
			return false
		}
		p = strings.Join(segments[:n], "/")
	}
	ok, err := path.Match(base, p)
	return ok && err == nil
}

// checkPath tells what is wrong with a pattern, "" if nothing.
func checkPath(pattern string) string {
	base := strings.TrimSuffix(pattern, rest)
	switch _, err := path.Match(base, "/"); {
	case !strings.HasPrefix(pattern, "/"):
		return "must start with a slash"
	case strings.Contains(base, "**"):
		return `may have "**" as its last segment only`
	case strings.Contains(pattern, "?"):
		return "is matched without the query; leave it out"
	case err != nil:
		return "is not a pattern: a bracket is open, or nothing follows a backslash"
	}
	return ""
}
