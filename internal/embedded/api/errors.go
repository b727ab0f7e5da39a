package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"

	"kuryr/internal/embedded/store"
	"kuryr/internal/observe"
)

// httpError is a refusal of the HTTP face itself. In Neutron these are
// webob's exceptions, whose class names are the types in the body.
type httpError struct {
	status  int
	typ     string
	message string
}

func (e *httpError) Error() string { return e.message }

func badRequest(format string, args ...any) *httpError {
	return &httpError{http.StatusBadRequest, "HTTPBadRequest", fmt.Sprintf(format, args...)}
}

func notFound() *httpError {
	return &httpError{http.StatusNotFound, "HTTPNotFound", "The resource could not be found."}
}

func notAllowed() *httpError {
	return &httpError{http.StatusMethodNotAllowed, "HTTPMethodNotAllowed",
		"The server could not comply with the request since it is either malformed or otherwise incorrect."}
}

func internalError() *httpError {
	return &httpError{
		http.StatusInternalServerError, "HTTPInternalServerError",
		"Request Failed: internal server error while processing your request.",
	}
}

// statusOf is the one place where the store's kinds become status codes.
func statusOf(k store.Kind) int {
	switch k {
	case store.BadRequest:
		return http.StatusBadRequest
	case store.Forbidden:
		return http.StatusForbidden
	case store.NotFound:
		return http.StatusNotFound
	case store.Conflict:
		return http.StatusConflict
	case store.PreconditionFailed:
		return http.StatusPreconditionFailed
	case store.Unavailable:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

// fail answers with an error in Neutron's form. What clients must not see
// goes to the log only.
func (a *API) fail(w http.ResponseWriter, r *http.Request, err error) {
	var he *httpError
	var se *store.Error
	switch {
	case errors.As(err, &he):
	case errors.As(err, &se):
		he = &httpError{statusOf(se.Kind), se.Type, se.Message}
	default:
		he = internalError()
	}
	if he.status >= http.StatusInternalServerError {
		level := slog.LevelError
		if r.Context().Err() != nil && errors.Is(err, context.Canceled) {
			level = slog.LevelDebug // whoever asked has gone, or stops
		}
		a.log.LogAttrs(r.Context(), level, "request failed",
			slog.String(observe.Op, operation(r)),
			slog.String(observe.Request, w.Header().Get(requestIDHeader)), slog.Any(observe.Err, err))
	}
	writeError(w, he)
}

func writeError(w http.ResponseWriter, e *httpError) {
	b := append([]byte(nil), `{"NeutronError":{"type":`...)
	b = appendString(b, e.typ)
	b = append(b, `,"message":`...)
	b = appendString(b, e.message)
	b = append(b, `,"detail":""}}`...)
	writeJSON(w, e.status, b)
}
