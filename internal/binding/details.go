package binding

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"kuryr/internal/courier"
)

// details are vif_details as the Python Kuryr gives them to executables: as
// Python prints a dict, in double quotes, which scripts search for words such as
// 'ovs_hybrid_plug': True. Keys are in order here. "" stands for none.
func details(how courier.Binding) string {
	if len(how.VIFDetails) == 0 {
		return ""
	}
	return `"` + pythonRepr(how.VIFDetails) + `"`
}

func pythonRepr(v any) string {
	switch v := v.(type) {
	case nil:
		return "None"
	case bool:
		if v {
			return "True"
		}
		return "False"
	case string:
		return pythonString(v)
	case float64:
		if v == math.Trunc(v) && math.Abs(v) < 1<<53 {
			return strconv.FormatInt(int64(v), 10)
		}
		return strconv.FormatFloat(v, 'g', -1, 64)
	case []any:
		all := make([]string, len(v))
		for i, x := range v {
			all[i] = pythonRepr(x)
		}
		return "[" + strings.Join(all, ", ") + "]"
	case map[string]any:
		var all []string
		for _, k := range slices.Sorted(maps.Keys(v)) {
			all = append(all, pythonString(k)+": "+pythonRepr(v[k]))
		}
		return "{" + strings.Join(all, ", ") + "}"
	}
	return pythonString(fmt.Sprint(v))
}

// pythonString is a string's repr: nothing in it ends the argument, or a line.
func pythonString(s string) string {
	quote := "'"
	if strings.Contains(s, "'") && !strings.Contains(s, `"`) {
		quote = `"`
	}
	var b strings.Builder
	b.WriteString(quote)
	for _, r := range s {
		switch {
		case r == '\\' || string(r) == quote:
			b.WriteString(`\` + string(r))
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case unicode.IsPrint(r):
			b.WriteRune(r)
		case r < 0x100:
			fmt.Fprintf(&b, `\x%02x`, r)
		case r < 0x10000:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			fmt.Fprintf(&b, `\U%08x`, r)
		}
	}
	b.WriteString(quote)
	return b.String()
}
