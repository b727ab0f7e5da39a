package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"time"
)

// target is one fuzz function.
type target struct{ pkg, name string }

// fuzz tries every fuzz target of the tree for a time, one after another. What
// fails go test keeps in the package's testdata, as a case of the target's
// from then on.
func fuzz(ctx context.Context, each time.Duration) (result, error) {
	all, err := targets(ctx)
	if err != nil {
		return result{}, err
	}
	var r result
	for _, t := range all {
		began := time.Now()
		out, err := try(ctx, t, each)
		for more := retries; more > 0 && err != nil && endRace(out); more-- {
			out, err = try(ctx, t, each)
		}
		if err == nil && !bytes.Contains(out, executed) {
			out, err = try(ctx, t, patience*each)
		}
		if ctx.Err() != nil {
			return r, ctx.Err()
		}
		// Without a run of its own a target says nothing of how often it was tried.
		if err != nil || !bytes.Contains(out, executed) {
			r.failed++
			fmt.Printf("FAIL\t%s %s\n%s", t.pkg, t.name, out)
			continue
		}
		r.passed++
		fmt.Printf("ok  \t%s %s\t%.1fs\t%s executions\n", t.pkg, t.name, time.Since(began).Seconds(), executions(out))
	}
	return r, nil
}

// patience is how many times longer a target is tried that has only gone
// through what is known of earlier runs, which go test keeps, and got no
// further.
const patience = 10

// retries is how often a target is tried again whose time ended in endRace.
const retries = 5

// endRace tells whether all that a run failed of is that its time was over: on
// a busy machine the Go tools before 1.27 may take the end of -fuzztime for a
// failure (https://go.dev/issue/75804). A finding is always written down.
func endRace(out []byte) bool {
	return regexp.MustCompile(`(?m)^--- FAIL: .*\n\s+context deadline exceeded\nFAIL$`).Match(out) &&
		!bytes.Contains(out, []byte("Failing input written"))
}

// executed is in what go test -fuzz prints once a target has been tried.
var executed = []byte("execs: ")

func try(ctx context.Context, t target, each time.Duration) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "go", "test", t.pkg, "-run=^$", "-fuzz=^"+t.name+"$",
		"-fuzztime="+each.String(), "-fuzzminimizetime=20x")
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	return cmd.CombinedOutput()
}

// executions returns how often go test -fuzz says that it has run the target.
func executions(out []byte) string {
	all := regexp.MustCompile(`execs: (\d+)`).FindAllSubmatch(out, -1)
	return string(all[len(all)-1][1])
}

// targets finds the fuzz functions of all packages in their sources: to have
// go test list them would build every test there is.
func targets(ctx context.Context) ([]target, error) {
	const form = `{{$p := .}}{{range .TestGoFiles}}{{$p.ImportPath}} {{$p.Dir}}/{{.}}{{"\n"}}{{end}}` +
		`{{range .XTestGoFiles}}{{$p.ImportPath}} {{$p.Dir}}/{{.}}{{"\n"}}{{end}}`
	out, err := exec.CommandContext(ctx, "go", "list", "-f", form, "./cmd/...", "./internal/...").Output()
	if err != nil {
		return nil, fmt.Errorf("cannot list the packages: %w", explain(err))
	}
	function := regexp.MustCompile(`(?m)^func (Fuzz\w+)\(`)
	var all []target
	for line := range strings.Lines(string(out)) {
		pkg, file, ok := strings.Cut(strings.TrimSpace(line), " ")
		if !ok {
			continue
		}
		source, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		for _, found := range function.FindAllSubmatch(source, -1) {
			all = append(all, target{pkg: pkg, name: string(found[1])})
		}
	}
	return all, nil
}
