package cli

import (
	"strconv"
	"strings"
)

// capability is one of the kernel's, by its bit (linux/capability.h).
type capability struct {
	name string
	bit  uint
}

// needed are the capabilities without which no link can be made: the kernel
// wants the second one for entering a network namespace, be it the own one.
func needed() []capability { return []capability{{"CAP_NET_ADMIN", 12}, {"CAP_SYS_ADMIN", 21}} }

// lacking names those that are needed and not in the effective set of a
// /proc/PID/status.
func lacking(status string) []string {
	var effective uint64
	for line := range strings.Lines(status) {
		if set, ok := strings.CutPrefix(line, "CapEff:"); ok {
			// What can't be read counts as none.
			effective, _ = strconv.ParseUint(strings.TrimSpace(set), 16, 64)
		}
	}
	var names []string
	for _, c := range needed() {
		if effective&(1<<c.bit) == 0 {
			names = append(names, c.name)
		}
	}
	return names
}
