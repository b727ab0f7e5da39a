package store

import (
	"context"
	"fmt"
	"net/netip"
	"strings"

	"github.com/google/uuid"
)

// The directions and ethertypes of rules.
const (
	Ingress = "ingress"
	Egress  = "egress"
	IPv4    = "IPv4"
	IPv6    = "IPv6"
)

// SecurityGroupRule is a stored rule: it permits what matches all of it.
type SecurityGroupRule struct {
	Standard
	GroupID      string `json:"group"`
	Direction    string `json:"direction"`
	Ethertype    string `json:"ethertype"`
	Protocol     string `json:"protocol,omitempty"` // a name or a number; "": any
	PortMin      *int   `json:"min,omitempty"`      // or the ICMP type
	PortMax      *int   `json:"max,omitempty"`      // or the ICMP code
	RemotePrefix string `json:"prefix,omitempty"`   // as it was given
	RemoteGroup  string `json:"remote,omitempty"`
	RemoteAddrs  string `json:"remote_addresses,omitempty"` // an address group
	Own          bool   `json:"own,omitempty"`              // the group was born with it
}

// Normalized returns the prefix that RemotePrefix stands for; the zero Prefix: none.
func (r *SecurityGroupRule) Normalized() netip.Prefix {
	if r.RemotePrefix == "" {
		return netip.Prefix{}
	}
	if p, err := netip.ParsePrefix(r.RemotePrefix); err == nil {
		return p.Masked()
	}
	if a, err := netip.ParseAddr(r.RemotePrefix); err == nil {
		return netip.PrefixFrom(a, a.BitLen())
	}
	return netip.Prefix{}
}

// SecurityGroupRuleView is a rule.
type SecurityGroupRuleView struct{ *SecurityGroupRule }

// SecurityGroupRuleSpec asks for a rule, or for a change of one, of which
// only the description may change.
type SecurityGroupRuleSpec struct {
	StandardSpec
	GroupID      Opt[string]
	Direction    Opt[string]
	Ethertype    Opt[string]
	Protocol     Opt[string]
	PortMin      Opt[*int]
	PortMax      Opt[*int]
	RemotePrefix Opt[string]
	RemoteGroup  Opt[string]
	RemoteAddrs  Opt[string]
}

func rulesOf(s *state) *table[SecurityGroupRule] { return s.rules }

func viewRule(_ *state, r *SecurityGroupRule) SecurityGroupRuleView { return SecurityGroupRuleView{r} }

func ruleNotFound(id string) *Error {
	return errorf(NotFound, "SecurityGroupRuleNotFound", "Security group rule %s does not exist", id)
}

func byAge(a, b *Standard) int {
	if a.Created != b.Created {
		if a.Created < b.Created {
			return -1
		}
		return 1
	}
	return strings.Compare(a.ID, b.ID)
}

// key is all that a rule says: two rules with one key are the same.
func (r *SecurityGroupRule) key() string {
	number := func(n *int) string {
		if n == nil {
			return ""
		}
		return fmt.Sprint(*n)
	}
	remote := r.RemotePrefix // Neutron takes two spellings of a prefix for two rules
	if remote == "0.0.0.0/0" || remote == "::/0" {
		remote = ""
	}
	return strings.Join([]string{
		r.GroupID, r.Direction, r.Ethertype, fmt.Sprint(r.ProtocolNumber()), number(r.PortMin), number(r.PortMax),
		remote, r.RemoteGroup, r.RemoteAddrs,
	}, " ")
}

func (s *state) reindexRule(id string, old, new *SecurityGroupRule) {
	o, n := or(old), or(new)
	s.ruleGroup.move(o.GroupID, n.GroupID, id)
	s.ruleRemote.move(o.RemoteGroup, n.RemoteGroup, id)
	s.ruleAddrs.move(o.RemoteAddrs, n.RemoteAddrs, id)
	if old != nil && new != nil {
		return // what a rule says never changes
	}
	if old != nil {
		s.ruleKey.remove(old.key(), id)
	} else {
		s.ruleKey.add(new.key(), id)
	}
	s.policy.groupChanged(o.GroupID)
	s.policy.groupChanged(n.GroupID)
}

// SecurityGroupRules lists rules, in no order; a nil keep accepts all.
func (s *Store) SecurityGroupRules(ctx context.Context, q Query, keep func(SecurityGroupRuleView) bool) ([]SecurityGroupRuleView, error) {
	if err := s.ensureDefaultGroup(ctx); err != nil {
		return nil, err
	}
	return list(ctx, s, rulesOf, func(st *state) []*SecurityGroupRule {
		return candidates(st.rules, q, []by{{"security_group_id", st.ruleGroup}, {"remote_group_id", st.ruleRemote}})
	}, viewRule, keep)
}

// SecurityGroupRule returns a rule.
func (s *Store) SecurityGroupRule(ctx context.Context, id string) (SecurityGroupRuleView, error) {
	return show(ctx, s, rulesOf, id, viewRule, ruleNotFound(id))
}

// CreateSecurityGroupRules makes all rules or none. They must be of one group.
func (s *Store) CreateSecurityGroupRules(ctx context.Context, specs []SecurityGroupRuleSpec) ([]SecurityGroupRuleView, error) {
	made := make(map[string]bool)
	for _, spec := range specs {
		if spec.GroupID.V != specs[0].GroupID.V {
			return nil, errorf(BadRequest, "SecurityGroupNotSingleGroupRules",
				"Only allowed to update rules for one security profile at a time")
		}
	}
	return create(ctx, s, specs, func(x *tx, spec SecurityGroupRuleSpec) (*SecurityGroupRule, error) {
		return x.createRule(spec, made)
	}, viewRule)
}

// createRule checks in Neutron's order. made are the rules that the same
// request has made so far.
func (x *tx) createRule(spec SecurityGroupRuleSpec, made map[string]bool) (*SecurityGroupRule, error) {
	if err := x.quota("security_group_rule", spec.StandardSpec); err != nil {
		return nil, err
	}
	r := &SecurityGroupRule{Standard: x.standard(uuid.NewString(), spec.StandardSpec), Ethertype: IPv4}
	spec.GroupID.into(&r.GroupID)
	spec.Direction.into(&r.Direction)
	spec.Ethertype.into(&r.Ethertype)
	spec.Protocol.into(&r.Protocol)
	given := r.Protocol
	r.settleProtocol()
	spec.PortMin.into(&r.PortMin)
	spec.PortMax.into(&r.PortMax)
	spec.RemotePrefix.into(&r.RemotePrefix)
	spec.RemoteGroup.into(&r.RemoteGroup)
	spec.RemoteAddrs.into(&r.RemoteAddrs)
	if err := r.check(given); err != nil {
		return nil, err
	}
	r.dropFullRange()
	g := find(x, x.groups, r.GroupID)
	if g == nil {
		return nil, groupNotFound(r.GroupID)
	}
	if err := x.mine(&g.Standard, "create_security_group_rule"); err != nil {
		return nil, err
	}
	if r.RemoteGroup != "" && find(x, x.groups, r.RemoteGroup) == nil {
		return nil, groupNotFound(r.RemoteGroup)
	}
	if err := x.checkRemoteAddrs(r); err != nil {
		return nil, err
	}
	if twins := x.ruleKey.list(r.key()); len(twins) > 0 {
		if made[twins[0]] {
			return nil, errorf(Conflict, "DuplicateSecurityGroupRuleInPost", "Duplicate Security Group Rule in POST.")
		}
		return nil, errorf(Conflict, "SecurityGroupRuleExists", "Security group rule already exists. Rule id is %s.", twins[0])
	}
	made[r.ID] = true
	set(x, x.rules, r.ID, r)
	x.touchGroup(r.GroupID)
	return r, nil
}

// UpdateSecurityGroupRule changes a rule's description.
func (s *Store) UpdateSecurityGroupRule(ctx context.Context, id string, spec SecurityGroupRuleSpec, m Match) (out SecurityGroupRuleView, err error) {
	err = s.update(ctx, func(x *tx) error {
		old := find(x, x.rules, id)
		if old == nil {
			return ruleNotFound(id)
		}
		if err := x.may("update_security_group_rule", m, &old.Standard); err != nil {
			return err
		}
		r := *old
		spec.StandardSpec.into(&r.Standard)
		r.touch(x.now)
		set(x, x.rules, id, &r)
		out = SecurityGroupRuleView{&r}
		return nil
	})
	return out, err
}

// DeleteSecurityGroupRule deletes a rule.
func (s *Store) DeleteSecurityGroupRule(ctx context.Context, id string, m Match) error {
	return s.update(ctx, func(x *tx) error {
		r := find(x, x.rules, id)
		if r == nil {
			return ruleNotFound(id)
		}
		if err := x.may("delete_security_group_rule", m, &r.Standard); err != nil {
			return err
		}
		set(x, x.rules, id, nil)
		x.touchGroup(r.GroupID)
		return nil
	})
}
