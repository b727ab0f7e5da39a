package api

import (
	"encoding/json"
	"fmt"
	"math"
	"net"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"

	"kuryr/internal/embedded/store"
)

// python prints a value of a request as Neutron's messages do.
func python(v any) string {
	switch v := v.(type) {
	case nil:
		return "None"
	case bool:
		if v {
			return "True"
		}
		return "False"
	case string:
		return v
	case json.Number:
		return v.String()
	case []any:
		parts := make([]string, len(v))
		for i, e := range v {
			parts[i] = pythonRepr(e)
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case object:
		var parts []string
		for k, e := range v {
			parts = append(parts, "'"+k+"': "+pythonRepr(e))
		}
		slices.Sort(parts) // Neutron keeps the request's order, which is lost here
		return "{" + strings.Join(parts, ", ") + "}"
	}
	return fmt.Sprint(v)
}

func pythonRepr(v any) string {
	if s, ok := v.(string); ok {
		return "'" + s + "'"
	}
	return python(v)
}

// text accepts strings of at most max characters.
func text(max int) func(any) (any, error) {
	return func(v any) (any, error) {
		s, ok := v.(string)
		switch {
		case !ok:
			return nil, reason(fmt.Sprintf("'%s' is not a valid string", python(v)))
		case len(s) > max && utf8.RuneCountInString(s) > max:
			return nil, reason(fmt.Sprintf("'%s' exceeds maximum length of %d", s, max))
		}
		return s, nil
	}
}

// filled accepts strings that are not blank.
func filled(max int) func(any) (any, error) {
	return func(v any) (any, error) {
		v, err := text(max)(v)
		if err == nil && strings.TrimSpace(v.(string)) == "" {
			return nil, reason(fmt.Sprintf("'%s' Blank strings are not permitted", v))
		}
		return v, err
	}
}

// boolean accepts what Neutron takes for one: words and numbers, too.
func boolean(v any) (any, error) {
	switch strings.ToLower(strings.TrimSpace(python(v))) {
	case "true", "1", "t", "on", "y", "yes":
		return true, nil
	case "false", "0", "f", "off", "n", "no":
		return false, nil
	}
	return nil, store.InvalidInput("'%s' cannot be converted to boolean", python(v))
}

// integer accepts whole numbers of 32 bits, and strings of digits.
func integer(v any) (any, error) {
	n, err := wide(v)
	if err == nil && (n < math.MinInt32 || n > math.MaxInt32) {
		err = store.InvalidInput("'%s' is not an integer", python(v))
	}
	return int(n), err
}

// wide accepts whole numbers that need more room, too.
func wide(v any) (int64, error) {
	switch v := v.(type) {
	case int:
		return int64(v), nil
	case json.Number:
		if f, err := v.Float64(); err == nil && math.Abs(f) < 1<<53 {
			return int64(f), nil
		}
	case string:
		if n, err := strconv.ParseInt(strings.TrimSpace(v), 10, 64); err == nil {
			return n, nil
		}
	case bool: // as Python counts
		if v {
			return 1, nil
		}
		return 0, nil
	}
	return 0, store.InvalidInput("'%s' is not an integer", python(v))
}

// natural accepts integers from 0 on.
func natural(v any) (any, error) {
	n, err := integer(v)
	if err == nil && n.(int) < 0 {
		return nil, reason(fmt.Sprintf("'%d' should be non-negative", n))
	}
	return n, err
}

// ranged accepts integers between two bounds.
func ranged(low, high int) func(any) (any, error) {
	return func(v any) (any, error) {
		n, err := wide(v)
		switch {
		case err != nil:
			return nil, err
		case n < int64(low):
			return nil, reason(fmt.Sprintf("'%d' is too small - must be at least '%d'", n, low))
		case n > int64(high):
			return nil, reason(fmt.Sprintf("'%d' is too large - must be no larger than '%d'", n, high))
		}
		return int(n), nil
	}
}

// oneOf accepts some values only.
func oneOf(values ...any) func(any) (any, error) {
	return func(v any) (any, error) {
		if !slices.Contains(values, v) {
			return nil, reason(python(v) + " is not in valid_values")
		}
		return v, nil
	}
}

// only accepts one value: the attribute is there, what it stands for is not
// modelled, and no other value would be true.
func only(value any) func(any) (any, error) {
	return func(v any) (any, error) {
		if b, ok := value.(bool); ok {
			if got, err := boolean(v); err != nil || got == b {
				return got, err
			}
		} else if reflect.DeepEqual(v, value) || v == nil {
			return value, nil
		}
		return nil, reason(fmt.Sprintf("'%s' is not supported by this server, only '%s' is", python(v), python(value)))
	}
}

// identifier accepts UUIDs, in any of their spellings.
func identifier(v any) (any, error) {
	s, ok := v.(string)
	if ok {
		if _, err := uuid.Parse(s); err == nil {
			return s, nil
		}
	}
	return nil, reason(fmt.Sprintf("'%s' is not a valid UUID", python(v)))
}

// orNull accepts null, too, and returns zero for it.
func orNull(parse func(any) (any, error), zero any) func(any) (any, error) {
	return func(v any) (any, error) {
		if v == nil {
			return zero, nil
		}
		return parse(v)
	}
}

// address accepts one IP address, without a zone.
func address(v any) (any, error) {
	s, _ := v.(string)
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" {
		return nil, reason(fmt.Sprintf("'%s' is not a valid IP address", python(v)))
	}
	return a, nil
}

// prefix accepts the CIDR of a subnet; a bare address is a prefix of its full length.
func prefix(v any) (any, error) {
	s, _ := v.(string)
	if p, err := netip.ParsePrefix(s); err == nil {
		return p, nil
	}
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	return nil, store.InvalidInput("%s is not in a CIDR format", python(v))
}

// macAddress accepts the MAC address of a single interface and returns it in
// lower case with colons.
func macAddress(v any) (any, error) {
	s, _ := v.(string)
	m, err := net.ParseMAC(s)
	if err != nil || len(m) != 6 || slices.Max(m) == 0 || slices.Min(m) == 0xff {
		return nil, reason(fmt.Sprintf("'%s' is not a valid MAC address", python(v)))
	}
	return m.String(), nil
}

// listOf accepts lists without repetition, and hands each member to one.
func listOf[T any](one func(any) (T, error)) func(any) (any, error) {
	return listOfKind("items in the list:", one)
}

// listOfKind calls what is repeated by its kind.
func listOfKind[T any](kind string, one func(any) (T, error)) func(any) (any, error) {
	return func(v any) (any, error) {
		items, ok := v.([]any)
		if !ok {
			return nil, reason(fmt.Sprintf("'%s' is not a list", python(v)))
		}
		out := make([]T, 0, len(items))
		seen := make(map[string]bool, len(items))
		for _, item := range items {
			if text := pythonRepr(item); seen[text] {
				return nil, reason(fmt.Sprintf("Duplicate %s '%s'", kind, python(item)))
			} else {
				seen[text] = true
			}
			t, err := one(item)
			if err != nil {
				return nil, err
			}
			out = append(out, t)
		}
		return out, nil
	}
}

// as narrows a parser's result down to its type.
func as[T any](parse func(any) (any, error)) func(any) (T, error) {
	return func(v any) (t T, err error) {
		p, err := parse(v)
		if err != nil {
			return t, err
		}
		return p.(T), nil
	}
}

// keys checks that a member of a list is an object with exactly some keys.
func keys(v any, names ...string) (object, error) {
	o, ok := v.(object)
	if !ok {
		return nil, reason(fmt.Sprintf("Invalid input. '%s' must be a dictionary with keys: %s",
			python(v), "['"+strings.Join(names, "', '")+"']"))
	}
	for _, n := range names {
		if _, ok := o[n]; !ok || len(o) != len(names) {
			var got []string
			for k := range o {
				got = append(got, k)
			}
			slices.Sort(got)
			return nil, reason(fmt.Sprintf("Validation of dictionary's keys failed. Expected keys: {'%s'} Provided keys: {'%s'}",
				strings.Join(names, "', '"), strings.Join(got, "', '")))
		}
	}
	return o, nil
}

// dictionary accepts objects.
func dictionary(v any) (any, error) {
	if o, ok := v.(object); ok {
		return o, nil
	}
	return nil, reason(fmt.Sprintf("'%s' is not a dictionary", python(v)))
}
