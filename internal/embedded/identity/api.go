package identity

import (
	"encoding/json"
	"net/http"
	"slices"
	"time"
)

const (
	maxBody = 64 << 10
	stamp   = "2006-01-02T15:04:05.000000Z"
)

type object = map[string]any

func (s *Service) routes() {
	s.mux.HandleFunc("GET /v3", s.version)
	s.mux.HandleFunc("GET /v3/{$}", s.version)
	s.mux.HandleFunc("GET /{$}", s.versions)
	s.mux.HandleFunc("POST /v3/auth/tokens", s.authenticate)
	s.mux.HandleFunc("GET /v3/auth/tokens", s.showToken)
	s.mux.HandleFunc("DELETE /v3/auth/tokens", s.revokeToken)
	s.mux.HandleFunc("GET /v3/auth/catalog", s.showCatalog)
	s.mux.HandleFunc("GET /v3/auth/projects", s.ownProjects)
	s.mux.HandleFunc("GET /v3/projects", s.listProjects)
	s.mux.HandleFunc("GET /v3/projects/{id}", s.showProject)
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

func unauthorized(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("WWW-Authenticate", `Keystone uri="`+base(r)+`/v3"`)
	refuse(w, http.StatusUnauthorized, "Unauthorized", "The request you have made requires authentication.")
}

// base is what a client called this server by.
func base(r *http.Request) string {
	if r.TLS != nil {
		return "https://" + r.Host
	}
	return "http://" + r.Host
}

func versionOf(r *http.Request) object {
	return object{
		"id": "v3.14", "status": "stable", "updated": "2020-04-07T00:00:00Z",
		"links":       []object{{"rel": "self", "href": base(r) + "/v3/"}},
		"media-types": []object{{"base": "application/json", "type": "application/vnd.openstack.identity-v3+json"}},
	}
}

func (s *Service) version(w http.ResponseWriter, r *http.Request) {
	answer(w, http.StatusOK, object{"version": versionOf(r)})
}

func (s *Service) versions(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Location", base(r)+"/v3/")
	answer(w, http.StatusMultipleChoices, object{"versions": object{"values": []object{versionOf(r)}}})
}

// domain is how a request names a domain. There is one, "default".
type domain struct{ ID, Name string }

func (d domain) known() bool {
	return (d.ID == "" || d.ID == "default") && (d.Name == "" || d.Name == "Default")
}

// authRequest is the body of POST /v3/auth/tokens.
type authRequest struct {
	Auth struct {
		Identity struct {
			Methods  []string
			Password struct {
				User struct {
					ID, Name, Password string
					Domain             domain
				}
			}
			Token struct{ ID string }
		}
		Scope json.RawMessage // an object, or "unscoped"
	}
}

func (s *Service) authenticate(w http.ResponseWriter, r *http.Request) {
	var in authRequest
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody)).Decode(&in); err != nil {
		refuse(w, http.StatusBadRequest, "Bad Request", "The request body is not valid.")
		return
	}
	t := s.identify(&in)
	if t == nil || !s.scope(t, in.Auth.Scope) {
		unauthorized(w, r)
		return
	}
	w.Header().Set("X-Subject-Token", s.issue(t))
	answer(w, http.StatusCreated, object{"token": s.describe(t, r)})
}

// identify checks who asks, and returns a token for them, or nil.
func (s *Service) identify(in *authRequest) *token {
	id := &in.Auth.Identity
	switch {
	case slices.Equal(id.Methods, []string{"token"}):
		old := s.find(id.Token.ID)
		if old == nil {
			return nil
		}
		// A token got by a token lives no longer than that.
		return &token{user: old.user, method: "token", expires: old.expires}
	case slices.Equal(id.Methods, []string{"password"}) && id.Password.User.Domain.known():
		given := &id.Password.User
		for i := range s.users {
			u := &s.users[i]
			if given.ID != "" && given.ID == u.ID || given.ID == "" && given.Name == u.Name {
				if ok, err := checkPassword(u.Password, given.Password); ok && err == nil {
					return &token{user: u, method: "password", expires: s.now().UTC().Truncate(time.Second).Add(tokenLife)}
				}
			}
		}
	}
	return nil
}

// scope binds a token to the project that the request names, or to the user's
// only one if it names none.
func (s *Service) scope(t *token, raw json.RawMessage) bool {
	var scope struct {
		Project struct {
			ID, Name string
			Domain   domain
		}
	}
	if len(raw) > 0 && string(raw) != `"unscoped"` && string(raw) != "null" {
		if json.Unmarshal(raw, &scope) != nil {
			return false
		}
		p := s.project(scope.Project.ID, scope.Project.Name)
		if p == nil || !scope.Project.Domain.known() || !slices.Contains(t.user.Projects, p.ID) {
			return false
		}
		t.project = p
		return true
	}
	if len(raw) == 0 && len(t.user.Projects) == 1 {
		t.project = s.project(t.user.Projects[0], "")
	}
	return true
}

func (s *Service) describe(t *token, r *http.Request) object {
	home := object{"id": "default", "name": "Default"}
	out := object{
		"methods": []string{t.method}, "audit_ids": []string{t.audit},
		"user":       object{"domain": home, "id": t.user.ID, "name": t.user.Name, "password_expires_at": nil},
		"issued_at":  t.issued.Format(stamp),
		"expires_at": t.expires.Format(stamp),
	}
	if t.project != nil {
		roles := make([]object, len(t.user.Roles))
		for i, role := range t.user.Roles {
			roles[i] = object{"id": role, "name": role}
		}
		out["project"] = object{"domain": home, "id": t.project.ID, "name": t.project.Name}
		out["is_domain"], out["roles"], out["catalog"] = false, roles, s.catalog(r)
	}
	return out
}

// catalog says where the two services are: both here.
func (s *Service) catalog(r *http.Request) []object {
	service := func(id, typ, name, url string) object {
		var endpoints []object
		for _, face := range []string{"admin", "internal", "public"} {
			endpoints = append(endpoints, object{
				"id": id + "-" + face, "interface": face, "region_id": s.region, "region": s.region, "url": url,
			})
		}
		return object{"id": id, "type": typ, "name": name, "endpoints": endpoints}
	}
	return []object{
		service("identity", "identity", "keystone", base(r)+"/v3"),
		service("network", "network", "neutron", base(r)),
	}
}

// asker returns the token a request comes with; nil: it was refused.
func (s *Service) asker(w http.ResponseWriter, r *http.Request) *token {
	t := s.find(r.Header.Get("X-Auth-Token"))
	if t == nil {
		unauthorized(w, r)
	}
	return t
}

// subject returns the token that a request is about, which must be the
// asker's own unless an administrator asks; nil: it was refused.
func (s *Service) subject(w http.ResponseWriter, r *http.Request) *token {
	asker := s.asker(w, r)
	if asker == nil {
		return nil
	}
	t := s.find(r.Header.Get("X-Subject-Token"))
	if t == nil || t.user != asker.user && !slices.Contains(asker.user.Roles, "admin") {
		refuse(w, http.StatusNotFound, "Not Found", "Failed to validate token")
		return nil
	}
	return t
}

func (s *Service) showToken(w http.ResponseWriter, r *http.Request) {
	if t := s.subject(w, r); t != nil {
		w.Header().Set("X-Subject-Token", r.Header.Get("X-Subject-Token"))
		answer(w, http.StatusOK, object{"token": s.describe(t, r)})
	}
}

func (s *Service) revokeToken(w http.ResponseWriter, r *http.Request) {
	if t := s.subject(w, r); t != nil {
		s.revoke(r.Header.Get("X-Subject-Token"))
		w.WriteHeader(http.StatusNoContent)
	}
}

func (s *Service) showCatalog(w http.ResponseWriter, r *http.Request) {
	if s.asker(w, r) != nil {
		answer(w, http.StatusOK, object{"catalog": s.catalog(r), "links": object{"self": base(r) + "/v3/auth/catalog"}})
	}
}

func describeProject(p *Project, r *http.Request) object {
	return object{
		"id": p.ID, "name": p.Name, "domain_id": "default", "parent_id": "default", "enabled": true, "is_domain": false,
		"description": "", "options": object{}, "tags": []string{}, "links": object{"self": base(r) + "/v3/projects/" + p.ID},
	}
}

func (s *Service) ownProjects(w http.ResponseWriter, r *http.Request) {
	if t := s.asker(w, r); t != nil {
		s.answerProjects(w, r, func(p *Project) bool { return slices.Contains(t.user.Projects, p.ID) })
	}
}

func (s *Service) listProjects(w http.ResponseWriter, r *http.Request) {
	t := s.asker(w, r)
	if t == nil {
		return
	}
	name := r.URL.Query().Get("name")
	s.answerProjects(w, r, func(p *Project) bool { return sees(t, p) && (name == "" || name == p.Name) })
}

// sees reports whether a token's user may know of a project.
func sees(t *token, p *Project) bool {
	return slices.Contains(t.user.Roles, "admin") || slices.Contains(t.user.Projects, p.ID)
}

func (s *Service) answerProjects(w http.ResponseWriter, r *http.Request, keep func(*Project) bool) {
	all := []object{}
	for i := range s.projects {
		if p := &s.projects[i]; keep(p) {
			all = append(all, describeProject(p, r))
		}
	}
	answer(w, http.StatusOK, object{"projects": all, "links": object{"self": base(r) + r.URL.Path, "next": nil, "previous": nil}})
}

func (s *Service) showProject(w http.ResponseWriter, r *http.Request) {
	t := s.asker(w, r)
	if t == nil {
		return
	}
	p := s.project(r.PathValue("id"), "")
	if p == nil || !sees(t, p) {
		refuse(w, http.StatusNotFound, "Not Found", "Could not find project: "+r.PathValue("id")+".")
		return
	}
	answer(w, http.StatusOK, object{"project": describeProject(p, r)})
}
