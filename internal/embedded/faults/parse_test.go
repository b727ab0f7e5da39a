package faults

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	got, err := Parse("f.json", []byte(`{
		"seed": 7,
		"rules": [
			{"method": "POST", "path": "/v2.0/ports", "skip": 2, "count": 1, "do": "lose"},
			{"path": "/v2.0/networks/*", "delay": "250ms", "probability": 0.1},
			{"status": 429, "retry_after": 2, "type": "TooMany", "message": "slow down"},
			{"method": "GET", "do": "answer"},
			{"do": "break", "delay": "1s"},
			{"do": "pass"}
		]}`))
	if err != nil {
		t.Fatal(err)
	}
	want := &Plan{Seed: 7, Rules: []Rule{
		{Method: "POST", Path: "/v2.0/ports", Skip: 2, Count: 1, Probability: 1, Do: Lose},
		{Path: "/v2.0/networks/*", Delay: 250 * time.Millisecond, Probability: 0.1, Do: Pass},
		{Probability: 1, Do: Answer, Status: 429, RetryAfter: 2 * time.Second, Type: "TooMany", Message: "slow down"},
		{Method: "GET", Probability: 1, Do: Answer, Status: 503, Type: "InjectedFault", Message: "This error was asked for by a rule of the fault lab."},
		{Probability: 1, Do: Break, Delay: time.Second},
		{Probability: 1, Do: Pass},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestParseRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"":                                       `f:1: the file ends too early`,
		"{":                                      `f:1: the file ends too early`,
		"[]":                                     `f:1: the file must be an object: {…}`,
		"{}":                                     `f:1: there are no "rules"`,
		`{"rules": []} {}`:                       `f:1: something follows the rules`,
		"{\"rules\": [],\n}":                     `f:2: invalid character '}'`,
		"{\"rules\": [\n\n 5]}":                  `f:3: a rule must be an object: {…}`,
		`{"rules": {}}`:                          `f:1: "rules" must be a list: […]`,
		"{\n\"rulez\": []}":                      `f:2: unknown key "rulez"; known are "seed" and "rules"`,
		`{"seed": -1, "rules": []}`:              `f:1: "seed" must be a whole number, 0 or more`,
		"{\"rules\": [],\n\"rules\": []}":        `f:2: "rules" is there twice`,
		rule(`"do": "crash"`):                    `f:3: "do" must be one of pass, answer, lose, break`,
		rule(`"do": null`):                       `f:3: "do" must be a string`,
		rule(`"verb": "GET"`):                    `f:3: unknown key "verb"; known are method,`,
		rule(`"method": "get", "do": "break"`):   `f:3: "method" must be one of GET,`,
		rule(`"path": "ports", "do": "break"`):   `f:3: "path" must start with a slash`,
		rule(`"path": "/a/**/b", "do": "break"`): `f:3: "path" may have "**" as its last segment only`,
		rule(`"path": "/a[", "do": "break"`):     `f:3: "path" is not a pattern`,
		rule(`"path": "/a?b=c", "do": "break"`):  `f:3: "path" is matched without the query`,
		rule(`"skip": -1`):                       `f:3: "skip" must be 0 or more`,
		rule(`"count": 0`):                       `f:3: "count" must be 1 or more`,
		rule(`"count": 1.5`):                     `f:3: "count" must be a whole number`,
		rule(`"probability": 2`):                 `f:3: "probability" must be more than 0, and 1 at most`,
		rule(`"delay": 5`):                       `f:3: "delay" must be a string such as "250ms"`,
		rule(`"delay": "2h"`):                    `f:3: "delay" must be a time up to 1h`,
		rule(`"status": 200`):                    `f:3: "status" must be an error's, 400 to 599`,
		rule(`"retry_after": 0`):                 `f:3: "retry_after" must be 1 to 3600 seconds`,
		rule(`"count": 3`):                       `f:4: the rule does nothing: it has neither "do" nor "delay"`,
		rule(`"do": "lose", "status": 500`):      `f:4: "status" goes with "do": "answer" only`,
		rule(`"delay": "1s", "message": "x"`):    `f:4: "message" goes with "do": "answer" only`,
	} {
		_, err := Parse("f", []byte(text))
		var pe *ParseError
		if !errors.As(err, &pe) || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s\nerror %v\n want %s", text, err, want)
		}
	}
}

// rule is a file whose one rule has its keys in line 3 and ends in line 4.
func rule(keys string) string { return "{\"rules\": [\n{\n" + keys + "\n}\n]}" }

func TestRead(t *testing.T) {
	name := filepath.Join(t.TempDir(), "faults.json")
	if _, err := Read(name); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	if err := os.WriteFile(name, []byte(rule(`"do": "break"`)), 0o600); err != nil {
		t.Fatal(err)
	}
	if p, err := Read(name); err != nil || len(p.Rules) != 1 {
		t.Errorf("%v, %v", p, err)
	}
	if err := os.WriteFile(name, make([]byte, maxFile+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(name); err == nil || !strings.Contains(err.Error(), "larger than") {
		t.Errorf("a large file: %v", err)
	}
}

func TestMatchPath(t *testing.T) {
	for _, tc := range []struct {
		pattern, path string
		want          bool
	}{
		{"/v2.0/ports", "/v2.0/ports", true},
		{"/v2.0/ports", "/v2.0/ports/1", false},
		{"/v2.0/ports/*", "/v2.0/ports/1", true},
		{"/v2.0/ports/*", "/v2.0/ports", false},
		{"/v2.0/ports/*", "/v2.0/ports/1/tags", false},
		{"/v2.0/*/*/tags", "/v2.0/ports/1/tags", true},
		{"/v2.0/ports/**", "/v2.0/ports", true},
		{"/v2.0/ports/**", "/v2.0/ports/1/tags/a", true},
		{"/v2.0/ports/**", "/v2.0/portsx/1", false},
		{"/v2.0/*/**", "/v2.0", false},
		{"/v2.0/*/**", "/v2.0/ports/1", true},
		{"/**", "/", true},
		{"/**", "/v2.0", true},
	} {
		if got := matchPath(tc.pattern, tc.path); got != tc.want {
			t.Errorf("%s on %s: %v", tc.pattern, tc.path, got)
		}
	}
}

// FuzzParse: whatever is in the file, it is a plan within the limits or an
// error of one line of that file.
func FuzzParse(f *testing.F) {
	f.Add([]byte(rule(`"method": "POST", "path": "/v2.0/ports/**", "skip": 1, "count": 2, "probability": 0.5, "do": "lose"`)))
	f.Add([]byte(rule(`"delay": "1s", "status": 429, "type": "T", "message": "m", "retry_after": 3`)))
	f.Add([]byte(`{"seed": 18446744073709551615, "rules": []}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		plan, err := Parse("f", data)
		if err != nil {
			var pe *ParseError
			if !errors.As(err, &pe) || pe.Line < 1 || pe.Line > 1+strings.Count(string(data), "\n") || strings.Contains(pe.Why, "\n") {
				t.Fatalf("%q: %#v", data, err)
			}
			return
		}
		for _, r := range plan.Rules {
			if r.Do == "" || r.Probability <= 0 || r.Probability > 1 || r.Delay < 0 || r.Delay > maxDelay ||
				r.Skip < 0 || r.Count < 0 || (r.Do == Answer) != (r.Status != 0) {
				t.Fatalf("%q: %+v", data, r)
			}
			r.matches("GET", "/v2.0/ports/1")
		}
	})
}
