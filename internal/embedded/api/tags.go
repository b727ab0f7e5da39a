package api

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"kuryr/internal/embedded/store"
)

const maxTag = 255 // characters

// tagOperation looks at, adds or removes one tag.
type tagOperation func(ctx context.Context, res store.Resource, id, tag string) error

// registerTags serves the tags of one kind of resource, under its path, and,
// as Neutron does, under its collection where that has a prefix.
func (a *API) registerTags(mux *http.ServeMux, path string, res store.Resource) {
	all := a.serve(methods{
		"GET": func(w http.ResponseWriter, r *http.Request) error {
			tags, err := a.store.Tags(r.Context(), res, r.PathValue("id"))
			if err != nil {
				return err
			}
			writeTags(w, tags)
			return nil
		},
		"PUT": func(w http.ResponseWriter, r *http.Request) error { return a.replaceTags(w, r, res) },
		"DELETE": func(w http.ResponseWriter, r *http.Request) error {
			if err := a.store.SetTags(r.Context(), res, r.PathValue("id"), nil); err != nil {
				return err
			}
			w.WriteHeader(http.StatusNoContent)
			return nil
		},
		"POST": func(http.ResponseWriter, *http.Request) error {
			return &httpError{http.StatusNotFound, "HTTPNotFound", "not supported"} // as Neutron
		},
	})
	one := a.serve(methods{
		"GET":    a.oneTag(res, a.store.HasTag, http.StatusNoContent),
		"PUT":    a.oneTag(res, a.store.AddTag, http.StatusCreated),
		"DELETE": a.oneTag(res, a.store.RemoveTag, http.StatusNoContent),
	})
	for _, base := range slices.Compact([]string{path, string(res)}) {
		mux.Handle("/v2.0/"+base+"/{id}/tags", all)
		mux.Handle("/v2.0/"+base+"/{id}/tags/{tag}", one)
	}
}

func (a *API) replaceTags(w http.ResponseWriter, r *http.Request, res store.Resource) error {
	body, err := readObject(r)
	if err != nil {
		return err
	}
	given, ok := body["tags"]
	if !ok {
		return store.InvalidInput("Invalid tags body")
	}
	parsed, err := tagList(given)
	if why, refused := err.(reason); refused {
		return store.InvalidInput("%s", why)
	} else if err != nil {
		return err
	}
	tags := parsed.([]string)
	if err := a.store.SetTags(r.Context(), res, r.PathValue("id"), tags); err != nil {
		return err
	}
	writeTags(w, tags)
	return nil
}

func writeTags(w http.ResponseWriter, tags []string) {
	b := appendList([]byte(`{"tags":`), tags, appendString)
	writeJSON(w, http.StatusOK, append(b, '}'))
}

// oneTag serves a path that names a tag.
func (a *API) oneTag(res store.Resource, do tagOperation, status int) endpoint {
	return func(w http.ResponseWriter, r *http.Request) error {
		tag := r.PathValue("tag")
		if strings.Contains(tag, "/") {
			return notFound() // Neutron's router takes %2F for a slash
		}
		if _, err := text(maxTag)(tag); err != nil {
			return store.InvalidInput("%s", err)
		}
		if err := do(r.Context(), res, r.PathValue("id"), tag); err != nil {
			return err
		}
		if status == http.StatusCreated {
			writeJSON(w, status, []byte("null"))
			return nil
		}
		w.WriteHeader(status)
		return nil
	}
}

// tagList accepts a list of different tags.
func tagList(v any) (any, error) { return listOf(as[string](text(maxTag)))(v) }

// tagAttrs are the attributes by which a list can be filtered by tags. get
// returns a view's tags.
func tagAttrs[S, V any](get func(V) []string) []attr[S, V] {
	by := func(name string, fits func(have, want []string) bool) attr[S, V] {
		return attr[S, V]{name: name, filter: func(_ *attr[S, V], values []string) (filter[V], error) {
			want := strings.Split(strings.Join(values, ","), ",")
			return filter[V]{keep: func(v V) bool { return fits(get(v), want) }}, nil
		}}
	}
	all := func(have, want []string) bool {
		return !slices.ContainsFunc(want, func(t string) bool { return !slices.Contains(have, t) })
	}
	some := func(have, want []string) bool {
		return slices.ContainsFunc(want, func(t string) bool { return slices.Contains(have, t) })
	}
	tags := by("tags", all)
	tags.doc = "Short strings for the use of clients."
	tags.get = func(v V) any { return get(v) }
	return []attr[S, V]{
		tags,
		by("tags-any", some),
		by("not-tags", func(have, want []string) bool { return !all(have, want) }),
		by("not-tags-any", func(have, want []string) bool { return !some(have, want) }),
	}
}
