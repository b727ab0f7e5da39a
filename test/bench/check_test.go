package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func ratio(better string, low, p50, high float64) figure {
	return figure{Name: "r", Unit: ratioOfTimes, P50: p50, Interval: &[2]float64{low, high}, Better: better}
}

func TestCompare(t *testing.T) {
	tests := []struct {
		name        string
		before, now figure
		want        string
	}{
		{"slower", ratio(less, 0.9, 1, 1.1), ratio(less, 1.2, 1.3, 1.4), worse},
		{"quicker", ratio(less, 0.9, 1, 1.1), ratio(less, 0.6, 0.7, 0.8), better},
		{"less traffic", ratio(more, 0.9, 1, 1.1), ratio(more, 0.6, 0.7, 0.8), worse},
		{"more traffic", ratio(more, 0.9, 1, 1.1), ratio(more, 1.2, 1.3, 1.4), better},
		{"noise", ratio(less, 0.9, 1, 1.1), ratio(less, 1.05, 1.3, 1.5), same},
		{"sure, and not worth a word", ratio(less, 1.02, 1.03, 1.04), ratio(less, 1.05, 1.06, 1.07), same},
		{"one call more", count("r", "calls", 0, 10).with(less), count("r", "calls", 1, 10).with(less), worse},
		{"too few rounds", ratio(less, 0.9, 1, 1.1), figure{Name: "r", P50: 1}, missing},
		{"not measured", ratio(less, 0.9, 1, 1.1), figure{Name: "another", P50: 1}, missing},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			absolute := figure{Name: "time", P50: 1, Interval: &[2]float64{1, 1}}
			slower := figure{Name: "time", P50: 9, Interval: &[2]float64{9, 9}}
			got := compare([]figure{absolute, tt.before}, []figure{slower, tt.now})
			if len(got) != 1 || got[0].word != tt.want {
				t.Errorf("got %+v, want one verdict: %s", got, tt.want)
			}
		})
	}
}

func TestCheckFails(t *testing.T) {
	write := func(f ...figure) string {
		file := filepath.Join(t.TempDir(), "before.json")
		data, err := json.Marshal(f)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	now := []figure{ratio(less, 1.2, 1.3, 1.4)}
	var out strings.Builder
	if err := check(&out, []figure{ratio(less, 0.9, 1, 1.1)}, now); err == nil || !strings.Contains(out.String(), worse) {
		t.Errorf("a worse figure passes: %v\n%s", err, out.String())
	}
	if err := check(&out, []figure{ratio(less, 1.1, 1.2, 1.3)}, now); err != nil {
		t.Errorf("a figure within noise fails: %v", err)
	}
	if _, err := readFigures(write(figure{Name: "r", P50: 1})); err == nil {
		t.Error("nothing compared passes")
	}
	if _, err := readFigures(write(ratio(less, 1.1, 1.2, 1.3))); err != nil {
		t.Errorf("an earlier run is refused: %v", err)
	}
}

// What is worse by time may be the machine's doing, and is measured again; what
// is counted, or as it was, is not.
func TestInDoubt(t *testing.T) {
	in := func(f figure, section, name string) figure { f.section, f.Name = section, name; return f }
	before := []figure{
		in(ratio(less, 0.9, 1, 1.1), "", "a"), in(ratio(less, 0.9, 1, 1.1), "", "b"), in(ratio(more, 0.9, 1, 1.1), "", "c"),
		in(count("", "calls", 0, 10).with(less), "", "d"), in(ratio(less, 0.9, 1, 1.1), "", "not measured"),
	}
	now := []figure{
		in(ratio(less, 1.2, 1.3, 1.4), "run", "a"), in(ratio(less, 0.9, 1, 1.1), "scale", "b"), in(ratio(more, 0.6, 0.7, 0.8), "traffic", "c"),
		in(count("", "calls", 1, 10).with(less), "docker", "d"),
	}
	if got := inDoubt(compare(before, now)); !slices.Equal(got, []string{"run", "traffic"}) {
		t.Errorf("to be measured again: %q", got)
	}
}

// The committed figures must be of use to bench-check.
func TestCommittedFigures(t *testing.T) {
	all, err := readFigures("figures.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range compare(all, all) {
		if v.word != same {
			t.Errorf("%s compared with itself: %s", v.before.Name, v.word)
		}
	}
}
