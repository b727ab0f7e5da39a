package testkit

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// NS is a network namespace of one test: empty but for the loopback
// interface, which is up. It lasts until the test ends, or as long as a
// process or an open file keeps it. Its methods may be called at once by
// several goroutines.
type NS struct {
	tb   testing.TB
	file *os.File // keeps the namespace
}

// NewNS makes a fresh network namespace. It skips the test without root.
func NewNS(tb testing.TB) *NS {
	tb.Helper()
	if os.Geteuid() != 0 {
		tb.Skip("needs root: makes a network namespace")
	}
	file, err := newNetworkNamespace()
	if err != nil {
		tb.Fatalf("cannot make a network namespace: %v", err)
	}
	tb.Cleanup(func() { file.Close() })
	ns := &NS{tb: tb, file: file}
	ns.Do(func() {
		if err := loopbackUp(); err != nil {
			tb.Fatalf("cannot set lo up: %v", err)
		}
	})
	return ns
}

// Fd is the open descriptor of the namespace; it stays the test's.
func (ns *NS) Fd() int { return int(ns.file.Fd()) }

// Path names the namespace for other programs, such as
// `nsenter --net=PATH` and `ip link set … netns PATH`, while the test runs.
func (ns *NS) Path() string {
	return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), ns.Fd())
}

// Do runs fn in the namespace, on the calling goroutine, so that fn may fail
// the test. Goroutines that fn starts are outside, the processes inside.
func (ns *NS) Do(fn func()) {
	ns.tb.Helper()
	runtime.LockOSThread()
	home, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		ns.tb.Fatalf("cannot open this thread's network namespace: %v", err)
	}
	defer home.Close()
	if err := unix.Setns(ns.Fd(), unix.CLONE_NEWNET); err != nil {
		ns.tb.Fatalf("cannot enter the network namespace: %v", err)
	}
	defer func() {
		// A thread that can't go back stays locked: the runtime ends it with
		// its goroutine rather than give it to another.
		if err := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); err != nil {
			ns.tb.Fatalf("cannot leave the network namespace: %v", err)
		}
		runtime.UnlockOSThread()
	}()
	fn()
}

// Run runs a program in the namespace and returns what it printed. The test
// fails when the program does.
func (ns *NS) Run(name string, args ...string) string {
	ns.tb.Helper()
	out, err := ns.Try(name, args...)
	if err != nil {
		ns.tb.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return out
}

// Try is Run for a program that may fail.
func (ns *NS) Try(name string, args ...string) (string, error) {
	var out []byte
	var err error
	ns.Do(func() { out, err = exec.Command(name, args...).CombinedOutput() })
	return string(out), err
}

// newNetworkNamespace makes a namespace on a thread that ends with its
// goroutine, since it is never unlocked.
func newNetworkNamespace() (*os.File, error) {
	type result struct {
		file *os.File
		err  error
	}
	done := make(chan result)
	go func() {
		runtime.LockOSThread()
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			done <- result{err: os.NewSyscallError("unshare", err)}
			return
		}
		file, err := os.Open("/proc/thread-self/ns/net")
		done <- result{file, err}
	}()
	r := <-done
	return r.file, r.err
}

func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	ifr, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	ifr.SetUint16(unix.IFF_UP)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, ifr)
}

// NetfilterSockets returns the inodes of the namespace's sockets for netfilter,
// in order.
func (ns *NS) NetfilterSockets() []string {
	ns.tb.Helper()
	var table []byte
	var err error
	ns.Do(func() { table, err = os.ReadFile("/proc/thread-self/net/netlink") })
	if err != nil {
		ns.tb.Fatal(err)
	}
	const protocol, owner, inode = 1, 2, 9 // the columns
	netfilter := strconv.Itoa(unix.NETLINK_NETFILTER)
	var inodes []string
	for line := range strings.Lines(string(table)) {
		if f := strings.Fields(line); len(f) > inode && f[protocol] == netfilter && f[owner] != "0" { // 0: the kernel's own
			inodes = append(inodes, f[inode])
		}
	}
	slices.Sort(inodes)
	return inodes
}
