package testkit

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"kuryr/internal/crash"
)

// Crashes tells a daemon, built with the tag crashpoints, where to kill itself,
// and reads which points it passes.
type Crashes struct{ dir string }

// NewCrashes is about the daemon that has Env in its environment; dir must
// exist, and belong to it alone.
func NewCrashes(dir string) Crashes { return Crashes{dir: dir} }

// Env is what the daemon's environment must have.
func (c Crashes) Env() string { return crash.Variable + "=" + c.dir }

// Arm has the daemon die as it passes the point for the nth time from now on.
// A daemon that is not running does so when it is started.
func (c Crashes) Arm(n int, p crash.Point) error {
	// In one step: the daemon reads it at any moment.
	tmp := c.path(crash.ArmedFile + ".new")
	if err := os.WriteFile(tmp, fmt.Appendf(nil, "%d %s\n", n, p), 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, c.path(crash.ArmedFile))
}

// Disarm takes back what Arm said.
func (c Crashes) Disarm() error {
	err := os.Remove(c.path(crash.ArmedFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// Passed returns the points that were passed since the last Forget, in order.
func (c Crashes) Passed() ([]crash.Point, error) {
	lines, err := c.lines()
	var all []crash.Point
	for _, line := range lines {
		if !strings.HasPrefix(line, crash.Killed) {
			all = append(all, crash.Point(line))
		}
	}
	return all, err
}

// Killed returns the point at which the daemon has killed itself since the
// last Forget, "" if it has not.
func (c Crashes) Killed() (crash.Point, error) {
	lines, err := c.lines()
	for _, line := range lines {
		if p, ok := strings.CutPrefix(line, crash.Killed); ok {
			return crash.Point(p), err
		}
	}
	return "", err
}

// Forget begins the record anew.
func (c Crashes) Forget() error {
	err := os.Truncate(c.path(crash.PassedFile), 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func (c Crashes) lines() ([]string, error) {
	b, err := os.ReadFile(c.path(crash.PassedFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return strings.FieldsFunc(string(b), func(r rune) bool { return r == '\n' }), err
}

func (c Crashes) path(name string) string { return filepath.Join(c.dir, name) }
