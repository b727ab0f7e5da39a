// Command layers runs the layers of Kuryr's tests and says how each went:
//
//	go run ./test/layers lint unit fuzz namespaces e2e
//
//	lint        format, go vet, staticcheck
//	unit        the packages that need nothing but Go
//	fuzz        every fuzz target, -fuzztime each
//	namespaces  the packages that stand on the lab of network namespaces (root)
//	e2e         the suites under test/, with a real Docker engine (root)
//	chaos       of these test/chaos alone: kills, faults and bad input (root); ROUNDS and SEED of the environment are for it
//	openstack   those under test/openstack/, and test/docker once more, on the lab, which must be up (root)
//	chaos-openstack  the crash points of test/chaos on the lab (root)
//
// A skipped test, and a layer in which nothing ran, count as failures: what
// was not run is not known to work.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"
)

// result of a layer.
type result struct {
	layer                   string
	passed, failed, skipped int
	took                    time.Duration
}

func (r result) String() string {
	s := fmt.Sprintf("%-11s %5d passed %4d failed %4d skipped %6.1f s", r.layer, r.passed, r.failed, r.skipped, r.took.Seconds())
	if r.passed+r.failed == 0 {
		s += "  (no test ran: that is a failure)"
	}
	return s
}

func (r result) ok() bool { return r.failed == 0 && r.skipped == 0 && r.passed > 0 }

// and counts two results as one.
func (r result) and(other result) result {
	r.passed, r.failed, r.skipped = r.passed+other.passed, r.failed+other.failed, r.skipped+other.skipped
	return r
}

// layers by name.
var layers = map[string]func(context.Context) (result, error){
	"lint": lint,
	"unit": func(ctx context.Context) (result, error) { return goPackages(ctx, "unit", false) },
	"fuzz": func(ctx context.Context) (result, error) { return fuzz(ctx, *fuzzTime) },
	"namespaces": func(ctx context.Context) (result, error) {
		return goPackages(ctx, "namespaces", true)
	},
	"e2e":       suites,
	"chaos":     chaos,
	"openstack": openstack,

	"chaos-openstack": chaosOpenstack,
}

var fuzzTime = flag.Duration("fuzztime", 3*time.Second, "how long the layer fuzz tries each target")

func main() {
	flag.Parse()
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	os.Exit(run(ctx, flag.Args()))
}

func run(ctx context.Context, names []string) int {
	if !hasCompiler() {
		fmt.Println("note: there is no C compiler, so the tests run without the race detector")
	}
	var all []result
	for _, name := range names {
		layer, ok := layers[name]
		if !ok {
			fmt.Fprintf(os.Stderr, "error: no such layer: %s\n", name)
			return 2
		}
		fmt.Printf("== %s\n", name)
		began := time.Now()
		r, err := layer(ctx)
		if err != nil {
			fmt.Fprintf(os.Stderr, "error: %s: %v\n", name, err)
			r.failed++
		}
		r.layer, r.took = name, time.Since(began)
		all = append(all, r)
	}
	return summarize(all)
}

func summarize(all []result) int {
	code := 0
	var sum result
	fmt.Println()
	for _, r := range all {
		fmt.Println(r)
		sum = sum.and(r)
		if !r.ok() {
			code = 1
		}
	}
	fmt.Printf("\n%d passed, %d failed, %d skipped\n", sum.passed, sum.failed, sum.skipped)
	return code
}

// hasCompiler reports whether cgo works here, which the race detector needs.
func hasCompiler() bool {
	for _, cc := range []string{"gcc", "clang"} {
		if _, err := exec.LookPath(cc); err == nil {
			return true
		}
	}
	return false
}
