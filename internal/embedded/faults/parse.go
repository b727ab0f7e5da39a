package faults

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

// Limits of a file.
const (
	maxFile  = 1 << 20 // bytes
	maxDelay = time.Hour
	maxRules = 1000
)

// ParseError is one thing that is wrong with a file of rules.
type ParseError struct {
	File string
	Line int    // from 1
	Why  string // one line
}

// Error returns "FILE:LINE: WHY".
func (e *ParseError) Error() string { return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Why) }

// Read reads a file of rules. Its error is a *ParseError, or of the file system.
func Read(file string) (*Plan, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close() // it was only read
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, err
	}
	return Parse(file, data)
}

// Parse reads rules from JSON; file names them in errors, which are *ParseErrors.
// What is not known, or given twice, is an error.
func Parse(file string, data []byte) (*Plan, error) {
	p := &parser{file: file, data: data, dec: json.NewDecoder(bytes.NewReader(data))}
	if len(data) > maxFile {
		return nil, p.errorAt(0, "the file is larger than %d bytes", maxFile)
	}
	plan := &Plan{}
	if err := p.plan(plan); err != nil {
		return nil, err
	}
	if _, err := p.dec.Token(); !errors.Is(err, io.EOF) {
		return nil, p.errorAt(p.dec.InputOffset(), "something follows the rules")
	}
	return plan, nil
}

// parser walks over the tokens of one file, to know the line of each.
type parser struct {
	file string
	data []byte
	dec  *json.Decoder
}

func (p *parser) errorAt(offset int64, format string, args ...any) error {
	offset = min(offset, int64(len(p.data)))
	line := 1 + bytes.Count(p.data[:offset], []byte("\n"))
	return &ParseError{File: p.file, Line: line, Why: fmt.Sprintf(format, args...)}
}

// broken tells of what is no JSON.
func (p *parser) broken(err error) error {
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &syntax):
		return p.errorAt(syntax.Offset, "%v", syntax)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return p.errorAt(int64(len(p.data)), "the file ends too early")
	}
	return p.errorAt(p.dec.InputOffset(), "%v", err)
}

// object reads a JSON object, handing each key, which is not there twice, to
// field, which reads the value.
func (p *parser) object(what string, field func(key string) error) error {
	if err := p.open('{', what+" must be an object: {…}"); err != nil {
		return err
	}
	seen := map[string]bool{}
	for p.dec.More() {
		t, err := p.dec.Token()
		if err != nil {
			return p.broken(err)
		}
		key, _ := t.(string) // the decoder lets nothing else stand here
		if seen[key] {
			return p.errorAt(p.dec.InputOffset(), "%q is there twice", key)
		}
		seen[key] = true
		if err := field(key); err != nil {
			return err
		}
	}
	return p.end()
}

func (p *parser) open(delim json.Delim, why string) error {
	t, err := p.dec.Token()
	if err != nil {
		return p.broken(err)
	}
	if t != delim {
		return p.errorAt(p.dec.InputOffset(), "%s", why)
	}
	return nil
}

// end reads the closing bracket.
func (p *parser) end() error {
	if _, err := p.dec.Token(); err != nil {
		return p.broken(err)
	}
	return nil
}

// value reads the value of a key into v, a pointer; want says what it must be.
func (p *parser) value(key string, v any, want string) error {
	at := p.dec.InputOffset()
	// Null would leave v as it was.
	var raw json.RawMessage
	if err := p.dec.Decode(&raw); err != nil {
		return p.broken(err)
	}
	if string(raw) == "null" || json.Unmarshal(raw, v) != nil {
		return p.errorAt(at, "%q must be %s", key, want)
	}
	return nil
}

func (p *parser) plan(plan *Plan) error {
	rules := false
	err := p.object("the file", func(key string) error {
		switch key {
		case "seed":
			return p.value(key, &plan.Seed, "a whole number, 0 or more")
		case "rules":
			rules = true
			return p.rules(plan)
		}
		return p.errorAt(p.dec.InputOffset(), `unknown key %q; known are "seed" and "rules"`, key)
	})
	if err == nil && !rules {
		return p.errorAt(0, `there are no "rules"`)
	}
	return err
}

func (p *parser) rules(plan *Plan) error {
	if err := p.open('[', `"rules" must be a list: […]`); err != nil {
		return err
	}
	for p.dec.More() {
		if len(plan.Rules) == maxRules {
			return p.errorAt(p.dec.InputOffset(), "there are more than %d rules", maxRules)
		}
		r, err := p.rule()
		if err != nil {
			return err
		}
		plan.Rules = append(plan.Rules, r)
	}
	return p.end()
}

// rule reads one rule, and checks what belongs together.
func (p *parser) rule() (Rule, error) {
	r := Rule{Probability: 1}
	given := map[string]bool{}
	err := p.object("a rule", func(key string) error {
		given[key] = true
		return p.field(&r, key)
	})
	if err != nil {
		return r, err
	}
	at := p.dec.InputOffset()
	switch {
	case r.Do == "" && given["status"]:
		r.Do = Answer
	case r.Do == "" && given["delay"]:
		r.Do = Pass
	case r.Do == "":
		return r, p.errorAt(at, `the rule does nothing: it has neither "do" nor "delay"`)
	}
	for _, key := range []string{"status", "type", "message", "retry_after"} {
		if given[key] && r.Do != Answer {
			return r, p.errorAt(at, `%q goes with "do": "answer" only`, key)
		}
	}
	if r.Do == Answer {
		r.complete()
	}
	return r, nil
}

// complete gives an answer what the file left out.
func (r *Rule) complete() {
	if r.Status == 0 {
		r.Status = http.StatusServiceUnavailable
	}
	if r.Type == "" {
		r.Type = "InjectedFault"
	}
	if r.Message == "" {
		r.Message = "This error was asked for by a rule of the fault lab."
	}
}
