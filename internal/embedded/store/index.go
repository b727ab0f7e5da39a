package store

import "slices"

// index finds rows by the value of one attribute.
type index map[string]idSet

// idSet is a set of row IDs. Most hold one, so one is kept without a map.
type idSet struct {
	one  string
	more map[string]struct{}
}

// add files a row under a value; "" is not filed: no one looks for it by index.
func (x index) add(value, id string) {
	if value == "" {
		return
	}
	s := x[value]
	switch {
	case s.more != nil:
		s.more[id] = struct{}{}
		return
	case s.one == "" || s.one == id:
		s.one = id
	default:
		s.more = map[string]struct{}{s.one: {}, id: {}}
	}
	x[value] = s
}

func (x index) remove(value, id string) {
	s, ok := x[value]
	if !ok {
		return
	}
	if s.more != nil {
		delete(s.more, id)
		if len(s.more) > 0 {
			return
		}
	} else if s.one != id {
		return
	}
	delete(x, value)
}

// each calls f with every row under a value, in no order, until f returns false.
func (x index) each(value string, f func(id string) bool) {
	s, ok := x[value]
	if !ok {
		return
	}
	if s.more == nil {
		f(s.one)
		return
	}
	for id := range s.more {
		if !f(id) {
			return
		}
	}
}

func (x index) list(value string) []string {
	var out []string
	x.each(value, func(id string) bool {
		out = append(out, id)
		return true
	})
	return out
}

func (x index) has(value string) bool {
	_, ok := x[value]
	return ok
}

// move refiles a row whose value changed; either may be "".
func (x index) move(old, new, id string) {
	if old == new {
		return
	}
	x.remove(old, id)
	x.add(new, id)
}

// moveAll refiles a row with several values.
func (x index) moveAll(old, new []string, id string) {
	if slices.Equal(old, new) {
		return
	}
	for _, v := range old {
		x.remove(v, id)
	}
	for _, v := range new {
		x.add(v, id)
	}
}
