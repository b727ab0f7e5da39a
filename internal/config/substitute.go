package config

import "strings"

// expand substitutes $name, ${name}, $section.name and ${section.name} by
// what lookup returns, and $$ and \$ by a dollar sign, as oslo.config does. A
// dollar sign before anything else stays.
func expand(value string, lookup func(reference string) (string, *fault)) (string, *fault) {
	if !strings.ContainsRune(value, '$') {
		return value, nil
	}
	value = strings.ReplaceAll(value, `\$`, "$$")
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(value, "$")
		b.WriteString(before)
		if !found {
			return b.String(), nil
		}
		if after, ok := strings.CutPrefix(rest, "$"); ok {
			b.WriteByte('$')
			value = after
			continue
		}
		ref, after := reference(rest)
		value = after
		if ref == "" {
			b.WriteByte('$')
			continue
		}
		s, f := lookup(ref)
		if f != nil {
			return "", f
		}
		b.WriteString(s)
	}
}

// reference splits what follows a dollar sign into a reference and the rest.
// Without a reference, the rest is all.
func reference(s string) (ref, rest string) {
	braced := strings.HasPrefix(s, "{")
	name := strings.TrimPrefix(s, "{")
	n := 0
	for n < len(name) && isReference(name[n], n == 0) {
		n++
	}
	switch {
	case n == 0, braced && !strings.HasPrefix(name[n:], "}"):
		return "", s
	case braced:
		return name[:n], name[n+1:]
	}
	return name[:n], name[n:]
}

// isReference tells whether oslo.config's references may hold c, or start with it.
func isReference(c byte, first bool) bool {
	switch {
	case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c == '_':
		return true
	case c >= '0' && c <= '9', c == '.':
		return !first
	}
	return false
}
