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
	PacketRateLimit  = "packet_rate_limit"
	MinimumPackets   = "minimum_packet_rate"
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
	MaxBurst  int    `json:"max_burst,omitempty"` // kbit, or thousands of packets
	MinKbps   int    `json:"min_kbps,omitempty"`
	MaxKpps   int    `json:"max_kpps,omitempty"`
	MinKpps   int    `json:"min_kpps,omitempty"`
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
	if other := x.defaultPolicy(p.ProjectID); p.IsDefault && other != "" && other != p.ID {
		return errorf(Conflict, "QoSPolicyDefaultAlreadyExists",
			"A default QoS policy exists for project %s.", p.ProjectID)
	}
	return nil
}

// defaultPolicy returns the policy that networks of a project get unasked, or "".
func (x *tx) defaultPolicy(project string) string {
	for id, p := range x.policies.rows {
		if p.IsDefault && p.ProjectID == project {
			return id
		}
	}
	return ""
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
