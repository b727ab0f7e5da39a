package api

import (
	"context"
	"math"
	"net/http"
	"strings"

	"kuryr/internal/embedded/store"
)

// qosChange is what a request says of a rule.
type qosChange struct{ steps []func(*store.QoSRule) }

func (c qosChange) apply(r *store.QoSRule) {
	for _, step := range c.steps {
		step(r)
	}
}

type qosRuleAttr = attr[qosChange, store.QoSRule]

// qosTypes are the types of rules.
func qosTypes() []string {
	return []string{store.BandwidthLimit, store.DSCPMarking, store.MinimumBandwidth, store.PacketRateLimit, store.MinimumPackets}
}

// qosRuleAttrs is the table of a rule's attributes, of which each type has its own.
func qosRuleAttrs(typ string) []qosRuleAttr {
	id := qosRuleAttr{
		name: "id", doc: "The rule's UUID.",
		get: func(r store.QoSRule) any { return r.ID }, filter: equal[qosChange, store.QoSRule](asIs), sort: true,
	}
	owner := func(name string) qosRuleAttr {
		return qosRuleAttr{name: name, doc: "Accepted; a rule is its policy's.", post: true, def: unset, parse: text(maxName)}
	}
	return append(qosValues(typ), id, owner("tenant_id"), owner("project_id"))
}

// qosValues are the values that a rule of a type has.
func qosValues(typ string) []qosRuleAttr {
	switch typ {
	case store.BandwidthLimit:
		way := qosDirection("egress", "ingress")
		way.filter, way.sort = nil, false
		return []qosRuleAttr{
			qosNumber("max_kbps", "The limit, in kbit/s.", true, func(r *store.QoSRule) *int { return &r.MaxKbps }),
			qosNumber("max_burst_kbps", "What may exceed it at once, in kbit.", false, func(r *store.QoSRule) *int { return &r.MaxBurst }), way,
		}
	case store.MinimumBandwidth:
		return []qosRuleAttr{
			qosNumber("min_kbps", "What is guaranteed, in kbit/s.", true, func(r *store.QoSRule) *int { return &r.MinKbps }),
			qosDirection("egress", "ingress"),
		}
	case store.PacketRateLimit:
		return []qosRuleAttr{
			qosNumber("max_kpps", "The limit, in thousands of packets a second.", true, func(r *store.QoSRule) *int { return &r.MaxKpps }),
			qosNumber("max_burst_kpps", "What may exceed it at once, in thousands of packets.", false, func(r *store.QoSRule) *int { return &r.MaxBurst }),
			qosDirection("egress", "ingress"),
		}
	case store.MinimumPackets:
		return []qosRuleAttr{
			qosNumber("min_kpps", "What is guaranteed, in thousands of packets a second.", true, func(r *store.QoSRule) *int { return &r.MinKpps }),
			qosDirection("egress", "ingress", "any"),
		}
	}
	mark := qosNumber("dscp_mark", "The DSCP of packets.", true, func(r *store.QoSRule) *int { return &r.DSCPMark })
	mark.parse = parseDSCP
	return []qosRuleAttr{mark}
}

func qosNumber(name, doc string, required bool, of func(*store.QoSRule) *int) qosRuleAttr {
	a := qosRuleAttr{
		name: name, doc: doc, post: true, put: true, required: required, def: 0, parse: ranged(0, math.MaxInt32),
		set:    func(c *qosChange, v any) { c.steps = append(c.steps, func(r *store.QoSRule) { *of(r) = v.(int) }) },
		get:    func(r store.QoSRule) any { return *of(&r) },
		filter: equal[qosChange, store.QoSRule](canonical(integer)), sort: true,
	}
	if required {
		a.def = nil
	}
	return a
}

func qosDirection(ways ...any) qosRuleAttr {
	return qosRuleAttr{
		name: "direction", doc: "egress: from the port; ingress: to it.",
		post: true, put: true, def: "egress", parse: oneOf(ways...),
		set: func(c *qosChange, v any) {
			c.steps = append(c.steps, func(r *store.QoSRule) { r.Direction = v.(string) })
		},
		get:    func(r store.QoSRule) any { return r.Direction },
		filter: equal[qosChange, store.QoSRule](asIs), sort: true,
	}
}

// parseDSCP accepts the code points that Neutron knows.
func parseDSCP(v any) (any, error) {
	n, err := integer(v)
	if err != nil {
		return nil, err
	}
	return oneOf(dscpMarks()...)(n)
}

func dscpMarks() []any {
	return []any{0, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30, 32, 34, 36, 38, 40, 46, 48, 56}
}

// rulesWithin are the rules as their policy shows them.
func rulesWithin(v qosView) []object {
	out := make([]object, len(v.Rules))
	for i, r := range v.Rules {
		out[i] = object{"id": r.ID, "qos_policy_id": v.ID, "type": r.Type}
		for _, a := range qosValues(r.Type) {
			out[i][a.name] = a.get(r)
		}
	}
	return out
}

// qosRules serves the rules of one type of one policy.
func (a *API) qosRules(typ string, attrs []qosRuleAttr, policy string) *resource[qosChange, store.QoSRule] {
	name := typ + "_rule"
	return &resource[qosChange, store.QoSRule]{
		api: a, name: name, collection: name + "s", prefix: "qos/policies/" + policy,
		policy: "policy_" + name, adminOnly: true, attrs: attrs,
		list: func(ctx context.Context, _ store.Query, keep func(store.QoSRule) bool) ([]store.QoSRule, error) {
			all, err := a.store.QoSRules(ctx, policy, typ, "")
			var out []store.QoSRule
			for _, r := range all {
				if keep(r) {
					out = append(out, r)
				}
			}
			return out, err
		},
		show: func(ctx context.Context, id string) (store.QoSRule, error) {
			found, err := a.store.QoSRules(ctx, policy, typ, id)
			if err != nil {
				return store.QoSRule{}, err
			}
			return found[0], nil
		},
		create: func(ctx context.Context, changes []qosChange) ([]store.QoSRule, error) {
			rules := make([]store.QoSRule, len(changes))
			for i, c := range changes {
				rules[i].Type = typ
				c.apply(&rules[i])
			}
			return a.store.AddQoSRules(ctx, policy, rules)
		},
		update: func(ctx context.Context, id string, c qosChange, m store.Match) (store.QoSRule, error) {
			return a.store.ChangeQoSRule(ctx, policy, typ, id, m, c.apply)
		},
		remove: func(ctx context.Context, id string, m store.Match) error {
			return a.store.RemoveQoSRule(ctx, policy, typ, id, m)
		},
		id: func(r store.QoSRule) string { return r.ID },
	}
}

// registerQoSRules serves the rules of policies, one path for each type, and
// by their IDs alone.
func (a *API) registerQoSRules(mux *http.ServeMux) {
	type rules = *resource[qosChange, store.QoSRule]
	for _, typ := range qosTypes() {
		attrs := qosRuleAttrs(typ)
		in := func(do func(rules, http.ResponseWriter, *http.Request) error) endpoint {
			return func(w http.ResponseWriter, r *http.Request) error {
				return do(a.qosRules(typ, attrs, r.PathValue("policy")), w, r)
			}
		}
		all := a.serve(methods{"GET": in(rules.serveList), "POST": in(rules.serveCreate)})
		one := a.serve(methods{"GET": in(rules.serveShow), "PUT": in(rules.serveUpdate), "DELETE": in(rules.serveDelete)})
		path := "/v2.0/qos/policies/{policy}/" + typ + "_rules"
		mux.Handle(path, all)
		mux.Handle(path+"/{$}", all)
		mux.Handle(path+"/{id}", one)
		if typ == store.PacketRateLimit {
			continue // the one type that has no alias in Neutron
		}
		alias := func(do func(rules, http.ResponseWriter, *http.Request) error) endpoint {
			return func(w http.ResponseWriter, r *http.Request) error {
				policy, err := a.store.PolicyOfRule(r.Context(), typ, r.PathValue("id"))
				if err != nil {
					return err
				}
				t := a.qosRules(typ, attrs, policy)
				t.name = "alias_" + t.name
				return do(t, w, r)
			}
		}
		one = a.serve(methods{"GET": alias(rules.serveShow), "PUT": alias(rules.serveUpdate), "DELETE": alias(rules.serveDelete)})
		name := "alias_" + typ + "_rules"
		mux.Handle("/v2.0/qos/"+name+"/{id}", one)
		mux.Handle("/v2.0/qos/"+strings.ReplaceAll(name, "_", "-")+"/{id}", one)
	}
}
