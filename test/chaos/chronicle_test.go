package chaos

import (
	"fmt"
	"strings"
	"sync"
	"time"
)

// chronicle is what happened in a series, in order, for whoever must find out
// why it failed.
type chronicle struct {
	mu    sync.Mutex // guards what follows
	lines []string
	sums  figures
}

// note adds a line.
func (c *chronicle) note(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.add(format, args...)
}

func (c *chronicle) add(format string, args ...any) {
	c.lines = append(c.lines, time.Now().UTC().Format("15:04:05.000 ")+fmt.Sprintf(format, args...))
}

// operation notes how an operation went.
func (c *chronicle) operation(what string, took time.Duration, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	outcome := "done"
	if err != nil {
		outcome = err.Error()
		c.sums.failed++
	} else if strings.HasPrefix(what, "run ") || strings.HasPrefix(what, "start ") || strings.HasPrefix(what, "restart ") {
		c.sums.started++
	}
	c.sums.operations++
	c.sums.slowest = max(c.sums.slowest, took)
	c.add("%s: %s, after %s", what, outcome, took.Round(time.Millisecond))
}

// lost notes that the engine has lost something.
func (c *chronicle) lost(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sums.lost++
	c.add(format, args...)
}

// text returns all lines.
func (c *chronicle) text() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return strings.Join(c.lines, "\n") + "\n"
}
