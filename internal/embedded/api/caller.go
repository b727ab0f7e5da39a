package api

import (
	"cmp"
	"net/http"
	"slices"
	"strings"

	"kuryr/internal/embedded/store"
)

// callerOf reads who asks from the headers that an authenticating proxy sets,
// as Neutron does: X-Project-Id (or X-Tenant-Id) and X-Roles. Without roles
// the request is an administrator's. What stands before this server must not
// let the headers of untrusted clients through; package identity doesn't.
func callerOf(r *http.Request) store.Caller {
	c := store.Caller{Project: r.Header.Get("X-Project-Id"), Admin: true}
	if c.Project == "" {
		c.Project = r.Header.Get("X-Tenant-Id")
	}
	if roles := r.Header.Values("X-Roles"); len(roles) > 0 {
		c.Admin = false
		for role := range strings.SplitSeq(strings.Join(roles, ","), ",") {
			c.Admin = c.Admin || strings.EqualFold(strings.TrimSpace(role), "admin")
		}
	}
	return c
}

// forbidden is Neutron's refusal of what its policy leaves to administrators.
func forbidden(rule string) *httpError {
	return &httpError{http.StatusForbidden, "PolicyNotAuthorized", rule + " is disallowed by policy"}
}

// permit refuses a request for what only administrators may ask for.
func (t *resource[S, V]) permit(c store.Caller, method string, o object) error {
	if c.Admin {
		return nil
	}
	action := map[string]string{"POST": "create_", "PUT": "update_", "DELETE": "delete_"}[method] + cmp.Or(t.policy, t.name)
	if t.adminOnly {
		return forbidden("rule:" + action)
	}
	rule, plain := "rule:"+action, true
	names := make([]string, 0, len(o))
	for name := range o {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if a := t.attr(name); a != nil && (a.adminSet && (o[name] != a.def || method == "PUT") || a.adminPut && method == "PUT") {
			rule, plain = "("+rule+" and rule:"+action+":"+name+")", false
		}
	}
	if !plain {
		return forbidden(rule)
	}
	if project, given := o["project_id"]; given && method == "POST" && project != c.Project {
		return badRequest("Specifying 'project_id' or 'tenant_id' other than the authenticated project in request requires admin or advsvc privileges")
	}
	return nil
}

// shownTo returns the attributes that a caller sees.
func (t *resource[S, V]) shownTo(c store.Caller) []attr[S, V] {
	if c.Admin {
		return t.attrs
	}
	return slices.DeleteFunc(slices.Clone(t.attrs), func(a attr[S, V]) bool { return a.adminGet })
}

// reserved leaves attributes to administrators: to give, and, if hidden, to see.
func reserved[S, V any](hidden bool, attrs []attr[S, V], names ...string) {
	for i := range attrs {
		if slices.Contains(names, attrs[i].name) {
			attrs[i].adminSet, attrs[i].adminGet = true, hidden
		}
	}
}
