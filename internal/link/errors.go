package link

import (
	"context"
	"errors"
	"os"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"kuryr/internal/courier"
)

// kernelError gives an error of the kernel or of the library the kind and the
// words of the domain. A nil error stays nil.
func kernelError(op, subject string, err error) error {
	if err == nil {
		return nil
	}
	e := &courier.Error{Op: op, Subject: subject, Err: err}
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		e.Kind, e.Public = courier.Unavailable, "no time was left"
	case gone(err):
		e.Kind, e.Public = courier.NotFound, "there is no such interface"
	case errors.Is(err, unix.EEXIST):
		e.Kind, e.Public = courier.Conflict, "an interface of that name exists already"
	case errors.Is(err, os.ErrPermission): // EPERM, EACCES
		e.Kind, e.Public = courier.Unauthorized, "the kernel does not allow it"
		e.Hint = "run kuryr as root, with CAP_NET_ADMIN and a writable /proc/sys/net"
	case errors.Is(err, unix.EROFS):
		e.Kind, e.Public = courier.Unauthorized, "/proc/sys is read-only"
		e.Hint = "run kuryr with a writable /proc/sys/net (a container: privileged)"
	case errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.EAFNOSUPPORT):
		e.Kind, e.Public = courier.Unsupported, "this kernel has no such interfaces"
		e.Hint = "load the kernel's modules veth and bridge"
	case errors.Is(err, netlink.ErrDumpInterrupted), errors.Is(err, unix.EBUSY),
		errors.Is(err, unix.EAGAIN), errors.Is(err, unix.ENOBUFS), errors.Is(err, unix.ENOMEM):
		e.Kind = courier.Unavailable
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ERANGE), errors.Is(err, unix.EADDRNOTAVAIL):
		e.Kind = courier.Invalid
	}
	return e
}

// gone reports whether the kernel says that the interface does not exist.
func gone(err error) bool {
	var missing netlink.LinkNotFoundError
	return errors.As(err, &missing) || errors.Is(err, unix.ENODEV)
}

// marked reports whether an alias has Kuryr's mark.
func marked(alias string) bool { return strings.HasPrefix(alias, courier.MarkPrefix) }

// isOwn reports whether an interface was made by this package: by its alias,
// or, where a crash came before that was written, by its group.
func isOwn(a *netlink.LinkAttrs) bool {
	return marked(a.Alias) || a.Alias == "" && a.Group&GroupMask == Group
}

// ownerOf says in words whose an interface is that isn't ours.
func ownerOf(a *netlink.LinkAttrs) string {
	if a.Alias == "" {
		return "it is another program's (it has no alias)"
	}
	return "it is another's (its alias is " + a.Alias + ")"
}
