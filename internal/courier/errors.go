package courier

import (
	"context"
	"errors"
	"strings"
	"unicode"
)

// Kind classifies an Error. Each face (Docker, CNI, the CLI) has one table
// from kinds to what its protocol says.
type Kind int

// The kinds of errors.
const (
	Internal     Kind = iota // a fault of Kuryr's own, or one it has no word for
	NotFound                 // the named thing does not exist
	Conflict                 // it exists already, or something else holds it
	Invalid                  // the request can't be meant
	Exhausted                // no address, quota or other supply is left
	Unauthorized             // credentials or policy forbid it
	Unavailable              // Neutron or the kernel did not answer, or too late; it may work later
	Unsupported              // understood, but not possible here
)

var kindNames = map[Kind]string{
	Internal: "internal", NotFound: "not found", Conflict: "conflict", Invalid: "invalid",
	Exhausted: "exhausted", Unauthorized: "unauthorized", Unavailable: "unavailable", Unsupported: "unsupported",
}

// String returns the kind in words.
func (k Kind) String() string { return kindNames[k] }

// ErrAway is in the chain of errors of requests that were not sent, since the
// cloud is known not to answer. Whoever can waits for Courier.Resume.
var ErrAway = errors.New("the cloud is away")

// ErrUnsent is in the chain of errors of requests for which there was no
// connection, or no token: they have no effect.
var ErrUnsent = errors.New("the request was not sent")

// Error is what every room returns for a failed operation. Its text is one
// line for the person who sees it in `docker run`:
//
//	cannot OP SUBJECT: PUBLIC
//
// Public never carries a secret or a raw body. Err is the cause, for the log
// and for errors.Is; it is not part of the text when Public is set.
type Error struct {
	Kind    Kind
	Op      string // what was being done: "create port"
	Subject string // on what: "on network 1f0c2d…"; may be empty
	Public  string // why it failed; empty: the cause's text
	Hint    string // what to do about it; may be empty
	Err     error  // the cause; may be nil
}

// Error implements error.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("cannot ")
	b.WriteString(e.Op)
	if e.Subject != "" {
		b.WriteString(" ")
		b.WriteString(e.Subject)
	}
	why := e.Public
	if why == "" && e.Err != nil {
		why = e.Err.Error()
	}
	if why != "" {
		b.WriteString(": ")
		b.WriteString(why)
	}
	return oneLine(b.String())
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// KindOf returns the kind of the outermost Error in err's chain that is not
// Internal. A deadline that ran out is Unavailable; anything else Internal.
func KindOf(err error) Kind {
	for e := err; e != nil; {
		var ce *Error
		if !errors.As(e, &ce) {
			break
		}
		if ce.Kind != Internal {
			return ce.Kind
		}
		e = ce.Err
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return Unavailable
	}
	return Internal
}

// HintOf returns the first hint in err's chain, or "".
func HintOf(err error) string {
	for e := err; e != nil; {
		var ce *Error
		if !errors.As(e, &ce) {
			return ""
		}
		if ce.Hint != "" {
			return ce.Hint
		}
		e = ce.Err
	}
	return ""
}

// because says that op on subject failed for err: kind, reason and hint are
// the cause's, so that the text stays one sentence however deep it came from.
// It is nil for a nil err.
func because(op, subject string, err error) error {
	if err == nil {
		return nil
	}
	e := &Error{Kind: KindOf(err), Op: op, Subject: subject, Hint: HintOf(err), Err: err}
	e.Public = publicOf(err)
	return e
}

// publicOf returns what a user may see of why err came about, or "".
func publicOf(err error) string {
	var cause *Error
	switch {
	case errors.As(err, &cause) && cause.Public != "":
		return cause.Public
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return "no answer in time"
	}
	return ""
}

// oneLine takes out what could move a terminal's cursor, or turn its text
// around: much of an error was named by others.
func oneLine(s string) string {
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool {
		return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r)
	}), " ")
}
