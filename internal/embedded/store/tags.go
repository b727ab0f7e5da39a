package store

import (
	"context"
	"slices"
)

// Resource names a kind of rows that have tags, by its collection.
type Resource string

// The resources.
const (
	NetworkResource    Resource = "networks"
	SubnetResource     Resource = "subnets"
	SubnetPoolResource Resource = "subnetpools"
	PortResource       Resource = "ports"
	GroupResource      Resource = "security-groups"
	QoSPolicyResource  Resource = "policies"
)

// Tags returns the tags of a resource, sorted.
func (s *Store) Tags(ctx context.Context, r Resource, id string) (tags []string, err error) {
	c := s.caller(ctx)
	err = s.view(ctx, func(st *state) error {
		row := st.standard(c, r, id)
		if row == nil {
			return noTagParent(r, id)
		}
		tags = row.Tags
		return nil
	})
	return tags, err
}

// HasTag fails unless the resource has the tag.
func (s *Store) HasTag(ctx context.Context, r Resource, id, tag string) error {
	tags, err := s.Tags(ctx, r, id)
	if err != nil {
		return err
	}
	if !slices.Contains(tags, tag) {
		return tagNotFound(tag)
	}
	return nil
}

// SetTags replaces all tags of a resource.
func (s *Store) SetTags(ctx context.Context, r Resource, id string, tags []string) error {
	return s.retag(ctx, r, id, func([]string) ([]string, error) { return sortedTags(tags), nil })
}

// AddTag adds a tag; one that is there already is no error.
func (s *Store) AddTag(ctx context.Context, r Resource, id, tag string) error {
	return s.retag(ctx, r, id, func(old []string) ([]string, error) {
		return sortedTags(append(slices.Clone(old), tag)), nil
	})
}

// RemoveTag removes a tag; TagNotFound when it is not there.
func (s *Store) RemoveTag(ctx context.Context, r Resource, id, tag string) error {
	return s.retag(ctx, r, id, func(old []string) ([]string, error) {
		i := slices.Index(old, tag)
		if i < 0 {
			return nil, tagNotFound(tag)
		}
		return slices.Delete(slices.Clone(old), i, i+1), nil
	})
}

func (s *Store) retag(ctx context.Context, r Resource, id string, f func(old []string) ([]string, error)) error {
	return s.update(ctx, func(x *tx) error {
		row := x.state.standard(x.caller, r, id)
		if row == nil {
			return noTagParent(r, id)
		}
		if err := x.mine(row, "update_"+string(r)); err != nil {
			return err
		}
		tags, err := f(row.Tags)
		if err != nil || slices.Equal(tags, row.Tags) {
			return err
		}
		x.tableOf(string(r)).change(x, id, func(s *Standard) {
			s.Tags = tags
			s.touch(x.now)
		})
		return nil
	})
}

// standard returns the standard attributes of a row that a caller may know
// of, to be read only, or nil.
func (s *state) standard(c Caller, r Resource, id string) *Standard {
	if t := s.tableOf(string(r)); t != nil && t.visible(c, id) {
		return t.standard(id)
	}
	return nil
}

func sortedTags(tags []string) []string {
	out := slices.Clone(tags)
	slices.Sort(out)
	return slices.Compact(out)
}

func noTagParent(r Resource, id string) *Error {
	return errorf(NotFound, "TagResourceNotFound", "Resource %s %s could not be found.", r, id)
}
