package daemon

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// crowded is a server for three connections, whose calls last until they are told.
type crowded struct {
	t    *testing.T
	path string
	log  lockedBuffer
	// A call to /long tells on began that it is in flight; each value of end ends one.
	began, end chan struct{}
	idle       chan struct{} // a value for each connection that begins to wait again
}

func newCrowded(t *testing.T) *crowded {
	c := &crowded{t: t, path: filepath.Join(t.TempDir(), "s"), idle: make(chan struct{}, 64), began: make(chan struct{}, 8), end: make(chan struct{})}
	l, err := net.Listen("unix", c.path)
	if err != nil {
		t.Fatal(err)
	}
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/long" {
			c.began <- struct{}{}
			<-c.end
		}
		io.WriteString(w, "{}")
	})
	s := newServer("here", l, 3, newIntake().before(h), slog.New(slog.NewTextHandler(&c.log, nil)))
	tell := s.http.ConnState
	s.http.ConnState = func(conn net.Conn, state http.ConnState) {
		tell(conn, state)
		if state == http.StateIdle {
			c.idle <- struct{}{}
		}
	}
	done := make(chan error, 1)
	go func() { done <- s.run() }()
	t.Cleanup(func() {
		if err := s.http.Close(); err != nil {
			t.Error(err)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return c
}

// client is one connection.
type client struct {
	net.Conn
	in *bufio.Reader
}

func (c *crowded) dial() *client {
	c.t.Helper()
	conn, err := net.Dial("unix", c.path)
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { conn.Close() })
	return &client{conn, bufio.NewReader(conn)}
}

func (c *client) send(path string) { fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: \r\n\r\n", path) }

// answer waits for an answer: its status and body, or why there is none.
func (c *client) answer() string {
	c.SetReadDeadline(time.Now().Add(10 * time.Second))
	r, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return err.Error()
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%d %s", r.StatusCode, strings.TrimSpace(string(body)))
}

// closed reports whether the other side hangs up soon.
func (c *client) closed() bool {
	c.SetReadDeadline(time.Now().Add(time.Second))
	_, err := c.Read(make([]byte, 1))
	return err != nil && !errors.Is(err, os.ErrDeadlineExceeded)
}

func (c *crowded) want(got, want string) {
	c.t.Helper()
	if got != want {
		c.t.Errorf("%q, want %q", got, want)
	}
}

// TestCrowdMakesRoom: who waits the longest makes room for who comes, and never
// a call in flight.
func TestCrowdMakesRoom(t *testing.T) {
	c := newCrowded(t)
	served := func(x *client) {
		t.Helper()
		x.send("/")
		c.want(x.answer(), "200 {}")
		<-c.idle
	}
	idle := c.dial()
	served(idle)
	busy := c.dial()
	busy.send("/long")
	<-c.began
	silent := c.dial() // never says a word
	used := c.dial()   // the fourth: idle's place
	served(used)
	if !idle.closed() {
		t.Error("the connection that was idle the longest is open still")
	}
	last := c.dial() // silent's
	served(last)
	if !silent.closed() {
		t.Error("the silent connection is open still")
	}
	c.end <- struct{}{}
	c.want(busy.answer(), "200 {}")
	<-c.idle
	for _, x := range []*client{busy, used, last} { // they were left alone
		served(x)
	}
	if n := strings.Count(c.log.String(), "too many connections"); n != 1 {
		t.Errorf("logged %d times:\n%s", n, c.log.String())
	}
}

// TestCrowdOfCalls: when all are busy, who comes is told, and there is room
// again as soon as one is answered.
func TestCrowdOfCalls(t *testing.T) {
	c := newCrowded(t)
	var busy []*client
	for range 3 {
		x := c.dial()
		x.send("/long")
		<-c.began
		busy = append(busy, x)
	}
	const why = "Kuryr serves as many calls as it can at once (try again)"
	for range 5 {
		c.want(c.dial().answer(), `503 {"Err":"`+why+`","Error":"`+why+`"}`)
	}
	c.end <- struct{}{}
	// Which of the three has ended is the server's choice.
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		x := c.dial()
		x.send("/")
		if got := x.answer(); got == "200 {}" {
			break
		} else if time.Now().After(deadline) {
			t.Fatalf("there is no room: %s", got)
		}
	}
	c.end <- struct{}{}
	c.end <- struct{}{}
	answered := 0
	for _, x := range busy {
		if x.answer() == "200 {}" {
			answered++
		}
	}
	if answered != 3 {
		t.Errorf("%d of 3 calls in flight were answered", answered)
	}
}
