package daemon

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"sync/atomic"
	"time"

	"github.com/coreos/go-systemd/v22/activation"
	notify "github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sys/unix"

	"kuryr/internal/courier"
	"kuryr/internal/observe"
)

// manager is the systemd that started this process (sd_notify(3)). Without
// one its methods tell nobody.
type manager struct {
	log *slog.Logger
	up  atomic.Bool // it has been told that all sockets are served
}

// tell sends a state, of one or more lines.
func (m *manager) tell(state string) {
	if _, err := notify.SdNotify(false, state); err != nil {
		m.log.Warn("systemd does not hear what this process tells it", "state", state, observe.Err, err)
	}
}

// ready says that all sockets are served, with a line for people.
func (m *manager) ready(line string) {
	m.up.Store(true)
	m.tell(notify.SdNotifyReady + "\nSTATUS=" + line)
}

func (m *manager) stopping() {
	m.tell(notify.SdNotifyStopping + "\nSTATUS=Stopping: what is in flight is answered")
}

// reload says that the configuration is read again while f does so. Before the
// process is ready that is part of its start.
func (m *manager) reload(f func()) {
	if !m.up.Load() {
		f()
		return
	}
	m.tell(notify.SdNotifyReloading + "\n" + notify.SdNotifyMonotonicUsec())
	f()
	m.tell(notify.SdNotifyReady)
}

// beats is the time between two signs of life that systemd wants: half of that
// after which it takes the process for dead. 0: it wants none.
func (m *manager) beats() time.Duration {
	limit, err := notify.SdWatchdogEnabled(false)
	if err != nil {
		m.log.Warn("cannot tell whether systemd wants signs of life", observe.Err, err)
	}
	return limit / 2
}

// watch gives systemd a sign of life each time that look has come back. While
// it does not, there is none, and systemd starts Kuryr anew.
func (m *manager) watch(ctx context.Context, every time.Duration, look func()) {
	for {
		came := make(chan struct{})
		go func() {
			defer close(came)
			look()
		}()
		next := time.After(every)
		select {
		case <-came:
			m.tell(notify.SdNotifyWatchdog)
			select {
			case <-next:
				continue
			case <-ctx.Done():
				return
			}
		case <-next:
			m.log.Error("kuryr hangs: systemd gets no sign of life", "for", every)
		case <-ctx.Done():
			return
		}
		select {
		case <-came:
			m.log.Warn("kuryr does not hang any more")
		case <-ctx.Done():
			return
		}
	}
}

// activated are the sockets that systemd holds for this process, by socket
// unit. They are known by their paths: all of one unit have the same name.
func activated() []*os.File { return activation.Files(true) }

// heldSocket makes a listener of a socket that systemd has made, and goes on
// holding: what connects while Kuryr is restarted waits in it.
func heldSocket(f *os.File) (*socket, error) {
	path, err := listeningPath(int(f.Fd()))
	if err == nil {
		err = closedToStrangers(path)
	}
	if err != nil {
		return nil, &courier.Error{Kind: courier.Invalid, Op: "listen on", Subject: "what " + f.Name() + " of systemd holds", Err: err,
			Hint: "see packaging/systemd/kuryr.socket for what it should be"}
	}
	s := &socket{path: path, held: true}
	if s.Listener, err = net.FileListener(f); err != nil {
		return nil, &courier.Error{Op: "listen on", Subject: path, Public: cause(err), Err: err}
	}
	// Without a file nobody can connect, which check tells; whoever has waits still.
	s.file, _ = os.OpenFile(path, unix.O_PATH|unix.O_NOFOLLOW, 0)
	return s, nil
}

// listeningPath returns the path of a Unix socket that listens.
func listeningPath(fd int) (string, error) {
	kind, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
	if err != nil {
		return "", errors.New("it is no socket")
	}
	listens, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
	if err != nil {
		return "", os.NewSyscallError("getsockopt", err)
	}
	address, err := unix.Getsockname(fd)
	if err != nil {
		return "", os.NewSyscallError("getsockname", err)
	}
	a, ok := address.(*unix.SockaddrUnix)
	if !ok || kind != unix.SOCK_STREAM || listens == 0 || a.Name == "" || a.Name[0] != '/' {
		return "", errors.New("it is no Unix stream socket that listens on a path")
	}
	return a.Name, nil
}

// closedToStrangers refuses a socket that every user may connect to: who can
// is as good as root.
func closedToStrangers(path string) error {
	st, err := os.Lstat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if st.Mode().Perm()&0o002 != 0 {
		return errors.New(path + " is open to every user of this machine; set SocketMode=0660, or stricter")
	}
	return nil
}
