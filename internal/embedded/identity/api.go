package identity

import (
	"encoding/json"
	"net/http"
)

type object = map[string]any

func (s *Service) routes() {
	s.mux.HandleFunc("GET /{$}", s.versions)
	s.mux.HandleFunc("GET /v3", s.version)
	s.mux.HandleFunc("GET /v3/{$}", s.version)
	s.mux.HandleFunc("POST /v3/auth/tokens", s.authenticate)
	s.mux.HandleFunc("GET /v3/auth/tokens", s.showToken)
	s.mux.HandleFunc("DELETE /v3/auth/tokens", s.revokeToken)
	s.mux.HandleFunc("GET /v3/auth/catalog", s.showCatalog)
	s.mux.HandleFunc("GET /v3/auth/projects", s.ownProjects)
	s.mux.HandleFunc("GET /v3/projects", s.listProjects)
	s.mux.HandleFunc("GET /v3/projects/{name}", s.showProject)
	s.mux.HandleFunc("GET /v3/users", s.listUsers)
	s.mux.HandleFunc("GET /v3/users/{name}", s.showUser)
	s.mux.HandleFunc("GET /v3/users/{name}/projects", s.projectsOf)
	s.mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		refuse(w, http.StatusNotFound, "Not Found", "The requested URL was not found.")
	})
}

// ServeHTTP serves the Identity API.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Vary", "X-Auth-Token")
	s.mux.ServeHTTP(w, r)
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the client is gone if this fails
}

func refuse(w http.ResponseWriter, status int, title, message string) {
	answer(w, status, object{"error": object{"code": status, "message": message, "title": title}})
}

// unauthorized answers who has no token, or no good one. keystone is where one
// can be had; "": nowhere.
func unauthorized(w http.ResponseWriter, keystone string) {
	if keystone != "" {
		w.Header().Set("WWW-Authenticate", `Keystone uri="`+keystone+`"`)
	}
	refuse(w, http.StatusUnauthorized, "Unauthorized", "The request you have made requires authentication.")
}

func notFound(w http.ResponseWriter, what, name string) {
	refuse(w, http.StatusNotFound, "Not Found", "Could not find "+what+": "+name+".")
}

// base is what a client called this server by.
func base(r *http.Request) string {
	if r.TLS != nil {
		return "https://" + r.Host
	}
	return "http://" + r.Host
}

func (s *Service) version(w http.ResponseWriter, r *http.Request) {
	answer(w, http.StatusOK, object{"version": versionOf(r)})
}

func versionOf(r *http.Request) object {
	return object{
		"id": "v3.14", "status": "stable", "updated": "2020-04-07T00:00:00Z",
		"links":       []object{{"rel": "self", "href": base(r) + "/v3/"}},
		"media-types": []object{{"base": "application/json", "type": "application/vnd.openstack.identity-v3+json"}},
	}
}

// versions lists both APIs that are at this address, in the form of Keystone's
// list: clients that look for a Keystone know no other, those that look for
// Neutron know both.
func (s *Service) versions(w http.ResponseWriter, r *http.Request) {
	neutron := object{"id": "v2.0", "status": "CURRENT", "links": []object{{"rel": "self", "href": base(r) + "/v2.0/"}}}
	w.Header().Set("Location", base(r)+"/v3/")
	answer(w, http.StatusMultipleChoices, object{"versions": object{"values": []object{versionOf(r), neutron}}})
}

// asker returns the token a request comes with; nil: it was refused.
func (s *Service) asker(w http.ResponseWriter, r *http.Request) *token {
	t := s.tokens.find(r.Header.Get("X-Auth-Token"))
	if t == nil {
		unauthorized(w, base(r)+"/v3")
	}
	return t
}
