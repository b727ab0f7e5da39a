package main

import (
	"fmt"
	"io"
	"math"
	"slices"
	"text/tabwriter"
	"time"
)

// figure is one measured thing. Times are in milliseconds, sizes in MiB.
type figure struct {
	Name     string      `json:"name"`
	Unit     string      `json:"unit"`
	N        int         `json:"n"`
	Least    float64     `json:"least,omitempty"` // other work on the machine only ever makes it more
	P50      float64     `json:"p50"`
	P99      float64     `json:"p99,omitempty"`
	Interval *[2]float64 `json:"interval,omitempty"` // where the median lies, or the mean, at 95 % or more
	Target   string      `json:"target,omitempty"`
	Better   string      `json:"better,omitempty"` // less or more: what -check compares with an earlier run

	section string // that measured it
}

// ratioOfTimes is the unit of how much longer one thing takes than another, or
// how much more of it there is in a time.
const ratioOfTimes = "ratio"

// Which way a figure gets better.
const (
	less = "less"
	more = "more"
)

// with says which way the figure gets better.
func (f figure) with(better string) figure {
	f.Better = better
	return f
}

// aim says what the figure is to be.
func (f figure) aim(target string) figure {
	f.Target = target
	return f
}

func (f figure) interval() string {
	if f.Interval == nil {
		return "-"
	}
	return fmt.Sprintf("%.2f-%.2f", f.Interval[0], f.Interval[1])
}

func printFigures(out io.Writer, all []figure) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "FIGURE\tN\tLEAST\tP50\tP99\t95% OF P50\tUNIT\tTARGET\t")
	for _, f := range all {
		least, p99 := "-", "-"
		if f.Least != 0 {
			least = fmt.Sprintf("%.2f", f.Least)
		}
		if f.P99 != 0 {
			p99 = fmt.Sprintf("%.2f", f.P99)
		}
		fmt.Fprintf(w, "%s\t%d\t%s\t%.2f\t%s\t%s\t%s\t%s\t\n", f.Name, f.N, least, f.P50, p99, f.interval(), f.Unit, f.Target)
	}
	return w.Flush()
}

// timed runs f and returns how long it took.
func timed(f func() error) (time.Duration, error) {
	start := time.Now()
	err := f()
	return time.Since(start), err
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func percentiles(name, target string, d []time.Duration) figure {
	slices.Sort(d)
	at := func(q float64) float64 { return ms(d[min(len(d)-1, int(q*float64(len(d))))]) }
	return figure{Name: name, Unit: "ms", N: len(d), Least: at(0), P50: at(0.5), P99: at(0.99), Target: target}
}

// mean is the sum of values by their number, which is what counts of things that
// are done for several at once, and where the true mean lies, with 95 % confidence.
func mean(name, unit string, values []float64) figure {
	n := float64(len(values))
	var sum, squares float64
	for _, v := range values {
		sum += v
	}
	for _, v := range values {
		squares += (v - sum/n) * (v - sum/n)
	}
	off := 1.96 * math.Sqrt(squares/n/max(1, n-1))
	return figure{Name: name, Unit: unit, N: len(values), P50: sum / n, Interval: &[2]float64{max(0, sum/n-off), sum/n + off}}
}

// median is the middle of values, and between which of them the true median
// lies, with 95 % confidence or more: the order statistics that a coin, thrown
// once a value, seldom gets past. It supposes nothing of how they are spread.
// Fewer than six values can't tell.
func median(name, unit string, values []float64) figure {
	values = slices.Sorted(slices.Values(values))
	n := len(values)
	f := figure{Name: name, Unit: unit, N: n, P50: (values[(n-1)/2] + values[n/2]) / 2}
	tail := math.Pow(0.5, float64(n)) // probability of no more than k heads
	for k, term := 0, tail; 2*tail <= 0.05 && k < n/2; k++ {
		f.Interval = &[2]float64{values[k], values[n-1-k]}
		term *= float64(n-k) / float64(k+1)
		tail += term
	}
	return f
}

// count is a number of things that were counted one by one.
func count(name, unit string, n, of int) figure {
	return figure{Name: name, Unit: unit, N: of, P50: float64(n), Interval: &[2]float64{float64(n), float64(n)}}
}
