package config

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// goldens are what the real oslo.config makes of testdata/oslo/*.conf; see
// regenerate.py there.
type golden struct {
	Error    int                            `json:"error"` // the line; 0: none
	Sections map[string]map[string][]string `json:"sections"`
	Expanded map[string]any                 `json:"expanded"` // by "section.option"; an object is an error
}

func goldens(t *testing.T) map[string]golden {
	t.Helper()
	paths, err := filepath.Glob("testdata/oslo/*.conf")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no goldens: %v", err)
	}
	all := map[string]golden{}
	for _, path := range paths {
		data, err := os.ReadFile(strings.TrimSuffix(path, ".conf") + ".json")
		if err != nil {
			t.Fatal(err)
		}
		var g golden
		if err := json.Unmarshal(data, &g); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		all[path] = g
	}
	return all
}

func TestParseINIReadsWhatOsloConfigReads(t *testing.T) {
	for path, want := range goldens(t) {
		t.Run(filepath.Base(path), func(t *testing.T) {
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			entries, err := parseINI(data)
			if line := lineOf(err); line != want.Error {
				t.Fatalf("error on line %d (%v), want %d", line, err, want.Error)
			}
			if want.Error != 0 {
				return
			}
			got := map[string]map[string][]string{}
			for _, e := range entries {
				if got[e.section] == nil {
					got[e.section] = map[string][]string{}
				}
				got[e.section][e.key] = append(got[e.section][e.key], e.value)
			}
			if diff := cmp.Diff(want.Sections, got); diff != "" {
				t.Errorf("(-oslo.config +ours)\n%s", diff)
			}
		})
	}
}

// lineOf returns the line of a syntaxError, 0 for nil.
func lineOf(err error) int {
	var se *syntaxError
	if errors.As(err, &se) {
		return se.line
	}
	return 0
}

func TestReferencesComeToWhatOsloConfigMakesOfThem(t *testing.T) {
	options := func(values map[string]*string) []Option {
		var list []Option
		for _, n := range [][2]string{{"DEFAULT", "a"}, {"DEFAULT", "b"}, {"DEFAULT", "c"}, {"group", "a"}, {"group", "d"}} {
			v := new(string)
			values[key(n[0], n[1])] = v
			list = append(list, Option{Section: n[0], Name: n[1], field: func(*Config) any { return v }})
		}
		return list
	}
	for path, want := range goldens(t) {
		if want.Error != 0 {
			continue
		}
		t.Run(filepath.Base(path), func(t *testing.T) {
			l := &loader{sources: Sources{File: path}, options: options(map[string]*string{})}
			if err := l.readFile(); err != nil {
				t.Fatal(err)
			}
			for _, o := range l.options {
				name := key(o.Section, o.Name)
				_, isError := want.Expanded[name].(map[string]any)
				got, origin, f := l.effective(o, []string{name})
				switch {
				case isError != (f != nil):
					t.Errorf("%s: %q, %v, want error: %t", name, got, f, isError)
				case isError:
				case want.Expanded[name] == nil:
					if origin.Kind != FromDefault {
						t.Errorf("%s is %q from %s, want unset", name, got, origin)
					}
				case got != want.Expanded[name]:
					t.Errorf("%s is %q, want %q", name, got, want.Expanded[name])
				}
			}
		})
	}
}

func TestSyntaxErrorsSayNothingOfTheLine(t *testing.T) {
	for _, text := range []string{
		"[DEFAULT]\nhunter2\n", "hunter2=1\n", "[hunter2\n", "  hunter2\n", "[DEFAULT]\n=hunter2\n", "\xffhunter2\n",
	} {
		_, err := parseINI([]byte(text))
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func FuzzParseINI(f *testing.F) {
	paths, err := filepath.Glob("testdata/oslo/*.conf")
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		entries, err := parseINI(data)
		lines := strings.Count(strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(string(data)), "\n") + 1
		if line := lineOf(err); err != nil && (line < 1 || line > lines) {
			t.Errorf("error %v in a text of %d lines", err, lines)
		}
		last := 0
		for _, e := range entries {
			switch {
			case e.line <= last || e.line > lines:
				t.Errorf("line %d after %d, of %d", e.line, last, lines)
			case e.section == "" || e.key == "" || strings.Contains(e.key, "\n"):
				t.Errorf("entry %+v", e)
			}
			last = e.line
		}
	})
}

func FuzzExpand(f *testing.F) {
	for _, s := range []string{"$a", "${a.b}c", `\$x`, "$$x", "$", "${", "${}", "$1", "a$b.$c"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, fault := expand(s, func(ref string) (string, *fault) {
			if !isReference(ref[0], true) {
				t.Errorf("reference %q", ref)
			}
			return "", nil
		})
		if fault != nil || len(got) > len(s) {
			t.Errorf("expand(%q) = %q, %v", s, got, fault)
		}
		if !strings.Contains(s, "$") && got != s {
			t.Errorf("expand(%q) = %q", s, got)
		}
	})
}
