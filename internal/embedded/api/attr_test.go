package api

import (
	"testing"

	"kuryr/internal/embedded/store"
)

// TestTables checks what every attribute table promises to its users.
func TestTables(t *testing.T) {
	checkTable(t, "network", networkAttrs(true))
	checkTable(t, "unprotected network", networkAttrs(false))
	checkTable(t, "security_group", groupAttrs())
	checkTable(t, "security_group_rule", ruleAttrs(false))
	checkTable(t, "address_group", addrGroupAttrs())
	checkTable(t, "address_scope", scopeAttrs())
	checkTable(t, "policy", qosAttrs())
	for _, typ := range qosTypes() {
		checkTable(t, typ, qosRuleAttrs(typ))
	}
	checkTable(t, "binding", bindingAttrs())
	checkTable(t, "network_ip_availability", ipsAttrs())
	checkTable(t, "agent", agentAttrs())
	checkTable(t, "subnet", subnetAttrs())
	checkTable(t, "subnetpool", poolAttrs())
	checkTable(t, "port", portAttrs(true))
	checkTable(t, "unprotected port", portAttrs(false))
}

func checkTable[S, V any](t *testing.T, name string, attrs []attr[S, V]) {
	seen := map[string]bool{}
	for _, a := range attrs {
		switch {
		case seen[a.name]:
			t.Errorf("%s.%s is there twice", name, a.name)
		case a.doc == "" && (a.get != nil || a.post || a.put):
			t.Errorf("%s.%s has no doc", name, a.name)
		case (a.post || a.put) && a.parse == nil:
			t.Errorf("%s.%s can be given and nothing checks it", name, a.name)
		case a.required && !a.post:
			t.Errorf("%s.%s must be given and may not be", name, a.name)
		case a.post && !a.required && a.def == nil:
			t.Errorf("%s.%s may be left out and has no default", name, a.name)
		case a.sort && a.get == nil:
			t.Errorf("%s.%s can't be sorted by", name, a.name)
		case !a.post && !a.put && a.get == nil && a.filter == nil:
			t.Errorf("%s.%s is of no use", name, a.name)
		}
		seen[a.name] = true
		checkDefault(t, name, a)
	}
}

// checkDefault makes sure that a default passes its own check.
func checkDefault[S, V any](t *testing.T, name string, a attr[S, V]) {
	if !a.post || a.required || a.def == any(unset) {
		return
	}
	var spec S
	if err := a.apply(&spec, a.def); err != nil {
		t.Errorf("%s.%s: its default is refused: %v", name, a.name, err)
	}
}

// TestEveryKindHasItsStatus pins the codes that clients act on.
func TestEveryKindHasItsStatus(t *testing.T) {
	for kind, want := range map[store.Kind]int{
		store.BadRequest: 400, store.Forbidden: 403, store.NotFound: 404, store.Conflict: 409,
		store.PreconditionFailed: 412, store.Internal: 500, store.Unavailable: 503,
	} {
		if got := statusOf(kind); got != want {
			t.Errorf("kind %d: %d, want %d", kind, got, want)
		}
	}
}
