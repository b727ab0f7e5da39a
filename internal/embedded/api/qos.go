package api

import "kuryr/internal/embedded/store"

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
	return append([]attr[qosSpec, qosView]{
		idAttr[qosSpec](row), nameAttr(spec, row),
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
			get: func(v qosView) any { return rulesWithin(v) },
		},
	}, standardAttrs(spec, row)...)
}
