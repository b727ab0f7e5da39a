package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// daemon is a program that goes on running when this command has ended. It
// must stay in the foreground: its process is the one that is started.
type daemon struct {
	name    string
	machine string // it runs on
	env     []string
	args    []string
}

// environment of all programs: Debian's own Python, and nothing of whoever
// runs the lab.
var environment = []string{
	"PATH=" + path,
	"LANG=C.UTF-8",
	"HOME=/root",
}

// path is where programs are looked for.
const path = "/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"

// patience is how long a program may take to be ready, on a busy machine.
const patience = 3 * time.Minute

// start starts a daemon unless it runs already.
func (l *lab) start(d daemon) error {
	if pid, _ := l.running(d.name); pid != 0 {
		return nil
	}
	log, err := os.OpenFile(l.log(d.name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close() // the daemon has its own
	cmd := l.command(context.Background(), d.machine, d.env, d.args...)
	cmd.Stdout, cmd.Stderr = log, log
	// A session of its own outlives this command, and tells which processes
	// are the daemon's.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return err
	}
	pid := strconv.Itoa(cmd.Process.Pid)
	// One that ends early must not stay a zombie: it would look alive.
	go cmd.Wait() // its log says why it ended
	return os.WriteFile(l.pidFile(d.name), []byte(pid+" "+startTime(pid)), 0o600)
}

// ready waits until check succeeds. It gives up when the daemon ends.
func (l *lab) ready(ctx context.Context, name string, check func(context.Context) error) error {
	err := eventually(ctx, func(ctx context.Context) error {
		if pid, err := l.running(name); err != nil || pid == 0 {
			return fatal{fmt.Errorf("%s has ended", name)}
		}
		return check(ctx)
	})
	if err != nil {
		return fmt.Errorf("%w; %s ends with:\n%s", err, l.log(name), tail(l.log(name), 25))
	}
	return nil
}

// fatal is an error that no patience mends.
type fatal struct{ error }

// eventually calls check until it succeeds or patience is at its end.
func eventually(ctx context.Context, check func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		err := check(ctx)
		if err == nil || errors.As(err, new(fatal)) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// running returns the PID of a daemon, 0 if it does not run.
func (l *lab) running(name string) (int, error) {
	b, err := os.ReadFile(l.pidFile(name))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	} else if err != nil {
		return 0, err
	}
	pid, began, _ := strings.Cut(string(b), " ")
	if began == "" || startTime(pid) != began {
		return 0, nil
	}
	return strconv.Atoi(pid)
}

// startTime tells a process from a later one with the same PID. A dead one has none.
func startTime(pid string) string {
	f := statFields(pid)
	if f == nil || f[0] == "Z" {
		return ""
	}
	return f[19]
}

// statFields are the fields of /proc/PID/stat after the name in parentheses,
// from the third (the state) on; nil if there is no such process.
func statFields(pid string) []string {
	b, err := os.ReadFile(filepath.Join("/proc", pid, "stat"))
	if err != nil {
		return nil
	}
	f := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	if len(f) < 20 {
		return nil
	}
	return f
}

// command is a program that runs on a machine of the lab.
func (l *lab) command(ctx context.Context, machine string, env []string, args ...string) *exec.Cmd {
	cmd := l.Machine(machine).Command(ctx, args[0], args[1:]...)
	cmd.Env = append(environment[:len(environment):len(environment)], env...)
	return cmd
}

// run runs a program on a machine to its end and returns what it prints. What
// it says goes to the log, too.
func (l *lab) run(ctx context.Context, machine string, env []string, args ...string) (string, error) {
	cmd := l.command(ctx, machine, env, args...)
	var out strings.Builder
	var errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s: %w: %s", strings.Join(args, " "), err, lastLines(errs.String()+out.String(), 15))
	}
	return strings.TrimSpace(out.String()), nil
}

// once runs f unless it has succeeded before.
func (l *lab) once(what string, f func() error) error {
	mark := l.path("done", what)
	if _, err := os.Stat(mark); err == nil {
		return nil
	}
	if err := f(); err != nil {
		return err
	}
	return os.WriteFile(mark, nil, 0o600)
}

// path is that of a file in the lab's directory.
func (l *lab) path(elem ...string) string { return filepath.Join(append([]string{l.Dir}, elem...)...) }

func (l *lab) log(name string) string     { return l.path("log", name+".log") }
func (l *lab) pidFile(name string) string { return l.path("pid", name) }

func tail(path string, lines int) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return lastLines(string(b), lines)
}

func lastLines(text string, lines int) string {
	all := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
