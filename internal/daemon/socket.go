package daemon

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/user"
	"path/filepath"
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
	// open no other file can have its inode's number.
	file *os.File
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
	own, err := s.file.Stat()
	if err != nil {
		return false
	}
	now, err := os.Lstat(s.path)
	return err == nil && os.SameFile(own, now)
}

// check tells why nobody can connect any more; nil: who may, can.
func (s *socket) check() error {
	if !s.ours() {
		return fmt.Errorf("%s was removed or replaced: restart kuryr", s.path)
	}
	return nil
}

// Close stops listening. The file goes first, so that a process that takes
// over finds the path free, and keeps what it then makes there.
func (s *socket) Close() error {
	if s.ours() {
		os.Remove(s.path)
	}
	s.file.Close()
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
