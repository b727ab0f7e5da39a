package cli

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"kuryr/internal/config"
)

const manuals = "../../packaging/man"

// TestManualsFollowTheCommands keeps packaging/man in step with the commands
// and with the options of kuryr.conf.
func TestManualsFollowTheCommands(t *testing.T) {
	want := manualPages()
	have, err := filepath.Glob(filepath.Join(manuals, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range have {
		if _, ok := want[filepath.Base(path)]; ok {
			continue
		}
		if !*update {
			t.Errorf("%s is no command's; run go test ./internal/cli -update", path)
		} else if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range want {
		path := filepath.Join(manuals, name)
		got, err := os.ReadFile(path)
		switch {
		case string(got) == text:
		case *update:
			if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		default:
			t.Errorf("%s is out of date (%v); run go test ./internal/cli -update (-want +got)\n%s", path, err, cmp.Diff(text, string(got)))
		}
	}
}

// TestManualsAreRoff has groff, where there is one, read every page.
func TestManualsAreRoff(t *testing.T) {
	groff, err := exec.LookPath("groff")
	for name, text := range manualPages() {
		for line := range strings.Lines(text) {
			if strings.HasPrefix(line, "'") || strings.HasPrefix(line, ".") && !slices.Contains(requests(), strings.Fields(line)[0]) {
				t.Errorf("%s: a line of text is a request: %q", name, line)
			}
		}
		if err != nil {
			continue
		}
		var errs bytes.Buffer
		cmd := exec.Command(groff, "-man", "-Tutf8", "-ww", "-z")
		cmd.Stdin, cmd.Stderr = strings.NewReader(text), &errs
		if err := cmd.Run(); err != nil || errs.Len() > 0 {
			t.Errorf("%s: %v\n%s", name, err, errs.String())
		}
	}
}

// requests are those that pages use.
func requests() []string {
	return []string{".TH", ".SH", ".SS", ".PP", ".TP", ".EX", ".EE", ".RS", ".RE", `.\"`}
}

// manualPages returns all pages by the names of their files.
func manualPages() map[string]string {
	pages := map[string]string{"kuryr.conf.5": configPage()}
	for _, cmd := range commands(newRoot()) {
		path := cmd.CommandPath()
		if strings.Contains(path, "completion") || cmd.Name() == "help" || cmd.HasParent() && cmd.Annotations[groupNote] != "" {
			continue
		}
		pages[strings.ReplaceAll(path, " ", "-")+".1"] = commandPage(cmd)
	}
	return pages
}

// page is a manual page that is being written.
type page struct{ strings.Builder }

func newPage(name, section, short string) *page {
	p := &page{}
	fmt.Fprintf(p, ".\\\" Written by go test ./internal/cli -update: do not edit.\n.TH %s %s\n", strings.ToUpper(roff(name)), section)
	p.heading("NAME")
	fmt.Fprintf(p, "%s \\- %s\n", roff(name), roff(strings.ToLower(short[:1])+short[1:]))
	return p
}

func (p *page) heading(text string) { fmt.Fprintf(p, ".SH %s\n", text) }

// text writes paragraphs. Those that are indented stay as they are.
func (p *page) text(s string) {
	for i, paragraph := range strings.Split(strings.TrimSpace(s), "\n\n") {
		switch {
		case strings.HasPrefix(paragraph, "  "):
			p.literal(paragraph)
			continue
		case i > 0:
			p.WriteString(".PP\n")
		}
		for line := range strings.Lines(paragraph) {
			p.WriteString(guard(roff(strings.TrimRight(line, "\n"))) + "\n")
		}
	}
}

func (p *page) literal(s string) {
	p.WriteString(".PP\n.RS 4\n.EX\n")
	for line := range strings.Lines(s) {
		p.WriteString(guard(roff(strings.TrimRight(strings.TrimPrefix(line, "  "), "\n"))) + "\n")
	}
	p.WriteString(".EE\n.RE\n")
}

// term writes an entry of a list.
func (p *page) term(term, text string) {
	fmt.Fprintf(p, ".TP\n%s\n%s\n", guard(term), guard(roff(text)))
}

// roff escapes what roff would take for its own: backslashes, hyphens that
// are to be typed, and quotes that it would curl.
func roff(s string) string {
	return strings.NewReplacer(`\`, `\e`, "-", `\-`, "'", `\(aq`, "`", "", "^", `\(ha`, "~", `\(ti`, "…", "...").Replace(s)
}

// guard keeps a line of text from being a request.
func guard(line string) string {
	if strings.HasPrefix(line, ".") {
		return `\&` + line
	}
	return line
}

func bold(s string) string   { return `\fB` + roff(s) + `\fR` }
func italic(s string) string { return `\fI` + roff(s) + `\fR` }

func commandPage(cmd *cobra.Command) string {
	cmd.InitDefaultHelpFlag()
	p := newPage(strings.ReplaceAll(cmd.CommandPath(), " ", "-"), "1", cmd.Short)
	p.heading("SYNOPSIS")
	synopsis := cmd.UseLine()
	if cmd.Annotations[groupNote] != "" {
		synopsis = cmd.CommandPath() + " COMMAND [flags]"
	}
	fmt.Fprintf(p, "%s\n", bold(synopsis))
	p.heading("DESCRIPTION")
	p.text(cmd.Long)
	if cmd.HasAvailableSubCommands() {
		p.heading("COMMANDS")
		for _, sub := range commands(cmd)[1:] {
			if sub.Annotations[groupNote] == "" && !strings.Contains(sub.CommandPath(), "completion ") {
				p.term(bold(strings.TrimPrefix(sub.CommandPath(), "kuryr ")), sub.Short+".")
			}
		}
	}
	p.heading("OPTIONS")
	cmd.LocalFlags().VisitAll(func(f *pflag.Flag) { p.term(flagTerm(f), flagText(f)) })
	if cmd.Example != "" {
		p.heading("EXAMPLES")
		p.literal(cmd.Example)
	}
	p.heading("EXIT STATUS")
	p.text("0 on success, 1 when the command failed, 2 when the command line was not understood.")
	p.heading("SEE ALSO")
	p.WriteString(seeAlso(cmd) + "\n")
	return p.String()
}

func flagTerm(f *pflag.Flag) string {
	term := bold("--" + f.Name)
	if f.Shorthand != "" {
		term = bold("-"+f.Shorthand) + ", " + term
	}
	if value := f.Value.Type(); value != "bool" {
		term += " " + italic(value)
	}
	return term
}

func flagText(f *pflag.Flag) string {
	text := strings.ToUpper(f.Usage[:1]) + f.Usage[1:]
	if f.DefValue != "" && f.Value.Type() != "bool" {
		text += " (default " + f.DefValue + ")"
	}
	return text + "."
}

func seeAlso(cmd *cobra.Command) string {
	var refs []string
	if cmd.HasParent() {
		refs = append(refs, bold("kuryr")+"(1)")
	} else {
		for name := range manualNames(cmd) {
			refs = append(refs, bold(name)+"(1)")
		}
	}
	slices.Sort(refs)
	return strings.Join(append(refs, bold("kuryr.conf")+"(5)"), ", ")
}

// manualNames are those of the pages of root's commands.
func manualNames(root *cobra.Command) map[string]bool {
	names := map[string]bool{}
	for _, cmd := range commands(root)[1:] {
		if cmd.Annotations[groupNote] == "" && !strings.Contains(cmd.CommandPath(), "completion") && cmd.Name() != "help" {
			names[strings.ReplaceAll(cmd.CommandPath(), " ", "-")] = true
		}
	}
	return names
}

func configPage() string {
	p := newPage("kuryr.conf", "5", "Configuration of Kuryr")
	p.heading("SYNOPSIS")
	fmt.Fprintf(p, "%s\n", italic(config.DefaultFile))
	p.heading("DESCRIPTION")
	p.text(`Kuryr runs without any configuration. The file is in oslo.config's dialect of INI: sections in brackets, then
lines "option = value". A comment has # or ; in the first column; a line that starts with white space continues
the value before it. $option and $section.option stand for another option's value, $$ for a dollar sign.

Flags of kuryr serve win over environment variables, these over the file, and the file over the defaults. Besides
those named below, every option has the variable OS_SECTION__OPTION. kuryr config show prints what is in force,
and where it came from.`)
	section := ""
	for _, o := range config.Options() {
		if o.Section != section {
			section = o.Section
			p.heading("[" + section + "]")
		}
		p.term(bold(o.Name)+" = "+italic(o.Value), optionText(o))
	}
	p.heading("FILES")
	p.term(italic(config.DefaultFile), "Read when it exists, unless --config-file names another.")
	p.heading("SEE ALSO")
	fmt.Fprintf(p, "%s(1), %s(1), %s(1)\n", bold("kuryr"), bold("kuryr-config-show"), bold("kuryr-serve"))
	return p.String()
}

func optionText(o config.Option) string {
	text := o.Doc
	if def := o.Default; def != "" {
		text += " Default: " + def + "."
	} else {
		text += " Default: " + o.DefaultNote + "."
	}
	if envs := o.Envs(); len(envs) > 0 {
		text += " Variable: " + strings.Join(envs, ", ") + "."
	}
	if o.Flag != "" {
		text += " Flag: --" + o.Flag + "."
	}
	if len(o.Aliases) > 0 {
		text += " Also accepted as " + strings.Join(o.Aliases, ", ") + "."
	}
	return text
}
