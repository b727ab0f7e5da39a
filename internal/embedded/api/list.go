package api

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"kuryr/internal/embedded/store"
)

// filter is one condition on the members of a list.
type filter[V any] struct {
	keep  func(V) bool
	query store.Query // what an index may know of it
}

// page is which part of a list is asked for, and in what order.
type page struct {
	keys    []sortKey
	limit   int // 0: all
	marker  string
	reverse bool
}

type sortKey struct {
	name string
	desc bool
}

func (t *resource[S, V]) serveList(w http.ResponseWriter, r *http.Request) error {
	params := r.URL.Query()
	keep, query, err := t.filters(r, params)
	if err != nil {
		return err
	}
	p, err := t.page(params)
	if err != nil {
		return err
	}
	all, err := t.list(r.Context(), query, keep)
	if err != nil {
		return err
	}
	t.order(all, p)
	all, err = t.cutPage(r, all, p)
	if err != nil {
		return err
	}
	b := t.appendAll(nil, r, all, fieldsOf(params))
	if links := t.links(r, all, p); len(links) > 0 {
		b = append(b, `,"`+t.collection+`_links":`...)
		b = appendList(b, links, func(b []byte, l link) []byte { return l.appendJSON(b) })
	}
	writeJSON(w, http.StatusOK, append(b, '}'))
	return nil
}

// fieldsOf returns the attributes to answer with; none: all.
func fieldsOf(params url.Values) []string { return params["fields"] }

// inOrder returns the names of a request's parameters as they come in it.
func inOrder(r *http.Request, params url.Values) []string {
	names := slices.Collect(maps.Keys(params))
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(cmp.Compare(position(r.URL.RawQuery, a), position(r.URL.RawQuery, b)), strings.Compare(a, b))
	})
	return names
}

// position returns where in a query a parameter is first given.
func position(query, name string) int {
	i := 0
	for param := range strings.SplitSeq(query, "&") {
		key, _, _ := strings.Cut(param, "=")
		if unescaped, err := url.QueryUnescape(key); err == nil && unescaped == name {
			return i
		}
		i++
	}
	return i
}

// filters makes one test of all parameters that are conditions.
func (t *resource[S, V]) filters(r *http.Request, params url.Values) (keep func(V) bool, query store.Query, err error) {
	var invalid []string
	var tests []func(V) bool
	query = store.Query{}
	for _, name := range inOrder(r, params) {
		values := params[name]
		switch name {
		case "fields", "sort_key", "sort_dir", "limit", "marker", "page_reverse":
			continue
		}
		a := t.attr(name)
		if a == nil || a.filter == nil {
			invalid = append(invalid, name)
			continue
		}
		f, ferr := a.filter(a, values)
		if ferr != nil && err == nil {
			err = ferr
		}
		tests = append(tests, f.keep)
		for k, v := range f.query {
			query[k] = v
		}
	}
	if len(invalid) > 0 {
		return nil, nil, badRequest("['%s'] is invalid attribute for filtering", strings.Join(invalid, "', '"))
	}
	keep = func(v V) bool {
		for _, test := range tests {
			if !test(v) {
				return false
			}
		}
		return true
	}
	return keep, query, err
}

// equal keeps what has one of the values. canon brings a value into the form
// that the attribute has in answers.
func equal[S, V any](canon func(string) (string, error)) func(*attr[S, V], []string) (filter[V], error) {
	return func(a *attr[S, V], values []string) (filter[V], error) {
		want := make([]string, len(values))
		for i, v := range values {
			c, err := canon(v)
			if err != nil {
				return filter[V]{}, err
			}
			want[i] = c
		}
		keep := func(v V) bool {
			got, ok := plain(a.get(v))
			return ok && slices.Contains(want, got)
		}
		return filter[V]{keep: keep, query: store.Query{a.name: want}}, nil
	}
}

// plain is a value as text, to compare it with a parameter; null is like nothing.
func plain(v any) (string, bool) {
	switch v := v.(type) {
	case nil:
		return "", false
	case string:
		return v, true
	case bool:
		return strconv.FormatBool(v), true
	case int:
		return strconv.Itoa(v), true
	case fmt.Stringer: // addresses and prefixes
		return v.String(), true
	}
	return "", false
}

func asIs(s string) (string, error) { return s, nil }

// canonical brings a parameter into the form that parse gives to values.
func canonical(parse func(any) (any, error)) func(string) (string, error) {
	return func(s string) (string, error) {
		v, err := parse(s)
		if _, refused := err.(reason); refused {
			return s, nil // not of the attribute's form: it equals nothing
		}
		if err != nil {
			return "", err
		}
		c, _ := plain(v)
		return c, nil
	}
}

// page reads how a list is to be sorted and cut.
func (t *resource[S, V]) page(params url.Values) (p page, err error) {
	keys := slices.DeleteFunc(slices.Clone(params["sort_key"]), func(s string) bool { return s == "" })
	dirs := slices.DeleteFunc(slices.Clone(params["sort_dir"]), func(s string) bool { return s == "" })
	if len(keys) != len(dirs) {
		return p, badRequest("The number of sort_keys and sort_dirs must be same")
	}
	for i, k := range keys {
		if a := t.attr(k); a == nil || !a.sort {
			return p, badRequest("['%s'] is invalid attribute for sort_keys", k)
		}
		if dirs[i] != "asc" && dirs[i] != "desc" {
			return p, badRequest("['%s'] is invalid value for sort_dirs, valid value is 'asc' and 'desc'", dirs[i])
		}
		p.keys = append(p.keys, sortKey{k, dirs[i] == "desc"})
	}
	if limit := params.Get("limit"); params.Has("limit") {
		if p.limit, err = strconv.Atoi(limit); err != nil || p.limit < 0 {
			return p, &httpError{http.StatusBadRequest, "BadRequest",
				fmt.Sprintf("Bad limit request: Limit must be an integer 0 or greater and not '%s'.", limit)}
		}
	}
	if p.limit > 0 { // without a limit Neutron ignores the marker
		p.marker = params.Get("marker")
		p.reverse = strings.EqualFold(params.Get("page_reverse"), "true")
	}
	return p, nil
}

// order sorts a list by its keys, and what is equal by ID, so that pages fit together.
func (t *resource[S, V]) order(all []V, p page) {
	attrs := make([]*attr[S, V], len(p.keys))
	for i, k := range p.keys {
		attrs[i] = t.attr(k.name)
	}
	slices.SortFunc(all, func(x, y V) int {
		for i, a := range attrs {
			c := compare(a.get(x), a.get(y))
			if p.keys[i].desc {
				c = -c
			}
			if c != 0 {
				return c
			}
		}
		return strings.Compare(t.id(x), t.id(y))
	})
}

// compare orders two values of an attribute; null comes first.
func compare(x, y any) int {
	if i, ok := x.(int); ok {
		if j, ok := y.(int); ok {
			return cmp.Compare(i, j)
		}
	}
	a, okA := plain(x)
	b, okB := plain(y)
	switch {
	case okA && okB:
		return strings.Compare(a, b)
	case okA:
		return 1
	case okB:
		return -1
	}
	return 0
}

// cutPage returns the page of a sorted list.
func (t *resource[S, V]) cutPage(r *http.Request, all []V, p page) ([]V, error) {
	if p.limit == 0 {
		return all, nil
	}
	at := -1
	if p.marker != "" {
		at = slices.IndexFunc(all, func(v V) bool { return t.id(v) == p.marker })
		if at < 0 && t.lostMarker {
			if _, err := t.show(r.Context(), p.marker); err != nil {
				return nil, err
			}
		}
	}
	if p.reverse {
		end := len(all)
		if at >= 0 {
			end = at
		}
		return all[max(end-p.limit, 0):end], nil
	}
	return all[at+1 : min(at+1+p.limit, len(all))], nil
}

// link is one of a page's neighbours.
type link struct{ rel, href string }

func (l link) appendJSON(b []byte) []byte {
	b = append(b, `{"rel":`...)
	b = appendString(b, l.rel)
	b = append(b, `,"href":`...)
	b = appendString(b, l.href)
	return append(b, '}')
}

// links tells where the list goes on. A page that is not full is the last one.
func (t *resource[S, V]) links(r *http.Request, shown []V, p page) []link {
	if p.limit == 0 {
		return nil
	}
	var out []link
	if len(shown) >= p.limit || p.reverse {
		out = append(out, link{"next", t.href(r, shown, false)})
	}
	if len(shown) >= p.limit || !p.reverse {
		out = append(out, link{"previous", t.href(r, shown, true)})
	}
	return out
}

// href is this request with another marker. The parameters keep their order.
func (t *resource[S, V]) href(r *http.Request, shown []V, reverse bool) string {
	var params []string
	for param := range strings.SplitSeq(r.URL.RawQuery, "&") {
		name, _, _ := strings.Cut(param, "=")
		if param != "" && name != "marker" && name != "page_reverse" {
			params = append(params, param)
		}
	}
	if len(shown) > 0 {
		marker := shown[len(shown)-1]
		if reverse {
			marker = shown[0]
		}
		params = append(params, "marker="+t.id(marker))
	}
	if reverse {
		params = append(params, "page_reverse=True")
	}
	return baseURL(r) + "/v2.0/" + t.path() + "?" + strings.Join(params, "&")
}
