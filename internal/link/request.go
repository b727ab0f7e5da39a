package link

import (
	"context"

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

// change begins a message that changes an existing interface.
func (l *Links) change(index int) request {
	return l.newRequest(unix.RTM_SETLINK, unix.NLM_F_ACK, index)
}
