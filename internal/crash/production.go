//go:build !crashpoints

package crash

// Enabled reports whether this build can be killed at a point.
const Enabled = false

// Before is called before an effect.
func Before(Effect) {}

// After is called after an effect, failed or not.
func After(Effect) {}
