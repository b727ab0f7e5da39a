package testkit

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Removal of machines: those that are closed, and those whose tests were
// killed before they could close them.

// lockMachines makes this process the only one that makes or sweeps machines.
func lockMachines() (unlock func(), err error) {
	f, err := os.OpenFile(filepath.Join(os.TempDir(), machinePrefix+"lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		f.Close()
		return nil, err
	}
	return func() { f.Close() }, nil
}

// writeOwner notes in dir which process it belongs to.
func writeOwner(dir string) error {
	me := strconv.Itoa(os.Getpid())
	return os.WriteFile(filepath.Join(dir, "owner"), []byte(me+" "+startTime(me)), 0o600)
}

// ownerLives reports whether the process that made dir still runs.
func ownerLives(dir string) bool {
	b, err := os.ReadFile(filepath.Join(dir, "owner"))
	if err != nil {
		return false
	}
	pid, started, _ := strings.Cut(string(b), " ")
	return started != "" && startTime(pid) == started
}

// startTime tells a process from a later one with the same PID: the 22nd field
// of /proc/PID/stat, counted after the name in parentheses. A dead one, also one
// that nobody has waited for yet (state Z), has none.
func startTime(pid string) string {
	b, err := os.ReadFile(filepath.Join("/proc", pid, "stat"))
	if err != nil {
		return ""
	}
	fields := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	if len(fields) < 20 || fields[0] == "Z" {
		return ""
	}
	return fields[19]
}

// sweep removes the machines whose owner is dead. The caller holds the lock.
func sweep(ctx context.Context) error {
	dirs, err := filepath.Glob(filepath.Join(os.TempDir(), machinePrefix+"*"))
	if err != nil {
		return err
	}
	var errs []error
	for _, dir := range dirs {
		if fi, err := os.Stat(dir); err != nil || !fi.IsDir() || ownerLives(dir) {
			continue
		}
		m := Machine{Name: filepath.Base(dir), Dir: dir}
		errs = append(errs, m.Close(ctx))
	}
	return errors.Join(errs...)
}

// killAll ends every process that belongs to the machine in dir: those that
// have the directory on their command line (daemons and the shims that they
// start), and those whose root file system lies in it (containers).
//
// A process that is just turning into another program has no command line for
// a moment: it is over when nothing is seen twice.
func killAll(dir string) error {
	deadline := time.Now().Add(10 * time.Second)
	for unseen := 0; unseen < 2; time.Sleep(20 * time.Millisecond) {
		pids, err := processesOf(dir)
		if err != nil {
			return err
		}
		if unseen++; len(pids) > 0 {
			unseen = 0
		}
		if len(pids) > 0 && time.Now().After(deadline) {
			return fmt.Errorf("processes %v of %s do not end", pids, dir)
		}
		for _, pid := range pids {
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
				return err
			}
		}
	}
	return nil
}

func processesOf(dir string) ([]int, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		proc := filepath.Join("/proc", e.Name())
		if namesDir(proc, dir) || containedIn(proc, dir) {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// namesDir reports whether a process has a path below dir on its command line.
func namesDir(proc, dir string) bool {
	b, err := os.ReadFile(filepath.Join(proc, "cmdline"))
	return err == nil && strings.Contains(string(b), dir+"/")
}

// containedIn reports whether a process is in a container whose root lies
// below dir. The root alone tells: other processes may have copies of the
// machine's mounts, too, just by having been given a mount namespace.
func containedIn(proc, dir string) bool {
	b, err := os.ReadFile(filepath.Join(proc, "mountinfo"))
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(b)) {
		// "624 576 0:57 / / rw,relatime - overlay overlay rw,lowerdir=...,upperdir=..."
		if f := strings.Fields(line); len(f) > 4 && f[4] == "/" && strings.Contains(line, "="+dir+"/") {
			return true
		}
	}
	return false
}

// unmountAll detaches every mount below dir, the last one first.
func unmountAll(dir string) error {
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	var points []string
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) > 4 && strings.HasPrefix(f[4], dir+"/") {
			points = append(points, f[4])
		}
	}
	var errs []error
	for _, p := range slices.Backward(points) {
		if err := syscall.Unmount(p, syscall.MNT_DETACH); err != nil && !errors.Is(err, syscall.EINVAL) {
			errs = append(errs, fmt.Errorf("cannot unmount %s: %w", p, err))
		}
	}
	return errors.Join(errs...)
}
