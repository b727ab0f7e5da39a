package daemon

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"kuryr/internal/courier"
	"kuryr/internal/crash"
)

// socket is a Unix socket that this process listens on.
type socket struct {
	net.Listener
	path string
	// file is the socket's own (O_PATH), to know it again: as long as it is
	// open no other file can have its inode's number. nil: it was gone already.
	file *os.File
	held bool // by systemd, which made it and keeps it
}

// listenUnix returns the socket of a path: systemd's where it holds that one,
// else one that this process makes.
func (d *daemon) listenUnix(path string) (*socket, error) {
	for i, s := range d.held {
		if samePath(s.path, path) {
			d.held = slices.Delete(d.held, i, i+1)
			return s, nil
		}
	}
	return listenUnix(path, d.cfg.SocketGroup)
}

// samePath reports whether two paths are of one file, whatever links lead there.
func samePath(a, b string) bool {
	if filepath.Clean(a) == filepath.Clean(b) {
		return true
	}
	x, err1 := os.Stat(a)
	y, err2 := os.Stat(b)
	return err1 == nil && err2 == nil && os.SameFile(x, y)
}

// takeHeld takes the sockets that systemd holds. All must be those of the
// configuration: calls to another one would never be answered.
func (d *daemon) takeHeld(files []*os.File) error {
	d.onClose("the sockets of systemd", func() error {
		for _, s := range d.held {
			s.Close()
		}
		return nil
	})
	var wrong error
	for _, f := range files {
		s, err := heldSocket(f)
		f.Close() // the listener has a descriptor of its own
		if err != nil {
			wrong = cmp.Or(wrong, err)
			continue
		}
		d.held = append(d.held, s)
		if !samePath(s.path, d.cfg.DockerSocket) && !samePath(s.path, d.cfg.AdminSocket) {
			wrong = cmp.Or[error](wrong, &courier.Error{Kind: courier.Invalid, Op: "listen on", Subject: s.path,
				Public: f.Name() + " of systemd holds it, but it is neither docker_socket nor admin_socket",
				Hint:   "have ListenStream= in the unit name the paths of the configuration: systemctl edit " + f.Name()})
		}
	}
	return wrong
}

// listenUnix makes a Unix socket: 0660 and group's where there is such a
// group, else 0600. Nobody can connect before its mode is right, since it
// listens only then. A file that a dead process left is replaced; one on
// which somebody answers, or that is no socket, is refused.
func listenUnix(path, group string) (*socket, error) {
	s, err := bindUnix(path, group)
	if err == nil {
		return s, nil
	}
	var e *courier.Error
	if errors.As(err, &e) {
		return nil, err
	}
	return nil, &courier.Error{Op: "listen on", Subject: path, Public: cause(err), Err: err}
}

func bindUnix(path, group string) (*socket, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	if err := removeStale(path); err != nil {
		return nil, err
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), path)
	defer f.Close() // the listener has a descriptor of its own
	crash.Before(crash.DaemonBind)
	err = unix.Bind(fd, &unix.SockaddrUnix{Name: path})
	crash.After(crash.DaemonBind)
	if err != nil {
		return nil, err
	}
	s := &socket{path: path}
	crash.Before(crash.DaemonRestrict)
	err = restrict(path, group)
	crash.After(crash.DaemonRestrict)
	if err == nil {
		err = unix.Listen(fd, unix.SOMAXCONN)
	}
	if err == nil {
		s.Listener, err = net.FileListener(f)
	}
	if err == nil {
		s.file, err = os.OpenFile(path, unix.O_PATH|unix.O_NOFOLLOW, 0)
	}
	if err != nil {
		os.Remove(path)
		return nil, err
	}
	return s, nil
}

// restrict says who may connect.
func restrict(path, group string) error {
	gid, ok, err := lookupGroup(group)
	if err != nil {
		return err
	}
	if !ok {
		return os.Chmod(path, 0o600)
	}
	if err := os.Chown(path, -1, gid); err != nil {
		return err
	}
	return os.Chmod(path, 0o660)
}

func lookupGroup(name string) (gid int, ok bool, err error) {
	if name == "" {
		return 0, false, nil
	}
	g, err := user.LookupGroup(name)
	if unknown := user.UnknownGroupError(""); errors.As(err, &unknown) || errors.Is(err, os.ErrNotExist) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, err
	}
	gid, err = strconv.Atoi(g.Gid)
	return gid, err == nil, err
}

// removeStale removes a socket's file on which nobody answers.
func removeStale(path string) error {
	st, err := os.Lstat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if st.Mode().Type() != os.ModeSocket {
		return &courier.Error{Kind: courier.Conflict, Op: "listen on", Subject: path, Public: "the file is there, and is no socket",
			Hint: "move it away, or choose another path"}
	}
	c, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		c.Close()
	}
	if err == nil || !errors.Is(err, unix.ECONNREFUSED) {
		return &courier.Error{Kind: courier.Conflict, Op: "listen on", Subject: path, Public: "another process listens there", Err: err,
			Hint: "stop it, or choose another path"}
	}
	crash.Before(crash.DaemonStale)
	defer crash.After(crash.DaemonStale)
	return os.Remove(path)
}

// ours reports whether the file is still the one that was made.
func (s *socket) ours() bool {
	if s.file == nil {
		return false
	}
	own, err := s.file.Stat()
	if err != nil {
		return false
	}
	now, err := os.Lstat(s.path)
	return err == nil && os.SameFile(own, now)
}

// check tells why nobody can connect any more; nil: who may, can.
func (s *socket) check() error {
	if s.ours() {
		return nil
	}
	if s.held {
		return fmt.Errorf("%s was removed or replaced: restart kuryr.socket", s.path)
	}
	return fmt.Errorf("%s was removed or replaced: restart kuryr", s.path)
}

// retire has nobody new come to this process. Whoever comes to systemd's
// socket waits there for the next one. Else the file goes, and whoever has
// connected by then is still let in: the kernel would hang up on them, and
// Docker repeats a call on which it was hung up without its body.
func (s *socket) retire(ctx context.Context) {
	if s.held {
		return
	}
	s.remove()
	for s.waiting() && ctx.Err() == nil {
		time.Sleep(time.Millisecond)
	}
}

// waiting reports whether a connection waits to be accepted.
func (s *socket) waiting() bool {
	l, ok := s.Listener.(*net.UnixListener)
	if !ok {
		return false
	}
	conn, err := l.SyscallConn()
	if err != nil {
		return false
	}
	n := 0
	err = conn.Control(func(fd uintptr) {
		n, _ = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
	})
	return err == nil && n > 0
}

// remove removes the file, if this process has made it.
func (s *socket) remove() {
	if !s.held && s.ours() {
		os.Remove(s.path)
	}
}

// Close stops listening. The file goes first, so that a process that takes
// over finds the path free, and keeps what it then makes there.
func (s *socket) Close() error {
	s.remove()
	if s.file != nil {
		s.file.Close()
	}
	return s.Listener.Close()
}

// cause is an operating system's error without the names around it, which the
// text tells already.
func cause(err error) string {
	var errno unix.Errno
	if errors.As(err, &errno) {
		return errno.Error()
	}
	return err.Error()
}
