package api

import (
	"maps"
	"math"
	"net/http"
	"slices"
	"strings"

	"kuryr/internal/embedded/store"
)

// registerQuotas serves the limits of projects.
func (a *API) registerQuotas(mux *http.ServeMux) {
	all := a.serve(methods{"GET": a.listQuotas, "POST": func(http.ResponseWriter, *http.Request) error {
		return &httpError{http.StatusNotImplemented, "HTTPNotImplemented", "POST requests are not supported on this resource."}
	}})
	mux.Handle("/v2.0/quotas", all)
	mux.Handle("/v2.0/quotas/{$}", all)
	for _, name := range []string{"tenant", "project"} {
		mux.Handle("/v2.0/quotas/"+name, a.serve(methods{"GET": func(w http.ResponseWriter, r *http.Request) error {
			own := object{name: object{name + "_id": a.store.Caller(r.Context()).Project}}
			writeJSON(w, http.StatusOK, appendValue(nil, own))
			return nil
		}}))
	}
	mux.Handle("/v2.0/quotas/{project}", a.serve(methods{"GET": a.showQuota, "PUT": a.setQuota, "DELETE": a.resetQuota}))
	mux.Handle("/v2.0/quotas/{project}/default", a.serve(methods{"GET": a.defaultQuota}))
	mux.Handle("/v2.0/quotas/{project}/details", a.serve(methods{"GET": a.quotaDetails}))
}

// quotaOf returns the limits of the project that a request names, which must
// be the caller's own unless an administrator asks.
func (a *API) quotaOf(r *http.Request) ([]store.Limit, error) {
	project := r.PathValue("project")
	if c := callerOf(r); !c.Admin && c.Project != project {
		return nil, forbidden("rule:get_quota")
	}
	return a.store.Quota(r.Context(), project)
}

func writeQuota(w http.ResponseWriter, limits []store.Limit, value func([]byte, store.Limit) []byte) {
	b := append([]byte(nil), `{"quota":{`...)
	for i, l := range limits {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendString(b, l.Resource), ':')
		b = value(b, l)
	}
	writeJSON(w, http.StatusOK, append(b, `}}`...))
}

func onlyMax(b []byte, l store.Limit) []byte { return appendValue(b, l.Max) }

func (a *API) showQuota(w http.ResponseWriter, r *http.Request) error {
	limits, err := a.quotaOf(r)
	if err != nil {
		return err
	}
	writeQuota(w, limits, onlyMax)
	return nil
}

func (a *API) defaultQuota(w http.ResponseWriter, r *http.Request) error {
	limits, err := a.quotaOf(r)
	if err != nil {
		return err
	}
	for i := range limits {
		limits[i].Max = a.store.DefaultLimit(limits[i].Resource)
	}
	writeQuota(w, limits, onlyMax)
	return nil
}

func (a *API) quotaDetails(w http.ResponseWriter, r *http.Request) error {
	limits, err := a.quotaOf(r)
	if err != nil {
		return err
	}
	writeQuota(w, limits, func(b []byte, l store.Limit) []byte {
		return appendValue(b, object{"limit": l.Max, "used": l.Used, "reserved": 0})
	})
	return nil
}

func (a *API) setQuota(w http.ResponseWriter, r *http.Request) error {
	if !callerOf(r).Admin {
		return forbidden("rule:update_quota")
	}
	body, err := readObject(r)
	if err != nil {
		return err
	}
	given, ok := body["quota"].(object)
	if !ok {
		return badRequest("Unable to find 'quota' in request body")
	}
	limits, checked, err := parseQuota(given)
	if err != nil {
		return err
	}
	if checked {
		if err := a.fits(r, limits); err != nil {
			return err
		}
	}
	if err := a.store.SetQuota(r.Context(), r.PathValue("project"), limits); err != nil {
		return err
	}
	return a.showQuota(w, r)
}

func (a *API) resetQuota(w http.ResponseWriter, r *http.Request) error {
	if !callerOf(r).Admin {
		return forbidden("rule:delete_quota")
	}
	if err := a.store.ResetQuota(r.Context(), r.PathValue("project")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (a *API) listQuotas(w http.ResponseWriter, r *http.Request) error {
	if !callerOf(r).Admin {
		return forbidden("rule:get_quota")
	}
	projects, err := a.store.Quotas(r.Context())
	if err != nil {
		return err
	}
	slices.Sort(projects)
	all := make([]object, 0, len(projects))
	for _, p := range projects {
		limits, err := a.store.Quota(r.Context(), p)
		if err != nil {
			return err
		}
		o := object{"tenant_id": p, "project_id": p}
		for _, l := range limits {
			o[l.Resource] = l.Max
		}
		all = append(all, o)
	}
	writeJSON(w, http.StatusOK, appendValue(nil, object{"quotas": all}))
	return nil
}

// parseQuota reads new limits, and whether they must leave room for what is there.
func parseQuota(given object) (limits map[string]int, checked bool, err error) {
	limits = make(map[string]int)
	var unknown []string
	for _, name := range slices.Sorted(maps.Keys(given)) {
		v := given[name]
		switch {
		case name == "force":
			continue
		case name == "check_limit":
			checked = v == true || v == "True" || v == "true"
			continue
		case !slices.ContainsFunc(store.DefaultLimits(), func(l store.Limit) bool { return l.Resource == name }):
			unknown = append(unknown, name)
			continue
		}
		n, err := ranged(-1, math.MaxInt32)(v)
		if why, refused := err.(reason); refused {
			return nil, false, badRequest("Invalid input for %s. Reason: %s.", name, why)
		} else if err != nil {
			return nil, false, err
		}
		limits[name] = n.(int)
	}
	if unknown != nil {
		return nil, false, badRequest("Unrecognized attribute(s) '%s'", strings.Join(unknown, ", "))
	}
	return limits, checked, nil
}

// fits refuses limits that are below what a project has.
func (a *API) fits(r *http.Request, limits map[string]int) error {
	have, err := a.store.Quota(r.Context(), r.PathValue("project"))
	if err != nil {
		return err
	}
	for _, l := range have {
		if n, given := limits[l.Resource]; given && l.Used > n {
			return badRequest("Quota limit %d for %s must be greater than or equal to already used %d", n, l.Resource, l.Used)
		}
	}
	return nil
}
