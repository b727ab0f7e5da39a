package testkit

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// On a machine where nobody has mounted the control groups they are mounted,
// once, with the one that no container can do without.
func TestMountCgroups(t *testing.T) {
	NeedRoot(t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		// The thread has mounts of its own from here on, and ends with the goroutine.
		runtime.LockOSThread()
		if err := unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS); err != nil {
			t.Error(err)
			return
		}
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			t.Error(err)
			return
		}
		if err := unix.Mount("none", cgroupRoot, "tmpfs", 0, ""); err != nil {
			t.Error(err)
			return
		}
		for range 2 {
			if err := MountCgroups(); err != nil {
				t.Error(err)
			}
		}
		version1 := exists(filepath.Join(cgroupRoot, "devices", "devices.list"))
		version2 := exists(filepath.Join(cgroupRoot, "cgroup.controllers"))
		if version1 == version2 {
			entries, err := os.ReadDir(cgroupRoot)
			t.Errorf("version 1 mounted: %t, version 2: %t; there are %v, %v", version1, version2, entries, err)
		}
	}()
	<-done
}
