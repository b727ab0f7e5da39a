package config

import "fmt"

// Error is one thing that is wrong with the configuration. Its text is one
// line, "cannot use WHAT: WHY" or "cannot read FILE: WHY", without secrets.
type Error struct {
	Op          string // "use" or "read"
	Subject     string // the option and where it was set, or the file, with its line where one is at fault
	Why         string // the reason; empty: the cause's text
	Hint        string // what to do about it; may be empty
	Unsupported bool   // the value has a meaning, which this version can't keep
	Origin      Origin // of the option's value; the zero Origin when no option is at fault
	Err         error  // the cause; may be nil
}

// Error implements error.
func (e *Error) Error() string {
	why := e.Why
	if why == "" && e.Err != nil {
		why = e.Err.Error()
	}
	return fmt.Sprintf("cannot %s %s: %s", e.Op, e.Subject, why)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// fault is why a value is refused, wherever it came from.
type fault struct {
	why, hint   string
	unsupported bool
}

func invalid(format string, args ...any) *fault {
	return &fault{why: fmt.Sprintf(format, args...)}
}

func unsupported(format string, args ...any) *fault {
	return &fault{why: fmt.Sprintf(format, args...), unsupported: true}
}

func (f *fault) withHint(hint string) *fault {
	f.hint = hint
	return f
}

// refuse makes an Error of a fault, and nil of none.
func (f *fault) refuse(subject string, o Origin) error {
	if f == nil {
		return nil
	}
	return &Error{Op: "use", Subject: subject, Why: f.why, Hint: f.hint, Unsupported: f.unsupported, Origin: o}
}
