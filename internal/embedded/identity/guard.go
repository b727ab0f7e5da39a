package identity

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"strings"
)

// Guard lets requests with a token of a project through to next, and says in
// X-Project-Id and X-Roles whose they are. What clients put into these headers
// themselves is dropped. Discovery of versions needs no token.
func (s *Service) Guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r = r.Clone(r.Context())
		dropIdentity(r.Header)
		if r.Method == http.MethodGet && r.URL.Path == "/" {
			next.ServeHTTP(w, r)
			return
		}
		t := s.find(r.Header.Get("X-Auth-Token"))
		if t == nil || t.project == nil {
			unauthorized(w, r)
			return
		}
		r.Header.Set("X-Project-Id", t.project.ID)
		r.Header.Set("X-Roles", strings.Join(t.user.Roles, ","))
		next.ServeHTTP(w, r)
	})
}

// Handler serves the Identity API under /v3 and, guarded, next elsewhere:
// both services at one address.
func (s *Service) Handler(next http.Handler) http.Handler {
	guarded := s.Guard(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v3" || strings.HasPrefix(r.URL.Path, "/v3/") {
			s.ServeHTTP(w, r)
			return
		}
		guarded.ServeHTTP(w, r)
	})
}

// StaticToken lets requests through whose X-Auth-Token has the given SHA-256
// hash, as an administrator's.
func StaticToken(hash [sha256.Size]byte, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got := sha256.Sum256([]byte(r.Header.Get("X-Auth-Token")))
		if subtle.ConstantTimeCompare(got[:], hash[:]) != 1 {
			unauthorized(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// dropIdentity removes what only an authenticating proxy may say.
func dropIdentity(h http.Header) {
	for _, name := range []string{"X-Project-Id", "X-Tenant-Id", "X-Roles", "X-User-Id"} {
		h.Del(name)
	}
}
