package api_test

import "net/http"

// as makes every request one of a project's.
func as(project, roles string, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Set("X-Project-Id", project)
		r.Header.Set("X-Roles", roles)
		h.ServeHTTP(w, r)
	})
}
