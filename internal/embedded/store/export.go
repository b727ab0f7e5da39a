package store

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	bolt "go.etcd.io/bbolt"
)

// exportFormat is the version of what Export writes; it is that of the rows.
const exportFormat = schema

// exported is the state as JSON.
type exported struct {
	Format    string                       `json:"kuryr_neutron"`
	ProjectID string                       `json:"project_id"`
	Rows      map[string][]json.RawMessage `json:"rows"`
}

// Export writes the whole state as JSON, one row a line.
func (s *Store) Export(ctx context.Context, w io.Writer) error {
	if err := s.view(ctx, func(*state) error { return nil }); err != nil {
		return err
	}
	out := bufio.NewWriter(w)
	fmt.Fprintf(out, "{\"kuryr_neutron\": %q, \"project_id\": %q, \"rows\": {", exportFormat, s.project)
	err := s.db.View(func(btx *bolt.Tx) error {
		for i, t := range s.state.all {
			if i > 0 {
				out.WriteByte(',')
			}
			fmt.Fprintf(out, "\n%q: [", t.name())
			first := true
			err := btx.Bucket([]byte(t.name())).ForEach(func(_, v []byte) error {
				if !first {
					out.WriteByte(',')
				}
				first = false
				out.WriteByte('\n')
				_, err := out.Write(v)
				return err
			})
			if err != nil {
				return err
			}
			out.WriteByte(']')
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("cannot export the state: %w", err)
	}
	out.WriteString("\n}}\n")
	if err := out.Flush(); err != nil { // the writer keeps the first error
		return fmt.Errorf("cannot export the state: %w", err)
	}
	return nil
}

// Import makes a state from what Export wrote. There must be no state at
// o.Path, or one without any row; it is replaced in one step when all rows
// are found sound.
func Import(ctx context.Context, r io.Reader, o Options) (err error) {
	var in exported
	dec := json.NewDecoder(r)
	dec.DisallowUnknownFields()
	if err := dec.Decode(&in); err != nil {
		return fmt.Errorf("what is to be imported is not an exported state: %w", err)
	}
	if in.Format != exportFormat || in.ProjectID == "" {
		return fmt.Errorf("what is to be imported is of format %q, this version knows %q", in.Format, exportFormat)
	}
	if err := checkEmpty(o); err != nil {
		return err
	}
	target := o.Path
	o.Path += ".import"
	if err := os.Remove(o.Path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, ignoreMissing(os.Remove(o.Path)))
		}
	}()
	if err := fill(o, in); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	s, err := Open(o) // looks at every row
	if err != nil {
		return err
	}
	if err := s.Close(); err != nil {
		return err
	}
	if err := os.Rename(o.Path, target); err != nil {
		return err
	}
	return syncDir(filepath.Dir(target))
}

func ignoreMissing(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// checkEmpty refuses a state that has rows.
func checkEmpty(o Options) error {
	if _, err := os.Stat(o.Path); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	s, err := Open(o)
	if err != nil {
		return err
	}
	rows := 0
	err = s.db.View(func(btx *bolt.Tx) error {
		for _, t := range s.state.all {
			rows += btx.Bucket([]byte(t.name())).Stats().KeyN
		}
		return nil
	})
	if err := errors.Join(err, s.Close()); err != nil {
		return err
	}
	if rows > 0 {
		return fmt.Errorf("there is a state in %s already, with %d rows: import into an empty state folder", o.Path, rows)
	}
	return nil
}

// fill writes rows to a new file.
func fill(o Options, in exported) (err error) {
	o.maxSize = 0
	s, err := Open(o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	return s.db.Update(func(btx *bolt.Tx) error {
		for name, rows := range in.Rows {
			t := s.state.tableOf(name)
			if t == nil {
				return fmt.Errorf("what is to be imported has %q, which this version does not know", name)
			}
			for _, row := range rows {
				id, err := t.idOf(row)
				if err != nil {
					return fmt.Errorf("a row of %s is damaged: %w", name, err)
				}
				if err := btx.Bucket([]byte(name)).Put([]byte(id), row); err != nil {
					return err
				}
			}
		}
		return btx.Bucket([]byte(metaBucket)).Put([]byte(projectKey), []byte(in.ProjectID))
	})
}
