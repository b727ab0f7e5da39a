package store

import (
	"context"
	"slices"

	"github.com/google/uuid"
)

// The types of QoS rules.
const (
	BandwidthLimit   = "bandwidth_limit"
	DSCPMarking      = "dscp_marking"
	MinimumBandwidth = "minimum_bandwidth"
)

// QoSPolicy is a stored QoS policy with its rules.
type QoSPolicy struct {
	Standard
	Shared    bool      `json:"shared,omitempty"`
	IsDefault bool      `json:"is_default,omitempty"` // of its project
	Rules     []QoSRule `json:"rules,omitempty"`
}

// QoSRule is a rule of a QoS policy. Which values it has depends on its type.
type QoSRule struct {
	ID        string `json:"id"`
	Type      string `json:"type"`
	MaxKbps   int    `json:"max_kbps,omitempty"`
	MaxBurst  int    `json:"max_burst,omitempty"` // kbit
	MinKbps   int    `json:"min_kbps,omitempty"`
	Direction string `json:"direction,omitempty"`
	DSCPMark  int    `json:"dscp_mark,omitempty"`
}

// QoSPolicyView is a QoS policy.
type QoSPolicyView struct{ *QoSPolicy }

// QoSPolicySpec asks for a QoS policy, or for a change of one.
type QoSPolicySpec struct {
	StandardSpec
	Shared    Opt[bool]
	IsDefault Opt[bool]
}

func policiesOf(s *state) *table[QoSPolicy] { return s.policies }

func viewPolicy(_ *state, p *QoSPolicy) QoSPolicyView { return QoSPolicyView{p} }

func policyNotFound(id string) *Error {
	return errorf(NotFound, "QosPolicyNotFound", "QoS policy %s could not be found.", id)
}

func qosRuleNotFound(policy, rule string) *Error {
	return errorf(NotFound, "QosRuleNotFound", "QoS rule %s for policy %s could not be found.", rule, policy)
}

func (s *state) reindexPolicy(string, *QoSPolicy, *QoSPolicy) {}

// QoSPolicies lists QoS policies, in no order; a nil keep accepts all.
func (s *Store) QoSPolicies(ctx context.Context, q Query, keep func(QoSPolicyView) bool) ([]QoSPolicyView, error) {
	return list(ctx, s, policiesOf, func(st *state) []*QoSPolicy { return candidates(st.policies, q, nil) }, viewPolicy, keep)
}

// QoSPolicy returns a QoS policy.
func (s *Store) QoSPolicy(ctx context.Context, id string) (QoSPolicyView, error) {
	return show(ctx, s, policiesOf, id, viewPolicy, policyNotFound(id))
}

// CreateQoSPolicies makes all QoS policies or none.
func (s *Store) CreateQoSPolicies(ctx context.Context, specs []QoSPolicySpec) ([]QoSPolicyView, error) {
	return create(ctx, s, specs, func(x *tx, spec QoSPolicySpec) (*QoSPolicy, error) {
		p := &QoSPolicy{Standard: x.standard(uuid.NewString(), spec.StandardSpec)}
		if err := x.changePolicy(p, spec); err != nil {
			return nil, err
		}
		set(x, x.policies, p.ID, p)
		return p, nil
	}, viewPolicy)
}

func (x *tx) changePolicy(p *QoSPolicy, spec QoSPolicySpec) error {
	spec.Shared.into(&p.Shared)
	spec.IsDefault.into(&p.IsDefault)
	for id, o := range x.policies.rows {
		if p.IsDefault && o.IsDefault && id != p.ID && o.ProjectID == p.ProjectID {
			return errorf(Conflict, "QoSPolicyDefaultAlreadyExists",
				"A default QoS policy exists for project %s.", p.ProjectID)
		}
	}
	return nil
}

// UpdateQoSPolicy changes a QoS policy.
func (s *Store) UpdateQoSPolicy(ctx context.Context, id string, spec QoSPolicySpec, m Match) (QoSPolicyView, error) {
	return s.editPolicy(ctx, id, m, func(x *tx, p *QoSPolicy) error {
		spec.StandardSpec.into(&p.Standard)
		return x.changePolicy(p, spec)
	})
}

func (s *Store) editPolicy(ctx context.Context, id string, m Match, f func(*tx, *QoSPolicy) error) (out QoSPolicyView, err error) {
	err = s.update(ctx, func(x *tx) error {
		old := find(x, x.policies, id)
		if old == nil {
			return policyNotFound(id)
		}
		if err := x.may("update_policy", m, &old.Standard); err != nil {
			return err
		}
		p := *old
		p.Rules = slices.Clone(old.Rules)
		if err := f(x, &p); err != nil {
			return err
		}
		p.touch(x.now)
		set(x, x.policies, id, &p)
		out = QoSPolicyView{&p}
		return nil
	})
	return out, err
}

// DeleteQoSPolicy deletes a QoS policy that nothing uses.
func (s *Store) DeleteQoSPolicy(ctx context.Context, id string, m Match) error {
	return s.update(ctx, func(x *tx) error {
		p := find(x, x.policies, id)
		if p == nil {
			return policyNotFound(id)
		}
		if err := x.may("delete_policy", m, &p.Standard); err != nil {
			return err
		}
		for _, use := range []struct {
			kind string
			by   index
		}{{"network", x.networkPolicy}, {"port", x.portPolicy}} {
			if users := use.by.list(id); len(users) > 0 {
				slices.Sort(users)
				return errorf(Conflict, "QosPolicyInUse", "QoS Policy %s is used by %s %s.", id, use.kind, users[0])
			}
		}
		set(x, x.policies, id, nil)
		return nil
	})
}

// AddQoSRule adds a rule to a policy, which may have one of each type and
// direction.
func (s *Store) AddQoSRule(ctx context.Context, policy string, r QoSRule) (QoSRule, error) {
	r.ID = uuid.NewString()
	_, err := s.editPolicy(ctx, policy, Match{}, func(_ *tx, p *QoSPolicy) error {
		p.Rules = append(p.Rules, r)
		return p.checkRule(r)
	})
	return r, err
}

func (p *QoSPolicy) checkRule(r QoSRule) error {
	for _, o := range p.Rules {
		if o.ID != r.ID && o.Type == r.Type && o.Direction == r.Direction {
			return errorf(Conflict, "QoSRulesConflict",
				"Rule %s conflicts with rule %s which already exists in QoS Policy %s.", r.Type, o.ID, p.ID)
		}
	}
	return nil
}

// ChangeQoSRule changes a rule of a type.
func (s *Store) ChangeQoSRule(ctx context.Context, policy, typ, id string, f func(*QoSRule)) (out QoSRule, err error) {
	_, err = s.editPolicy(ctx, policy, Match{}, func(_ *tx, p *QoSPolicy) error {
		i := p.rule(typ, id)
		if i < 0 {
			return qosRuleNotFound(policy, id)
		}
		f(&p.Rules[i])
		out = p.Rules[i]
		return p.checkRule(out)
	})
	return out, err
}

// RemoveQoSRule removes a rule of a type.
func (s *Store) RemoveQoSRule(ctx context.Context, policy, typ, id string) error {
	_, err := s.editPolicy(ctx, policy, Match{}, func(_ *tx, p *QoSPolicy) error {
		i := p.rule(typ, id)
		if i < 0 {
			return qosRuleNotFound(policy, id)
		}
		p.Rules = slices.Delete(p.Rules, i, i+1)
		return nil
	})
	return err
}

// QoSRules returns the rules of a type, or, with an ID, that one.
func (s *Store) QoSRules(ctx context.Context, policy, typ, id string) ([]QoSRule, error) {
	p, err := s.QoSPolicy(ctx, policy)
	if err != nil {
		return nil, err
	}
	out := slices.DeleteFunc(slices.Clone(p.Rules), func(r QoSRule) bool { return r.Type != typ || id != "" && r.ID != id })
	if id != "" && len(out) == 0 {
		return nil, qosRuleNotFound(policy, id)
	}
	return out, nil
}

func (p *QoSPolicy) rule(typ, id string) int {
	return slices.IndexFunc(p.Rules, func(r QoSRule) bool { return r.ID == id && r.Type == typ })
}

// checkPolicy makes sure that a policy to be used is there.
func (x *tx) checkPolicy(id string) error {
	if id != "" && find(x, x.policies, id) == nil {
		return policyNotFound(id)
	}
	return nil
}
