package main

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
)

// linters each pass when they succeed and find nothing to print. What they say
// on standard error counts only when they fail: go tells there what it fetches.
var linters = [][]string{
	{"gofmt", "-l", "cmd", "internal", "test"},
	{"go", "vet", "./..."},
	{"go", "vet", "-tags=openstack", "./test/..."},
	{"go", "tool", "-modfile=tools/go.mod", "staticcheck", "./..."},
}

func lint(ctx context.Context) (result, error) {
	var r result
	for _, l := range linters {
		name := strings.Join(l, " ")
		var found, said strings.Builder
		cmd := exec.CommandContext(ctx, l[0], l[1:]...)
		cmd.Stdout, cmd.Stderr = &found, &said
		if err := cmd.Run(); err != nil || found.Len() > 0 {
			r.failed++
			fmt.Printf("FAIL\t%s\n%s%s", name, found.String(), said.String())
			continue
		}
		r.passed++
		fmt.Printf("ok  \t%s\n", name)
	}
	return r, nil
}
