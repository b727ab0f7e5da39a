package daemon

import (
	"io"
	"net/http"
	"time"
)

const (
	// smallBody is what a request's body may have, in bytes, to be read at once
	// whatever else goes on. Docker's are smaller unless hundreds of ports are published.
	smallBody = 16 << 10
	// largeBodies is how many larger ones are read and dealt with at once. Each
	// may take a hundred megabytes of memory, decoded.
	largeBodies = 4
	// largePatience is how long a large one waits for its turn.
	largePatience = 10 * time.Second
	// bodyTimeout bounds how long a body takes to come in, and answerTimeout how
	// long an answer takes to be taken.
	bodyTimeout = 20 * time.Second
	// maxUnread is how much of a body that h does not want is read all the same,
	// in bytes: who is hung up on while it sends may never see the answer.
	maxUnread     = 64 << 20
	answerTimeout = 30 * time.Second
)

// intake bounds what requests cost before they are understood, on all sockets
// together: memory for bodies, and the time for which somebody may keep a
// connection busy who does not send what was announced, or does not take the
// answer.
type intake struct {
	large chan struct{} // a place for each large body
	// largePatience, bodyTimeout and answerTimeout; tests have less time.
	patience, body, answer time.Duration
}

func newIntake() *intake {
	return &intake{large: make(chan struct{}, largeBodies), patience: largePatience, body: bodyTimeout, answer: answerTimeout}
}

// before returns h with the bounds.
func (i *intake) before(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn := http.NewResponseController(w)
		// No deadline can be set only where there is no connection, as in tests.
		_ = conn.SetWriteDeadline(time.Time{}) // that of the answer before
		w = &timedAnswer{ResponseWriter: w, timeout: i.answer}
		if r.ContentLength < 0 || r.ContentLength > smallBody {
			if !i.enter(r) {
				_ = conn.SetReadDeadline(time.Now().Add(i.patience))
				w.Header().Set("Content-Type", "application/json")
				w.Header().Set("Retry-After", "1")
				w.WriteHeader(http.StatusServiceUnavailable)
				io.WriteString(w, refusalText("Kuryr serves as many large requests as it can at once"))
				_, _ = io.CopyN(io.Discard, r.Body, maxUnread)
				return
			}
			defer func() { <-i.large }()
		}
		if r.ContentLength != 0 {
			_ = conn.SetReadDeadline(time.Now().Add(i.body))
			r.Body = &timedBody{ReadCloser: r.Body, conn: conn}
		}
		h.ServeHTTP(w, r)
		if r.ContentLength != 0 {
			_, _ = io.CopyN(io.Discard, r.Body, maxUnread) // at its end, or given up, at once
		}
	})
}

// enter gets a place for a large body, in time.
func (i *intake) enter(r *http.Request) bool {
	late := time.NewTimer(i.patience)
	defer late.Stop()
	select {
	case i.large <- struct{}{}:
		return true
	case <-r.Context().Done():
		return false
	case <-late.C:
		return false
	}
}

// timedBody lifts the connection's deadline when it has been read to its end:
// the next request is to come whenever it comes.
type timedBody struct {
	io.ReadCloser
	conn *http.ResponseController
}

// Read implements io.Reader.
func (b *timedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err == io.EOF {
		_ = b.conn.SetReadDeadline(time.Time{})
	}
	return n, err
}

// timedAnswer sets the connection's deadline when it begins to be written.
type timedAnswer struct {
	http.ResponseWriter
	timeout time.Duration
	begun   bool
}

// WriteHeader implements http.ResponseWriter.
func (a *timedAnswer) WriteHeader(status int) {
	a.begin()
	a.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (a *timedAnswer) Write(p []byte) (int, error) {
	a.begin()
	return a.ResponseWriter.Write(p)
}

func (a *timedAnswer) begin() {
	if !a.begun {
		a.begun = true
		_ = http.NewResponseController(a.ResponseWriter).SetWriteDeadline(time.Now().Add(a.timeout))
	}
}

// Unwrap lets an http.ResponseController reach the connection.
func (a *timedAnswer) Unwrap() http.ResponseWriter { return a.ResponseWriter }
