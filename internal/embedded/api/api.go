package api

import (
	"log/slog"
	"net/http"
	"regexp"
	"runtime/debug"
	"strings"
	"time"

	"github.com/google/uuid"

	"kuryr/internal/embedded/store"
	"kuryr/internal/observe"
)

const requestIDHeader = "X-Openstack-Request-Id"

// Options of an API.
type Options struct {
	Log *slog.Logger // required
}

// API serves the Networking API over a store. It is an http.Handler, safe
// for concurrent use.
type API struct {
	store   *store.Store
	log     *slog.Logger
	mux     *http.ServeMux
	started time.Time
}

// New returns the API over a store.
func New(s *store.Store, o Options) *API {
	a := &API{store: s, log: o.Log, mux: http.NewServeMux(), started: time.Now()}
	a.networks().register(a.mux)
	a.subnets().register(a.mux)
	a.subnetPools().register(a.mux)
	a.ports().register(a.mux)
	a.registerPrefixes(a.mux)
	a.addressScopes().register(a.mux)
	a.qosPolicies().register(a.mux)
	a.registerQoSRules(a.mux)
	a.registerQoSTypes(a.mux)
	a.registerQuotas(a.mux)
	a.agents().register(a.mux)
	a.registerZones(a.mux)
	a.registerBindings(a.mux)
	a.ipAvailability().register(a.mux)
	if s.Enforces() {
		a.groups().register(a.mux)
		a.rules().register(a.mux)
		addrs := a.addressGroups()
		addrs.register(a.mux)
		a.registerAddresses(a.mux, addrs)
	}
	a.registerDiscovery(a.mux)
	a.mux.Handle("/", a.serve(nil))
	return a
}

// ServeHTTP answers a request. Every answer carries a request ID; the ID that
// a client gives its own request is noted in the log.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	id := "req-" + uuid.NewString()
	w.Header().Set(requestIDHeader, id)
	rec := &recorder{ResponseWriter: w}
	defer func() {
		if p := recover(); p != nil {
			a.log.LogAttrs(r.Context(), slog.LevelError, "handler panicked",
				slog.String(observe.Request, id), slog.String(observe.Op, operation(r)),
				slog.Any(observe.Err, p), slog.String("stack", string(debug.Stack())))
			if rec.status == 0 {
				writeError(rec, internalError())
			}
		}
		a.trace(r, rec.status, id, time.Since(start))
	}()
	if r.Header.Get("Origin") != "" {
		// A web page in a user's browser must not reach a service that trusts its host.
		writeError(rec, &httpError{http.StatusForbidden, "HTTPForbidden", "Requests from web pages are not served."})
		return
	}
	a.mux.ServeHTTP(rec, plainPath(r).WithContext(store.WithCaller(r.Context(), callerOf(r))))
}

// plainPath takes the format away that old clients end paths with.
func plainPath(r *http.Request) *http.Request {
	path, ok := strings.CutSuffix(r.URL.Path, ".json")
	if !ok || strings.Contains(path, "/tags/") {
		return r
	}
	plain, where := *r, *r.URL
	where.Path, where.RawPath = path, ""
	plain.URL = &where
	return &plain
}

func (a *API) trace(r *http.Request, status int, id string, took time.Duration) {
	if !a.log.Enabled(r.Context(), slog.LevelDebug) {
		return
	}
	attrs := []slog.Attr{
		slog.String(observe.Op, operation(r)), slog.Int(observe.Status, status),
		slog.Float64(observe.Ms, float64(took.Microseconds())/1000), slog.String(observe.Request, id),
	}
	if global := r.Header.Get(requestIDHeader); globalID.MatchString(global) {
		attrs = append(attrs, slog.String("global_request", global))
	}
	a.log.LogAttrs(r.Context(), slog.LevelDebug, "request served", attrs...)
}

// operation names a request in the log.
func operation(r *http.Request) string { return r.Method + " " + r.URL.Path }

// globalID is what OpenStack accepts as a client's own request ID.
var globalID = regexp.MustCompile(`^req-[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$`)

// serve answers a path by method. A path without any method does not exist.
func (a *API) serve(m methods) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f, ok := m[r.Method]
		var err error
		switch {
		case ok:
			err = f(w, r)
		case len(m) == 0:
			err = notFound()
		default:
			err = notAllowed()
		}
		if err != nil {
			a.fail(w, r, err)
		}
	})
}

// baseURL is what a client called this server by.
func baseURL(r *http.Request) string {
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	return scheme + "://" + r.Host
}

// recorder notes the status of an answer.
type recorder struct {
	http.ResponseWriter
	status int
}

func (r *recorder) WriteHeader(status int) {
	r.status = status
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }
