package store

import (
	"context"
	"slices"
	"strings"

	"github.com/google/uuid"
)

// defaultName is the name of the group that every project has, and that no
// other group may have.
const defaultName = "default"

// SecurityGroup is a stored security group.
type SecurityGroup struct {
	Standard
	Stateless bool `json:"stateless,omitempty"`
	Default   bool `json:"default,omitempty"` // of its project
}

// SecurityGroupView is a security group and its rules, the oldest first.
type SecurityGroupView struct {
	*SecurityGroup
	Rules []SecurityGroupRuleView
}

// SecurityGroupSpec asks for a security group, or for a change of one.
type SecurityGroupSpec struct {
	StandardSpec
	Stateful Opt[bool]
}

func groupsOf(s *state) *table[SecurityGroup] { return s.groups }

func viewGroup(st *state, g *SecurityGroup) SecurityGroupView {
	v := SecurityGroupView{SecurityGroup: g}
	st.ruleGroup.each(g.ID, func(id string) bool {
		v.Rules = append(v.Rules, SecurityGroupRuleView{st.rules.rows[id]})
		return true
	})
	slices.SortFunc(v.Rules, func(a, b SecurityGroupRuleView) int {
		// The rules that a group is born with are of one age.
		if a.Created == b.Created && a.Ethertype != b.Ethertype {
			return strings.Compare(a.Ethertype, b.Ethertype)
		}
		return byAge(&a.Standard, &b.Standard)
	})
	return v
}

func groupNotFound(id string) *Error {
	return errorf(NotFound, "SecurityGroupNotFound", "Security group %s does not exist", id)
}

func groupInUse(id string) *Error {
	return errorf(Conflict, "SecurityGroupInUse", "Security Group %s in use.", id)
}

func (s *state) reindexGroup(id string, old, new *SecurityGroup) {
	o, n := or(old), or(new)
	s.groupName.move(o.Name, n.Name, id)
	s.groupMark.move(o.Description, n.Description, id)
	owner := func(g SecurityGroup) string {
		if g.Default {
			return g.ProjectID
		}
		return ""
	}
	s.defaultGroup.move(owner(o), owner(n), id)
	s.policy.groupChanged(id)
}

// SecurityGroups lists security groups, in no order; a nil keep accepts all.
// The caller's project gets its default group if it has none yet.
func (s *Store) SecurityGroups(ctx context.Context, q Query, keep func(SecurityGroupView) bool) ([]SecurityGroupView, error) {
	if err := s.ensureDefaultGroup(ctx); err != nil {
		return nil, err
	}
	return list(ctx, s, groupsOf, func(st *state) []*SecurityGroup {
		return candidates(st.groups, q, []by{{"description", st.groupMark}, {"name", st.groupName}})
	}, viewGroup, keep)
}

// SecurityGroup returns a security group.
func (s *Store) SecurityGroup(ctx context.Context, id string) (SecurityGroupView, error) {
	return show(ctx, s, groupsOf, id, viewGroup, groupNotFound(id))
}

// CreateSecurityGroups makes all security groups or none.
func (s *Store) CreateSecurityGroups(ctx context.Context, specs []SecurityGroupSpec) ([]SecurityGroupView, error) {
	return create(ctx, s, specs, func(x *tx, spec SecurityGroupSpec) (*SecurityGroup, error) {
		g := &SecurityGroup{Standard: x.standard(uuid.NewString(), spec.StandardSpec)}
		x.ensureDefaultGroup(g.ProjectID)
		if err := x.quota("security_group", spec.StandardSpec); err != nil {
			return nil, err
		}
		if strings.EqualFold(g.Name, defaultName) {
			return nil, errorf(Conflict, "SecurityGroupDefaultAlreadyExists", "Default security group already exists.")
		}
		g.Stateless = spec.Stateful.Set && !spec.Stateful.V
		x.addGroup(g)
		return g, nil
	}, viewGroup)
}

// addGroup stores a new group with the rules that let its ports send.
func (x *tx) addGroup(g *SecurityGroup) {
	g.Revision = 1 // as Neutron's, whose rules are its first change
	set(x, x.groups, g.ID, g)
	for _, family := range [...]string{IPv4, IPv6} {
		x.addOwnRule(g, SecurityGroupRule{Direction: Egress, Ethertype: family})
	}
}

// addOwnRule stores one of the rules that a group is born with.
func (x *tx) addOwnRule(g *SecurityGroup, r SecurityGroupRule) {
	r.Standard = x.standard(uuid.NewString(), StandardSpec{ProjectID: Some(g.ProjectID)})
	r.GroupID, r.Own = g.ID, true
	set(x, x.rules, r.ID, &r)
}

// ensureDefaultGroup makes a project's default group if it has none, as
// Neutron does when a project first needs it: its ports may send anything,
// and are sent to by each other.
func (x *tx) ensureDefaultGroup(project string) string {
	if !x.store.enforce {
		return ""
	}
	if ids := x.defaultGroup.list(project); len(ids) > 0 {
		return ids[0]
	}
	g := &SecurityGroup{Default: true}
	g.Standard = x.standard(uuid.NewString(), StandardSpec{
		ProjectID: Some(project), Name: Some(defaultName), Description: Some("Default security group"),
	})
	x.addGroup(g)
	for _, family := range [...]string{IPv4, IPv6} {
		x.addOwnRule(g, SecurityGroupRule{Direction: Ingress, Ethertype: family, RemoteGroup: g.ID})
	}
	return g.ID
}

func (s *Store) ensureDefaultGroup(ctx context.Context) error {
	c := s.caller(ctx)
	s.mu.RLock()
	there := s.state.defaultGroup.has(c.Project)
	s.mu.RUnlock()
	if there {
		return nil
	}
	return s.update(ctx, func(x *tx) error {
		x.ensureDefaultGroup(c.Project)
		return nil
	})
}

// UpdateSecurityGroup changes a security group.
func (s *Store) UpdateSecurityGroup(ctx context.Context, id string, spec SecurityGroupSpec, m Match) (out SecurityGroupView, err error) {
	err = s.update(ctx, func(x *tx) error {
		old := find(x, x.groups, id)
		if old == nil {
			return groupNotFound(id)
		}
		if err := x.may("update_security_group", m, &old.Standard); err != nil {
			return err
		}
		g := *old
		spec.StandardSpec.into(&g.Standard)
		if spec.Stateful.Set {
			g.Stateless = !spec.Stateful.V
		}
		switch {
		case old.Default && g.Name != old.Name:
			return errorf(Conflict, "SecurityGroupCannotUpdateDefault", "Updating default security group not allowed.")
		case !old.Default && g.Name == defaultName:
			return errorf(Conflict, "SecurityGroupDefaultAlreadyExists", "Default security group already exists.")
		case g.Stateless != old.Stateless && x.portGroup.has(id):
			return groupInUse(id)
		}
		g.touch(x.now)
		set(x, x.groups, id, &g)
		out = viewGroup(x.state, &g)
		return nil
	})
	return out, err
}

// DeleteSecurityGroup deletes a security group that no port has, its rules,
// and the rules of other groups that name it.
func (s *Store) DeleteSecurityGroup(ctx context.Context, id string, m Match) error {
	return s.update(ctx, func(x *tx) error {
		g := find(x, x.groups, id)
		if g == nil {
			return groupNotFound(id)
		}
		if err := x.may("delete_security_group", m, &g.Standard); err != nil {
			return err
		}
		if x.portGroup.has(id) {
			return groupInUse(id)
		}
		if g.Default && !x.caller.Admin {
			return errorf(Conflict, "SecurityGroupCannotRemoveDefault", "Insufficient rights for removing default security group.")
		}
		for _, rule := range slices.Concat(x.ruleGroup.list(id), x.ruleRemote.list(id)) {
			if r := x.rules.rows[rule]; r != nil {
				set(x, x.rules, rule, nil)
				if r.GroupID != id {
					x.touchGroup(r.GroupID)
				}
			}
		}
		set(x, x.groups, id, nil)
		return nil
	})
}

// touchGroup counts a change of a group's rules.
func (x *tx) touchGroup(id string) {
	x.groups.change(x, id, func(s *Standard) { s.touch(x.now) })
}
