package testkit

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

const cgroupRoot = "/sys/fs/cgroup"

// MountCgroups mounts the control groups that a container engine needs, on a
// machine where nothing did so (no systemd): each controller of version 1 in a
// directory of its own, or version 2 when the kernel no longer has those.
// Where any are mounted already it does nothing.
func MountCgroups() error {
	entries, err := os.ReadDir(cgroupRoot)
	if err != nil {
		return err
	}
	if len(entries) > 0 {
		return nil
	}
	if err := mountCgroups1(); err == nil {
		return nil
	} else if err2 := mountCgroup2(); err2 != nil {
		return errors.Join(err, err2)
	}
	return nil
}

func mountCgroups1() (err error) {
	controllers, err := cgroupControllers()
	if err != nil {
		return err
	}
	if err := syscall.Mount("cgroup", cgroupRoot, "tmpfs", 0, "mode=755"); err != nil {
		return fmt.Errorf("cannot mount a tmpfs on %s: %w", cgroupRoot, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, unmountAll(cgroupRoot), syscall.Unmount(cgroupRoot, syscall.MNT_DETACH))
		}
	}()
	for _, c := range controllers {
		dir := filepath.Join(cgroupRoot, c)
		if err := os.Mkdir(dir, 0o755); err != nil {
			return err
		}
		if err := syscall.Mount("cgroup", dir, "cgroup", 0, c); err == nil {
			continue
		} else if c == "devices" {
			return fmt.Errorf("cannot mount the control group %s, which no container can do without: %w", c, err)
		}
		if err := os.Remove(dir); err != nil {
			return err
		}
	}
	return nil
}

func mountCgroup2() error {
	if err := syscall.Mount("cgroup2", cgroupRoot, "cgroup2", 0, ""); err != nil {
		return fmt.Errorf("cannot mount cgroup2 on %s: %w", cgroupRoot, err)
	}
	return nil
}

// cgroupControllers lists the controllers that the kernel has switched on.
func cgroupControllers() ([]string, error) {
	b, err := os.ReadFile("/proc/cgroups")
	if err != nil {
		return nil, err
	}
	var names []string
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) == 4 && !strings.HasPrefix(line, "#") && f[3] == "1" {
			names = append(names, f[0])
		}
	}
	return names, nil
}
