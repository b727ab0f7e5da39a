package dataplane_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"kuryr/internal/embedded/dataplane"
	"kuryr/internal/link"
	"kuryr/internal/testkit"
)

// The groups of Kuryr's interfaces, as `ip` takes them: that of all, and that of
// links which are about to be removed.
const (
	kuryrGroup   = "1802859129"
	removalGroup = "1802859128"
)

// policy is a Policy that tests write.
type policy struct {
	board
	state   dataplane.State
	changes chan struct{}
	active  map[string]bool
}

func newPolicy() *policy {
	return &policy{changes: make(chan struct{}, 1), active: map[string]bool{}}
}

func (p *policy) SetPlugged(hostEnd string, plugged bool) {
	p.board.SetPlugged(hostEnd, plugged)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.active[hostEnd] = plugged
}

func (p *policy) Snapshot() dataplane.State {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.state
}

func (p *policy) Changes() <-chan struct{} { return p.changes }

func (p *policy) set(s dataplane.State) {
	p.mu.Lock()
	p.state = s
	p.mu.Unlock()
	select {
	case p.changes <- struct{}{}:
	default:
	}
}

func (p *policy) isActive(hostEnd string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.active[hostEnd]
}

// host is a container: a namespace behind a port.
type host struct {
	t    testing.TB
	port dataplane.Port
	ns   *testkit.NS
	fd   int // a raw socket on its interface
}

const (
	networkA = "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa"
	networkB = "bbbbbbbb-bbbb-4bbb-8bbb-bbbbbbbbbbbb"
)

// world is a host with networks and containers, and the agent on it.
type world struct {
	t      testing.TB
	ns     *testkit.NS
	links  *link.Links
	policy *policy
	agent  *dataplane.Agent
	stop   func()
	groups map[string]dataplane.Group
	hosts  []*host
	port   uint16
	logged chan string // if made, some lines of the log
}

// logTo notes lines besides, if it is to.
type logTo struct {
	t     testing.TB
	lines chan string
}

func (l logTo) Write(b []byte) (int, error) {
	l.t.Log(string(bytes.TrimSpace(b)))
	select {
	case l.lines <- string(b):
	default:
	}
	return len(b), nil
}

func newWorld(t testing.TB) *world {
	w := &world{t: t, ns: testkit.NewNS(t), policy: newPolicy(), groups: map[string]dataplane.Group{}}
	var err error
	w.ns.Do(func() { w.links, err = link.New(link.Options{}) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.links.Close)
	for _, n := range []string{networkA, networkB} {
		name := "brq" + n[:11]
		w.ns.Run("ip", "link", "add", name, "group", kuryrGroup, "type", "bridge", "mcast_snooping", "0")
		w.ns.Run("ip", "link", "set", name, "up", "alias", "kuryr:"+n)
	}
	w.start()
	return w
}

// start runs an agent, as a daemon would that begins.
func (w *world) start() {
	level := slog.LevelWarn
	if testing.Verbose() {
		level = slog.LevelDebug
	}
	log := slog.New(slog.NewTextHandler(logTo{w.t, w.logged}, &slog.HandlerOptions{Level: level}))
	w.agent = dataplane.New(w.links, w.policy, dataplane.Options{Log: log, Enforce: true})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- w.agent.Run(ctx) }()
	w.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			w.t.Errorf("Run ended with %v", err)
		}
	})
	w.t.Cleanup(w.stop)
}

// host adds a container with a link; its port is not known until apply.
func (w *world) host(network string, n int, groups ...string) *host {
	id := fmt.Sprintf("%08x-0000-4000-8000-%012x", n+len(w.hosts)<<16, n)
	h := &host{t: w.t, ns: testkit.NewNS(w.t), port: dataplane.Port{
		ID: id, HostEnd: "tap" + id[:11], Network: network,
		MAC:       mac{0xfa, 0x16, 0x3e, 0, byte(n >> 8), byte(n)},
		Addresses: []netip.Addr{v4(n), v6(n)},
		Security:  true, Up: true, Groups: groups,
	}}
	m := h.port.MAC
	w.ns.Run("ip", "link", "add", h.port.HostEnd, "group", kuryrGroup, "type", "veth",
		"peer", "name", "eth0", "address", fmt.Sprintf("%x:%x:%x:%x:%x:%x", m[0], m[1], m[2], m[3], m[4], m[5]), "netns", h.ns.Path())
	w.ns.Run("ip", "link", "set", h.port.HostEnd, "alias", "kuryr:"+id, "master", "brq"+network[:11], "up")
	h.ns.Do(func() {
		_, _ = h.ns.Try("sysctl", "-qw", "net.ipv6.conf.eth0.accept_dad=0")
	})
	h.ns.Run("ip", "link", "set", "eth0", "up")
	h.open()
	w.hosts = append(w.hosts, h)
	return h
}

func v4(n int) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, byte(n >> 8), byte(n)}) }
func v6(n int) netip.Addr {
	return netip.AddrFrom16([16]byte{0xfd, 15: byte(n), 14: byte(n >> 8)})
}

func (h *host) open() {
	h.ns.Do(func() {
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			h.t.Fatal(err)
		}
		index := uint32(0)
		req, err := unix.NewIfreq("eth0")
		if err != nil {
			h.t.Fatal(err)
		}
		if err := unix.IoctlIfreq(fd, unix.SIOCGIFINDEX, req); err != nil {
			h.t.Fatal(err)
		}
		index = req.Uint32()
		all := binary.NativeEndian.Uint16([]byte{0, unix.ETH_P_ALL})
		if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: int(index)}); err != nil {
			h.t.Fatal(err)
		}
		h.fd = fd
	})
	h.t.Cleanup(func() { unix.Close(h.fd) })
}

func (h *host) send(frame []byte) {
	h.t.Helper()
	// ENOBUFS: the other end has just been set down, so that the frame is lost.
	if _, err := unix.Write(h.fd, frame); err != nil && err != unix.ENOBUFS {
		h.t.Fatalf("cannot send: %v", err)
	}
}

// hears reports whether the frame arrives within the time.
func (h *host) hears(frame []byte, within time.Duration) bool {
	deadline := time.Now().Add(within)
	buffer := make([]byte, 65536)
	for {
		left := time.Until(deadline)
		if left <= 0 {
			return false
		}
		tv := unix.NsecToTimeval(left.Nanoseconds())
		if err := unix.SetsockoptTimeval(h.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv); err != nil {
			h.t.Fatal(err)
		}
		n, from, err := unix.Recvfrom(h.fd, buffer, 0)
		if err == unix.EAGAIN {
			return false
		}
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			h.t.Fatal(err)
		}
		if ll, ok := from.(*unix.SockaddrLinklayer); ok && ll.Pkttype == unix.PACKET_OUTGOING {
			continue
		}
		if n >= len(frame) && bytes.Equal(buffer[:len(frame)], frame) {
			return true
		}
	}
}

// patience is how long what must not arrive is waited for.
const patience = 60 * time.Millisecond

// reaches reports whether a frame that from sends arrives at to.
func reaches(from, to *host, frame []byte) bool {
	from.t.Helper()
	from.send(frame)
	return to.hears(frame, patience)
}

func expect(t testing.TB, what string, from, to *host, frame []byte, want bool) {
	t.Helper()
	got := reaches(from, to, frame)
	if want && !got { // a busy machine may be late once
		got = reaches(from, to, frame)
	}
	if got != want {
		t.Errorf("%s: passes %t, want %t", what, got, want)
	}
}

// group sets a group's rules; apply puts them in force.
func (w *world) group(id string, rules ...dataplane.Rule) {
	w.groups[id] = dataplane.Group{ID: id, Stateful: true, Rules: rules}
}

// apply publishes all hosts' ports and groups, and waits until it is in force.
func (w *world) apply() {
	w.t.Helper()
	s := dataplane.State{Groups: map[string]dataplane.Group{}}
	for id, g := range w.groups {
		s.Groups[id] = g
	}
	for _, h := range w.hosts {
		s.Ports = append(s.Ports, h.port)
	}
	w.publish(s)
}

// publish waits with a port of its own, which the agent tells of once it is in force.
func (w *world) publish(s dataplane.State) {
	w.t.Helper()
	w.policy.set(s)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := w.agent.Apply(ctx); err != nil {
		w.t.Fatal(err)
	}
}

func rule(change ...func(*dataplane.Rule)) dataplane.Rule {
	r := dataplane.Rule{Protocol: -1, PortMin: -1, PortMax: -1}
	for _, c := range change {
		c(&r)
	}
	return r
}

func egress(r *dataplane.Rule) { r.Egress = true }
func ipv6(r *dataplane.Rule)   { r.IPv6 = true }
func proto(n int) func(*dataplane.Rule) {
	return func(r *dataplane.Rule) { r.Protocol = n }
}
func ports(low, high int) func(*dataplane.Rule) {
	return func(r *dataplane.Rule) { r.PortMin, r.PortMax = low, high }
}
func prefix(p string) func(*dataplane.Rule) {
	return func(r *dataplane.Rule) { r.Prefix = netip.MustParsePrefix(p) }
}
func remote(group string) func(*dataplane.Rule) {
	return func(r *dataplane.Rule) { r.RemoteGroup = group }
}
