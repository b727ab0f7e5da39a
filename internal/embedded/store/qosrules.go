package store

import (
	"context"
	"slices"

	"github.com/google/uuid"
)

// AddQoSRules adds rules to a policy, which may have one of each type and
// direction.
func (s *Store) AddQoSRules(ctx context.Context, policy string, rules []QoSRule) ([]QoSRule, error) {
	_, err := s.editPolicy(ctx, policy, Match{}, func(_ *tx, p *QoSPolicy) error {
		for i := range rules {
			rules[i].ID = uuid.NewString()
			p.Rules = append(p.Rules, rules[i])
			if err := p.checkRule(rules[i]); err != nil {
				return err
			}
		}
		return nil
	})
	return rules, err
}

// checkRule holds a rule against the others of its policy.
func (p *QoSPolicy) checkRule(r QoSRule) error {
	low, high := r.bounds()
	for _, o := range p.Rules {
		oLow, oHigh := o.bounds()
		if o.Direction == r.Direction && (low.above(oHigh) || oLow.above(high)) {
			return errorf(Conflict, "QoSRuleParameterConflict",
				"Unable to add the rule with value %d to the policy %s as the existing rule of type %s has value %d.",
				max(low.of, high.of), p.ID, o.Type, max(oLow.of, oHigh.of))
		}
	}
	for _, o := range p.Rules {
		if o.ID != r.ID && o.Type == r.Type && o.Direction == r.Direction {
			return errorf(Conflict, "QoSRulesConflict",
				"Rule %s conflicts with rule %s which already exists in QoS Policy %s.", r.Type, o.ID, p.ID)
		}
	}
	return nil
}

// bound is what a rule guarantees or limits: bandwidth or packets. Without a
// unit it is none.
type bound struct {
	unit string
	of   int
}

func (b bound) above(limit bound) bool {
	return b.unit != "" && b.unit == limit.unit && b.of > limit.of
}

// bounds returns what a rule guarantees and what it limits.
func (r *QoSRule) bounds() (low, high bound) {
	switch r.Type {
	case BandwidthLimit:
		high = bound{"kbps", r.MaxKbps}
	case MinimumBandwidth:
		low = bound{"kbps", r.MinKbps}
	case PacketRateLimit:
		high = bound{"kpps", r.MaxKpps}
	case MinimumPackets:
		low = bound{"kpps", r.MinKpps}
	}
	return low, high
}

// ChangeQoSRule changes a rule of a type.
func (s *Store) ChangeQoSRule(ctx context.Context, policy, typ, id string, m Match, f func(*QoSRule)) (out QoSRule, err error) {
	_, err = s.editPolicy(ctx, policy, m, func(_ *tx, p *QoSPolicy) error {
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
func (s *Store) RemoveQoSRule(ctx context.Context, policy, typ, id string, m Match) error {
	_, err := s.editPolicy(ctx, policy, m, func(_ *tx, p *QoSPolicy) error {
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

// PolicyOfRule returns the policy that has a rule of a type.
func (s *Store) PolicyOfRule(ctx context.Context, typ, id string) (policy string, err error) {
	err = s.view(ctx, func(st *state) error {
		for _, p := range st.policies.rows {
			if p.rule(typ, id) >= 0 {
				policy = p.ID
				return nil
			}
		}
		return qosRuleNotFound("", id)
	})
	return policy, err
}
