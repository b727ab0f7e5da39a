//go:build !openstack

package docker

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"kuryr/internal/testkit"
)

// Whenever a network is created, of any driver, dockerd deletes the jump from
// FORWARD to DOCKER-USER and inserts it again: two processes, and milliseconds
// in between. What containers of Kuryr's send each other passes all the same.
func TestEngineMovesItsJump(t *testing.T) {
	h := newQuietHost(t) // what queues between namespaces have no room for is lost, too
	n := h.network("net", "--subnet", "10.53.0.0/24")
	a, b := n.run("alice"), n.run("bob")
	a.reaches(b.ip4())

	quiet := a.floods(b)
	time.Sleep(time.Second)
	sent, lost := quiet.end()
	t.Logf("the engine does nothing: %d packets, %d lost", sent, lost)
	if lost > 0 {
		t.Errorf("%d of %d packets were lost while the engine did nothing", lost, sent)
	}

	busy := a.floods(b)
	const networks = 5
	for i := range networks {
		bridge := fmt.Sprintf("bridge%d", i)
		h.docker("network", "create", bridge)
		h.docker("network", "rm", bridge)
	}
	sent, lost = busy.end()
	t.Logf("the engine creates %d networks: %d packets, %d lost", networks, sent, lost)
	if lost > 0 {
		t.Errorf("%d of %d packets were lost while the engine created %d networks", lost, sent, networks)
	}
}

const (
	floodPerSecond = 2000
	floodPort      = 4712
	// floodBurst is how many packets make up for a delay at once: the kernel's
	// queue between namespaces has room for 1,000.
	floodBurst = 100
)

// flood is numbered UDP packets from one container to another.
type flood struct {
	t       *testing.T
	in, out *net.UDPConn
	stop    chan struct{}
	done    sync.WaitGroup // sender
	read    sync.WaitGroup // receiver

	sent int             // the sender's until done
	seen map[uint64]bool // the receiver's until read
}

// floods begins to send.
func (c container) floods(other container) *flood {
	t := c.h.t
	t.Helper()
	target := &net.UDPAddr{IP: net.ParseIP(other.ip4()), Port: floodPort}
	f := &flood{t: t, stop: make(chan struct{}), seen: map[uint64]bool{}}
	other.opens(func() (err error) {
		f.in, err = net.ListenUDP("udp", target)
		return err
	})
	c.opens(func() (err error) {
		f.out, err = net.DialUDP("udp", nil, target)
		return err
	})
	raw, err := f.in.SyscallConn()
	if err == nil { // room for seconds: none may be lost because the test is late
		err = errors.Join(raw.Control(func(fd uintptr) {
			err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 8<<20)
		}), err)
	}
	if err != nil {
		t.Fatal(err)
	}
	f.read.Go(f.receive)
	f.done.Go(f.send)
	return f
}

// opens has f open its sockets in the container's namespace.
func (c container) opens(f func() error) {
	c.h.t.Helper()
	pid, _ := c.state()
	if err := testkit.Inside(fmt.Sprintf("/proc/%d/ns/net", pid), f); err != nil {
		c.h.t.Fatal(err)
	}
}

func (f *flood) send() {
	for began := time.Now(); ; {
		due := min(int(time.Since(began).Seconds()*floodPerSecond), f.sent+floodBurst)
		for ; f.sent < due; f.sent++ {
			if _, err := f.out.Write(binary.BigEndian.AppendUint64(nil, uint64(f.sent))); err != nil {
				f.t.Errorf("packet %d: %v", f.sent, err)
			}
		}
		select {
		case <-f.stop:
			return
		case <-time.After(500 * time.Microsecond):
		}
	}
}

func (f *flood) receive() {
	packet := make([]byte, 8)
	for {
		n, err := f.in.Read(packet)
		if err != nil {
			return // closed
		}
		if n == len(packet) {
			f.seen[binary.BigEndian.Uint64(packet)] = true
		}
	}
}

// end stops the flood and tells what became of it.
func (f *flood) end() (sent, lost int) {
	close(f.stop)
	f.done.Wait()
	time.Sleep(200 * time.Millisecond) // what is on its way arrives
	f.in.Close()
	f.out.Close()
	f.read.Wait()
	return f.sent, f.sent - len(f.seen)
}
