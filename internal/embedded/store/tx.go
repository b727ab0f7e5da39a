package store

import "time"

// change is one row as a transaction leaves it; a nil row is deleted.
type change struct {
	bucket, id string
	row        any
	undo       func()
}

// tx is a transaction on the tables. Its changes take effect in memory at
// once, under Store.mu; undo takes all of them back.
type tx struct {
	*state
	store   *Store
	now     time.Time
	caller  Caller
	changes []change
}

// set stores a row, or deletes it when v is nil.
func set[T any](x *tx, t *table[T], id string, v *T) {
	old := t.rows[id]
	t.place(id, v)
	c := change{bucket: t.bucket, id: id, undo: func() { t.place(id, old) }}
	if v != nil {
		c.row = v
	}
	x.changes = append(x.changes, c)
}

// onUndo notes how to take back a change that no row carries.
func (x *tx) onUndo(f func()) { x.changes = append(x.changes, change{undo: f}) }

// undo takes back changes, the last one first.
func undo(changes []change) {
	for i := len(changes) - 1; i >= 0; i-- {
		changes[i].undo()
	}
}
