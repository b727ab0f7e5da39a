// Command fuzz runs every fuzz target of the tree for a bounded time, one
// after another, and stops at the first that fails:
//
//	go run ./test/fuzz -time 10s
//
// What go test finds it keeps in the package's testdata, as a case of the
// target's from then on.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"regexp"
	"strings"
	"syscall"
	"time"
)

// target is one fuzz function.
type target struct{ pkg, name string }

func main() {
	each := flag.Duration("time", 10*time.Second, "for each target")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *each); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, each time.Duration) error {
	all, err := targets(ctx)
	if err != nil {
		return err
	}
	if len(all) == 0 {
		return fmt.Errorf("there is no fuzz target")
	}
	for _, t := range all {
		fmt.Printf("== %s %s\n", t.pkg, t.name)
		cmd := exec.CommandContext(ctx, "go", "test", t.pkg, "-run=^$", "-fuzz=^"+t.name+"$", "-fuzztime="+each.String())
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("%s %s: %w", t.pkg, t.name, err)
		}
	}
	return nil
}

// targets finds the fuzz functions of all packages in their sources: to have
// go test list them would build every test there is.
func targets(ctx context.Context) ([]target, error) {
	const form = `{{$p := .}}{{range .TestGoFiles}}{{$p.ImportPath}} {{$p.Dir}}/{{.}}{{"\n"}}{{end}}` +
		`{{range .XTestGoFiles}}{{$p.ImportPath}} {{$p.Dir}}/{{.}}{{"\n"}}{{end}}`
	cmd := exec.CommandContext(ctx, "go", "list", "-f", form, "./internal/...")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("cannot list the packages: %w", err)
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
