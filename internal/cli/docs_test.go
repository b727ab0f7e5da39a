package cli

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

var update = flag.Bool("update", false, "write docs/cli.md and packaging/man anew")

const document = "../../docs/cli.md"

// TestReferenceFollowsTheCommands keeps docs/cli.md in step with the tree of
// commands, flags and examples.
func TestReferenceFollowsTheCommands(t *testing.T) {
	data, err := os.ReadFile(document)
	if err != nil && !*update {
		t.Fatal(err)
	}
	want := reference()
	switch {
	case string(data) == want:
	case *update:
		if err := os.WriteFile(document, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("%s is out of date; run go test ./internal/cli -update (-want +got)\n%s", document, cmp.Diff(want, string(data)))
	}
}

// TestEveryCommandIsDescribed holds the conventions of help texts.
func TestEveryCommandIsDescribed(t *testing.T) {
	for _, cmd := range commands(newRoot()) {
		ours := !strings.Contains(cmd.CommandPath(), "completion")
		if cmd.Short == "" || cmd.Long == "" || strings.HasSuffix(cmd.Short, ".") {
			t.Errorf("%s: a short and a long description are needed, the short one without a full stop", cmd.CommandPath())
		}
		if ours && cmd.Example == "" && !cmd.HasSubCommands() && cmd.Name() != "help" {
			t.Errorf("%s: no example", cmd.CommandPath())
		}
		cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
			if f.Usage == "" || strings.HasSuffix(f.Usage, ".") {
				t.Errorf("%s --%s: usage %q", cmd.CommandPath(), f.Name, f.Usage)
			}
		})
	}
}

// commands returns root and all below it, in the order of help.
func commands(root *cobra.Command) []*cobra.Command {
	list := []*cobra.Command{root}
	for _, cmd := range root.Commands() {
		if cmd.IsAvailableCommand() {
			list = append(list, commands(cmd)...)
		}
	}
	return list
}

// reference returns docs/cli.md.
func reference() string {
	var b strings.Builder
	b.WriteString(`# The command line

<!-- Written by ` + "`go test ./internal/cli -update`" + ` from the commands themselves. -->

What a command was asked for goes to stdout. Errors go to stderr, as one line "error: …" and, where something helps,
a second "hint: …". The exit code is 0, 1 when the command failed, or 2 when the command line was not understood.
Options of ` + "`kuryr.conf`" + ` and their environment variables are in [configuration.md](configuration.md). Colours are left out
when stdout is no terminal, or ` + "`NO_COLOR`" + ` is set.
`)
	for _, cmd := range commands(newRoot()) {
		cmd.InitDefaultHelpFlag()
		fmt.Fprintf(&b, "\n## %s\n\n%s\n", cmd.CommandPath(), description(cmd))
		if cmd.Annotations[groupNote] == "" {
			fmt.Fprintf(&b, "\n    %s\n", cmd.UseLine())
		}
		for _, sub := range cmd.Commands() {
			if sub.IsAvailableCommand() {
				fmt.Fprintf(&b, "\n- `%s`: %s", sub.CommandPath(), sub.Short)
			}
		}
		if cmd.HasAvailableSubCommands() {
			b.WriteString("\n")
		}
		if cmd.Example != "" {
			fmt.Fprintf(&b, "\nExamples:\n\n%s\n", indent(cmd.Example))
		}
		fmt.Fprintf(&b, "\nFlags:\n\n%s\n", indent(strings.TrimRight(cmd.LocalFlags().FlagUsages(), "\n")))
	}
	return b.String()
}

// description is the long one; cobra's own, of completion, are cut down to
// their first line, the rest being shell lines in a form of their own.
func description(cmd *cobra.Command) string {
	if strings.Contains(cmd.CommandPath(), "completion ") {
		first, _, _ := strings.Cut(cmd.Long, "\n")
		return first + " Its help tells how to load it."
	}
	return strings.TrimSpace(cmd.Long)
}

// indent makes a block of code of text that is indented by two or more.
func indent(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = "    " + strings.TrimPrefix(line, "  ")
	}
	return strings.Join(lines, "\n")
}
