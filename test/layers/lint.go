package main

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
)

// linters each pass when they succeed and print nothing.
var linters = [][]string{
	{"gofmt", "-l", "cmd", "internal", "test"},
	{"go", "vet", "./..."},
	{"go", "tool", "-modfile=tools/go.mod", "staticcheck", "./..."},
}

func lint(ctx context.Context) (result, error) {
	var r result
	for _, l := range linters {
		name := strings.Join(l, " ")
		out, err := exec.CommandContext(ctx, l[0], l[1:]...).CombinedOutput()
		if err != nil || len(out) > 0 {
			r.failed++
			fmt.Printf("FAIL\t%s\n%s", name, out)
			continue
		}
		r.passed++
		fmt.Printf("ok  \t%s\n", name)
	}
	return r, nil
}
