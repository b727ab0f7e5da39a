package observe

import "log/slog"

// Hidden stands for a secret wherever one would be shown.
const Hidden = "***"

// Secret is text that nobody may read in a log, an error or a report: fmt and
// slog show Hidden in its place. string(s) is the text itself.
type Secret string

// String implements fmt.Stringer.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return Hidden
}

// GoString implements fmt.GoStringer.
func (s Secret) GoString() string { return `"` + s.String() + `"` }

// LogValue implements slog.LogValuer.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }
