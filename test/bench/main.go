// Command bench measures Kuryr, in sections:
//
//	docker   how long a container's start and stop take inside the daemon, and
//	         how many requests Neutron gets for them
//	run      docker run on Kuryr, on Docker's own networks, and with a driver
//	         that only makes a veth
//	burst    many starts at once, on Kuryr, on a bridge of Docker's and on the least driver
//	traffic  between two containers, on Kuryr's bridge and on Docker's own
//	scale    memory and start-up with many attachments, and the time of calls
//	         beside a full Neutron
//	neutron  how fast the embedded Neutron is, beside no port and 100,000
//	filter   how soon a change of security groups is in force among 10,000
//	         rules, and what the rules cost the traffic of two containers
//
// All have Kuryr's embedded Neutron. When the OpenStack lab is up, -lab adds
// cloud-docker and cloud-run: sections docker and run on a host of the lab.
//
// It runs in network namespaces of its own and leaves nothing behind. It prints
// a table; -json writes the same figures to a file, and -check compares
// them with those of such a file.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"

	"kuryr/internal/testkit"
	"kuryr/test/bench/vethonly"
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
var sections = []string{"docker", "run", "burst", "traffic", "scale", "neutron", "filter"}

// onLab are those that the lab is needed for, after the others.
var onLab = []string{"cloud-docker", "cloud-run"}

// bench is one run.
type bench struct {
	machine *testkit.Machine // of the sections that need no Docker engine
	binary  string
	figures []figure
}

func (b *bench) add(f figure) { b.figures = append(b.figures, f) }

func run(ctx context.Context) (err error) {
	o, err := parse(os.Args[1:])
	if err != nil {
		return err
	}
	if o.socket != "" {
		return vethonly.Serve(ctx, o.socket)
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
	var before []figure
	if o.before != "" {
		if before, err = readFigures(o.before); err != nil {
			return err
		}
	}
	if err := b.measure(ctx, o); err != nil {
		return err
	}
	if err := b.measureAgain(ctx, o, before); err != nil {
		return err
	}
	if err := printFigures(os.Stdout, b.figures); err != nil {
		return err
	}
	if o.out != "" {
		err = writeFigures(o.out, b.figures)
	}
	if o.before != "" {
		err = errors.Join(err, check(os.Stdout, before, b.figures))
	}
	return err
}

// measureAgain has the sections in doubt measured once more, and believes that:
// of a dozen figures one is outside of its interval now and then, twice hardly.
func (b *bench) measureAgain(ctx context.Context, o options, before []figure) error {
	o.chosen = inDoubt(compare(before, b.figures))
	if len(o.chosen) == 0 {
		return nil
	}
	fmt.Fprintf(os.Stderr, "ratios are worse in %s: measuring that again\n", strings.Join(o.chosen, ", "))
	b.figures = slices.DeleteFunc(b.figures, func(f figure) bool { return slices.Contains(o.chosen, f.section) })
	return b.measure(ctx, o)
}

func writeFigures(file string, all []figure) error {
	data, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(data, '\n'), 0o644)
}

// measure goes through the sections that are chosen.
func (b *bench) measure(ctx context.Context, o options) error {
	how := map[string]func() error{
		"docker":  func() error { return b.docker(ctx, ownNeutron{}, o.n) },
		"run":     func() error { return b.run(ctx, ownNeutron{}, o.runs) },
		"burst":   func() error { return b.burst(ctx, o) },
		"traffic": func() error { return b.bridges(ctx, o.rounds) },
		"scale":   func() error { return b.scale(ctx, o) },
		"neutron": func() error { return b.neutron(ctx, o.n) },
		"filter":  func() error { return b.filter(ctx, o.rounds) },
		"cloud-docker": func() error {
			return b.atLab(ctx, o, func(s south) error { return b.docker(ctx, s, o.n) })
		},
		"cloud-run": func() error {
			return b.atLab(ctx, o, func(s south) error { return b.run(ctx, s, o.runs) })
		},
	}
	for _, s := range slices.Concat(sections, onLab) {
		if !slices.Contains(o.chosen, s) {
			continue
		}
		first := len(b.figures)
		if err := how[s](); err != nil {
			return fmt.Errorf("%s: %w", s, err)
		}
		for i := range b.figures[first:] {
			b.figures[first+i].section = s
		}
	}
	return nil
}

// atLab has a section measure on a lab, whose mechanism its figures' names tell.
func (b *bench) atLab(ctx context.Context, o options, section func(south) error) error {
	s, err := openLab(ctx, o)
	if err != nil {
		return err
	}
	first := len(b.figures)
	err = section(s)
	for i := range b.figures[first:] {
		b.figures[first+i].Name = string(s.lab.Mechanism) + ": " + strings.TrimSpace(b.figures[first+i].Name)
	}
	return err
}
