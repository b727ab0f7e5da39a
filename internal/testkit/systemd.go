package testkit

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Systemd is a systemd of a machine's own: process 1 of its own PID namespace,
// on a copy of the real file system that ends with it. It has the units that it
// is given and no others, and the network of the machine.
type Systemd struct {
	Machine *Machine
	Kuryr   *Kuryr // which its units run
	proc    *process
	pid     string // of systemd, as the real machine sees it
}

//go:embed systemd.sh
var systemdScript string

// bareUnits are the targets and services of other packages that Kuryr's units
// name, as far as they do anything in a test.
var bareUnits = map[string]string{
	"sysinit.target":        "[Unit]\nDefaultDependencies=no\n",
	"basic.target":          "[Unit]\nDefaultDependencies=no\nWants=sysinit.target sockets.target\nAfter=sysinit.target sockets.target\n",
	"sockets.target":        "[Unit]\nDefaultDependencies=no\n",
	"multi-user.target":     "[Unit]\nRequires=basic.target\nAfter=basic.target\nWants=docker.service\nAllowIsolate=yes\n",
	"shutdown.target":       "[Unit]\nDefaultDependencies=no\nRefuseManualStart=yes\n",
	"network-online.target": "[Unit]\n",
	"docker.service":        "[Unit]\nAfter=network-online.target\n[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true\n",
}

// SystemdOptions of a systemd.
type SystemdOptions struct {
	Cloud *Cloud // Kuryr's southbound; nil: the embedded Neutron
	// Files are further ones of its file system, root's alone, by their paths.
	Files map[string]string
	// Programs are the same, to be executed.
	Programs map[string]string
}

// StartSystemd starts a systemd on the machine, with Kuryr's units of a folder
// installed and enabled. The machine's Open vSwitch, if it has one, is in the
// place where Kuryr looks for it.
func StartSystemd(ctx context.Context, m *Machine, binary, units string, o SystemdOptions) (*Systemd, error) {
	s := &Systemd{Machine: m, Kuryr: &Kuryr{Name: "kuryr", Host: m.Name, Machine: m, Neutron: NewNeutron(m, neutronListen), cloud: o.Cloud,
		binary: m.Path("kuryr"), config: m.Path("kuryr.conf"), plugin: m.Path("plugins/kuryr.sock"), admin: m.Path("run/kuryr.sock")}}
	if o.Cloud != nil {
		s.Kuryr.Host, s.Kuryr.Neutron = o.Cloud.Host, o.Cloud.Neutron
	}
	if err := s.install(binary, units); err != nil {
		return nil, err
	}
	if err := errors.Join(s.add(o.Files, 0o600), s.add(o.Programs, 0o755)); err != nil {
		return nil, err
	}
	if err := s.Kuryr.configure(KuryrOptions{Listen: neutronListen, Cloud: o.Cloud}); err != nil {
		return nil, err
	}
	if err := mountGroup(m); err != nil {
		return nil, err
	}
	// Each of these turns into the next, so that the process stays the command's own.
	const join = `echo $$ > "$0/cgroup.procs" && exec unshare --mount --pid --fork --kill-child --cgroup --ipc --uts -- sh "$@"`
	cmd := m.Command(context.WithoutCancel(ctx), "sh", "-c", join, groupOf(m), m.Path("systemd.sh"), m.Dir)
	var err error
	if s.proc, err = start(cmd, m.Path("systemd.log")); err != nil {
		return nil, err
	}
	err = s.proc.waitFor(engineReady, func() error {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", s.proc.cmd.Process.Pid))
		if s.pid = strings.TrimSpace(string(b)); err != nil || s.pid == "" {
			return errors.Join(err, errors.New("systemd does not run yet"))
		}
		state, err := s.Systemctl(ctx, "is-system-running")
		if state == "running" || state == "degraded" {
			return nil
		}
		return errors.Join(err, fmt.Errorf("systemd is %s", state))
	})
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// install puts into the machine's folder what the script moves to its places.
func (s *Systemd) install(binary, units string) error {
	m := s.Machine
	for _, d := range []string{"memory", "plugins", "run", "openvswitch", "cgroup", "files", "units/kuryr.service.d", "units/multi-user.target.wants", "units/sockets.target.wants"} {
		if err := os.MkdirAll(m.Path(d), 0o755); err != nil {
			return err
		}
	}
	files := map[string][]byte{"systemd.sh": []byte(systemdScript),
		"units/kuryr.service.d/log.conf": fmt.Appendf(nil, "[Service]\nStandardOutput=append:%s\nStandardError=append:%[1]s\n", m.Path("kuryr.log"))}
	for name, text := range bareUnits {
		files["units/"+name] = []byte(text)
	}
	for from, to := range map[string]string{binary: "kuryr", filepath.Join(units, "kuryr.service"): "units/kuryr.service", filepath.Join(units, "kuryr.socket"): "units/kuryr.socket"} {
		b, err := os.ReadFile(from)
		if err != nil {
			return err
		}
		files[to] = b
	}
	for name, content := range files {
		if err := os.WriteFile(m.Path(name), content, 0o755); err != nil {
			return err
		}
	}
	return errors.Join(os.Symlink("../kuryr.service", m.Path("units/multi-user.target.wants/kuryr.service")),
		os.Symlink("../kuryr.socket", m.Path("units/sockets.target.wants/kuryr.socket")))
}

// add has the script put files into systemd's file system.
func (s *Systemd) add(files map[string]string, mode fs.FileMode) error {
	for path, content := range files {
		place := s.Machine.Path("files" + path)
		if err := os.MkdirAll(filepath.Dir(place), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(place, []byte(content), mode); err != nil {
			return err
		}
	}
	return nil
}

// groupOf is the machine's control group, of version 2.
func groupOf(m *Machine) string { return filepath.Join(m.Path("cgroup"), m.Name) }

func mountGroup(m *Machine) error {
	if err := syscall.Mount("cgroup2", m.Path("cgroup"), "cgroup2", 0, ""); err != nil {
		return fmt.Errorf("cannot mount cgroup2: %w", err)
	}
	return os.Mkdir(groupOf(m), 0o755)
}

// Systemctl runs systemctl, and returns what it prints also when it fails.
func (s *Systemd) Systemctl(ctx context.Context, args ...string) (string, error) {
	return s.Output(ctx, append([]string{"systemctl", "--no-pager"}, args...)...)
}

// Output runs a program on the file system, and among the processes, of systemd.
func (s *Systemd) Output(ctx context.Context, args ...string) (string, error) {
	return output(s.Command(ctx, args...))
}

// Command is a program that is not yet run, there.
func (s *Systemd) Command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "nsenter", append([]string{"--target", s.pid, "--mount", "--pid", "--net", "--"}, args...)...)
	cmd.Env = quietEnv()
	return cmd
}

// Property is what systemctl show says of a unit.
func (s *Systemd) Property(ctx context.Context, unit, name string) (string, error) {
	return s.Systemctl(ctx, "show", "--value", "--property", name, unit)
}

// Replace writes a file of systemd's file system, as an upgrade does: a new
// file in the place of the old one.
func (s *Systemd) Replace(ctx context.Context, path string, content []byte, mode fs.FileMode) error {
	cmd := s.Command(ctx, "sh", "-c", `mkdir -p "$(dirname "$0")" && cat > "$0.new" && chmod "$1" "$0.new" && mv "$0.new" "$0"`, path, fmt.Sprintf("%o", mode))
	cmd.Stdin = strings.NewReader(string(content))
	_, err := output(cmd)
	return err
}

// Close ends systemd and all that it runs.
func (s *Systemd) Close() error {
	s.proc.kill() // process 1 ends with it, and all others with process 1
	return removeGroup(groupOf(s.Machine))
}

// removeGroup removes a control group and those below, once their processes
// are gone.
func removeGroup(group string) error {
	var all []string
	err := filepath.WalkDir(group, func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.IsDir() {
			all = append(all, path)
		}
		return err
	})
	slices.Reverse(all)
	for _, dir := range all {
		for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(10 * time.Millisecond) {
			e := os.Remove(dir)
			if e == nil {
				break
			}
			if time.Now().After(deadline) {
				return errors.Join(err, e)
			}
		}
	}
	return err
}

// Log returns the end of what systemd says.
func (s *Systemd) Log(lines int) string { return tail(s.Machine.Path("systemd.log"), lines) }
