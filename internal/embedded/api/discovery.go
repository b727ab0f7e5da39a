package api

import (
	"net/http"
)

// registerDiscovery serves what a client asks before it knows anything.
func (a *API) registerDiscovery(mux *http.ServeMux) {
	mux.Handle("/{$}", a.serve(methods{"GET": serveVersions}))
	for _, path := range []string{"/v2.0", "/v2.0/{$}"} {
		mux.Handle(path, a.serve(methods{"GET": serveRoot}))
	}
	known := append(extensions(), serviceExtensions()...)
	if a.store.Enforces() {
		known = append(known, securityExtensions()...)
	}
	all := a.serve(methods{"GET": serveExtensions(known)})
	mux.Handle("/v2.0/extensions", all)
	mux.Handle("/v2.0/extensions/{$}", all)
	mux.Handle("/v2.0/extensions/{alias}", a.serve(methods{"GET": serveExtension(known)}))
}

func serveVersions(w http.ResponseWriter, r *http.Request) error {
	b := append([]byte(nil), `{"versions":[{"id":"v2.0","status":"CURRENT","links":[`...)
	b = link{"self", baseURL(r) + "/v2.0/"}.appendJSON(b)
	writeJSON(w, http.StatusOK, append(b, `]}]}`...))
	return nil
}

func serveRoot(w http.ResponseWriter, r *http.Request) error {
	b := append([]byte(nil), `{"resources":`...)
	b = appendList(b, []string{"network", "subnet", "subnetpool", "port"}, func(b []byte, name string) []byte {
		b = append(b, `{"name":"`+name+`","collection":"`+name+`s","links":[`...)
		b = link{"self", baseURL(r) + "/v2.0/" + name + "s"}.appendJSON(b)
		return append(b, `]}`...)
	})
	writeJSON(w, http.StatusOK, append(b, '}'))
	return nil
}

func serveExtensions(known []extension) endpoint {
	return func(w http.ResponseWriter, _ *http.Request) error {
		b := append([]byte(nil), `{"extensions":`...)
		b = appendList(b, known, func(b []byte, e extension) []byte { return e.appendJSON(b) })
		writeJSON(w, http.StatusOK, append(b, '}'))
		return nil
	}
}

func serveExtension(known []extension) endpoint {
	return func(w http.ResponseWriter, r *http.Request) error {
		alias := r.PathValue("alias")
		for _, e := range known {
			if e.alias == alias {
				writeJSON(w, http.StatusOK, append(e.appendJSON([]byte(`{"extension":`)), '}'))
				return nil
			}
		}
		// This one error of Neutron's is in another form than the rest.
		b := append([]byte(nil), `{"message":`...)
		b = appendString(b, "The resource could not be found.<br /><br />\nExtension with alias "+alias+" does not exist\n\n")
		writeJSON(w, http.StatusNotFound, append(b, `,"code":"404 Not Found","title":"Not Found"}`...))
		return nil
	}
}
