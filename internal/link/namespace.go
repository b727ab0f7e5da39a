package link

import (
	"runtime"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// thisThread names the network namespace of the thread that opens it. (The
// shorter /proc/self is the first thread of the process.)
const thisThread = "/proc/thread-self/ns/net"

// namespace is a network namespace that is kept open.
type namespace struct {
	fd       netns.NsHandle
	dev, ino uint64 // what tells it from others
}

func currentNamespace() (*namespace, error) {
	fd, err := netns.GetFromPath(thisThread)
	if err != nil {
		return nil, err
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(fd), &st); err != nil {
		fd.Close()
		return nil, err
	}
	return &namespace{fd: fd, dev: st.Dev, ino: st.Ino}, nil
}

func (n *namespace) close() { n.fd.Close() }

// handle opens a netlink handle of a family that works in the namespace from
// any thread.
func (n *namespace) handle(family int) (*netlink.Handle, error) {
	h, err := netlink.NewHandleAt(n.fd, family)
	if err != nil {
		return nil, err
	}
	if err := h.SetSocketTimeout(answerTimeout); err != nil {
		h.Close()
		return nil, err
	}
	return h, nil
}

// sockets opens a netlink socket for requests of our own making.
func (n *namespace) sockets() (map[int]*nl.SocketHandle, error) {
	socket, err := nl.GetNetlinkSocketAt(n.fd, netns.None(), unix.NETLINK_ROUTE)
	if err != nil {
		return nil, err
	}
	sockets := map[int]*nl.SocketHandle{unix.NETLINK_ROUTE: {Socket: socket}}
	timeout := unix.NsecToTimeval(answerTimeout.Nanoseconds())
	err = socket.SetReceiveTimeout(&timeout)
	if err == nil {
		// The kernel's own words for what is wrong ("mtu greater than device
		// maximum"); without them there is only EINVAL.
		err = socket.SetExtAck(true)
	}
	if err != nil {
		closeSockets(sockets)
		return nil, err
	}
	return sockets, nil
}

func closeSockets(sockets map[int]*nl.SocketHandle) {
	for _, s := range sockets {
		s.Close()
	}
}

// do runs fn on a thread that is in the namespace. In the daemon every thread
// is, and fn runs where it is called; elsewhere (tests) it runs on a goroutine
// of its own whose thread enters the namespace and ends with it.
func (n *namespace) do(fn func() error) error {
	runtime.LockOSThread()
	if n.current() {
		defer runtime.UnlockOSThread()
		return fn()
	}
	runtime.UnlockOSThread()
	done := make(chan error, 1)
	go func() {
		// Never unlocked, so that the runtime ends the thread: nobody else
		// may get one that is in another namespace.
		runtime.LockOSThread()
		if err := unix.Setns(int(n.fd), unix.CLONE_NEWNET); err != nil {
			done <- err
			return
		}
		done <- fn()
	}()
	return <-done
}

// current reports whether the calling thread is in the namespace.
func (n *namespace) current() bool {
	var st unix.Stat_t
	err := unix.Stat(thisThread, &st)
	return err == nil && st.Dev == n.dev && st.Ino == n.ino
}
