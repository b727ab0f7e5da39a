//go:build crashpoints

package crash

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// Enabled reports whether this build can be killed at a point.
const Enabled = true

// Before is called before an effect.
func Before(e Effect) { trigger.pass(e.Before()) }

// After is called after an effect, failed or not.
func After(e Effect) { trigger.pass(e.After()) }

// trigger is the switch of this process; being a test's, this build may keep
// state in a package.
var trigger killer

type killer struct {
	mu    sync.Mutex // guards what follows, and the order of the lines
	order string     // what ArmedFile said last
	point Point
	left  int // at which passing of the point to die
}

// pass writes down that a point is passed, and ends the process if it is the
// one. A line of Killed is the last then, and nobody else gets past a point.
func (k *killer) pass(p Point) {
	dir := os.Getenv(Variable)
	if dir == "" {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.note(dir, string(p))
	k.read(dir)
	if p != k.point {
		return
	}
	if k.left--; k.left > 0 {
		return
	}
	k.note(dir, Killed+string(p))
	_ = unix.Kill(os.Getpid(), unix.SIGKILL) // what it says nobody will hear
	select {}
}

// read takes in an order that is new.
func (k *killer) read(dir string) {
	b, err := os.ReadFile(filepath.Join(dir, ArmedFile))
	if err != nil {
		k.order, k.point = "", ""
		return
	}
	if string(b) == k.order {
		return
	}
	k.order = string(b)
	n, point, _ := strings.Cut(strings.TrimSpace(k.order), " ")
	k.left, err = strconv.Atoi(n)
	if err != nil {
		panic(fmt.Sprintf("crash: %q is not a number and a point", k.order))
	}
	k.point = Point(point)
}

// note adds a line.
func (k *killer) note(dir, line string) {
	f, err := os.OpenFile(filepath.Join(dir, PassedFile), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err == nil {
		_, err = fmt.Fprintln(f, line)
		f.Close()
	}
	if err != nil {
		panic(fmt.Sprintf("crash: %v", err))
	}
}
