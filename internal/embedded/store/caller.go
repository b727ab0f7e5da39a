package store

import "context"

// Caller is who asks. An administrator sees and may do everything; others
// see what is their project's or shared, and may change what is theirs.
type Caller struct {
	Project string // 32 hexadecimal digits, as a rule; "": the store's own
	Admin   bool
}

type callerKey struct{}

// WithCaller says who asks. Without it an administrator of the store's own
// project does.
func WithCaller(ctx context.Context, c Caller) context.Context {
	return context.WithValue(ctx, callerKey{}, c)
}

// Caller returns who asks.
func (s *Store) Caller(ctx context.Context) Caller { return s.caller(ctx) }

// Host returns this server's name: ports with this binding:host_id are bound.
func (s *Store) Host() string { return s.host }

func (s *Store) caller(ctx context.Context) Caller {
	c, given := ctx.Value(callerKey{}).(Caller)
	if !given {
		return Caller{Project: s.project, Admin: true}
	}
	if c.Project == "" {
		c.Project = s.project
	}
	return c
}

// visible returns the row with an ID if the caller may know of it, or nil.
func visible[T any](c Caller, t *table[T], id string) *T {
	if v := t.rows[id]; v != nil && t.sees(c, v) {
		return v
	}
	return nil
}

// find returns the row with an ID if who asks may know of it, or nil.
func find[T any](x *tx, t *table[T], id string) *T { return visible(x.caller, t, id) }

// mine refuses a change of what who asks may see but does not own. rule is
// the name of Neutron's policy, such as "update_network".
func (x *tx) mine(s *Standard, rule string) error {
	if x.caller.Admin || s.ProjectID == x.caller.Project {
		return nil
	}
	return errorf(Forbidden, "PolicyNotAuthorized", "rule:%s is disallowed by policy", rule)
}
