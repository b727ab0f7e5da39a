package api

import "kuryr/internal/embedded/store"

const (
	maxName        = 255 // characters, as of all of Neutron's names and IDs
	maxDescription = 255
)

// idAttr is the ID of every resource.
func idAttr[S, V any](row func(V) *store.Standard) attr[S, V] {
	return attr[S, V]{
		name: "id", doc: "The resource's UUID.",
		get: func(v V) any { return row(v).ID }, filter: equal[S, V](asIs), sort: true,
	}
}

// nameAttr is the name of a resource, free and not unique.
func nameAttr[S, V any](spec func(*S) *store.StandardSpec, row func(V) *store.Standard) attr[S, V] {
	return attr[S, V]{
		name: "name", doc: "A name for people; need not be unique.",
		post: true, put: true, def: "", parse: text(maxName),
		set: field(func(s *S) *store.Opt[string] { return &spec(s).Name }),
		get: func(v V) any { return row(v).Name }, filter: equal[S, V](asIs), sort: true,
	}
}

// standardAttrs are the attributes that close every resource's table.
func standardAttrs[S, V any](spec func(*S) *store.StandardSpec, row func(V) *store.Standard) []attr[S, V] {
	project := func(v V) any { return row(v).ProjectID }
	return append([]attr[S, V]{
		{
			name: "tenant_id", doc: "The old name of project_id.",
			post: true, def: unset, parse: text(maxName),
			get: project, filter: equal[S, V](asIs), sort: true,
		},
		{
			name: "project_id", doc: "The project that owns the resource.",
			post: true, def: unset, parse: text(maxName),
			set: field(func(s *S) *store.Opt[string] { return &spec(s).ProjectID }),
			get: project, filter: equal[S, V](asIs), sort: true,
		},
		{
			name: "description", doc: "A text for people.",
			post: true, put: true, def: "", parse: text(maxDescription),
			set: field(func(s *S) *store.Opt[string] { return &spec(s).Description }),
			get: func(v V) any { return row(v).Description }, filter: equal[S, V](asIs),
		},
		{name: "created_at", doc: "When the resource was made, UTC.", get: func(v V) any { return row(v).CreatedAt() }},
		{name: "updated_at", doc: "When the resource was last changed, UTC.", get: func(v V) any { return row(v).UpdatedAt() }},
		{
			name: "revision_number", doc: "Counts the changes of the resource.",
			get: func(v V) any { return row(v).Revision }, filter: equal[S, V](asIs),
		},
	}, tagAttrs[S](func(v V) []string { return row(v).Tags })...)
}

// fixed is an attribute with one possible value: it is in answers because
// clients expect it, and what it stands for is not modelled.
func fixed[S, V any](name, doc string, value any) attr[S, V] {
	return attr[S, V]{
		name: name, doc: doc, post: true, put: true, def: unset,
		parse: only(value), get: func(V) any { return value },
	}
}

// shown is an attribute with one value that requests can't give.
func shown[S, V any](name, doc string, value any) attr[S, V] {
	return attr[S, V]{name: name, doc: doc, get: func(V) any { return value }}
}

// orNil is a value in answers that may be missing.
func orNil[T comparable](v T) any {
	var zero T
	if v == zero {
		return nil
	}
	return v
}
