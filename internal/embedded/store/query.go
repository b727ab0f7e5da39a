package store

import "context"

// Query narrows a list down before its rows are looked at one by one: for each
// attribute the values of which any will do. It only names attributes; those
// without an index are ignored, so a caller still has to check every row.
type Query map[string][]string

// by pairs an attribute with its index.
type by struct {
	attribute string
	index     index
}

// candidates returns the rows that a query leaves: by ID, or by the first
// index, in the order given, that the query names.
func candidates[T any](t *table[T], q Query, indexes []by) []*T {
	if ids, ok := q["id"]; ok {
		return rowsByID(t, ids)
	}
	for _, x := range indexes {
		values, ok := q[x.attribute]
		if !ok || hasEmpty(values) {
			continue
		}
		var ids []string
		for _, v := range values {
			ids = append(ids, x.index.list(v)...)
		}
		return rowsByID(t, ids)
	}
	out := make([]*T, 0, len(t.rows))
	for _, r := range t.rows {
		out = append(out, r)
	}
	return out
}

func rowsByID[T any](t *table[T], ids []string) []*T {
	out := make([]*T, 0, len(ids))
	seen := make(map[string]struct{}, len(ids))
	for _, id := range ids {
		if _, dup := seen[id]; dup {
			continue
		}
		seen[id] = struct{}{}
		if r := t.rows[id]; r != nil {
			out = append(out, r)
		}
	}
	return out
}

func hasEmpty(values []string) bool {
	for _, v := range values {
		if v == "" {
			return true
		}
	}
	return false
}

// list collects the views of the candidates that keep accepts, in no order.
func list[T, V any](ctx context.Context, s *Store, of func(*state) *table[T], rows func(*state) []*T, view func(*state, *T) V, keep func(V) bool) ([]V, error) {
	var out []V
	c := s.caller(ctx)
	err := s.view(ctx, func(st *state) error {
		out = nil
		for _, r := range rows(st) {
			if !c.Admin && !of(st).sees(c, r) {
				continue
			}
			if v := view(st, r); keep == nil || keep(v) {
				out = append(out, v)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// show returns the view of one row that the caller may know of.
func show[T, V any](ctx context.Context, s *Store, of func(*state) *table[T], id string, view func(*state, *T) V, missing *Error) (V, error) {
	var out V
	c := s.caller(ctx)
	err := s.view(ctx, func(st *state) error {
		r := visible(c, of(st), id)
		if r == nil {
			return missing
		}
		out = view(st, r)
		return nil
	})
	return out, err
}

// create runs one transaction that makes a row of each spec, all or none.
func create[S, T, V any](ctx context.Context, s *Store, specs []S, one func(*tx, S) (*T, error), view func(*state, *T) V) ([]V, error) {
	var out []V
	err := s.update(ctx, func(x *tx) error {
		rows := make([]*T, 0, len(specs))
		for _, spec := range specs {
			r, err := one(x, spec)
			if err != nil {
				return err
			}
			rows = append(rows, r)
		}
		for _, r := range rows {
			out = append(out, view(x.state, r))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// standard starts a new row.
func (x *tx) standard(id string, spec StandardSpec) Standard {
	s := Standard{ID: id, ProjectID: x.caller.Project, Created: x.now.UnixNano(), Updated: x.now.UnixNano()}
	spec.ProjectID.into(&s.ProjectID)
	spec.into(&s)
	return s
}

// may refuses a change that is not for who asks, or not of this revision.
func (x *tx) may(rule string, m Match, s *Standard) error {
	if err := x.mine(s, rule); err != nil {
		return err
	}
	return check(m, s)
}

// check refuses a row whose revision is not the one asked for.
func check(m Match, s *Standard) error {
	if m.Set && m.V != s.Revision {
		return errorf(PreconditionFailed, "RevisionNumberConstraintFailed",
			"Constrained to %d, but current revision is %d", m.V, s.Revision)
	}
	return nil
}
