package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"

	"kuryr/internal/courier"
	"kuryr/internal/embedded/faults"
	"kuryr/internal/observe"
)

// faultLab stands before an API with the rules of a file.
type faultLab struct {
	file string
	plan *faults.Plan // as it was first read
	lab  *faults.Lab
	log  *slog.Logger
}

// newFaultLab reads the file.
func newFaultLab(file string, log *slog.Logger) (*faultLab, error) {
	plan, err := readFaults(file)
	if err != nil {
		return nil, err
	}
	return &faultLab{file: file, plan: plan, log: log}, nil
}

// before returns the API with the lab before it. It is called once.
func (f *faultLab) before(api http.Handler) http.Handler {
	f.lab = faults.New(api, faults.Options{Log: f.log})
	f.use(f.plan)
	return f.lab
}

func (f *faultLab) use(plan *faults.Plan) {
	f.lab.Use(plan)
	f.log.Warn("FAULT LAB: requests will be delayed, refused or lost on purpose; this is for tests only",
		observe.Path, f.file, "rules", len(plan.Rules))
}

// reloading loads the file anew on each signal, until ctx ends.
func (f *faultLab) reloading(ctx context.Context, signals <-chan os.Signal) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-signals:
			plan, err := readFaults(f.file)
			if err != nil {
				f.log.Error("the rules of faults stay as they were", observe.Err, err)
				continue
			}
			f.use(plan)
		}
	}
}

// readFaults reads a file of rules, or tells where it is wrong.
func readFaults(file string) (*faults.Plan, error) {
	plan, err := faults.Read(file)
	if err == nil {
		return plan, nil
	}
	e := &courier.Error{Kind: courier.Invalid, Op: "read", Subject: file, Public: cause(err), Err: err}
	if pe := (*faults.ParseError)(nil); errors.As(err, &pe) {
		e.Subject, e.Public = fmt.Sprintf("%s:%d", pe.File, pe.Line), pe.Why
	}
	return nil, e
}
