package api

import (
	"context"
	"net/http"

	"kuryr/internal/embedded/store"
)

// registerBindings serves the bindings of a port, of which each bound port
// has one, for clients that ask; there is no other host to move it to.
func (a *API) registerBindings(mux *http.ServeMux) {
	type bindings = *resource[struct{}, portView]
	in := func(do func(bindings, http.ResponseWriter, *http.Request) error) endpoint {
		return func(w http.ResponseWriter, r *http.Request) error {
			if !callerOf(r).Admin {
				return forbidden("rule:get_port_binding")
			}
			return do(a.bindings(r.PathValue("port")), w, r)
		}
	}
	mux.Handle("/v2.0/ports/{port}/bindings", a.serve(methods{"GET": in(bindings.serveList)}))
	mux.Handle("/v2.0/ports/{port}/bindings/{id}", a.serve(methods{"GET": in(bindings.serveShow)}))
}

// bindings serves those of one port. A binding's ID is its host.
func (a *API) bindings(port string) *resource[struct{}, portView] {
	find := func(ctx context.Context) (portView, error) {
		v, err := a.store.Port(ctx, port)
		if err == nil && !isCompute(v.DeviceOwner) {
			err = &store.Error{
				Kind: store.BadRequest, Type: "BadRequest",
				Message: "Bad port request: Invalid port " + port + ". Operation only valid on compute ports.",
			}
		}
		return v, err
	}
	return &resource[struct{}, portView]{
		api: a, name: "binding", collection: "bindings", prefix: "ports/" + port, attrs: bindingAttrs(),
		list: func(ctx context.Context, _ store.Query, keep func(portView) bool) ([]portView, error) {
			v, err := find(ctx)
			if err != nil || v.HostID == "" || !keep(v) {
				return nil, err
			}
			return []portView{v}, nil
		},
		show: func(ctx context.Context, host string) (portView, error) {
			v, err := find(ctx)
			if err == nil && (v.HostID == "" || v.HostID != host) {
				err = &store.Error{
					Kind: store.NotFound, Type: "PortBindingNotFound",
					Message: "Binding for port " + port + " for host " + host + " could not be found.",
				}
			}
			return v, err
		},
		id: func(v portView) string { return v.HostID },
	}
}

// isCompute reports whether a port is one that Nova would plug.
func isCompute(owner string) bool { return len(owner) >= 8 && owner[:8] == "compute:" }

// bindingAttrs is the table of a binding's attributes.
func bindingAttrs() []attr[struct{}, portView] {
	type a = attr[struct{}, portView]
	same := equal[struct{}, portView](asIs)
	return []a{
		{name: "host", doc: "The host.", get: func(v portView) any { return v.HostID }, filter: same, sort: true},
		{name: "vif_type", doc: "As the port's binding:vif_type.", get: func(v portView) any { return v.VIFType }, filter: same, sort: true},
		{name: "vif_details", doc: "How it is to be plugged.", get: func(v portView) any { return vifDetails(v) }},
		{name: "vnic_type", doc: "The kind of interface.", get: func(v portView) any { return v.VNICType }, filter: same, sort: true},
		{name: "profile", doc: "Stored for clients.", get: func(v portView) any { return profileOf(v) }},
		{name: "status", doc: "Always ACTIVE: a port has one binding.", get: func(portView) any { return "ACTIVE" }, filter: same, sort: true},
	}
}
