package dataplane

import (
	"fmt"
	"strings"

	"github.com/google/nftables/expr"
)

// describe writes a ruleset as text: each expression in a few letters.
func (r *ruleset) describe() string {
	var b strings.Builder
	for _, name := range sorted(r.chains) {
		c := r.chains[name]
		fmt.Fprintf(&b, "chain %s", name)
		if c.hook != nil {
			fmt.Fprintf(&b, " family %d hook %d priority %d", c.family, *c.hook, c.priority)
		}
		b.WriteByte('\n')
		for _, m := range c.rules() {
			b.WriteByte('\t')
			for _, e := range m {
				b.WriteString(describe(e))
			}
			b.WriteByte('\n')
		}
	}
	for _, name := range sorted(r.sets) {
		s := r.sets[name]
		fmt.Fprintf(&b, "set %s family %d\n", name, s.family)
		for _, key := range sorted(s.elements) {
			fmt.Fprintf(&b, "\t%q: %q\n", key, s.elements[key])
		}
	}
	return b.String()
}

func describe(e expr.Any) string {
	switch e := e.(type) {
	case *expr.Payload:
		return fmt.Sprintf("r%d=%s[%d:%d]; ", e.DestRegister, [...]string{"link", "net", "th"}[e.Base], e.Offset, e.Offset+e.Len)
	case *expr.Meta:
		if e.SourceRegister {
			return fmt.Sprintf("meta%d=r%d; ", e.Key, e.Register)
		}
		return fmt.Sprintf("r%d=meta%d; ", e.Register, e.Key)
	case *expr.Ct:
		if e.SourceRegister {
			return fmt.Sprintf("ct%d=r%d; ", e.Key, e.Register)
		}
		return fmt.Sprintf("r%d=ct%d; ", e.Register, e.Key)
	case *expr.Bitwise:
		return fmt.Sprintf("r%d&=%x^%x; ", e.DestRegister, e.Mask, e.Xor)
	case *expr.Cmp:
		return fmt.Sprintf("r%d%s%x? ", e.Register, [...]string{"==", "!="}[e.Op], e.Data)
	case *expr.Lookup:
		if e.IsDestRegSet {
			return fmt.Sprintf("r%d=@%s[r%d]; ", e.DestRegister, e.SetName, e.SourceRegister)
		}
		return fmt.Sprintf("r%d in @%s? ", e.SourceRegister, e.SetName)
	case *expr.Verdict:
		return fmt.Sprintf("verdict %d %s", e.Kind, e.Chain)
	}
	return fmt.Sprintf("%+v; ", e)
}
