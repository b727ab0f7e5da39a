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

// DirectoryVariable names the variable of the environment with the directory of the two files.
// Without it nothing is written down, and nobody is killed.
const DirectoryVariable = "KURYR_CRASH_DIR"

// The files: a line for each point passed, and at which point to die, as
// "N POINT": at the Nth time that the point is passed from now on, that is
// since the file says so. It is read each time, so that a running process can
// be told.
const (
	passedFile = "passed"
	armedFile  = "armed"
)

// Before is called before an effect.
func Before(e Effect) { trigger.pass(e.Before()) }

// After is called after an effect, failed or not.
func After(e Effect) { trigger.pass(e.After()) }

// trigger is the switch of this process; being a test's, this build may keep
// state in a package.
var trigger killer

type killer struct {
	mu    sync.Mutex // guards what follows, and the order of the lines
	order string     // what armedFile said last
	point Point
	left  int // at which passing of the point to die
}

// pass writes down that a point is passed, and ends the process if it is the
// one. A line "killed" is the last then, and nobody else gets past a point.
func (k *killer) pass(p Point) {
	dir := os.Getenv(DirectoryVariable)
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
	k.note(dir, "killed "+string(p))
	_ = unix.Kill(os.Getpid(), unix.SIGKILL) // what it says nobody will hear
	select {}
}

// read takes in an order that is new.
func (k *killer) read(dir string) {
	b, err := os.ReadFile(filepath.Join(dir, armedFile))
	if err != nil || string(b) == k.order {
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
	f, err := os.OpenFile(filepath.Join(dir, passedFile), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err == nil {
		_, err = fmt.Fprintln(f, line)
		f.Close()
	}
	if err != nil {
		panic(fmt.Sprintf("crash: %v", err))
	}
}
