package config

import (
	"bytes"
	"fmt"
	"strings"
	"unicode/utf8"
)

// defaultSection is oslo.config's section of options that belong to no group.
// Unlike other sections' its name is case-sensitive.
const defaultSection = "DEFAULT"

// entry is one assignment of the file. Its value holds a newline for each
// continuation line.
type entry struct {
	section, key, value string
	line                int // of the assignment's first line, from 1
}

// syntaxError is a line that oslo.config's reader refuses too. It does not
// quote the line, which may be part of a secret.
type syntaxError struct {
	line      int
	why, hint string
}

func (e *syntaxError) Error() string { return fmt.Sprintf("line %d: %s", e.line, e.why) }

// parseINI reads oslo.config's INI dialect (oslo_config/iniparser.py, 9.0.0):
//
//   - "key = value" or "key: value", whichever sign comes first;
//   - white space around both is dropped, then one pair of matching quotes around the value's first line;
//   - a line that starts with a space or tab continues the value before it, and is not unquoted;
//   - a blank line or a comment ends the value;
//   - a comment starts with # or ; in the line's first column, nowhere else;
//   - sections and keys may repeat.
func parseINI(data []byte) ([]entry, error) {
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	text := strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(string(data))
	p := &iniParser{}
	for line := range strings.SplitSeq(text, "\n") {
		p.line++
		if err := p.next(strings.TrimRightFunc(line, isSpace)); err != nil {
			return nil, err
		}
	}
	return p.entries, nil
}

// iniParser holds what has been read so far.
type iniParser struct {
	line    int
	section string
	open    bool // the last entry may be continued
	entries []entry
}

// next takes one line without its trailing white space.
func (p *iniParser) next(line string) error {
	switch {
	case !utf8.ValidString(line):
		return p.fail("not UTF-8", "")
	case line == "":
		p.open = false
	case line[0] == ' ' || line[0] == '\t':
		return p.continuation(strings.TrimLeftFunc(line, isSpace))
	case line[0] == '[':
		return p.header(line)
	case line[0] == '#' || line[0] == ';':
		p.open = false
	default:
		return p.assignment(line)
	}
	return nil
}

func (p *iniParser) continuation(rest string) error {
	if !p.open {
		return p.fail("a line that starts with white space continues a value, and there is none before it",
			"start the line in the first column")
	}
	p.entries[len(p.entries)-1].value += "\n" + rest
	return nil
}

func (p *iniParser) header(line string) error {
	p.open = false
	switch {
	case !strings.HasSuffix(line, "]"):
		return p.fail("a section must end with ]", "comments need a line of their own")
	case len(line) <= 2:
		return p.fail("a section without a name", "")
	}
	p.section = line[1 : len(line)-1]
	return nil
}

func (p *iniParser) assignment(line string) error {
	sign := strings.IndexAny(line, "=:")
	if sign < 0 {
		return p.fail("neither a section, a comment nor an assignment (option = value)", "")
	}
	key := strings.TrimFunc(line[:sign], isSpace)
	switch {
	case key == "":
		return p.fail("an assignment without an option's name", "")
	case p.section == "":
		return p.fail("an assignment before the first section", "put it below [DEFAULT]")
	}
	value := unquote(strings.TrimFunc(line[sign+1:], isSpace))
	p.entries = append(p.entries, entry{section: p.section, key: key, value: value, line: p.line})
	p.open = true
	return nil
}

func (p *iniParser) fail(why, hint string) error {
	return &syntaxError{line: p.line, why: why, hint: hint}
}

// unquote drops one pair of matching quotes around a value. A value that is a
// single quote sign is its own pair, as in oslo.config.
func unquote(s string) string {
	if s == "" || s[0] != '"' && s[0] != '\'' || s[0] != s[len(s)-1] {
		return s
	}
	return s[1:max(1, len(s)-1)]
}

// isSpace is Python's str.isspace for what a text file can hold: Go's
// unicode.IsSpace and the four ASCII separators.
func isSpace(r rune) bool {
	return r >= 0x1c && r <= 0x1f || strings.ContainsRune(" \t\n\v\f\r\u0085\u00a0\u1680\u2028\u2029\u202f\u205f\u3000", r) ||
		r >= 0x2000 && r <= 0x200a
}
