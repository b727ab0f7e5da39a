package chaos

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// A series is a few rounds on a machine that is clean before the first and
// after the last. All that is decided in it follows from the seed and the
// series' number; what becomes of a decision depends on timing too.
const seriesRounds = 5

// A round is load and, meanwhile, events.
type round struct {
	series, number int
	work           [][]operation // of each worker, one after another
	events         []event
}

const (
	workers        = 4
	slots          = 3 // containers of a worker's own
	operations     = 4 // of a worker in a round
	longestRound   = 3 * time.Second
	longestAbsence = 1500 * time.Millisecond
)

// operation is one that a worker asks the engine for. What it is in the end
// depends on what there is at that time: an absent container is run.
type operation struct {
	network bool // on the worker's own network; else on a container
	slot    int  // which container
	choice  int  // between what can be done with what is there
	where   int  // which network
	wishes  wishes
	pause   time.Duration // before it
}

// wishes are options of a container.
type wishes struct {
	address bool // a fixed one
	mac     bool
	expose  bool
}

// event is a kill, or a time in which requests to Neutron go wrong.
type event struct {
	kind  eventKind
	at    time.Duration // since the round began
	lasts time.Duration // how long the killed one is away, or the faults go on
	fault faultKind
	often float64 // the share of requests that go wrong
	seed  uint64  // of which requests these are
}

type eventKind int

const (
	killKuryr eventKind = iota
	killEngine
	killNeutron
	faults
)

func (k eventKind) String() string {
	return [...]string{"SIGKILL of kuryr", "SIGKILL of dockerd", "SIGKILL of Neutron", "faults"}[k]
}

// faultKind is how requests go wrong.
type faultKind int

const (
	delayed faultKind = iota
	dropped
	answerLost
	answerTruncated
	effectLate
	status500
	status503
	status409
	status401
	faultKinds
)

func (k faultKind) String() string {
	return [...]string{"delays", "drops", "lost answers", "truncated answers", "late effects", "500", "503", "409", "401"}[k]
}

func (e event) String() string {
	what := e.kind.String()
	if e.kind == faults {
		what = fmt.Sprintf("%s at %.0f%% of requests", e.fault, 100*e.often)
	}
	return fmt.Sprintf("after %s %s, for %s", e.at.Round(time.Millisecond), what, e.lasts.Round(time.Millisecond))
}

// chances is where all decisions of a series come from.
func chances(seed uint64, series int) *rand.Rand { return rand.New(rand.NewPCG(seed, uint64(series))) }

// upTo draws a time.
func upTo(r *rand.Rand, d time.Duration) time.Duration { return time.Duration(r.Int64N(int64(d))) }

// drawRound draws what happens in a round.
func drawRound(r *rand.Rand, series, number int) round {
	p := round{series: series, number: number}
	for range workers {
		var mine []operation
		for range operations {
			mine = append(mine, drawOperation(r))
		}
		p.work = append(p.work, mine)
	}
	for range 1 + r.IntN(3) {
		p.events = append(p.events, drawEvent(r))
	}
	return p
}

func drawOperation(r *rand.Rand) operation {
	return operation{
		network: r.IntN(8) == 0,
		slot:    r.IntN(slots),
		choice:  r.IntN(1 << 16),
		where:   r.IntN(1 << 16),
		wishes:  wishes{address: r.IntN(4) == 0, mac: r.IntN(4) == 0, expose: r.IntN(4) == 0},
		pause:   upTo(r, 600*time.Millisecond),
	}
}

func drawEvent(r *rand.Rand) event {
	e := event{
		at:    upTo(r, longestRound),
		lasts: upTo(r, longestAbsence),
		fault: faultKind(r.IntN(int(faultKinds))),
		often: []float64{0.2, 0.5, 1}[r.IntN(3)],
		seed:  r.Uint64(),
	}
	// A start of the engine takes the longest: it is killed less often.
	switch n := r.IntN(12); {
	case n < 3:
		e.kind = killKuryr
	case n < 5:
		e.kind = killNeutron
	case n < 6:
		e.kind = killEngine
	default:
		e.kind = faults
		e.lasts += 500 * time.Millisecond
	}
	return e
}
