package api

import (
	"fmt"
	"net/http"
	"slices"

	"kuryr/internal/embedded/store"
)

type (
	qosSpec = store.QoSPolicySpec
	qosView = store.QoSPolicyView
)

func (a *API) qosPolicies() *resource[qosSpec, qosView] {
	return &resource[qosSpec, qosView]{
		api: a, name: "policy", collection: "policies", prefix: "qos", adminOnly: true, attrs: qosAttrs(),
		list: a.store.QoSPolicies, show: a.store.QoSPolicy, create: a.store.CreateQoSPolicies,
		update: a.store.UpdateQoSPolicy, remove: a.store.DeleteQoSPolicy,
		id: func(v qosView) string { return v.ID },
	}
}

// qosAttrs is the table of a QoS policy's attributes.
func qosAttrs() []attr[qosSpec, qosView] {
	spec := func(s *qosSpec) *store.StandardSpec { return &s.StandardSpec }
	row := func(v qosView) *store.Standard { return &v.Standard }
	flag := equal[qosSpec, qosView](canonical(boolean))
	name := nameAttr(spec, row)
	name.required, name.def = true, nil
	return append([]attr[qosSpec, qosView]{
		idAttr[qosSpec](row), name,
		{
			name: "shared", doc: "Whether all projects may use the policy.",
			post: true, put: true, def: false, parse: boolean,
			set: field(func(s *qosSpec) *store.Opt[bool] { return &s.Shared }),
			get: func(v qosView) any { return v.Shared }, filter: flag,
		},
		{
			name: "is_default", doc: "Whether it is the project's default policy; stored for clients.",
			post: true, put: true, def: false, parse: boolean,
			set: field(func(s *qosSpec) *store.Opt[bool] { return &s.IsDefault }),
			get: func(v qosView) any { return v.IsDefault }, filter: flag,
		},
		{
			name: "rules", doc: "The policy's rules. They are stored and not applied to traffic.",
			get: func(v qosView) any { return qosRules(v) },
		},
	}, standardAttrs(spec, row)...)
}

// qosRules are the rules within a policy.
func qosRules(v qosView) []object {
	out := make([]object, len(v.Rules))
	for i, r := range v.Rules {
		out[i] = qosRule(r)
		out[i]["qos_policy_id"], out[i]["type"] = v.ID, r.Type
	}
	return out
}

func qosRule(r store.QoSRule) object {
	o := object{"id": r.ID}
	switch r.Type {
	case store.BandwidthLimit:
		o["max_kbps"], o["max_burst_kbps"], o["direction"] = r.MaxKbps, r.MaxBurst, r.Direction
	case store.DSCPMarking:
		o["dscp_mark"] = r.DSCPMark
	case store.MinimumBandwidth:
		o["min_kbps"], o["direction"] = r.MinKbps, r.Direction
	}
	return o
}

// registerQoSRules serves the rules of policies, one path for each type.
func (a *API) registerQoSRules(mux *http.ServeMux) {
	mux.Handle("/v2.0/qos/rule-types", a.serve(methods{"GET": func(w http.ResponseWriter, _ *http.Request) error {
		// As of a Linux bridge agent.
		writeJSON(w, http.StatusOK, []byte(`{"rule_types":[{"type":"bandwidth_limit"},{"type":"dscp_marking"}]}`))
		return nil
	}}))
	for _, typ := range []string{store.BandwidthLimit, store.DSCPMarking, store.MinimumBandwidth} {
		path := "/v2.0/qos/policies/{id}/" + typ + "_rules"
		mux.Handle(path, a.serve(methods{"GET": a.listQoSRules(typ), "POST": a.addQoSRule(typ)}))
		mux.Handle(path+"/{rule}", a.serve(methods{
			"GET": a.showQoSRule(typ), "PUT": a.changeQoSRule(typ), "DELETE": a.removeQoSRule(typ),
		}))
	}
}

func (a *API) listQoSRules(typ string) endpoint {
	return func(w http.ResponseWriter, r *http.Request) error {
		rules, err := a.store.QoSRules(r.Context(), r.PathValue("id"), typ, "")
		if err != nil {
			return err
		}
		all := make([]object, len(rules))
		for i := range rules {
			all[i] = qosRule(rules[i])
		}
		writeJSON(w, http.StatusOK, appendValue(nil, object{typ + "_rules": all}))
		return nil
	}
}

func (a *API) showQoSRule(typ string) endpoint {
	return func(w http.ResponseWriter, r *http.Request) error {
		rules, err := a.store.QoSRules(r.Context(), r.PathValue("id"), typ, r.PathValue("rule"))
		if err != nil {
			return err
		}
		writeJSON(w, http.StatusOK, appendValue(nil, object{typ + "_rule": qosRule(rules[0])}))
		return nil
	}
}

func (a *API) addQoSRule(typ string) endpoint {
	return func(w http.ResponseWriter, r *http.Request) error {
		rule := store.QoSRule{Type: typ}
		change, err := readQoSRule(r, typ, "create", true)
		if err != nil {
			return err
		}
		change(&rule)
		if rule, err = a.store.AddQoSRule(r.Context(), r.PathValue("id"), rule); err != nil {
			return err
		}
		writeJSON(w, http.StatusCreated, appendValue(nil, object{typ + "_rule": qosRule(rule)}))
		return nil
	}
}

func (a *API) changeQoSRule(typ string) endpoint {
	return func(w http.ResponseWriter, r *http.Request) error {
		change, err := readQoSRule(r, typ, "update", false)
		if err != nil {
			return err
		}
		rule, err := a.store.ChangeQoSRule(r.Context(), r.PathValue("id"), typ, r.PathValue("rule"), change)
		if err != nil {
			return err
		}
		writeJSON(w, http.StatusOK, appendValue(nil, object{typ + "_rule": qosRule(rule)}))
		return nil
	}
}

func (a *API) removeQoSRule(typ string) endpoint {
	return func(w http.ResponseWriter, r *http.Request) error {
		if !callerOf(r).Admin {
			return forbidden("rule:delete_policy_" + typ + "_rule")
		}
		if err := a.store.RemoveQoSRule(r.Context(), r.PathValue("id"), typ, r.PathValue("rule")); err != nil {
			return err
		}
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
}

// qosValue is one value of a rule of some type.
type qosValue struct {
	name     string
	required bool
	def      any
	parse    func(any) (any, error)
	set      func(*store.QoSRule, any)
}

// qosValues are the values that a rule of a type has.
func qosValues(typ string) []qosValue {
	number := func(name string, required bool, set func(*store.QoSRule, int)) qosValue {
		return qosValue{name, required, 0, natural, func(r *store.QoSRule, v any) { set(r, v.(int)) }}
	}
	direction := qosValue{
		"direction", false, "egress", oneOf("['egress', 'ingress']", "egress", "ingress"),
		func(r *store.QoSRule, v any) { r.Direction = v.(string) },
	}
	switch typ {
	case store.BandwidthLimit:
		return []qosValue{
			number("max_kbps", true, func(r *store.QoSRule, n int) { r.MaxKbps = n }),
			number("max_burst_kbps", false, func(r *store.QoSRule, n int) { r.MaxBurst = n }), direction,
		}
	case store.MinimumBandwidth:
		return []qosValue{number("min_kbps", true, func(r *store.QoSRule, n int) { r.MinKbps = n }), direction}
	}
	return []qosValue{{"dscp_mark", true, nil, parseDSCP, func(r *store.QoSRule, v any) { r.DSCPMark = v.(int) }}}
}

// parseDSCP accepts the code points that Neutron knows.
func parseDSCP(v any) (any, error) {
	n, err := integer(v)
	if err == nil && !slices.Contains([]int{0, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30, 32, 34, 36, 38, 40, 46, 48, 56}, n.(int)) {
		return nil, reason(fmt.Sprintf("%d is not a valid DSCP mark", n))
	}
	return n, err
}

// readQoSRule reads the values of a rule; all: those left out get their defaults.
func readQoSRule(r *http.Request, typ, action string, all bool) (func(*store.QoSRule), error) {
	name := typ + "_rule"
	if !callerOf(r).Admin {
		return nil, forbidden("rule:" + action + "_policy_" + name)
	}
	body, err := readObject(r)
	if err != nil {
		return nil, err
	}
	o, ok := body[name].(object)
	if !ok {
		return nil, badRequest("Unable to find '%s' in request body", name)
	}
	var changes []func(*store.QoSRule)
	known := qosValues(typ)
	for given := range o {
		if !slices.ContainsFunc(known, func(v qosValue) bool { return v.name == given }) {
			return nil, badRequest("Unrecognized attribute(s) '%s'", given)
		}
	}
	for _, v := range known {
		value, given := o[v.name]
		switch {
		case !given && !all:
			continue
		case !given && v.required:
			return nil, badRequest("Failed to parse request. Required attribute '%s' not specified", v.name)
		case !given:
			value = v.def
		}
		parsed, err := v.parse(value)
		if why, refused := err.(reason); refused {
			return nil, badRequest("Invalid input for %s. Reason: %s.", v.name, why)
		} else if err != nil {
			return nil, err
		}
		changes = append(changes, func(r *store.QoSRule) { v.set(r, parsed) })
	}
	return func(r *store.QoSRule) {
		for _, change := range changes {
			change(r)
		}
	}, nil
}
