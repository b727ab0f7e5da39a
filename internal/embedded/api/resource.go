package api

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"

	"kuryr/internal/embedded/store"
)

// maxBody bounds a request's body, in bytes: room for a bulk of ten thousand ports.
const maxBody = 10 << 20

// resource serves one kind of resource from its attribute table.
type resource[S, V any] struct {
	api              *API
	name, collection string // as bodies name it
	prefix           string // of its paths; "": none
	policy           string // what rules of policy call it; "": name
	adminOnly        bool   // only administrators may change it
	attrs            []attr[S, V]

	list func(ctx context.Context, q store.Query, keep func(V) bool) ([]V, error)
	show func(ctx context.Context, id string) (V, error)
	// create, update and remove are nil where nothing can be changed.
	create func(ctx context.Context, specs []S) ([]V, error)
	update func(ctx context.Context, id string, spec S, m store.Match) (V, error)
	remove func(ctx context.Context, id string, m store.Match) error

	id func(V) string
	// lostMarker: a page's marker that is gone is an error, not a first page.
	lostMarker bool
}

// endpoint answers one method of one path.
type endpoint func(w http.ResponseWriter, r *http.Request) error

// methods answers a path by method; other methods are not allowed.
type methods map[string]endpoint

func (t *resource[S, V]) register(mux *http.ServeMux) {
	many, single := methods{"GET": t.serveList}, methods{"GET": t.serveShow}
	if t.create != nil {
		many["POST"], single["PUT"], single["DELETE"] = t.serveCreate, t.serveUpdate, t.serveDelete
	}
	all, one := t.api.serve(many), t.api.serve(single)
	mux.Handle("/v2.0/"+t.path(), all)
	mux.Handle("/v2.0/"+t.path()+"/{$}", all)
	mux.Handle("/v2.0/"+t.path()+"/{id}", one)
	mux.Handle("/v2.0/"+t.path()+"/{id}/{$}", one)
	if t.attr("tags") != nil {
		t.api.registerTags(mux, t.path(), store.Resource(strings.ReplaceAll(t.collection, "_", "-")))
	}
}

// path is the collection as paths name it.
func (t *resource[S, V]) path() string {
	if t.prefix != "" {
		return t.prefix + "/" + t.collection
	}
	return strings.ReplaceAll(t.collection, "_", "-")
}

func (t *resource[S, V]) serveShow(w http.ResponseWriter, r *http.Request) error {
	v, err := t.show(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	t.answer(w, r, http.StatusOK, v, fieldsOf(r.URL.Query()))
	return nil
}

func (t *resource[S, V]) serveCreate(w http.ResponseWriter, r *http.Request) error {
	body, err := readObject(r)
	if err != nil {
		return err
	}
	specs, bulk, err := t.requests(callerOf(r), body, true)
	if err != nil {
		return err
	}
	made, err := t.create(r.Context(), specs)
	if err != nil {
		return err
	}
	if !bulk {
		t.answer(w, r, http.StatusCreated, made[0], nil)
		return nil
	}
	writeJSON(w, http.StatusCreated, append(t.appendAll(nil, r, made, nil), '}'))
	return nil
}

func (t *resource[S, V]) serveUpdate(w http.ResponseWriter, r *http.Request) error {
	m, err := ifMatch(r)
	if err != nil {
		return err
	}
	body, err := readObject(r)
	if err != nil {
		return err
	}
	specs, _, err := t.requests(callerOf(r), body, false)
	if err != nil {
		return err
	}
	v, err := t.update(r.Context(), r.PathValue("id"), specs[0], m)
	if err != nil {
		return err
	}
	t.answer(w, r, http.StatusOK, v, nil)
	return nil
}

func (t *resource[S, V]) serveDelete(w http.ResponseWriter, r *http.Request) error {
	m, err := ifMatch(r)
	if err != nil {
		return err
	}
	body, err := readBody(r)
	if err != nil {
		return err
	}
	if len(body) > 0 {
		return badRequest("Request body is not supported in DELETE.")
	}
	if err := t.permit(callerOf(r), "DELETE", nil); err != nil {
		return err
	}
	if err := t.remove(r.Context(), r.PathValue("id"), m); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// answer writes {"network": {...}}.
func (t *resource[S, V]) answer(w http.ResponseWriter, r *http.Request, status int, v V, fields []string) {
	b := append([]byte(`{"`), t.name...)
	b = append(b, `":`...)
	b = appendObject(b, t.shownTo(callerOf(r)), v, fields)
	writeJSON(w, status, append(b, '}'))
}

// appendAll writes {"networks": [{...}, ...] and leaves the object open.
func (t *resource[S, V]) appendAll(b []byte, r *http.Request, all []V, fields []string) []byte {
	b = append(b, `{"`...)
	b = append(b, t.collection...)
	b = append(b, `":`...)
	attrs := t.shownTo(callerOf(r))
	return appendList(b, all, func(b []byte, v V) []byte { return appendObject(b, attrs, v, fields) })
}

func readObject(r *http.Request) (object, error) {
	body, err := readBody(r)
	if err != nil {
		return nil, err
	}
	return decodeBody(body)
}

func readBody(r *http.Request) ([]byte, error) {
	if r.Body == nil { // a request that never went over a network
		return nil, nil
	}
	body, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, maxBody))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, &httpError{http.StatusRequestEntityTooLarge, "HTTPRequestEntityTooLarge", "Request is too large."}
	case err != nil:
		return nil, badRequest("Body could not be read")
	}
	return body, nil
}

// ifMatch reads the revision that a change is bound to: If-Match: revision_number=7.
// Other tags are none of Neutron's and are ignored.
func ifMatch(r *http.Request) (m store.Match, err error) {
	for tag := range strings.SplitSeq(strings.Join(r.Header.Values("If-Match"), ","), ",") {
		n, ok := strings.CutPrefix(strings.Trim(strings.TrimSpace(tag), `"`), "revision_number=")
		if !ok {
			continue
		}
		if m.Set {
			return m, badIfMatch("Multiple revision_number etags are not supported.")
		}
		revision, err := strconv.Atoi(n)
		if err != nil {
			return m, badIfMatch("Revision number etag must be in the format of revision_number=<int>")
		}
		m = store.Some(revision)
	}
	return m, nil
}

func badIfMatch(why string) *httpError {
	return &httpError{http.StatusBadRequest, "BadRequest", "Bad if-match request: " + why + "."}
}
