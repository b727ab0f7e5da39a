// Command bench measures Kuryr: how long a container's start and stop take
// inside the daemon, how long the daemon takes to start, and its memory.
//
// It runs the built binary in a network namespace of its own, drives the
// plugin's socket as Docker does, and leaves nothing behind. Times are taken
// at the socket, so that they include the HTTP exchange. It prints a table;
// -json writes the same figures to a file.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"text/tabwriter"
	"time"

	"kuryr/internal/testkit"
)

// figure is one measured thing. Times are in milliseconds, sizes in MiB.
type figure struct {
	Name   string  `json:"name"`
	Unit   string  `json:"unit"`
	N      int     `json:"n"`
	P50    float64 `json:"p50"`
	P99    float64 `json:"p99,omitempty"`
	Target string  `json:"target,omitempty"`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) (err error) {
	n := flag.Int("n", 300, "containers started and stopped, one after the other")
	many := flag.Int("attachments", 500, "attachments for the memory and start-up figures")
	out := flag.String("json", "", "write the figures to this file")
	flag.Parse()

	m, err := testkit.NewMachine(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.Close(context.WithoutCancel(ctx))) }()
	binary, err := testkit.Build(ctx, m.Dir, false)
	if err != nil {
		return err
	}
	b := &bench{machine: m}
	if err := b.measure(ctx, binary, *n, *many); err != nil {
		if b.kuryr != nil {
			fmt.Fprintln(os.Stderr, b.kuryr.Log(20))
		}
		return err
	}
	if err := b.print(); err != nil {
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

func (b *bench) print() error {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "FIGURE\tN\tP50\tP99\tUNIT\tTARGET\t")
	for _, f := range b.figures {
		p99 := "-"
		if f.P99 != 0 {
			p99 = fmt.Sprintf("%.2f", f.P99)
		}
		fmt.Fprintf(w, "%s\t%d\t%.2f\t%s\t%s\t%s\t\n", f.Name, f.N, f.P50, p99, f.Unit, f.Target)
	}
	return w.Flush()
}

// timed runs f and returns how long it took.
func timed(f func() error) (time.Duration, error) {
	start := time.Now()
	err := f()
	return time.Since(start), err
}
