package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"unicode/utf8"

	"kuryr/internal/embedded/store"
)

// attr describes one attribute of a resource. S is the store's request for
// the resource, V its view.
type attr[S, V any] struct {
	name string
	doc  string // one sentence for the reference

	post, put bool // may be given when a resource is made, changed
	required  bool // must be given when it is made
	// def is the value, as a request would give it, of an attribute that a
	// POST leaves out; unset leaves the choice to the store.
	def any

	// parse converts and checks a value. A reason is reported as invalid input
	// for the attribute, any other error as it is.
	parse func(any) (any, error)
	// set puts what parse returned into a request; nil for what has only one
	// possible value.
	set func(*S, any)

	get func(V) any // nil: not in answers

	// filter makes the test for a list's parameters of this name; nil: the
	// attribute can't be filtered by.
	filter func(a *attr[S, V], values []string) (filter[V], error)
	sort   bool // a list can be sorted by it

	adminSet bool // only administrators may give it
	adminPut bool // only administrators may change it
	adminGet bool // only administrators see it
}

type absent string

// unset is the default of an attribute that may be absent.
const unset absent = "not specified"

// reason says why a value is refused; Neutron puts the attribute's name before it.
type reason string

func (r reason) Error() string { return string(r) }

// field returns a setter of one field of a request.
func field[S, T any](f func(*S) *store.Opt[T]) func(*S, any) {
	return func(s *S, v any) { *f(s) = store.Some(v.(T)) }
}

// object is a JSON object of a request.
type object = map[string]any

// maxValues bounds how many values a body has, since a byte or two of one may
// take a hundred when they are decoded: room for a bulk of ten thousand ports.
const maxValues = 500_000

// decodeBody reads a request's JSON; an empty body is an empty object.
func decodeBody(body []byte) (object, error) {
	if len(body) == 0 {
		return nil, nil
	}
	if !utf8.Valid(body) {
		return nil, badRequest("Body contains invalid data")
	}
	if bytes.Count(body, []byte(",")) > maxValues {
		return nil, badRequest("Body contains too many values")
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil || dec.More() {
		return nil, badRequest("Body contains invalid data")
	}
	o, ok := v.(object)
	if !ok {
		return nil, badRequest("Body contains invalid data")
	}
	return o, nil
}

// requests takes what a body asks for: {"network": {...}}, or, when a POST
// makes several at once, {"networks": [{...}, ...]}.
func (t *resource[S, V]) requests(c store.Caller, body object, post bool) (specs []S, bulk bool, err error) {
	if list, ok := body[t.collection]; ok {
		if !post {
			return nil, false, badRequest("Bulk operation not supported")
		}
		items, ok := list.([]any)
		if o, isObject := list.(object); isObject && len(o) == 0 || ok && len(items) == 0 {
			return nil, false, badRequest("Resources required")
		}
		if !ok {
			return nil, false, badRequest("Body contains invalid data")
		}
		for _, item := range items {
			o, ok := item.(object)
			if !ok {
				return nil, true, badRequest("Body contains invalid data")
			}
			if o[t.name] != nil {
				item = o[t.name] // a resource may be wrapped in its name here, too
			}
			spec, err := t.request(c, item, post)
			if err != nil {
				return nil, true, err
			}
			specs = append(specs, spec)
		}
		return specs, true, nil
	}
	item := body[t.name]
	if item == nil {
		return nil, false, badRequest("Unable to find '%s' in request body", t.name)
	}
	spec, err := t.request(c, item, post)
	return []S{spec}, false, err
}

// request turns the attributes of one resource into a request to the store,
// with the checks in Neutron's order.
func (t *resource[S, V]) request(c store.Caller, item any, post bool) (spec S, err error) {
	o, ok := item.(object)
	if !ok {
		return spec, badRequest("Object '%s' contains invalid data", t.name)
	}
	if err := sameOwner(o); err != nil {
		return spec, err
	}
	if err := t.unknown(o); err != nil {
		return spec, err
	}
	if err := t.allowed(o, post); err != nil {
		return spec, err
	}
	method := "PUT"
	if post {
		method = "POST"
	}
	if err := t.permit(c, method, o); err != nil {
		return spec, err
	}
	for i := range t.attrs {
		a := &t.attrs[i]
		v, given := o[a.name]
		if !given {
			if !post || !a.post || a.def == any(unset) || a.required {
				continue
			}
			v = a.def
		}
		if err := a.apply(&spec, v); err != nil {
			return spec, err
		}
	}
	return spec, nil
}

func (a *attr[S, V]) apply(spec *S, v any) error {
	v, err := a.parse(v)
	if err != nil {
		var why reason
		if errors.As(err, &why) {
			return badRequest("Invalid input for %s. Reason: %s.", a.name, why)
		}
		return err
	}
	if a.set != nil {
		a.set(spec, v)
	}
	return nil
}

// sameOwner makes project_id and its old name one.
func sameOwner(o object) error {
	project, new := o["project_id"]
	tenant, old := o["tenant_id"]
	switch {
	case new && old && project != tenant:
		return badRequest("'project_id' and 'tenant_id' do not match")
	case old:
		o["project_id"] = tenant
	case new:
		o["tenant_id"] = project
	}
	return nil
}

func (t *resource[S, V]) unknown(o object) error {
	var extra []string
	for name := range o {
		if t.attr(name) == nil {
			extra = append(extra, name)
		}
	}
	if len(extra) > 0 {
		slices.Sort(extra)
		return badRequest("Unrecognized attribute(s) '%s'", strings.Join(extra, ", "))
	}
	return nil
}

func (t *resource[S, V]) allowed(o object, post bool) error {
	for i := range t.attrs {
		a := &t.attrs[i]
		_, given := o[a.name]
		switch {
		case post && given && !a.post:
			return badRequest("Attribute '%s' not allowed in POST", a.name)
		case post && !given && a.required:
			return badRequest("Failed to parse request. Required attribute '%s' not specified", a.name)
		case !post && given && !a.put:
			return badRequest("Cannot update read-only attribute %s", a.name)
		}
	}
	return nil
}

// attr returns the attribute with a name, or nil.
func (t *resource[S, V]) attr(name string) *attr[S, V] {
	for i := range t.attrs {
		if t.attrs[i].name == name {
			return &t.attrs[i]
		}
	}
	return nil
}
