package testkit

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// On a machine where nobody has mounted the control groups they are mounted,
// once, with the one that no container can do without.
func TestMountCgroups(t *testing.T) {
	NeedRoot(t)
	before := hierarchies(t)
	onOwnThread(func() {
		if err := hideCgroups(); err != nil {
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
	})
	// Controllers that were not in use before are so until the kernel has done
	// away with the mounts; an engine that starts meanwhile would miss them.
	for deadline := time.Now().Add(5 * time.Second); hierarchies(t) != before; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("control groups before:\n%s\nand after:\n%s", before, hierarchies(t))
		}
	}
}

// hierarchies tells which control groups this process is in, thus which there are.
func hierarchies(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// hideCgroups gives the calling thread mounts of its own, with no control groups.
func hideCgroups() error {
	if err := unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS); err != nil {
		return err
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	return unix.Mount("none", cgroupRoot, "tmpfs", 0, "")
}

// onOwnThread calls f on a thread that ends with it. The main thread does not
// end, and what /proc/self shows is its: f is not called there.
func onOwnThread(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		if unix.Gettid() != os.Getpid() {
			f()
			return
		}
		onOwnThread(f) // while this goroutine holds the main thread
		runtime.UnlockOSThread()
	}()
	<-done
}
