package chaos

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// figures are what was counted. Their zero value is of nothing.
type figures struct {
	rounds     int
	operations int
	failed     int // operations that the engine refused or that broke
	started    int // containers
	slowest    time.Duration
	events     map[string]int // by kind
	settled    []time.Duration
	relaunched int
	running    int // containers that ran when a round had settled, and were reached
	oddities   int // what the engine believes against itself
	lost       int // networks that an engine was killed at the creation of, and does not know
	wrong      int // what is left, missing or doubled
}

// happened counts an event.
func (f *figures) happened(e event) {
	kind := e.kind.String()
	if e.kind == faults {
		kind = e.fault.String()
	}
	if f.events == nil {
		f.events = map[string]int{}
	}
	f.events[kind]++
}

// add adds another's.
func (f *figures) add(o figures) {
	f.rounds += o.rounds
	f.operations += o.operations
	f.failed += o.failed
	f.started += o.started
	f.slowest = max(f.slowest, o.slowest)
	if f.events == nil {
		f.events = map[string]int{}
	}
	for k, n := range o.events {
		f.events[k] += n
	}
	f.settled = append(f.settled, o.settled...)
	f.relaunched += o.relaunched
	f.running += o.running
	f.oddities += o.oddities
	f.lost += o.lost
	f.wrong += o.wrong
}

// String returns the figures in a few lines.
func (f *figures) String() string {
	var kinds []string
	for _, k := range slices.Sorted(maps.Keys(f.events)) {
		kinds = append(kinds, fmt.Sprintf("%s %d", k, f.events[k]))
	}
	slices.Sort(f.settled)
	var half, most time.Duration
	if n := len(f.settled); n > 0 {
		half, most = f.settled[n/2], f.settled[n-1]
	}
	return strings.Join([]string{
		fmt.Sprintf("%d rounds; events: %s; starts of kuryr that ended by themselves: %d", f.rounds, strings.Join(kinds, ", "), f.relaunched),
		fmt.Sprintf("%d operations, of which %d failed; the slowest took %s", f.operations, f.failed, f.slowest.Round(time.Millisecond)),
		fmt.Sprintf("%d containers started; %d times one ran after a round, and was reached", f.started, f.running),
		fmt.Sprintf("settled after %s (median), %s (most)", half.Round(10*time.Millisecond), most.Round(10*time.Millisecond)),
		fmt.Sprintf("left, missing or doubled: %d; what the engine believes against itself: %d; networks that it lost: %d", f.wrong, f.oddities, f.lost),
	}, "\n")
}
