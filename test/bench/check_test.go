package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func ratio(better string, low, p50, high float64) figure {
	return figure{Name: "r", Unit: "ratio", P50: p50, Interval: &[2]float64{low, high}, Better: better}
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
	if err := check(&out, write(ratio(less, 0.9, 1, 1.1)), now); err == nil || !strings.Contains(out.String(), worse) {
		t.Errorf("a worse figure passes: %v\n%s", err, out.String())
	}
	if err := check(&out, write(ratio(less, 1.1, 1.2, 1.3)), now); err != nil {
		t.Errorf("a figure within noise fails: %v", err)
	}
	if err := check(&out, write(figure{Name: "r", P50: 1}), now); err == nil {
		t.Error("nothing compared passes")
	}
}

// The committed figures must be of use to bench-check.
func TestCommittedFigures(t *testing.T) {
	data, err := os.ReadFile("figures.json")
	if err != nil {
		t.Fatal(err)
	}
	var all []figure
	if err := json.Unmarshal(data, &all); err != nil {
		t.Fatal(err)
	}
	if len(compare(all, all)) == 0 {
		t.Error("there is nothing to compare with")
	}
	for _, v := range compare(all, all) {
		if v.word != same {
			t.Errorf("%s compared with itself: %s", v.before.Name, v.word)
		}
	}
}
