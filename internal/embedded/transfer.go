package embedded

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"kuryr/internal/embedded/store"
)

// Export writes the state in o.StateDir as JSON. No server may have it open.
func Export(ctx context.Context, w io.Writer, o Options) (err error) {
	so, err := o.store()
	if err != nil {
		return err
	}
	if _, err := os.Stat(so.Path); err != nil {
		return fmt.Errorf("the embedded Neutron has no state to export: %w", err)
	}
	s, err := store.Open(so)
	if err != nil {
		return fmt.Errorf("cannot open the state of the embedded Neutron: %w", err)
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	return s.Export(ctx, w)
}

// Import makes the state in o.StateDir from what Export wrote; the folder is
// made if it is not there. A state that holds anything already is refused.
func Import(ctx context.Context, r io.Reader, o Options) error {
	so, err := o.store()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(o.StateDir, 0o700); err != nil {
		return fmt.Errorf("cannot make the state folder of the embedded Neutron: %w", err)
	}
	if err := store.Import(ctx, r, so); err != nil {
		return fmt.Errorf("cannot import into the embedded Neutron: %w", err)
	}
	return nil
}

// store returns the options of the store; a host is not needed for its file.
func (o Options) store() (store.Options, error) {
	if o.StateDir == "" {
		return store.Options{}, errors.New("the embedded Neutron needs a state folder")
	}
	return store.Options{
		Path: filepath.Join(o.StateDir, stateFile), Host: o.Host, MTU: o.MTU, Enforce: o.Enforce, Limits: o.Limits,
	}, nil
}
