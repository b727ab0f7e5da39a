package config

import (
	"fmt"
	"slices"
	"strings"
)

// ignore goes through the options without an effect: it refuses those that
// can't be ignored, and names the others in one warning.
func (l *loader) ignore() {
	var names []string
	for _, old := range l.legacies {
		value, origin, ok := l.legacyValue(old)
		if !ok {
			continue
		}
		l.report.Settings = append(l.report.Settings, Setting{Section: old.section, Option: old.name,
			Value: old.redacted(value), Origin: origin, Ignored: true})
		if old.refuse != nil {
			if f := old.refuse(value, l); f != nil {
				l.refuse(old.section, old.name, origin, f)
				continue
			}
		}
		if old.same == nil || !old.same(value) {
			names = append(names, fmt.Sprintf("[%s] %s (%s)", old.section, old.name, origin))
		}
	}
	names = append(l.idleOptions(), names...)
	if len(names) > 0 {
		l.report.Warnings = append(l.report.Warnings, "options without an effect in this version: "+strings.Join(names, ", "))
	}
}

// idleOptions marks and names the options that were changed and go with a real
// Neutron, or with credentials, where there are none.
func (l *loader) idleOptions() (names []string) {
	for i, o := range l.options { // as many settings, in the same order
		s := &l.report.Settings[i]
		if s.Value != o.Default && l.idle(o) {
			s.Ignored = true
			names = append(names, fmt.Sprintf("[%s] %s (%s)", o.Section, o.Name, s.Origin))
		}
	}
	return names
}

// legacyValue finds an option without an effect; its value is not expanded.
func (l *loader) legacyValue(old legacy) (string, Origin, bool) {
	env := envName(old.section, old.name)
	if v, ok := l.getenv(env); ok {
		return v, Origin{Kind: FromEnv, Name: env}, true
	}
	for _, e := range slices.Backward(l.entries) {
		if sameSection(e.section, old.section) && canonical(e.key) == old.name {
			return e.value, l.origin(e), true
		}
	}
	return "", Origin{}, false
}

// warnUnknown names the assignments of the file that nothing has read: each
// option of our sections, and other sections as a whole.
func (l *loader) warnUnknown() {
	type name struct{ section, key string }
	seen := map[name]bool{}
	for _, e := range l.entries {
		key, what := e.key, fmt.Sprintf("unknown option [%s] %s", e.section, e.key)
		switch {
		case l.config.AuthSection != "" && sameSection(e.section, l.config.AuthSection) && !l.knownSection(e.section):
			continue // another service's
		case !l.knownSection(e.section):
			key, what = "", fmt.Sprintf("unknown section [%s]", e.section)
		case l.known(e.section, e.key):
			continue
		}
		if seen[name{e.section, key}] {
			continue
		}
		seen[name{e.section, key}] = true
		warning := l.origin(e).String() + ": " + what + ", ignored"
		if meant := l.meant(e); meant != "" {
			warning += fmt.Sprintf("; did you mean %s?", meant)
		}
		l.report.Warnings = append(l.report.Warnings, warning)
	}
}

func (l *loader) knownSection(section string) bool {
	return slices.ContainsFunc(l.options, func(o Option) bool { return sameSection(o.Section, section) })
}

func (l *loader) known(section, key string) bool {
	if _, ok := findLegacy(l.legacies, section, key); ok {
		return true
	}
	return slices.ContainsFunc(l.options, func(o Option) bool {
		return sameSection(o.Section, section) && (o.Name == canonical(key) || slices.Contains(o.Aliases, canonical(key)))
	})
}

// meant guesses what an unknown entry should have been: another section, the
// same option in another section, or another option of the same section.
func (l *loader) meant(e entry) string {
	if !l.knownSection(e.section) {
		if s := suggest(e.section, l.sections()); s != "" {
			return "[" + s + "]"
		}
		return ""
	}
	var names []string
	for _, o := range l.options {
		if o.Name == e.key {
			return "[" + o.Section + "] " + o.Name
		}
		if sameSection(o.Section, e.section) {
			names = append(names, o.Name)
		}
	}
	return suggest(e.key, names)
}

func (l *loader) sections() []string {
	var list []string
	for _, o := range l.options {
		if !slices.Contains(list, o.Section) {
			list = append(list, o.Section)
		}
	}
	return list
}
