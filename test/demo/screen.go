package main

import (
	"fmt"
	"os"
	"strings"
	"text/tabwriter"

	"golang.org/x/term"
)

// screen shows the demo, in colour on a terminal, and counts what it checked.
type screen struct {
	out    *os.File
	colour bool
	passed int // checks
	failed int
}

func newScreen(out *os.File) *screen {
	return &screen{out: out, colour: term.IsTerminal(int(out.Fd())) && os.Getenv("NO_COLOR") == ""}
}

// The colours, as parameters of the terminal's SGR sequence.
const (
	bold  = "1"
	dim   = "2"
	red   = "31"
	green = "32"
)

func (s *screen) paint(colour, text string) string {
	if !s.colour {
		return text
	}
	return "\x1b[" + colour + "m" + text + "\x1b[0m"
}

// say prints a line.
func (s *screen) say(format string, args ...any) { fmt.Fprintf(s.out, format+"\n", args...) }

// title begins a scene.
func (s *screen) title(text string) { s.say("\n%s", s.paint(bold, "== "+text)) }

// command shows a command as a user would type it.
func (s *screen) command(line string) { s.say("%s", s.paint(dim, "$ "+line)) }

// check shows and counts one expectation.
func (s *screen) check(what string, ok bool) {
	if ok {
		s.passed++
		s.say("  %s    %s", s.paint(green, "ok"), what)
		return
	}
	s.failed++
	s.say("  %s  %s", s.paint(red, "FAIL"), what)
}

// table prints rows in columns.
func (s *screen) table(rows [][]string) {
	w := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	for _, r := range rows {
		fmt.Fprintln(w, strings.TrimRight(strings.Join(r, "\t"), "\t"))
	}
	// It writes to a terminal or file whose failure there is nobody to tell.
	_ = w.Flush()
}
