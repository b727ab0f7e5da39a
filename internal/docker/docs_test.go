package docker

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the generated part of docs/docker.md anew")

const document = "../../docs/docker.md"

func readDocument(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestReferenceNamesEveryOption keeps the table in step with the code.
func TestReferenceNamesEveryOption(t *testing.T) {
	const start = "<!-- The part up to \"end of options\" is written by `go test ./internal/docker -update`. -->\n"
	const end = "<!-- end of options -->\n"
	got := readDocument(t)
	before, rest, found := strings.Cut(got, start)
	_, after, closed := strings.Cut(rest, end)
	if !found || !closed {
		t.Fatalf("%s has no part for the options", document)
	}
	var b strings.Builder
	b.WriteString("\n| Option | Value | With | Meaning |\n|---|---|---|---|\n")
	for _, o := range NeutronOptions() {
		var flags []string
		for _, f := range o.Places() {
			flags = append(flags, "`"+f+"`")
		}
		fmt.Fprintf(&b, "| `%s` | `%s` | %s | %s |\n", o.Name, strings.ReplaceAll(o.Value, "|", `\|`), strings.Join(flags, " "), o.Doc)
	}
	want := before + start + b.String() + "\n" + end + after
	switch {
	case got == want:
	case *update:
		if err := os.WriteFile(document, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("%s is out of date; run go test ./internal/docker -update (-want +got)\n%s", document, cmp.Diff(want, got))
	}
}

// given returns the options of one command of Docker's, by the flag they are given with.
func given(command string) map[string]map[string]string {
	out := map[string]map[string]string{}
	add := func(flag, option string) {
		k, v, _ := strings.Cut(option, "=")
		if out[flag] == nil {
			out[flag] = map[string]string{}
		}
		out[flag][k] = v
	}
	words := strings.Fields(strings.ReplaceAll(command, `"`, ""))
	for i, w := range words[:len(words)-1] {
		switch w {
		case "-o", "--ipam-opt", "--driver-opt":
			add(w, words[i+1])
		case "--network":
			for field := range strings.SplitSeq(words[i+1], ",") {
				if option, ok := strings.CutPrefix(field, "driver-opt="); ok {
					add("--driver-opt", option)
				}
			}
		}
	}
	return out
}

// TestExamplesAreUnderstood reads every command of the page, and sees that each
// option has one.
func TestExamplesAreUnderstood(t *testing.T) {
	s := New(newMemory(), Options{}).(*server)
	at := map[string]place{"-o": onNetwork, "--ipam-opt": onPool, "--driver-opt": onEndpoint}
	var shown []string
	for line := range strings.Lines(readDocument(t)) {
		command := strings.TrimSpace(line)
		if !strings.HasPrefix(line, "    docker ") {
			continue
		}
		for flag, options := range given(command) {
			n, err := s.neutronOptions(options, at[flag])
			if err == nil && flag == "-o" {
				_, _, err = s.driverOptions(options, false)
			}
			if err == nil && flag == "--driver-opt" {
				_, err = n.port()
			}
			if err == nil && flag == "--ipam-opt" {
				_, err = n.subnets()
			}
			if err != nil {
				t.Errorf("%s: %v", command, err)
			}
			for name := range options {
				shown = append(shown, name)
			}
		}
	}
	for _, o := range NeutronOptions() {
		if !slices.Contains(shown, o.Name) {
			t.Errorf("option %s has no example", o.Name)
		}
	}
}
