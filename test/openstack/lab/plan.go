package main

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// step is one thing to do on the way up. A step that has been done does
// nothing when it is run again.
type step struct {
	name  string
	after []string // names of the steps that it needs
	run   func(context.Context) error
}

// follow runs each step as soon as those that it needs are done, and says how
// long it took. The first that fails stops all others.
func follow(ctx context.Context, steps []step) error {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	done := map[string]chan struct{}{}
	for _, s := range steps {
		done[s.name] = make(chan struct{})
	}
	var all sync.WaitGroup
	for _, s := range steps {
		all.Go(func() {
			for _, name := range s.after {
				select {
				case <-done[name]:
				case <-ctx.Done():
					return
				}
			}
			began := time.Now()
			if err := s.run(ctx); err != nil {
				fail(fmt.Errorf("%s: %w", s.name, err))
				return
			}
			say(s.name, time.Since(began))
			close(done[s.name])
		})
	}
	all.Wait()
	return context.Cause(ctx)
}

// say prints a line of progress.
func say(what string, took time.Duration) { fmt.Printf("%-36s %6.1f s\n", what, took.Seconds()) }
