package daemon

import (
	"container/list"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"kuryr/internal/observe"
)

// Most connections that a server has at once. A dockerd has one for each call
// in flight, and starts 128 containers a processor at once at the most.
const (
	maxConnections      = 2048
	maxAdminConnections = 128
)

// crowdWarning is how often a crowd is logged: whoever made it may go on.
const crowdWarning = time.Minute

// crowd bounds the connections of a server. Nobody is kept waiting for ever:
// who comes when there are too many takes the place of the connection that has
// waited for a request the longest. When there is a call on every one, who comes
// is told so.
type crowd struct {
	server string // for the log
	most   int
	log    *slog.Logger

	mu      sync.Mutex
	waiting list.List                  // of net.Conn: those without a call, the longest first
	places  map[net.Conn]*list.Element // in waiting; nil: there is a call
	warned  time.Time
}

func newCrowd(server string, most int, log *slog.Logger) *crowd {
	return &crowd{server: server, most: most, log: log, places: map[net.Conn]*list.Element{}}
}

// changed is the server's ConnState. A connection is StateNew, or StateIdle,
// until the header of a request has been read.
func (c *crowd) changed(conn net.Conn, now http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch now {
	case http.StateNew:
		if len(c.places) < c.most || c.makeRoom() {
			c.places[conn] = c.waiting.PushBack(conn)
			return
		}
		refuseConnection(conn)
	case http.StateActive, http.StateIdle:
		place, known := c.places[conn]
		if !known { // its place is another's
			return
		}
		if place != nil {
			c.waiting.Remove(place)
		}
		c.places[conn] = nil
		if now == http.StateIdle {
			c.places[conn] = c.waiting.PushBack(conn)
		}
	default:
		c.leave(conn)
	}
}

func (c *crowd) leave(conn net.Conn) {
	if place := c.places[conn]; place != nil {
		c.waiting.Remove(place)
	}
	delete(c.places, conn)
}

// makeRoom closes the connection that has waited the longest, if one waits.
func (c *crowd) makeRoom() bool {
	first := c.waiting.Front()
	if time.Since(c.warned) >= crowdWarning {
		c.warned = time.Now()
		c.log.Warn("there are too many connections: those that wait for a request are closed, the longest first, and more than that refused",
			observe.Listen, c.server, observe.Count, c.most)
	}
	if first == nil {
		return false
	}
	conn := first.Value.(net.Conn)
	c.leave(conn)
	bare(conn).Close()
	return true
}

// bare is the connection under TLS, whose farewell could take its time.
func bare(conn net.Conn) net.Conn {
	if t, ok := conn.(*tls.Conn); ok {
		return t.NetConn()
	}
	return conn
}

// refuseConnection says why, where it can be said before a request is read, and
// hangs up. A fresh connection takes a few bytes without waiting.
func refuseConnection(conn net.Conn) {
	if conn == bare(conn) {
		text := refusalText("Kuryr serves as many calls as it can at once")
		fmt.Fprintf(conn, "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nRetry-After: 1\r\n"+
			"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(text), text)
	}
	bare(conn).Close()
}

// refusalText is an answer that Docker can show, whichever of its drivers asks.
func refusalText(why string) string {
	return fmt.Sprintf(`{"Err":"%[1]s (try again)","Error":"%[1]s (try again)"}`+"\n", why)
}
