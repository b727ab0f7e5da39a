package binding

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"time"

	"kuryr/internal/courier"
	"kuryr/internal/crash"
	"kuryr/internal/link"
)

// programPlug is a vif_type that is not built in: an executable of the
// operator's that has its name, with the Python Kuryr's arguments:
//
//	NAME bind PORT INTERFACE ENDPOINT MAC NETWORK PROJECT DETAILS
//	NAME unbind PORT INTERFACE ENDPOINT MAC DETAILS NETWORK
//
// It is run with all of Kuryr's rights, so it has to be beyond anybody's reach:
// see openProgram.
type programPlug struct {
	links *link.Links
	dir   string // of the executables; "": there are none
	name  string // the vif_type
}

const (
	// programTimeout bounds one run.
	programTimeout = 10 * time.Second
	// programGrace is how long, after that, what it has started may keep its output open.
	programGrace = time.Second
	// maxDetails bounds the argument DETAILS, in bytes; the kernel's bound is 128 KiB.
	maxDetails = 32 << 10
)

// plainName is what a vif_type may be called that names a file.
var plainName = regexp.MustCompile(`^[a-z0-9_]{1,64}$`)

func (g *programPlug) check(port courier.PortID, how courier.Binding) error {
	refuse := func(why, hint string) error {
		return &courier.Error{Kind: courier.Unsupported, Op: "plug", Subject: "port " + string(port), Public: why, Hint: hint}
	}
	f, err := openProgram(g.dir, g.name)
	if err != nil {
		return refuse("the executable of its vif_type can't be run: "+err.Error(), "it and the folders above it must be root's, and writable by nobody else")
	}
	f.Close()
	if len(details(how)) > maxDetails {
		return refuse(fmt.Sprintf("its binding:vif_details are longer than %d bytes", maxDetails), "")
	}
	return nil
}

// bind runs the executable. It may have done a part of its work when it fails,
// or is killed, so that it is told to undo it.
func (g *programPlug) bind(ctx context.Context, p courier.Plug) error {
	err := g.run(ctx, p, "bind", string(p.Port), p.HostEnd, p.Device, p.MAC.String(), string(p.Network), p.Project, details(p.Binding))
	if err == nil {
		return nil
	}
	undo, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTimeout)
	defer cancel()
	if left := g.unbind(undo, p); left != nil {
		return fmt.Errorf("%w (and it could not be undone: %w)", err, left)
	}
	return err
}

func (g *programPlug) unbind(ctx context.Context, p courier.Plug) error {
	return g.run(ctx, p, "unbind", string(p.Port), p.HostEnd, p.Device, p.MAC.String(), details(p.Binding), string(p.Network))
}

// run runs the very file that was checked, in the links' namespace: with no
// shell, no input and an environment of its own, as a group of processes that
// ends with its time.
func (g *programPlug) run(ctx context.Context, p courier.Plug, args ...string) error {
	f, err := openProgram(g.dir, g.name)
	if err != nil {
		return g.failed(p, args[0], err.Error(), err)
	}
	defer f.Close()
	ctx, cancel := context.WithTimeout(ctx, programTimeout)
	defer cancel()
	var said tail
	// The first of ExtraFiles is descriptor 3. A script's interpreter opens it, too.
	cmd := exec.CommandContext(ctx, "/proc/self/fd/3", args...)
	cmd.ExtraFiles = []*os.File{f}
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C"}
	cmd.Stdout, cmd.Stderr = &said, &said
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = programGrace
	crash.Before(crash.BindingProgram)
	err = g.links.Do(cmd.Run)
	crash.After(crash.BindingProgram)
	switch {
	case err == nil, errors.Is(err, exec.ErrWaitDelay): // it has left something running
		return nil
	case ctx.Err() != nil:
		return g.failed(p, args[0], "it took too long", ctx.Err())
	case said.line() != "":
		return g.failed(p, args[0], said.line(), err)
	}
	return g.failed(p, args[0], err.Error(), err)
}

func (g *programPlug) failed(p courier.Plug, what, why string, err error) error {
	return &courier.Error{Kind: courier.KindOf(err), Op: "plug", Subject: "port " + string(p.Port),
		Public: fmt.Sprintf("%s/%s %s failed: %s", g.dir, g.name, what, why), Err: err,
		Hint: "it is this host's operator's, not Kuryr's: docs/bindings.md says what it has to do"}
}

// tail keeps the end of what a program says.
type tail struct{ b []byte }

const maxTail = 4 << 10

// Write implements io.Writer.
func (t *tail) Write(p []byte) (int, error) {
	t.b = append(t.b, p[max(0, len(p)-maxTail):]...)
	t.b = append(t.b[:0], t.b[max(0, len(t.b)-maxTail):]...)
	return len(p), nil
}

// line is the last line that is not empty, up to 200 characters of it.
func (t *tail) line() string {
	lines := strings.Split(strings.TrimSpace(string(t.b)), "\n")
	return fmt.Sprintf("%.200s", strings.ToValidUTF8(strings.TrimSpace(lines[len(lines)-1]), "?"))
}
