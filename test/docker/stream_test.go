//go:build !openstack

package docker

import (
	"bytes"
	"os/exec"
	"regexp"
	"strconv"
	"syscall"
	"time"
)

// stream is a steady flow of packets from one container to another and back.
type stream struct {
	h     *host
	what  string
	ping  *exec.Cmd
	out   bytes.Buffer
	began time.Time
}

// perSecond is how many packets of a stream go each way in a second, at least.
// A busy machine sends at longer intervals than it is asked to.
const perSecond = 50

// streamTo begins to send, and returns once packets arrive.
func (c container) streamTo(other container) *stream {
	c.h.t.Helper()
	address := other.ip4()
	c.reaches(address)
	pid, _ := c.state()
	s := &stream{h: c.h, what: c.name + " to " + other.name, began: time.Now()}
	s.ping = c.h.machine.Command(c.h.t.Context(), "nsenter", "--target", strconv.Itoa(pid), "--net",
		"ping", "-n", "-i", "0.005", address)
	s.ping.Stdout = &s.out
	if err := s.ping.Start(); err != nil {
		c.h.t.Fatal(err)
	}
	c.h.t.Cleanup(func() { _ = s.ping.Process.Kill() }) // it has ended if all went well
	return s
}

var answered = regexp.MustCompile(`icmp_seq=(\d+) ttl=`)

// uninterrupted ends the stream: every packet has been answered, from the first
// one that was to the last.
func (s *stream) uninterrupted() {
	s.h.t.Helper()
	took := time.Since(s.began)
	if err := s.ping.Process.Signal(syscall.SIGINT); err != nil {
		s.h.t.Fatal(err)
	}
	_ = s.ping.Wait() // what counts is what it printed
	seen := map[int]bool{}
	first, last := 1<<31, 0
	for _, m := range answered.FindAllSubmatch(s.out.Bytes(), -1) {
		n, err := strconv.Atoi(string(m[1]))
		if err != nil {
			s.h.t.Fatal(err)
		}
		seen[n] = true
		first, last = min(first, n), max(last, n)
	}
	if want := int(took.Seconds() * perSecond); len(seen) < want {
		s.h.t.Errorf("from %s, %d packets were answered in %s, want %d at least", s.what, len(seen), took.Round(time.Millisecond), want)
	}
	if lost := last - first + 1 - len(seen); lost != 0 {
		s.h.t.Errorf("from %s, %d of %d packets were lost", s.what, lost, last-first+1)
	}
	s.h.t.Logf("from %s, %d packets were answered in %s", s.what, len(seen), took.Round(time.Millisecond))
}
