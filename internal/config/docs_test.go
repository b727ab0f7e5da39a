package config

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the generated parts of the documents anew")

const (
	document = "../../docs/configuration.md"
	sample   = "../../packaging/kuryr.conf"
)

// TestReferenceNamesEveryOption keeps the generated parts of the reference in
// step with the tables.
func TestReferenceNamesEveryOption(t *testing.T) {
	data, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	got := string(data)
	want := replacePart(t, got, "options", optionTables())
	want = replacePart(t, want, "ignored", ignoredTable())
	compare(t, document, got, want)
}

// TestSampleFileIsTheTable keeps the sample in step with the table.
func TestSampleFileIsTheTable(t *testing.T) {
	data, err := os.ReadFile(sample)
	if err != nil && !*update {
		t.Fatal(err)
	}
	compare(t, sample, string(data), sampleFile())
}

// TestSampleFileIsAccepted reads the sample as it is, and with its options uncommented.
func TestSampleFileIsAccepted(t *testing.T) {
	text := sampleFile()
	var live strings.Builder
	for line := range strings.Lines(text) {
		if assignment, ok := strings.CutPrefix(line, "#"); ok && !strings.HasPrefix(assignment, " ") && !strings.HasSuffix(line, "=\n") {
			line = assignment
		}
		live.WriteString(line)
	}
	for _, text := range []string{text, live.String()} {
		c, r, err := Load(sources(t, text, nil))
		if err != nil || len(r.Warnings) > 0 {
			t.Errorf("error %v, warnings %q", err, r.Warnings)
		}
		if diff := cmp.Diff(defaults(), c); diff != "" {
			t.Errorf("the sample is not the defaults (-want +got)\n%s", diff)
		}
	}
}

func compare(t *testing.T, path, got, want string) {
	t.Helper()
	if got == want {
		return
	}
	if !*update {
		t.Errorf("%s is out of date; run go test ./internal/config -update (-want +got)\n%s", path, cmp.Diff(want, got))
		return
	}
	if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
		t.Fatal(err)
	}
}

// replacePart replaces what is between the comments that frame a part.
func replacePart(t *testing.T, text, name, part string) string {
	t.Helper()
	start := fmt.Sprintf("<!-- The part up to \"end of %s\" is written by `go test ./internal/config -update`. -->\n", name)
	end := fmt.Sprintf("<!-- end of %s -->\n", name)
	before, rest, found := strings.Cut(text, start)
	_, after, closed := strings.Cut(rest, end)
	if !found || !closed {
		t.Fatalf("%s: no part named %q", document, name)
	}
	return before + start + part + end + after
}

// code marks s as code, escaped for a table's cell.
func code(s string) string { return "`" + strings.ReplaceAll(s, "|", `\|`) + "`" }

func optionTables() string {
	var b strings.Builder
	section := ""
	for _, o := range Options() {
		if o.Section != section {
			section = o.Section
			fmt.Fprintf(&b, "\n### [%s]\n\n| Option | Value | Default | Environment | Flag | Meaning |\n|---|---|---|---|---|---|\n", section)
		}
		def, env, flag := o.DefaultNote, "", ""
		if o.Default != "" {
			def = code(o.Default)
		}
		for i, name := range o.Envs() {
			if i > 0 {
				env += ", "
			}
			env += code(name)
		}
		if o.Flag != "" {
			flag = code("--" + o.Flag)
		}
		doc := o.Doc
		if len(o.Aliases) > 0 {
			doc += " Also accepted as " + code(strings.Join(o.Aliases, "`, `")) + "."
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s |\n", code(o.Name), code(o.Value), def, env, flag, doc)
	}
	return b.String() + "\n"
}

func ignoredTable() string {
	var b strings.Builder
	b.WriteString("\n| Section | Options without an effect | of them secret |\n|---|---|---|\n")
	for _, section := range []string{"DEFAULT", "binding", "neutron"} {
		var names, secrets []string
		for _, old := range legacies() {
			switch {
			case old.section != section:
			case old.secret:
				secrets = append(secrets, code(old.name))
			default:
				names = append(names, code(old.name))
			}
		}
		slices.Sort(names)
		slices.Sort(secrets)
		fmt.Fprintf(&b, "| `[%s]` | %s | %s |\n", section, strings.Join(names, ", "), strings.Join(secrets, ", "))
	}
	return b.String() + "\n"
}

// sampleFile is a kuryr.conf with every option commented out at its default.
func sampleFile() string {
	var b strings.Builder
	b.WriteString("# Kuryr's configuration: every option at its default. `kuryr config show` tells what is in force.\n" +
		"# A comment needs a line of its own that starts in the first column.\n")
	section := ""
	for _, o := range Options() {
		if o.Section != section {
			section = o.Section
			fmt.Fprintf(&b, "\n[%s]\n", section)
		}
		b.WriteString("\n")
		for _, line := range wrap(strings.ReplaceAll(o.Doc, "`", "\""), 96) {
			b.WriteString("# " + line + "\n")
		}
		if o.Default == "" {
			fmt.Fprintf(&b, "# Default: %s.\n", o.DefaultNote)
		}
		b.WriteString(strings.TrimSuffix(fmt.Sprintf("#%s = %s", o.Name, o.Default), " ") + "\n")
	}
	return b.String()
}

// wrap breaks text into lines of at most width bytes.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(text) {
		switch {
		case line == "":
			line = word
		case len(line)+1+len(word) > width:
			lines, line = append(lines, line), word
		default:
			line += " " + word
		}
	}
	return append(lines, line)
}
