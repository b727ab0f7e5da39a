package identity

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"strings"
)

// Handler serves the Identity API under /v3, the list of both APIs' versions
// at /, and elsewhere next, guarded: both services at one address.
//
// Requests with a token of a project get through to next, which reads in
// X-Project-Id and X-Roles whose they are.
func (s *Service) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v3" || strings.HasPrefix(r.URL.Path, "/v3/") || discovery(r) {
			s.ServeHTTP(w, r)
			return
		}
		t := s.tokens.find(r.Header.Get("X-Auth-Token"))
		if t == nil || t.project == "" {
			unauthorized(w, base(r))
			return
		}
		r = anonymous(r)
		r.Header.Set("X-User-Id", t.user.Name)
		r.Header.Set("X-Project-Id", t.project)
		r.Header.Set("X-Roles", strings.Join(t.user.roles(), ","))
		next.ServeHTTP(w, r)
	})
}

// StaticToken lets requests through to next whose X-Auth-Token is the token.
// They are an administrator's, who may say in X-Project-Id for which project.
func StaticToken(token []byte, next http.Handler) http.Handler {
	want := sha256.Sum256(token)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got := sha256.Sum256([]byte(r.Header.Get("X-Auth-Token")))
		if !discovery(r) && subtle.ConstantTimeCompare(got[:], want[:]) != 1 {
			unauthorized(w, "")
			return
		}
		named := anonymous(r)
		if project := r.Header.Get("X-Project-Id"); project != "" {
			named.Header.Set("X-Project-Id", project)
		}
		next.ServeHTTP(w, named)
	})
}

// discovery reports whether a request asks for the versions at /, which are
// for everybody.
func discovery(r *http.Request) bool {
	return r.URL.Path == "/" && (r.Method == http.MethodGet || r.Method == http.MethodHead)
}

// anonymous returns the request without what only who stands before the API
// may say: clients can write everything into these headers.
func anonymous(r *http.Request) *http.Request {
	r = r.Clone(r.Context())
	for _, name := range []string{"X-Project-Id", "X-Tenant-Id", "X-Roles", "X-User-Id"} {
		r.Header.Del(name)
	}
	return r
}
