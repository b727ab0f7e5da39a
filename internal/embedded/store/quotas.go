package store

import (
	"context"
	"maps"
)

// Limit is how much of a kind of resource a project may have.
type Limit struct {
	Resource string
	Max      int // -1: no limit
	Used     int
}

// Quota is what was set for a project; the rest is as the defaults.
type Quota struct {
	Project string         `json:"project"`
	Limits  map[string]int `json:"limits"`
}

// DefaultLimits are the limits of a project for which none were set, in
// Neutron's order. Routers and the like can't be made; clients expect them.
func DefaultLimits() []Limit {
	return []Limit{
		{Resource: "network", Max: 2000}, {Resource: "subnet", Max: 2000}, {Resource: "subnetpool", Max: -1},
		{Resource: "port", Max: 10000}, {Resource: "router", Max: 200}, {Resource: "floatingip", Max: 500},
		{Resource: "rbac_policy", Max: 10}, {Resource: "security_group", Max: 1000},
		{Resource: "security_group_rule", Max: 20000}, {Resource: "trunk", Max: -1},
	}
}

func (s *state) reindexQuota(string, *Quota, *Quota) {}

// count returns how many resources of a kind a project has.
func (s *state) count(resource, project string) int {
	switch resource {
	case "network":
		return s.networks.owned[project]
	case "subnet":
		return s.subnets.owned[project]
	case "subnetpool":
		return s.pools.owned[project]
	case "port":
		return s.ports.owned[project]
	case "security_group":
		return s.groups.owned[project]
	case "security_group_rule":
		return s.rules.owned[project]
	}
	return 0
}

// limit returns how many resources of a kind a project may have; negative: any.
func (s *state) limit(resource, project string) int {
	if q := s.quotas.rows[project]; q != nil {
		if n, set := q.Limits[resource]; set {
			return n
		}
	}
	if n, known := s.limits[resource]; known {
		return n
	}
	return -1
}

// DefaultLimit returns what a project may have of a kind for which nothing
// was set for it.
func (s *Store) DefaultLimit(resource string) int { return s.state.limits[resource] }

// limitsOf returns the defaults with some of them changed.
func limitsOf(changed map[string]int) map[string]int {
	out := make(map[string]int)
	for _, l := range DefaultLimits() {
		out[l.Resource] = l.Max
	}
	maps.Copy(out, changed)
	return out
}

// quota refuses one more resource of a kind than its owner may have.
func (x *tx) quota(resource string, spec StandardSpec) error {
	project := x.caller.Project
	spec.ProjectID.into(&project)
	if n := x.limit(resource, project); n >= 0 && x.count(resource, project) >= n {
		return errorf(Conflict, "OverQuota", "Quota exceeded for resources: ['%s'].", resource)
	}
	return nil
}

// Quota returns a project's limits and what of them is used.
func (s *Store) Quota(ctx context.Context, project string) (limits []Limit, err error) {
	err = s.view(ctx, func(st *state) error {
		limits = DefaultLimits()
		for i := range limits {
			l := &limits[i]
			l.Max, l.Used = st.limit(l.Resource, project), st.count(l.Resource, project)
		}
		return nil
	})
	return limits, err
}

// SetQuota sets some of a project's limits.
func (s *Store) SetQuota(ctx context.Context, project string, limits map[string]int) error {
	return s.update(ctx, func(x *tx) error {
		q := &Quota{Project: project, Limits: make(map[string]int)}
		if old := x.quotas.rows[project]; old != nil {
			maps.Copy(q.Limits, old.Limits)
		}
		maps.Copy(q.Limits, limits)
		set(x, x.quotas, project, q)
		return nil
	})
}

// ResetQuota makes a project's limits the defaults again.
func (s *Store) ResetQuota(ctx context.Context, project string) error {
	return s.update(ctx, func(x *tx) error {
		if x.quotas.rows[project] == nil {
			return errorf(NotFound, "TenantQuotaNotFound", "Quota for tenant %s could not be found.", project)
		}
		set(x, x.quotas, project, nil)
		return nil
	})
}

// Quotas returns the projects for which limits were set.
func (s *Store) Quotas(ctx context.Context) (projects []string, err error) {
	err = s.view(ctx, func(st *state) error {
		projects = nil
		for id := range st.quotas.rows {
			projects = append(projects, id)
		}
		return nil
	})
	return projects, err
}
