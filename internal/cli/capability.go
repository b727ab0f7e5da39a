package cli

import (
	"strconv"
	"strings"
)

// capNetAdmin is the bit of CAP_NET_ADMIN (linux/capability.h).
const capNetAdmin = 12

// hasNetAdmin looks for CAP_NET_ADMIN in the effective set of a
// /proc/PID/status.
func hasNetAdmin(status string) bool {
	for line := range strings.Lines(status) {
		if set, ok := strings.CutPrefix(line, "CapEff:"); ok {
			bits, err := strconv.ParseUint(strings.TrimSpace(set), 16, 64)
			return err == nil && bits&(1<<capNetAdmin) != 0
		}
	}
	return false
}
