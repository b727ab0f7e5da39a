package store

import (
	"encoding/json"
	"errors"
	"fmt"

	bolt "go.etcd.io/bbolt"
)

// table holds the rows of one kind, and keeps what is derived from them.
type table[T any] struct {
	bucket  string
	rows    map[string]*T
	reindex func(id string, old, new *T) // either may be nil
	expect  func(rows int)               // makes room in the indexes; nil: not worth it
	std     func(*T) *Standard           // nil: rows belong to no one and have no tags
	owned   map[string]int               // rows by project
	shared  func(*T) bool                // whether other projects see the row; nil: never
}

// anyTable is a table whose rows' type does not matter.
type anyTable interface {
	name() string
	row(id string) any // nil: there is none
	load(btx *bolt.Tx) error
	idOf(row []byte) (string, error)
	standard(id string) *Standard // nil: there is none; to be read only
	change(x *tx, id string, f func(*Standard))
	visible(c Caller, id string) bool
}

func newTable[T any](bucket string, reindex func(id string, old, new *T), std func(*T) *Standard) *table[T] {
	return &table[T]{bucket: bucket, rows: make(map[string]*T), owned: make(map[string]int), reindex: reindex, std: std}
}

// place puts a row into the table, or takes it out when v is nil.
func (t *table[T]) place(id string, v *T) {
	old := t.rows[id]
	if v == nil {
		delete(t.rows, id)
	} else {
		t.rows[id] = v
	}
	if t.std != nil {
		if old != nil {
			t.owned[t.std(old).ProjectID]--
		}
		if v != nil {
			t.owned[t.std(v).ProjectID]++
		}
	}
	t.reindex(id, old, v)
}

// idOf returns the key of a row as it is on disk.
func (t *table[T]) idOf(row []byte) (string, error) {
	var key struct{ ID, Project string }
	if err := json.Unmarshal(row, &key); err != nil {
		return "", err
	}
	if t.std == nil {
		key.ID = key.Project
	}
	if key.ID == "" {
		return "", errors.New("it has no ID")
	}
	return key.ID, nil
}

func (t *table[T]) name() string { return t.bucket }

func (t *table[T]) row(id string) any {
	if v := t.rows[id]; v != nil {
		return v
	}
	return nil
}

func (t *table[T]) standard(id string) *Standard {
	if v := t.rows[id]; v != nil && t.std != nil {
		return t.std(v)
	}
	return nil
}

// change stores a row with other standard attributes.
func (t *table[T]) change(x *tx, id string, f func(*Standard)) {
	v := *t.rows[id]
	f(t.std(&v))
	set(x, t, id, &v)
}

// visible reports whether a caller may know of a row: an administrator, its
// owner, or anyone if it is shared.
func (t *table[T]) visible(c Caller, id string) bool {
	v := t.rows[id]
	return v != nil && t.sees(c, v)
}

func (t *table[T]) sees(c Caller, v *T) bool {
	return c.Admin || t.std == nil || t.std(v).ProjectID == c.Project || t.shared != nil && t.shared(v)
}

// tableOf returns the table with a name, or nil.
func (s *state) tableOf(name string) anyTable {
	for _, t := range s.all {
		if t.name() == name {
			return t
		}
	}
	return nil
}

// load reads a bucket. Decoding takes most of the time of a start, so all
// processors share it.
func (t *table[T]) load(btx *bolt.Tx) error {
	b := btx.Bucket([]byte(t.bucket))
	if b == nil {
		return fmt.Errorf("it has no %s", t.bucket)
	}
	var rows []loaded[T]
	if err := b.ForEach(func(k, v []byte) error {
		rows = append(rows, loaded[T]{id: string(k), raw: v})
		return nil
	}); err != nil {
		return err
	}
	if err := decode(rows); err != nil {
		return fmt.Errorf("%s: %w", t.bucket, err)
	}
	t.rows = make(map[string]*T, len(rows))
	if t.expect != nil {
		t.expect(len(rows))
	}
	for _, r := range rows {
		t.place(r.id, r.row)
	}
	return nil
}
