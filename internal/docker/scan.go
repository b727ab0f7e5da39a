package docker

import (
	"bytes"
	"encoding/json"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds of a request's JSON, in the memory that its values take when they are
// decoded. Docker's deepest has six levels, and its longest, of a container
// that publishes every port there is, 650,000 values.
const (
	maxDepth  = 32
	maxValues = 1 << 20
	maxKeys   = 1000 // of one object
)

// scan refuses a body that would cost too much to decode, or that two readers
// could take for different requests: one that names a key twice, of which
// encoding/json takes the last. It leaves it to the decoder to refuse what is
// no JSON, of which it may see any part.
func scan(body []byte) error {
	if !utf8.Valid(body) {
		return invalid("the request is not UTF-8")
	}
	s := scanner{rest: body}
	for len(s.rest) > 0 {
		if err := s.step(); err != nil {
			return err
		}
	}
	return nil
}

// scanner goes through a body from one token to the next.
type scanner struct {
	rest   []byte
	open   []level // the objects and lists around the next token
	values int
}

// level is an object or a list that has begun.
type level struct {
	object bool
	key    bool // the next string is a key
	keys   map[string]bool
}

func (s *scanner) step() error {
	switch c := s.rest[0]; c {
	case '{', '[':
		if len(s.open) == maxDepth {
			return invalid("the request is nested deeper than %d levels", maxDepth)
		}
		s.open = append(s.open, level{object: c == '{', key: c == '{'})
		s.rest = s.rest[1:]
		return s.value()
	case '}', ']':
		s.open = s.open[:max(0, len(s.open)-1)]
	case ',':
		if n := len(s.open); n > 0 {
			s.open[n-1].key = s.open[n-1].object
		}
	case '"':
		return s.text()
	case ':', ' ', '\t', '\r', '\n':
	default: // a number or a word
		end := bytes.IndexAny(s.rest[1:], "{}[],:\" \t\r\n")
		if end < 0 {
			end = len(s.rest) - 1
		}
		s.rest = s.rest[1+end:]
		return s.value()
	}
	s.rest = s.rest[1:]
	return nil
}

func (s *scanner) value() error {
	if s.values++; s.values > maxValues {
		return invalid("the request has more than %d values", maxValues)
	}
	return nil
}

// text reads a string.
func (s *scanner) text() error {
	end := 1
	for end < len(s.rest) && s.rest[end] != '"' {
		if s.rest[end] == '\\' {
			end++
		}
		end++
	}
	end = min(end+1, len(s.rest))
	quoted := s.rest[:end]
	s.rest = s.rest[end:]
	if n := len(s.open); n > 0 && s.open[n-1].key {
		s.open[n-1].key = false
		return s.open[n-1].name(quoted, n == 1)
	}
	return s.value()
}

// name takes note of a key. Those of the outermost object are the names of
// fields, in which case does not matter to encoding/json.
func (l *level) name(quoted []byte, field bool) error {
	key := strings.Trim(string(quoted), `"`)
	if strings.Contains(key, `\`) && json.Unmarshal(quoted, &key) != nil {
		return nil // the decoder says why
	}
	name := key
	if field {
		name = strings.Map(fold, key)
	}
	if l.keys == nil {
		l.keys = map[string]bool{}
	}
	if l.keys[name] {
		return invalid("the request has %.40q twice", key)
	}
	if l.keys[name] = true; len(l.keys) > maxKeys {
		return invalid("the request has an object of more than %d keys", maxKeys)
	}
	return nil
}

// fold returns one rune for all that differ in case only.
func fold(r rune) rune {
	least := r
	for x := unicode.SimpleFold(r); x != r; x = unicode.SimpleFold(x) {
		least = min(least, x)
	}
	return least
}
