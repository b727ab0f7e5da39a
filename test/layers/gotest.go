package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
)

// lab is the package whose importers need root and namespaces.
const lab = "kuryr/internal/testkit"

// goPackages tests the packages that stand on the lab, or those that do not.
func goPackages(ctx context.Context, layer string, onLab bool) (result, error) {
	out, err := exec.CommandContext(ctx, "go", "list", "-e", "-json=ImportPath,TestImports,XTestImports", "./cmd/...", "./internal/...").Output()
	if err != nil {
		return result{}, explain(err)
	}
	var chosen []string
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p struct {
			ImportPath                string
			TestImports, XTestImports []string
		}
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return result{}, err
		}
		if onLab == (p.ImportPath == lab || slices.Contains(append(p.TestImports, p.XTestImports...), lab)) {
			chosen = append(chosen, p.ImportPath)
		}
	}
	if len(chosen) == 0 {
		return result{}, fmt.Errorf("no package belongs to the layer %s", layer)
	}
	args := []string{"-timeout=15m"}
	if hasCompiler() {
		args = append(args, "-race")
	}
	return goTest(ctx, append(args, chosen...)...)
}

// suites runs those under test/ that need no OpenStack, two at a time: that of
// chaos waits while that with Docker computes, and the other way round.
func suites(ctx context.Context) (result, error) {
	out, err := exec.CommandContext(ctx, "go", "list", "./test/...").Output()
	if err != nil {
		return result{}, explain(err)
	}
	chosen := slices.DeleteFunc(strings.Fields(string(out)), func(path string) bool {
		return strings.HasPrefix(path+"/", "kuryr/test/openstack/")
	})
	limit, err := chaosLimit()
	if err != nil {
		return result{}, err
	}
	return goTest(ctx, append([]string{"-timeout=" + limit.String(), "-parallel=4"}, chosen...)...)
}

// goTest runs go test. It shows a line for each package, as go test does, and
// what a test that failed or was skipped has to say.
func goTest(ctx context.Context, args ...string) (result, error) {
	cmd := exec.CommandContext(ctx, "go", append([]string{"test", "-json", "-count=1"}, args...)...)
	cmd.Stderr = os.Stderr
	if hasCompiler() {
		cmd.Env = append(os.Environ(), "KURYR_TEST_RACE=1")
	}
	// An interrupted test stops its daemons before it ends.
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	events, err := cmd.StdoutPipe()
	if err != nil {
		return result{}, err
	}
	if err := cmd.Start(); err != nil {
		return result{}, err
	}
	t := tally{said: map[string][]string{}, failing: map[string]bool{}}
	for d := json.NewDecoder(events); ; {
		var e event
		if err := d.Decode(&e); err != nil {
			break // the end, or what Wait tells
		}
		t.add(e)
	}
	err = cmd.Wait()
	if err != nil && t.failed > 0 {
		err = nil // it has been shown
	}
	return t.result, err
}

// event is what go test -json prints; see go doc test2json.
type event struct {
	Action, Package, Test, Output string
	ImportPath                    string // of a build's output
}

// tally counts tests and keeps what they say until it is known how they end.
type tally struct {
	result
	said    map[string][]string // by package and test
	failing map[string]bool     // packages in which a test has failed
}

func (t *tally) add(e event) {
	key := e.Package + " " + e.Test
	switch e.Action {
	case "output":
		if e.Test == "" && isPackageLine(e.Output) || strings.HasPrefix(e.Output, figures) {
			fmt.Print(e.Output)
		}
		t.said[key] = append(t.said[key], e.Output)
	case "build-output":
		fmt.Print(e.Output)
	case "pass", "fail", "skip":
		t.end(e, t.said[key])
		delete(t.said, key)
	}
}

// end counts a test; what it said is shown unless it passed. A package that
// fails with no failed test has died, or did not build.
func (t *tally) end(e event, said []string) {
	switch {
	case e.Test == "" && e.Action == "fail":
		for _, line := range said {
			if !isPackageLine(line) {
				fmt.Print(line)
			}
		}
		if !t.failing[e.Package] {
			t.failed++
			t.unfinished(e.Package)
		}
	case e.Test == "":
		return
	case e.Action == "pass":
		t.passed++
	case e.Action == "fail":
		t.failed++
		t.failing[e.Package] = true
		fmt.Print(strings.Join(said, ""))
	case e.Action == "skip":
		t.skipped++
		fmt.Print(strings.Join(said, ""))
	}
}

// unfinished shows what was said in the name of tests of a package that have
// not ended: one of them may have taken all down with it.
func (t *tally) unfinished(pkg string) {
	for key, said := range t.said {
		if strings.HasPrefix(key, pkg+" ") && key != pkg+" " {
			fmt.Print(strings.Join(said, ""))
		}
	}
}

// figures starts a line that is shown though its test has passed.
const figures = "figures: "

// isPackageLine reports whether go test prints this line for a whole package.
func isPackageLine(line string) bool {
	return strings.HasPrefix(line, "ok  \t") || strings.HasPrefix(line, "FAIL\t")
}

func explain(err error) error {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return fmt.Errorf("%w: %s", err, bytes.TrimSpace(exit.Stderr))
	}
	return err
}
