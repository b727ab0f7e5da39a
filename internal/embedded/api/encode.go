package api

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"unicode/utf8"
)

// writeJSON answers with an encoded body.
func writeJSON(w http.ResponseWriter, status int, body []byte) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client is gone if this fails
}

// appendObject encodes a row: all its visible attributes, or those in fields.
func appendObject[S, V any](b []byte, attrs []attr[S, V], v V, fields []string) []byte {
	b = append(b, '{')
	for _, a := range attrs {
		if a.get == nil || len(fields) > 0 && !slices.Contains(fields, a.name) {
			continue
		}
		if b[len(b)-1] != '{' {
			b = append(b, ',')
		}
		b = append(b, '"')
		b = append(b, a.name...)
		b = append(b, '"', ':')
		b = appendValue(b, a.get(v))
	}
	return append(b, '}')
}

// appender is a value that knows its own encoding.
type appender interface{ appendJSON([]byte) []byte }

// appendValue encodes a value. The common types need no reflection: a list of
// a thousand ports has thirty thousand values.
func appendValue(b []byte, v any) []byte {
	switch v := v.(type) {
	case nil:
		return append(b, "null"...)
	case string:
		return appendString(b, v)
	case bool:
		return strconv.AppendBool(b, v)
	case int:
		return strconv.AppendInt(b, int64(v), 10)
	case []string:
		return appendList(b, v, appendString)
	case object:
		return appendMap(b, v)
	case netip.Addr:
		return appendText(b, v)
	case netip.Prefix:
		return appendText(b, v)
	case appender:
		return v.appendJSON(b)
	}
	j, err := json.Marshal(v)
	if err != nil { // all values come from JSON or from the attribute tables
		return append(b, "null"...)
	}
	return append(b, j...)
}

func appendList[T any](b []byte, list []T, one func([]byte, T) []byte) []byte {
	b = append(b, '[')
	for i, v := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = one(b, v)
	}
	return append(b, ']')
}

// appendMap encodes a dictionary, its keys in order.
func appendMap(b []byte, m object) []byte {
	b = append(b, '{')
	for i, k := range slices.Sorted(maps.Keys(m)) {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendString(b, k), ':')
		b = appendValue(b, m[k])
	}
	return append(b, '}')
}

// appendText encodes an address or prefix, whose text needs no escaping.
func appendText[T interface{ AppendTo([]byte) []byte }](b []byte, v T) []byte {
	b = append(b, '"')
	b = v.AppendTo(b)
	return append(b, '"')
}

// appendString encodes a string.
func appendString(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c == '"' || c == '\\' || c >= utf8.RuneSelf {
			j, _ := json.Marshal(s) // a string can always be encoded
			return append(b, j...)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}
