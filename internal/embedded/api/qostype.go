package api

import (
	"math"
	"net/http"
	"slices"

	"kuryr/internal/embedded/store"
)

// registerQoSTypes serves the types of rules: those that a Linux bridge agent
// would enforce, or, when they are asked for, all.
func (a *API) registerQoSTypes(mux *http.ServeMux) {
	mux.Handle("/v2.0/qos/rule-types", a.serve(methods{"GET": serveQoSTypes}))
	mux.Handle("/v2.0/qos/rule-types/{type}", a.serve(methods{"GET": serveQoSType}))
}

func serveQoSTypes(w http.ResponseWriter, r *http.Request) error {
	params := r.URL.Query()
	names := inOrder(r, params)
	if err := onlyFilters(names, "all_rules", "all_supported"); err != nil {
		return err
	}
	types := []object{}
	for _, typ := range qosTypes() {
		if params.Has("all_rules") || len(driversOf(typ)) > 0 {
			types = append(types, object{"type": typ})
		}
	}
	writeJSON(w, http.StatusOK, appendValue(nil, object{"rule_types": types}))
	return nil
}

func serveQoSType(w http.ResponseWriter, r *http.Request) error {
	typ := r.PathValue("type")
	switch {
	case !slices.Contains(qosTypes(), typ):
		return notFound()
	case !callerOf(r).Admin:
		return &httpError{http.StatusForbidden, "NotAuthorized", "Not authorized."}
	}
	writeJSON(w, http.StatusOK, appendValue(nil, object{"rule_type": object{"type": typ, "drivers": driversOf(typ)}}))
	return nil
}

// driversOf says what a Linux bridge agent would make of a type of rule.
func driversOf(typ string) []object {
	number := func(name string) object {
		return object{"parameter_name": name, "parameter_type": "range", "parameter_values": object{"start": 0, "end": math.MaxInt32}}
	}
	choices := func(name string, values ...any) object {
		return object{"parameter_name": name, "parameter_type": "choices", "parameter_values": values}
	}
	var parameters []object
	switch typ {
	case store.BandwidthLimit:
		parameters = []object{number("max_kbps"), number("max_burst_kbps"), choices("direction", "ingress", "egress")}
	case store.DSCPMarking:
		parameters = []object{choices("dscp_mark", dscpMarks()...)}
	default:
		return []object{}
	}
	return []object{{"name": "linuxbridge", "supported_parameters": parameters}}
}
