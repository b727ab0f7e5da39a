package identity

import (
	"encoding/json"
	"net/http"
	"slices"
)

const (
	maxBody = 64 << 10
	stamp   = "2006-01-02T15:04:05.000000Z"
)

// home is the one domain there is.
var home = struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}{"default", "Default"}

// domain is how a request names a domain.
type domain struct{ ID, Name string }

func (d domain) known() bool {
	return (d.ID == "" || d.ID == home.ID) && (d.Name == "" || d.Name == home.Name)
}

// named is how a request names a user or a project: by the ID or the name.
type named struct {
	ID, Name string
	Domain   domain
}

// text returns what names it, "" if nothing does.
func (n named) text() string {
	switch {
	case n.ID != "":
		return n.ID
	case n.Domain.known():
		return n.Name
	}
	return ""
}

// authRequest is the body of POST /v3/auth/tokens.
type authRequest struct {
	Auth struct {
		Identity struct {
			Methods  []string
			Password struct {
				User struct {
					named
					Password string
				}
			}
			Token                 struct{ ID string }
			ApplicationCredential givenCredential `json:"application_credential"`
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
	t := s.identify(r, &in)
	if t == nil || !s.scope(t, in.Auth.Scope) {
		unauthorized(w, base(r)+"/v3")
		return
	}
	w.Header().Set("X-Subject-Token", s.tokens.issue(t))
	answer(w, http.StatusCreated, object{"token": s.describe(t, r)})
}

// identify checks who asks, and returns a token for them, or nil.
func (s *Service) identify(r *http.Request, in *authRequest) *token {
	id := &in.Auth.Identity
	switch {
	case slices.Equal(id.Methods, []string{"token"}):
		if old := s.tokens.find(id.Token.ID); old != nil {
			// A token got by a token lives no longer than that.
			return &token{user: old.user, method: "token", expires: old.expires}
		}
	case slices.Equal(id.Methods, []string{byCredential}):
		return s.loginCredential(r.Context(), &id.ApplicationCredential)
	case slices.Equal(id.Methods, []string{"password"}):
		if u := s.login(r.Context(), id.Password.User.text(), id.Password.User.Password); u != nil {
			return &token{user: u, method: "password"}
		}
	}
	return nil
}

// scope binds a token to the project that the request names, or to the user's
// only one if it names none.
func (s *Service) scope(t *token, raw json.RawMessage) bool {
	var scope struct{ Project named }
	if t.method == byCredential { // it has its project, and can't have another
		return len(raw) == 0
	}
	switch string(raw) {
	case "", "null":
		if len(t.user.Projects) == 1 {
			t.project = t.user.Projects[0]
		}
		return true
	case `"unscoped"`:
		return true
	}
	if json.Unmarshal(raw, &scope) != nil {
		return false
	}
	t.project = scope.Project.text()
	return slices.Contains(t.user.Projects, t.project)
}

func (s *Service) describe(t *token, r *http.Request) object {
	out := object{
		"methods": []string{t.method}, "audit_ids": []string{t.audit},
		"user":       object{"domain": home, "id": t.user.Name, "name": t.user.Name, "password_expires_at": nil},
		"issued_at":  t.issued.Format(stamp),
		"expires_at": t.expires.Format(stamp),
	}
	if t.project != "" {
		var roles []object
		for _, role := range t.user.roles() {
			roles = append(roles, object{"id": role, "name": role})
		}
		out["project"] = object{"domain": home, "id": t.project, "name": t.project}
		out["is_domain"], out["roles"], out["catalog"] = false, roles, s.catalog(r)
	}
	return out
}

// subject returns the token that a request is about, which must be the
// asker's own unless an administrator asks; nil: it was refused.
func (s *Service) subject(w http.ResponseWriter, r *http.Request) *token {
	asker := s.asker(w, r)
	if asker == nil {
		return nil
	}
	t := s.tokens.find(r.Header.Get("X-Subject-Token"))
	if t == nil || t.user != asker.user && asker.user.Role != Admin {
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
	if s.subject(w, r) != nil {
		s.tokens.revoke(r.Header.Get("X-Subject-Token"))
		w.WriteHeader(http.StatusNoContent)
	}
}
