package daemon

import (
	"context"
	"io"
	"log/slog"
	"os"

	"kuryr/internal/courier"
	"kuryr/internal/embedded"
)

// ExportNeutron writes all that the embedded Neutron in a directory holds as
// JSON. No process may have it open.
func ExportNeutron(ctx context.Context, w io.Writer, dir string, log *slog.Logger) error {
	return transfer("export", dir, log, func(o embedded.Options) error { return embedded.Export(ctx, w, o) })
}

// ImportNeutron makes the state of an embedded Neutron, empty so far, from
// what ExportNeutron wrote.
func ImportNeutron(ctx context.Context, r io.Reader, dir string, log *slog.Logger) error {
	return transfer("import", dir, log, func(o embedded.Options) error { return embedded.Import(ctx, r, o) })
}

func transfer(op, dir string, log *slog.Logger, do func(embedded.Options) error) error {
	host, err := os.Hostname()
	if err != nil {
		return &courier.Error{Op: "find out this machine's name", Err: err}
	}
	if err := do(embedded.Options{StateDir: dir, Host: host, Log: log}); err != nil {
		return &courier.Error{Op: op, Subject: "the embedded Neutron's state in " + dir, Err: err}
	}
	return nil
}
