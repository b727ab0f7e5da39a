package api

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the reference of attributes anew")

// TestReference holds docs/embedded.md against the attribute tables.
func TestReference(t *testing.T) {
	const (
		page  = "../../../docs/embedded.md"
		begin = "<!-- attributes -->\n"
		end   = "<!-- end of attributes -->\n"
	)
	raw, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(raw), begin)
	have, tail, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s lacks its marks", page)
	}
	var b strings.Builder
	describe(&b, "Networks", networkAttrs(true))
	describe(&b, "Subnets", subnetAttrs())
	describe(&b, "Subnetpools", poolAttrs())
	describe(&b, "Address scopes", scopeAttrs())
	describe(&b, "Ports", portAttrs(true))
	describe(&b, "Security groups", groupAttrs())
	describe(&b, "Security group rules", ruleAttrs(false))
	describe(&b, "Address groups", addrGroupAttrs())
	describe(&b, "QoS policies", qosAttrs())
	for _, typ := range qosTypes() {
		describe(&b, "QoS rules: "+typ, qosRuleAttrs(typ))
	}
	describe(&b, "Bindings of a port", bindingAttrs())
	describe(&b, "Network IP availabilities", ipsAttrs())
	describe(&b, "Agents", agentAttrs())
	if *update {
		if err := os.WriteFile(page, []byte(head+begin+b.String()+end+tail), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if have != b.String() {
		t.Errorf("%s is not what the attribute tables say; run this test with -update", page)
	}
}

// describe writes a resource's table as Markdown.
func describe[S, V any](b *strings.Builder, title string, attrs []attr[S, V]) {
	fmt.Fprintf(b, "\n### %s\n\n| attribute | | |\n|---|---|---|\n", title)
	for _, a := range attrs {
		if a.doc == "" { // the variants of tags
			continue
		}
		var marks []string
		switch {
		case a.required:
			marks = append(marks, "**C**")
		case a.post:
			marks = append(marks, "C")
		}
		for _, m := range []struct {
			has  bool
			mark string
		}{{a.put, "U"}, {a.filter != nil, "F"}, {a.sort, "S"}, {a.adminSet || a.adminGet, "A"}} {
			if m.has {
				marks = append(marks, m.mark)
			}
		}
		fmt.Fprintf(b, "| `%s` | %s | %s |\n", a.name, strings.Join(marks, " "), a.doc)
	}
	b.WriteString("\n")
}
