package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"text/tabwriter"
)

// margin is by how much a median must be worse to count. Two runs of the same
// program differ by more than their intervals say: by where its memory lies, and
// by what the machine did at the time.
const margin = 0.05

// verdict is what has become of a figure since an earlier run.
type verdict struct {
	before figure
	now    *figure // nil: it was not measured
	word   string
}

// The words of a verdict.
const (
	same    = "same" // as far as one can tell
	better  = "better"
	worse   = "WORSE"
	missing = "NOT MEASURED"
)

// compare judges the figures of an earlier run that are independent of the
// machine: those that say which way is better.
func compare(before, now []figure) []verdict {
	var all []verdict
	for _, f := range before {
		if f.Better == "" {
			continue
		}
		v := verdict{before: f, word: missing}
		if i := slices.IndexFunc(now, func(n figure) bool { return n.Name == f.Name }); i >= 0 {
			v.now, v.word = &now[i], judge(f, now[i])
		}
		all = append(all, v)
	}
	return all
}

// judge compares one figure: both its intervals and its medians must differ.
func judge(before, now figure) string {
	if before.Interval == nil || now.Interval == nil {
		return missing // too few rounds to tell
	}
	off := margin * before.P50
	above := now.Interval[0] > before.Interval[1] && now.P50 > before.P50+off
	below := now.Interval[1] < before.Interval[0] && now.P50 < before.P50-off
	switch {
	case above && before.Better == less, below && before.Better == more:
		return worse
	case above, below:
		return better
	}
	return same
}

// readFigures reads an earlier run, as -json has written it.
func readFigures(file string) (all []figure, err error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(data, &all); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if len(compare(all, nil)) == 0 {
		return nil, fmt.Errorf("%s has no figure to compare with", file)
	}
	return all, nil
}

// inDoubt returns the sections in which a ratio of times is worse. What else the
// machine did may be why; numbers of calls and failures it has no part in.
func inDoubt(all []verdict) (sections []string) {
	for _, v := range all {
		if v.word == worse && v.now.Unit == ratioOfTimes && !slices.Contains(sections, v.now.section) {
			sections = append(sections, v.now.section)
		}
	}
	return sections
}

// check compares figures with those of an earlier run, prints how, and fails if
// one is worse or was not measured.
func check(out io.Writer, before, now []figure) error {
	all := compare(before, now)
	if err := printVerdicts(out, all); err != nil {
		return err
	}
	bad := 0
	for _, v := range all {
		if v.word == worse || v.word == missing {
			bad++
		}
	}
	if bad > 0 {
		return fmt.Errorf("of %d figures %d are worse than in the earlier run, or were not measured", len(all), bad)
	}
	return nil
}

func printVerdicts(out io.Writer, all []verdict) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "COMPARED\tBEFORE\t95%\tNOW\t95%\tBETTER IF\tVERDICT\t")
	for _, v := range all {
		now, interval := "-", "-"
		if v.now != nil {
			now, interval = fmt.Sprintf("%.2f", v.now.P50), v.now.interval()
		}
		fmt.Fprintf(w, "%s\t%.2f\t%s\t%s\t%s\t%s\t%s\t\n", v.before.Name, v.before.P50, v.before.interval(), now, interval, v.before.Better, v.word)
	}
	return w.Flush()
}
