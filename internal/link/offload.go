package link

import (
	"context"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"

	"kuryr/internal/crash"
)

// ethtoolValue is struct ethtool_value of linux/ethtool.h.
type ethtoolValue struct{ cmd, data uint32 }

// ethtoolRequest is struct ifreq with a pointer in its union.
type ethtoolRequest struct {
	name [unix.IFNAMSIZ]byte
	data unsafe.Pointer
	_    [16]byte // the union is longer than a pointer
}

// ChecksumInSoftware makes an interface's sender compute its checksums, as
// `ethtool --offload NAME tx off` does; with them go segments that are too
// long for one frame. The setting stays with an interface that moves to
// another namespace.
//
// The kernel leaves the checksum of what goes into a veth to the hardware that
// sends it on. A switch that takes frames out of the kernel and puts them into
// another interface by itself has none: TCP and UDP fail.
func (l *Links) ChecksumInSoftware(ctx context.Context, name string) error {
	if err := ctx.Err(); err != nil {
		return kernelError("set up", "interface "+name, err)
	}
	return kernelError("turn off checksum offload of", "interface "+name, l.space.do(func() error {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		value := ethtoolValue{cmd: unix.ETHTOOL_STXCSUM, data: 0}
		request := ethtoolRequest{data: unsafe.Pointer(&value)}
		copy(request.name[:unix.IFNAMSIZ-1], name)
		crash.Before(crash.LinkChecksum)
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&request)))
		runtime.KeepAlive(&value)
		crash.After(crash.LinkChecksum)
		if errno != 0 {
			return errno
		}
		return nil
	}))
}
