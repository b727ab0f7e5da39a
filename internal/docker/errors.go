package docker

import (
	"errors"
	"fmt"
	"strings"

	"kuryr/internal/courier"
)

// flaw is what is wrong with a request itself. The server adds the operation
// and its subject, which the parsers of single values don't know.
type flaw struct {
	kind   courier.Kind
	public string
	hint   string
}

// Error implements error.
func (f *flaw) Error() string { return f.public }

// invalid returns a flaw of kind Invalid.
func invalid(format string, args ...any) *flaw {
	return &flaw{kind: courier.Invalid, public: fmt.Sprintf(format, args...)}
}

// unsupported returns a flaw of kind Unsupported.
func unsupported(format string, args ...any) *flaw {
	return &flaw{kind: courier.Unsupported, public: fmt.Sprintf(format, args...)}
}

// hinted adds what to do about it.
func (f *flaw) hinted(format string, args ...any) *flaw {
	f.hint = fmt.Sprintf(format, args...)
	return f
}

// advice is the table from kinds of errors to what Docker is told: what to do
// about one that brings no hint of its own. The rest of the answer is the same
// for every kind: status 200, since Docker shows "remote: TEXT" then, and with
// any other status the method's name in the place of "remote"; no status makes
// it try again.
var advice = [...]string{
	courier.Internal:     "a fault of Kuryr's own: its log says more",
	courier.NotFound:     "",
	courier.Conflict:     "",
	courier.Invalid:      "",
	courier.Exhausted:    "",
	courier.Unauthorized: "check Kuryr's credentials and what Neutron's policy allows them",
	courier.Unavailable:  "try again; kuryr status shows what is down",
	courier.Unsupported:  "",
}

// explain turns what a call failed with into a courier.Error that has an
// operation and a subject. The text of errors that are none is for the log
// alone: it may say anything.
func explain(err error, op, subject string) *courier.Error {
	var f *flaw
	if errors.As(err, &f) {
		return &courier.Error{Kind: f.kind, Op: op, Subject: subject, Public: f.public, Hint: f.hint, Err: err}
	}
	var ce *courier.Error
	if errors.As(err, &ce) {
		return ce
	}
	e := &courier.Error{Kind: courier.KindOf(err), Op: op, Subject: subject, Public: "unexpected error", Err: err}
	if e.Kind == courier.Unavailable {
		e.Public = "it took too long"
	}
	return e
}

// textOf is the one line that a user sees: what failed and why and, in
// parentheses, what to do about it.
func textOf(err *courier.Error) string {
	hint := courier.HintOf(err)
	if kind := courier.KindOf(err); hint == "" && int(kind) < len(advice) {
		hint = advice[kind]
	}
	if hint == "" {
		return err.Error()
	}
	return err.Error() + " (" + strings.Join(strings.Fields(hint), " ") + ")"
}

// gone reports whether a removal failed only because there is nothing left.
// Docker never repeats a removal and forgets the identifier, so success is the
// one useful answer.
func gone(err error) bool { return err != nil && courier.KindOf(err) == courier.NotFound }

// removed returns the answer of a removal.
func removed(err error) (any, error) {
	if err != nil && !gone(err) {
		return nil, err
	}
	return empty{}, nil
}

// causes renders the whole chain of an error for the log: an Error's text
// leaves out its cause where it has something fit for the public. Rooms that
// only pass a reason on have nothing to add.
func causes(err error) string {
	text := err.Error()
	for e := errors.Unwrap(err); e != nil; e = errors.Unwrap(e) {
		if passed, ok := e.(*courier.Error); ok && passed.Public != "" && strings.Contains(text, passed.Public) {
			continue
		}
		if s := e.Error(); !strings.Contains(text, s) {
			text += ": " + s
		}
	}
	return text
}
