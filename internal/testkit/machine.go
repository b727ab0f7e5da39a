package testkit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// Machine is a pretended machine: a network namespace of its own, with
// loopback up, and a directory for all that runs on it. It shares processes,
// users and file system with the real one.
type Machine struct {
	// Name is the name of its network namespace, as `ip netns` knows it.
	Name string
	// Dir holds the state, sockets and logs of what runs on it. Its path is
	// short, since the path of a Unix socket has 107 bytes at most.
	Dir string

	real  bool // it has no namespace of its own
	guest bool // the namespace is somebody else's
}

const (
	machinePrefix = "kuryrlab-"
	netnsDir      = "/run/netns"
)

// NewMachine makes a machine, after it has removed those that belonged to
// processes that no longer live.
func NewMachine(ctx context.Context) (*Machine, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("a machine of its own needs root, for its network namespace")
	}
	unlock, err := lockMachines()
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := sweep(ctx); err != nil {
		return nil, fmt.Errorf("cannot remove what an earlier run left: %w", err)
	}
	dir, err := os.MkdirTemp("", machinePrefix)
	if err != nil {
		return nil, err
	}
	m := &Machine{Name: filepath.Base(dir), Dir: dir}
	steps := [][]string{
		{"ip", "netns", "add", m.Name},
		{"ip", "-n", m.Name, "link", "set", "lo", "up"},
	}
	err = writeOwner(dir)
	for _, s := range steps {
		if err == nil {
			_, err = output(exec.CommandContext(ctx, s[0], s[1:]...))
		}
	}
	if err != nil {
		return nil, errors.Join(err, m.Close(ctx))
	}
	return m, nil
}

// RealMachine is the machine that this process runs on, with a directory for
// what is started on it. It is for the demo, beside an engine that runs already.
func RealMachine(name string) (*Machine, error) {
	dir, err := os.MkdirTemp("", "kuryrdemo-")
	if err != nil {
		return nil, err
	}
	return &Machine{Name: name, Dir: dir, real: true}, nil
}

// GuestMachine is a machine in a network namespace that somebody else has
// made, with a directory of its own for what is started on it. What an earlier
// one left there is removed.
func GuestMachine(ctx context.Context, namespace, dir string) (*Machine, error) {
	m := &Machine{Name: namespace, Dir: dir, guest: true}
	if err := m.Close(ctx); err != nil {
		return nil, err
	}
	return m, os.MkdirAll(dir, 0o700)
}

// Close ends every process that runs on the machine and removes all of it; of
// a real machine and of a guest, what runs in the directory, and that.
func (m *Machine) Close(ctx context.Context) error {
	err := errors.Join(killAll(m.Dir), unmountAll(m.Dir))
	if !m.real && !m.guest {
		err = errors.Join(err, removeNamespace(ctx, m.Name), removeSocket(m.Name))
	}
	return errors.Join(err, os.RemoveAll(m.Dir))
}

// Path returns the path of a file in the machine's directory.
func (m *Machine) Path(name string) string { return filepath.Join(m.Dir, name) }

// Command is exec.CommandContext for a program that runs on this machine.
// The program's process is the command's own: nsenter turns into it.
//
// nsenter and not `ip netns exec`: the latter mounts a new /sys, which hides
// the cgroups that a container engine needs.
func (m *Machine) Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	if !m.real {
		args = append([]string{"--net=" + filepath.Join(netnsDir, m.Name), "--", name}, args...)
		cmd = exec.CommandContext(ctx, "nsenter", args...)
	}
	cmd.Env = quietEnv()
	return cmd
}

// Output runs a program on the machine and returns what it prints. What it
// says on standard error is part of the error.
func (m *Machine) Output(ctx context.Context, name string, args ...string) (string, error) {
	return output(m.Command(ctx, name, args...))
}

// Dial connects from the machine; a dialer for http.Transport.
func (m *Machine) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	var c net.Conn
	err := m.Do(func() (err error) {
		c, err = (&net.Dialer{}).DialContext(ctx, network, address)
		return err
	})
	return c, err
}

// Listen listens on an address of the machine, a literal one.
func (m *Machine) Listen(ctx context.Context, network, address string) (net.Listener, error) {
	var l net.Listener
	err := m.Do(func() (err error) {
		l, err = (&net.ListenConfig{}).Listen(ctx, network, address)
		return err
	})
	return l, err
}

// Do calls f on a thread that is in the machine's namespace.
func (m *Machine) Do(f func() error) error {
	if m.real {
		return f()
	}
	return Inside(filepath.Join(netnsDir, m.Name), f)
}

// Inside calls f on a thread that is in the network namespace at a path, such
// as /proc/PID/ns/net. What f opens there stays there.
func Inside(path string, f func() error) error {
	done := make(chan error, 1)
	go func() {
		// The thread is given back only when it is home again; else the runtime
		// ends it with the goroutine.
		runtime.LockOSThread()
		home, err := os.Open("/proc/thread-self/ns/net")
		if err != nil {
			done <- err
			return
		}
		defer home.Close()
		err = enter(path)
		if err == nil {
			err = f()
		}
		if e := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); e == nil {
			runtime.UnlockOSThread()
		}
		done <- err
	}()
	return <-done
}

// enter moves the calling thread into a network namespace.
func enter(path string) error {
	ns, err := os.Open(path)
	if err != nil {
		return err
	}
	defer ns.Close()
	if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("cannot enter the namespace %s: %w", path, err)
	}
	return nil
}

// quietEnv is an environment without the settings that a user may have for
// Docker, Kuryr or OpenStack.
func quietEnv() []string {
	env := []string{"LANG=C.UTF-8"}
	for _, k := range []string{"PATH", "HOME", "TMPDIR"} {
		if v, ok := os.LookupEnv(k); ok {
			env = append(env, k+"="+v)
		}
	}
	return env
}

func output(cmd *exec.Cmd) (string, error) {
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return out.String(), &CommandError{Args: cmd.Args, Stderr: strings.TrimSpace(errs.String()), Err: err}
	}
	return strings.TrimSpace(out.String()), nil
}

// CommandError is a program that failed.
type CommandError struct {
	Args   []string
	Stderr string // what it said on standard error
	Err    error  // an *exec.ExitError, or why it did not run
}

// Error implements error.
func (e *CommandError) Error() string {
	return fmt.Sprintf("%s: %v: %s", strings.Join(e.Args, " "), e.Err, e.Stderr)
}

// Unwrap returns the cause.
func (e *CommandError) Unwrap() error { return e.Err }

func removeNamespace(ctx context.Context, name string) error {
	if _, err := os.Stat(filepath.Join(netnsDir, name)); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	_, err := output(exec.CommandContext(ctx, "ip", "netns", "del", name))
	return err
}

// removeSocket removes the socket of a plugin of that name, which a Kuryr that
// was killed has left.
func removeSocket(name string) error {
	err := os.Remove(filepath.Join(pluginDir, name+".sock"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// tail returns the last lines of a file, for a failure's report.
func tail(path string, lines int) string {
	f, err := os.Open(path)
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimRight(string(b), "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
