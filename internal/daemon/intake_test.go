package daemon

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// reading is a server that reads bodies, and says how long they were; it does
// not read those of /deaf.
func reading(in *intake) http.Handler {
	return in.before(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/deaf" {
			return
		}
		n, err := io.Copy(io.Discard, r.Body)
		if err != nil {
			http.Error(w, "broke off", http.StatusBadRequest)
			return
		}
		fmt.Fprint(w, n)
	}))
}

// hasty is an intake that is soon out of patience.
func hasty() *intake {
	in := newIntake()
	in.patience, in.body, in.answer = 50*time.Millisecond, 50*time.Millisecond, 50*time.Millisecond
	return in
}

// serving calls f with a connection to a server of h.
func serving(t *testing.T, h http.Handler, f func(*client)) {
	s := httptest.NewServer(h)
	defer s.Close()
	conn, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	f(&client{conn, bufio.NewReader(conn)})
}

// status waits for an answer and returns its code, 0 when the other side hangs up.
func (c *client) status() int {
	r, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return 0
	}
	io.Copy(io.Discard, r.Body)
	return r.StatusCode
}

// TestSlowBody: who does not send what was announced is answered in time, and
// hung up on.
func TestSlowBody(t *testing.T) {
	for path, want := range map[string]int{"/": 400, "/deaf": 200} {
		serving(t, reading(hasty()), func(c *client) {
			fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: \r\nContent-Length: 100\r\n\r\n{", path)
			if got := c.status(); got != want {
				t.Errorf("%s: %d, want %d", path, got, want)
			}
			if got := c.status(); got != 0 {
				t.Errorf("%s: %d, and another answer", path, got)
			}
		})
	}
}

// TestIdleAfterBody: a connection on which a body came may be idle for as
// long as it likes.
func TestIdleAfterBody(t *testing.T) {
	serving(t, reading(hasty()), func(c *client) {
		for range 3 {
			fmt.Fprint(c, "POST / HTTP/1.1\r\nHost: \r\nContent-Length: 2\r\n\r\n{}")
			if got := c.status(); got != 200 {
				t.Errorf("%d", got)
			}
			time.Sleep(150 * time.Millisecond) // more than any bound
		}
	})
}

// TestUntakenAnswer: an answer that nobody takes is given up.
func TestUntakenAnswer(t *testing.T) {
	ended := make(chan error, 1)
	h := hasty().before(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, err := io.WriteString(w, strings.Repeat("x", 64<<20))
		ended <- err
	}))
	serving(t, h, func(c *client) {
		fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: \r\n\r\n")
		select {
		case err := <-ended:
			if err == nil {
				t.Error("64 MiB were taken by nobody")
			}
		case <-time.After(20 * time.Second):
			t.Error("it is being written still")
		}
	})
}

// TestLargeBodies: only so many at once, the others wait, and small ones are
// served all the while.
func TestLargeBodies(t *testing.T) {
	in := hasty()
	for range largeBodies {
		in.large <- struct{}{}
	}
	h := reading(in)
	post := func(n int, chunked bool) string {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader(strings.Repeat("x", n)))
		if chunked {
			r.ContentLength = -1
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return fmt.Sprintf("%d %s", w.Code, strings.TrimSpace(w.Body.String()))
	}
	const why = "Kuryr serves as many large requests as it can at once"
	busy := `503 {"Err":"` + why + ` (try again)","Error":"` + why + ` (try again)"}`
	for _, x := range []struct {
		size    int
		chunked bool
		want    string
	}{{smallBody, false, "200 16384"}, {0, false, "200 0"}, {smallBody + 1, false, busy}, {1, true, busy}} {
		if got := post(x.size, x.chunked); got != x.want {
			t.Errorf("%d bytes: %s, want %s", x.size, got, x.want)
		}
	}
	<-in.large
	for range 3 { // the place is given back each time
		if got := post(smallBody+1, false); got != "200 16385" {
			t.Errorf("%s", got)
		}
	}
}
