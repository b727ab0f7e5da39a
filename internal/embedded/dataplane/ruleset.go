package dataplane

import (
	"maps"
	"slices"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
)

// ruleset is what a table holds, or is to hold.
type ruleset struct {
	chains map[string]*chain
	sets   map[string]*set
	// unknown is why not all of what was found in the kernel is known; or nil.
	unknown error
}

func newRuleset() *ruleset {
	return &ruleset{chains: map[string]*chain{}, sets: map[string]*set{}}
}

// chain is a list of rules. Two of the same name, table and text are the same:
// the text says all that the rules depend on, so that rules of chains that
// stay as they are need not be made.
type chain struct {
	family   nftables.TableFamily
	found    bool                // it was read from the kernel: nobody knows what its rules are
	hook     *nftables.ChainHook // of a base chain; its packets are accepted at its end
	priority nftables.ChainPriority
	text     string
	rules    func() []match
}

// set is a set, or a map if it has a kind of values, of exact keys.
type set struct {
	family   nftables.TableFamily
	key      []nftables.SetDatatype
	value    nftables.SetDatatype // TypeVerdict: the value is "accept", "drop" or a chain's name
	elements map[string]string    // value by key, both as the kernel has them
}

func (r *ruleset) chain(name, text string, rules func() []match) {
	r.chains[name] = &chain{family: nftables.TableFamilyBridge, text: text, rules: rules}
}

// set returns the set of that name; it makes one if there is none yet.
func (r *ruleset) set(name string, key ...nftables.SetDatatype) *set {
	s := r.sets[name]
	if s == nil {
		s = newSet(key...)
		r.sets[name] = s
	}
	return s
}

func newSet(key ...nftables.SetDatatype) *set {
	return &set{family: nftables.TableFamilyBridge, key: key, elements: map[string]string{}}
}

func (r *ruleset) verdicts(name string, key ...nftables.SetDatatype) *set {
	s := r.set(name, key...)
	s.value = nftables.TypeVerdict
	return s
}

// transaction collects the messages of one change.
type transaction struct {
	conn *nftables.Conn
	err  error
	// count is of what is changed: chains, sets and elements.
	count int
	// less tells that something went, or rules changed: what was permitted may
	// be so no more.
	less bool
}

func (t *transaction) keep(err error) {
	if t.err == nil {
		t.err = err
	}
}

func table(family nftables.TableFamily) *nftables.Table {
	return &nftables.Table{Name: tableName, Family: family}
}

// between adds what makes now of before. The order is the kernel's: what is
// referred to must be there, and what goes must not be referred to any more.
func (t *transaction) between(before, now *ruleset) {
	for _, name := range sorted(now.chains) {
		if before.chains[name] == nil {
			t.addChain(name, now.chains[name])
		}
	}
	for _, name := range sorted(now.sets) {
		if before.sets[name] == nil {
			t.addSet(name, now.sets[name])
		}
		t.elements(name, before.sets[name], now.sets[name])
	}
	for _, name := range sorted(now.chains) {
		if old := before.chains[name]; old == nil || old.found || old.text != now.chains[name].text {
			t.rewrite(name, now.chains[name], old != nil)
		}
	}
	t.remove(before, now)
}

func (t *transaction) remove(before, now *ruleset) {
	var chains []*nftables.Chain
	for _, name := range sorted(before.chains) {
		if now.chains[name] == nil {
			c := &nftables.Chain{Name: name, Table: table(before.chains[name].family)}
			t.conn.FlushChain(c)
			chains = append(chains, c)
		}
	}
	for _, name := range sorted(before.sets) {
		if now.sets[name] == nil {
			t.conn.DelSet(&nftables.Set{Name: name, Table: table(before.sets[name].family)})
			t.count, t.less = t.count+1, true
		}
	}
	for _, c := range chains {
		t.conn.DelChain(c)
		t.count, t.less = t.count+1, true
	}
}

func (t *transaction) addChain(name string, c *chain) {
	made := &nftables.Chain{Name: name, Table: table(c.family)}
	if c.hook != nil {
		made.Type, made.Hooknum, made.Priority = nftables.ChainTypeFilter, c.hook, &c.priority
	}
	t.conn.AddChain(made)
	t.count++
}

func (t *transaction) rewrite(name string, c *chain, existed bool) {
	in := &nftables.Chain{Name: name, Table: table(c.family)}
	if existed {
		t.conn.FlushChain(in)
		t.count, t.less = t.count+1, true
	}
	for _, r := range c.rules() {
		t.conn.AddRule(&nftables.Rule{Table: in.Table, Chain: in, Exprs: r})
		t.count++
	}
}

func (t *transaction) addSet(name string, s *set) {
	made := s.describe(name)
	t.count++
	made.ID = uint32(t.count) // of this transaction only; the library's own counter is the whole process's
	t.keep(t.conn.AddSet(made, nil))
}

// describe returns the library's description of a set.
func (s *set) describe(name string) *nftables.Set {
	made := &nftables.Set{
		Table: table(s.family), Name: name, KeyType: s.key[0],
		IsMap: s.value.Name != "", DataType: s.value,
	}
	if len(s.key) > 1 {
		made.Concatenation = true
		made.KeyType = nftables.MustConcatSetType(s.key...)
	}
	return made
}

// elements adds what makes one set's elements of another's. A map's element
// that has another value goes and comes.
func (t *transaction) elements(name string, before, now *set) {
	if before == now {
		return
	}
	if before == nil {
		before = &set{}
	}
	var gone, come []nftables.SetElement
	for key, value := range before.elements {
		if v, still := now.elements[key]; !still || v != value {
			gone = append(gone, now.element(key, value))
		}
	}
	for key, value := range now.elements {
		if v, had := before.elements[key]; !had || v != value {
			come = append(come, now.element(key, value))
		}
	}
	t.count += len(gone) + len(come)
	t.less = t.less || len(gone) > 0
	in := now.describe(name)
	for part := range slices.Chunk(gone, elementsPerMessage) {
		t.keep(t.conn.SetDeleteElements(in, part))
	}
	for part := range slices.Chunk(come, elementsPerMessage) {
		t.keep(t.conn.SetAddElements(in, part))
	}
}

// elementsPerMessage keeps a message's list under 64 KiB, which is as long as
// an attribute of netlink can be.
const elementsPerMessage = 300

func (s *set) element(key, value string) nftables.SetElement {
	e := nftables.SetElement{Key: []byte(key)}
	switch {
	case s.value.Name == "":
	case s.value.Name != nftables.TypeVerdict.Name:
		e.Val = []byte(value)
	case value == accept:
		e.VerdictData = &expr.Verdict{Kind: expr.VerdictAccept}
	case value == drop:
		e.VerdictData = &expr.Verdict{Kind: expr.VerdictDrop}
	default:
		e.VerdictData = &expr.Verdict{Kind: expr.VerdictGoto, Chain: value}
	}
	return e
}

// The verdicts of a map that are not the name of a chain to go to.
const accept, drop = "accept", "drop"

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// lines joins what a chain's rules depend on to its text.
func lines(parts ...string) string { return strings.Join(parts, "\n") }
