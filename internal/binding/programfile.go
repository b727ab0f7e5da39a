package binding

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// openProgram opens an executable that only root can have put there: a regular
// file of root's, that nobody else may write, in folders of which the same is
// true up to the root of the file system. No symbolic link is followed. All is
// looked at by descriptor, so that what was looked at is what is run.
func openProgram(dir, name string) (*os.File, error) {
	if dir == "" || !plainName.MatchString(name) {
		return nil, os.ErrNotExist
	}
	at, err := unix.Open("/", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	path := "/"
	for part := range strings.SplitSeq(strings.Trim(filepath.Clean(dir), "/"), "/") {
		if part == "" {
			continue
		}
		next, err := openOwned(at, path, part, unix.O_PATH|unix.O_DIRECTORY)
		unix.Close(at)
		if err != nil {
			return nil, err
		}
		at, path = next, filepath.Join(path, part)
	}
	defer unix.Close(at)
	// O_NONBLOCK: a FIFO would not let go.
	fd, err := openOwned(at, path, name, unix.O_RDONLY|unix.O_NONBLOCK)
	if err != nil {
		return nil, err
	}
	path = filepath.Join(path, name)
	var st unix.Stat_t
	err = unix.Fstat(fd, &st)
	switch {
	case err != nil:
	case st.Mode&unix.S_IFMT != unix.S_IFREG:
		err = fmt.Errorf("%s is no regular file", path)
	case st.Mode&0o111 == 0:
		err = fmt.Errorf("%s is not executable", path)
	default:
		return os.NewFile(uintptr(fd), path), nil
	}
	unix.Close(fd)
	return nil, err
}

// openOwned opens one name in a folder, if it is root's and nobody else may write it.
func openOwned(at int, dir, name string, flags int) (int, error) {
	path := filepath.Join(dir, name)
	fd, err := unix.Openat(at, name, flags|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	switch {
	case errors.Is(err, unix.ENOENT):
		return -1, fmt.Errorf("%s: %w", path, os.ErrNotExist)
	case errors.Is(err, unix.ELOOP), errors.Is(err, unix.ENOTDIR):
		return -1, fmt.Errorf("%s is a symbolic link, or no folder", path)
	case err != nil:
		return -1, fmt.Errorf("%s: %w", path, err)
	}
	var st unix.Stat_t
	err = unix.Fstat(fd, &st)
	switch {
	case err != nil:
	case st.Uid != 0:
		err = fmt.Errorf("%s belongs to user %d", path, st.Uid)
	case st.Mode&0o022 != 0:
		err = fmt.Errorf("%s can be written by others (mode %04o)", path, st.Mode&0o7777)
	default:
		return fd, nil
	}
	unix.Close(fd)
	return -1, err
}
