package chaos

import (
	"context"
	wire "encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"kuryr/internal/testkit"
)

const (
	perSecond    = 1000 // packets of each flow
	trafficPort  = 4711
	bufferSize   = 8 << 20 // of a receiver: none may be lost because it is late
	recordLength = 64      // of a TCP stream
	// atOnce is how many packets make up for a delay in one go. Where the machine
	// is busy the kernel hands packets from one namespace to another by a queue of
	// 1,000 a processor (net.core.netdev_max_backlog), which all flows share; what
	// does not fit is dropped, and says nothing of Kuryr.
	atOnce = 100
)

// inContainer calls f in the network namespace of a container.
func inContainer(pid int, f func() error) error {
	return testkit.Inside(fmt.Sprintf("/proc/%d/ns/net", pid), f)
}

// flow is numbered packets from one container to another, and what became of
// them. The UDP flow counts what is lost; the TCP stream, how long nothing came.
type flow struct {
	name     string
	stop     chan struct{}
	done     sync.WaitGroup
	close    []io.Closer
	counters func() (again int) // segments of a stream that were missing; nil: it is UDP

	mu      sync.Mutex // guards what follows
	sent    int
	failed  []int // the numbers of packets that could not be sent
	seen    []bool
	last    time.Time     // when something came
	longest time.Duration // in which nothing came, since the last look
	late    time.Duration // the longest in which nothing was sent, since the last look
	err     error         // a stream's end
}

// pace calls send perSecond times a second until the flow is stopped, and makes
// up for what a busy machine delays.
func (f *flow) pace(send func(n int) error) {
	began, before := time.Now(), time.Now()
	for n := 0; ; {
		due := min(int(time.Since(began).Seconds()*perSecond), n+atOnce)
		for ; n < due; n++ {
			err := send(n)
			now := time.Now()
			f.mu.Lock()
			f.late, before = max(f.late, now.Sub(before)), now
			if f.sent = n + 1; err != nil {
				f.failed, f.err = append(f.failed, n), err
			}
			f.mu.Unlock()
		}
		select {
		case <-f.stop:
			return
		case <-time.After(time.Millisecond):
		}
	}
}

// came notes that a packet is there.
func (f *flow) came(n int) {
	now := time.Now()
	f.mu.Lock()
	defer f.mu.Unlock()
	for len(f.seen) <= n {
		f.seen = append(f.seen, make([]bool, 1<<16)...)
	}
	f.seen[n] = true
	if !f.last.IsZero() {
		f.longest = max(f.longest, now.Sub(f.last))
	}
	f.last = now
}

// end stops the flow.
func (f *flow) end() {
	close(f.stop)
	time.Sleep(200 * time.Millisecond) // what is on its way arrives
	for _, c := range f.close {
		c.Close()
	}
	f.done.Wait()
}

// startUDP has numbered packets go from one endpoint to an address of another.
func startUDP(ctx context.Context, name string, from, to believedEndpoint, address netip.Addr) (*flow, error) {
	f := &flow{name: name, stop: make(chan struct{})}
	target := netip.AddrPortFrom(address, trafficPort)
	var in, out *net.UDPConn
	err := inContainer(to.pid, func() (err error) {
		in, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(target))
		return err
	})
	if err != nil {
		return nil, err
	}
	f.close = append(f.close, in)
	if err := enlarge(in); err != nil {
		return nil, errors.Join(err, in.Close())
	}
	err = inContainer(from.pid, func() (err error) {
		out, err = net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(target))
		return err
	})
	if err != nil {
		return nil, errors.Join(err, in.Close())
	}
	f.close = append(f.close, out)
	f.done.Go(func() {
		packet := make([]byte, 8)
		for {
			n, err := in.Read(packet)
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err == nil && n == len(packet) {
				f.came(int(wire.BigEndian.Uint64(packet)))
			}
		}
	})
	f.done.Go(func() {
		f.pace(func(n int) error {
			_, err := out.Write(wire.BigEndian.AppendUint64(nil, uint64(n)))
			return err
		})
	})
	return f, nil
}

// enlarge gives a receiver room for seconds of packets.
func enlarge(c *net.UDPConn) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var set error
	err = raw.Control(func(fd uintptr) {
		set = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, bufferSize)
	})
	return errors.Join(err, set)
}

// startTCP has a stream of numbered records go from one endpoint to an address
// of another.
func startTCP(ctx context.Context, name string, from, to believedEndpoint, address netip.Addr) (*flow, error) {
	f := &flow{name: name, stop: make(chan struct{})}
	target := netip.AddrPortFrom(address, trafficPort).String()
	var l net.Listener
	err := inContainer(to.pid, func() (err error) {
		l, err = net.Listen("tcp", target)
		return err
	})
	if err != nil {
		return nil, err
	}
	defer l.Close()
	var out net.Conn
	err = inContainer(from.pid, func() (err error) {
		out, err = (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "tcp", target)
		return err
	})
	if err != nil {
		return nil, err
	}
	in, err := l.Accept()
	if err != nil {
		return nil, errors.Join(err, out.Close())
	}
	f.close = append(f.close, out, in)
	f.counters = func() int { return retransmitted(out.(*net.TCPConn)) }
	f.done.Go(func() {
		record := make([]byte, recordLength)
		for n := 0; ; n++ {
			if _, err := io.ReadFull(in, record); err != nil {
				return // it was closed, or the sender says why
			}
			if wire.BigEndian.Uint64(record) == uint64(n) {
				f.came(n)
			}
		}
	})
	f.done.Go(func() {
		record := make([]byte, recordLength)
		f.pace(func(n int) error {
			wire.BigEndian.PutUint64(record, uint64(n))
			_, err := out.Write(record)
			return err
		})
	})
	return f, nil
}

// retransmitted counts the segments that were sent again and were missing: on a
// busy machine TCP takes late ones for lost, and the receiver tells of those
// that it had already (DSACK).
func retransmitted(c *net.TCPConn) int {
	raw, err := c.SyscallConn()
	if err != nil {
		return -1
	}
	sent := -1
	err = raw.Control(func(fd uintptr) {
		if info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
			sent = int(info.Total_retrans) - int(info.Dsack_dups)
		}
	})
	if err != nil {
		return -1
	}
	return sent
}

// mark is where a flow was at a moment.
type mark struct{ sent, retransmitted, dropped int }

// overrun counts what the machine's queues between namespaces had no room for,
// of all that is on it: the second column of each processor's line.
func overrun() (all int) {
	text, err := os.ReadFile("/proc/net/softnet_stat")
	if err != nil {
		return -1
	}
	for line := range strings.Lines(string(text)) {
		if columns := strings.Fields(line); len(columns) > 1 {
			n, _ := strconv.ParseInt(columns[1], 16, 64)
			all += int(n)
		}
	}
	return all
}

// now marks a moment, from which on longest and late are counted anew.
func (f *flow) now() mark {
	again := 0
	if f.counters != nil {
		again = f.counters()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.longest, f.late = 0, 0
	return mark{sent: f.sent, retransmitted: again, dropped: overrun()}
}

// outage is what a flow suffered in a time.
type outage struct {
	flow          string
	sent, lost    int
	longest, late time.Duration // in which nothing came, and nothing was sent
	retransmitted int
	dropped       int // by the machine's queues, of all that it carries
	err           error
}

func (o outage) String() string {
	s := fmt.Sprintf("%s %d sent, %d lost, longest pause %s", o.flow, o.sent, o.lost, o.longest.Round(time.Millisecond))
	if o.retransmitted > 0 {
		s += fmt.Sprintf(", %d segments were missing", o.retransmitted)
	}
	return s
}

// since tells what the flow suffered since a moment, up to some time ago: what
// has just been sent may be on its way.
func (f *flow) since(from mark) outage {
	f.mu.Lock()
	until := f.sent
	o := outage{flow: f.name, sent: until - from.sent, longest: f.longest, late: f.late, err: f.err}
	f.mu.Unlock()
	for deadline := time.Now().Add(2 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		o.lost = f.missing(from.sent, until)
		if o.lost == 0 || time.Now().After(deadline) {
			break
		}
	}
	if f.counters != nil {
		o.retransmitted = f.counters() - from.retransmitted
	}
	o.dropped = overrun() - from.dropped
	return o
}

// missing counts the packets of a range that have not come.
func (f *flow) missing(from, until int) (lost int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for n := from; n < until; n++ {
		if n >= len(f.seen) || !f.seen[n] {
			lost++
		}
	}
	return lost
}

// stall is how long a stream may say nothing, beyond what its sender did.
const stall = time.Second

// assertWell fails the test if anything was lost, or a stream stalled.
func (o outage) assertWell(t *testing.T, took time.Duration) {
	t.Helper()
	if o.lost > 0 || o.err != nil && !errors.Is(o.err, os.ErrClosed) {
		t.Errorf("%s: %d of %d packets were lost (%v); the machine's own queues had no room for %d", o.flow, o.lost, o.sent, o.err, o.dropped)
	}
	if o.longest > o.late+stall {
		t.Errorf("%s: nothing came for %s, while the sender paused for %s at most", o.flow, o.longest, o.late)
	}
	if least := int(took.Seconds() * perSecond * 0.8); o.sent < least {
		t.Errorf("%s: %d packets were sent in %s, want %d at least", o.flow, o.sent, took, least)
	}
}
