package link

import (
	"context"
	"encoding/binary"
	"errors"
	"sync/atomic"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"kuryr/internal/crash"
)

// request is a netlink message about one interface, for what the library has
// no call for, or needs several.
type request struct {
	*nl.NetlinkRequest
	info *nl.IfInfomsg
}

// newRequest begins a message. Its interface is named by index; 0 leaves that
// to the attribute IFLA_IFNAME.
func (l *Links) newRequest(message uint16, flags uint16, index int) request {
	r := request{
		NetlinkRequest: &nl.NetlinkRequest{
			NlMsghdr: unix.NlMsghdr{
				Len:   unix.SizeofNlMsghdr,
				Type:  message,
				Flags: unix.NLM_F_REQUEST | flags,
			},
			Sockets: l.sockets,
		},
		info: nl.NewIfInfomsg(unix.AF_UNSPEC),
	}
	r.info.Index = int32(index)
	r.AddData(r.info)
	return r
}

func (r request) name(name string) request {
	r.AddData(nl.NewRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(name)))
	return r
}

func (r request) alias(alias string) request {
	r.AddData(nl.NewRtAttr(unix.IFLA_IFALIAS, []byte(alias)))
	return r
}

func (r request) uint32(attribute int, value uint32) request {
	r.AddData(nl.NewRtAttr(attribute, nl.Uint32Attr(value)))
	return r
}

func (r request) up() request {
	r.info.Flags |= unix.IFF_UP
	r.info.Change |= unix.IFF_UP
	return r
}

// do sends the message, which has that effect, and waits for the kernel's answer.
func (r request) do(ctx context.Context, e crash.Effect) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	crash.Before(e)
	defer crash.After(e)
	_, err := r.Execute(unix.NETLINK_ROUTE, 0)
	return err
}

// newDump begins a request for interfaces: all of them, unless attributes say which.
func (l *Links) newDump() request {
	r := l.newRequest(unix.RTM_GETLINK, unix.NLM_F_DUMP, 0).uint32(unix.IFLA_EXT_MASK, skipStatistics)
	r.Sockets = l.dumps
	return r
}

// skipStatistics makes a dump's answers shorter (RTEXT_FILTER_SKIP_STATS).
const skipStatistics = 1 << 3

// links reads the answers to a dump as they come: all the messages about the
// interfaces of a full host are megabytes.
func (r request) links() (all []netlink.Link, err error) {
	var bad error
	err = r.ExecuteIter(unix.NETLINK_ROUTE, unix.RTM_NEWLINK, func(m []byte) bool {
		found, err := netlink.LinkDeserialize(nil, m)
		if err != nil {
			bad = err
			return false
		}
		all = append(all, found)
		return true
	})
	return all, errors.Join(err, bad)
}

// sendAll sends messages to the kernel at once, which all have that effect, and
// returns the answer to each. The kernel works at them one after the other.
func (w *deleter) sendAll(ctx context.Context, requests []request, e crash.Effect) []error {
	answers := make([]error, len(requests))
	all := func(err error) []error {
		for i := range answers {
			answers[i] = err
		}
		return answers
	}
	if err := ctx.Err(); err != nil {
		return all(err)
	}
	handle := w.sockets[unix.NETLINK_ROUTE]
	var messages []byte
	number := make(map[uint32]int, len(requests)) // of each request, by its sequence number
	for i, r := range requests {
		r.Seq = atomic.AddUint32(&handle.Seq, 1)
		number[r.Seq] = i
		messages = append(messages, r.Serialize()...)
	}
	crash.Before(e)
	defer crash.After(e)
	if err := unix.Sendto(handle.Socket.GetFd(), messages, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return all(err)
	}
	for len(number) > 0 {
		received, _, err := handle.Socket.Receive()
		if err != nil {
			for _, i := range number {
				answers[i] = err
			}
			break
		}
		for _, m := range received {
			i, asked := number[m.Header.Seq]
			if !asked || m.Header.Type != unix.NLMSG_ERROR || len(m.Data) < 4 {
				continue // the late answer to what has timed out
			}
			delete(number, m.Header.Seq)
			if errno := -int32(binary.NativeEndian.Uint32(m.Data)); errno != 0 {
				answers[i] = unix.Errno(errno)
			}
		}
	}
	return answers
}

// change begins a message that changes an existing interface.
func (l *Links) change(index int) request {
	return l.newRequest(unix.RTM_SETLINK, unix.NLM_F_ACK, index)
}
