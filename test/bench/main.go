// Command bench measures Kuryr, in three sections:
//
//	docker   how long a container's start and stop take inside the daemon, how
//	         long the daemon takes to start, and its memory
//	neutron  how fast the embedded Neutron is, beside no port and 100,000
//	filter   how soon a change of security groups is in force among 10,000
//	         rules, and what the rules cost the traffic of two containers
//
// It runs in network namespaces of its own and leaves nothing behind. The
// plugin's socket is driven as Docker does, so that times include the HTTP
// exchange. It prints a table; -json writes the same figures to a file.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"

	"kuryr/internal/testkit"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

// sections are what can be measured, in order.
var sections = []string{"docker", "neutron", "filter"}

func run(ctx context.Context) (err error) {
	n := flag.Int("n", 300, "containers started and stopped, and ports made, one after the other")
	many := flag.Int("attachments", 500, "attachments for the memory and start-up figures")
	rounds := flag.Int("rounds", 15, "rounds of the comparison of traffic")
	out := flag.String("json", "", "write the figures to this file")
	only := flag.String("only", strings.Join(sections, ","), "sections to measure")
	flag.Parse()
	chosen := strings.Split(*only, ",")
	for _, c := range chosen {
		if !slices.Contains(sections, c) {
			return fmt.Errorf("there is no section %q; there are %s", c, strings.Join(sections, ", "))
		}
	}

	m, err := testkit.NewMachine(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.Close(context.WithoutCancel(ctx))) }()
	b := &bench{machine: m}
	if b.binary, err = testkit.Build(ctx, m.Dir, false); err != nil {
		return err
	}
	measure := map[string]func() error{
		"docker":  func() error { return b.docker(ctx, *n, *many) },
		"neutron": func() error { return b.neutron(ctx, *n) },
		"filter":  func() error { return b.filter(ctx, *rounds) },
	}
	for _, s := range sections {
		if !slices.Contains(chosen, s) {
			continue
		}
		if err := measure[s](); err != nil {
			return fmt.Errorf("%s: %w", s, err)
		}
	}
	if err := printFigures(os.Stdout, b.figures); err != nil {
		return err
	}
	if *out == "" {
		return nil
	}
	data, err := json.MarshalIndent(b.figures, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(*out, append(data, '\n'), 0o644)
}
