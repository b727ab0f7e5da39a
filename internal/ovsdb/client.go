package ovsdb

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/ovn-kubernetes/libovsdb/ovsdb"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"kuryr/internal/courier"
	"kuryr/internal/observe"
)

// DefaultConnection is where Open vSwitch serves its database.
const DefaultConnection = "unix:/run/openvswitch/db.sock"

const (
	// connectPatience is how long a call waits for a database that does not
	// answer: a restart of Open vSwitch takes about a second.
	connectPatience = 5 * time.Second
	firstRedial     = 20 * time.Millisecond
	lastRedial      = 500 * time.Millisecond
	// switchPatience is how long ovs-vswitchd may take to make a port. It
	// needs milliseconds; with many at once, or just started, seconds.
	switchPatience = 8 * time.Second
	// undoPatience bounds the undoing of what failed: with the database gone
	// there is nothing to be done, and the caller waits.
	undoPatience = time.Second
)

// Options are New's settings.
type Options struct {
	// Connection is the database's address, "unix:PATH"; "": DefaultConnection.
	Connection string
	Tracer     trace.Tracer // starts a span for each transaction; nil: nobody does
	Log        *slog.Logger // optional
}

// Client is a client of the database. It connects when it is first used, and
// again whenever the connection is lost. Its methods may be called at once by
// several goroutines.
type Client struct {
	path   string
	log    *slog.Logger
	tracer trace.Tracer
	turn   chan struct{} // capacity 1; who has put something in owns what follows

	now    *session // the last connection; nil before the first
	closed bool

	// refusal is why the database can't be reached, if it can't: who waits for
	// his turn until his time is over says so, too.
	refusal atomic.Pointer[error]
}

// New returns a client; it does not connect yet.
func New(o Options) (*Client, error) {
	if o.Connection == "" {
		o.Connection = DefaultConnection
	}
	path, err := ParseConnection(o.Connection)
	if err != nil {
		return nil, err
	}
	log := o.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	c := &Client{path: path, log: log, tracer: o.Tracer, turn: make(chan struct{}, 1)}
	if c.tracer == nil {
		c.tracer = noop.Tracer{}
	}
	return c, nil
}

// ParseConnection returns the path of the socket that a connection "unix:PATH"
// names. Other kinds are refused: what a Kuryr plugs is on its own host.
func ParseConnection(s string) (path string, err error) {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "unix" || !filepath.IsAbs(u.Path) || u.Host != "" || u.RawQuery != "" || u.Fragment != "" {
		return "", &courier.Error{Kind: courier.Invalid, Op: "use the Open vSwitch database", Subject: fmt.Sprintf("at %q", s),
			Public: "it is not unix: and the absolute path of a socket", Hint: "for instance " + DefaultConnection, Err: err}
	}
	return u.Path, nil
}

// Close ends the connection. No method may follow.
func (c *Client) Close() {
	c.turn <- struct{}{}
	defer func() { <-c.turn }()
	c.closed = true
	if c.now != nil {
		c.now.close()
	}
}

// session returns a connection that stands, as far as is known. It makes one
// if need be, for as long as patience and the context last.
func (c *Client) session(ctx context.Context) (*session, error) {
	ctx, cancel := context.WithTimeout(ctx, connectPatience)
	defer cancel()
	select {
	case c.turn <- struct{}{}:
		defer func() { <-c.turn }()
	case <-ctx.Done():
		return nil, c.unreachable(c.reason(ctx.Err()))
	}
	if err := ctx.Err(); err != nil { // the turn came too late
		return nil, c.unreachable(c.reason(err))
	}
	if c.closed {
		return nil, c.unreachable(errors.New("the client is closed"))
	}
	if c.now != nil && c.now.connected() {
		return c.now, nil
	}
	if c.now != nil {
		c.now.close()
		c.now = nil
		c.log.InfoContext(ctx, "the connection to the Open vSwitch database was lost; connecting again", observe.Path, c.path)
	}
	s, err := c.dial(ctx)
	c.now = s
	return s, err
}

// Exists reports whether there is a socket at all: a host without Open vSwitch
// has none, and need not be waited for.
func (c *Client) Exists() bool {
	_, err := os.Stat(c.path)
	return err == nil
}

// dial connects, and tries again until the context ends.
func (c *Client) dial(ctx context.Context) (*session, error) {
	for pause := firstRedial; ; pause = min(2*pause, lastRedial) {
		s, err := connect(ctx, c.path)
		if err == nil {
			c.refusal.Store(nil)
			return s, nil
		}
		switch {
		case errors.Is(err, errSilent): // whatever was before
			c.refusal.Store(nil)
		case !timeOver(err):
			c.refusal.Store(&err)
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil, c.unreachable(c.reason(err))
		}
	}
}

// reason adds to what ended a wait why the database can't be reached, if that is known.
func (c *Client) reason(err error) error {
	if refusal := c.refusal.Load(); refusal != nil {
		return fmt.Errorf("%w: %w", *refusal, err)
	}
	return err
}

func timeOver(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}

func (c *Client) unreachable(err error) error {
	public, hint := "it did not answer in time", "see that ovsdb-server runs and serves that socket ([ovs] ovsdb_connection)"
	switch {
	case errors.Is(err, fs.ErrNotExist):
		public = "there is no such socket"
	case errors.Is(err, syscall.ECONNREFUSED):
		public = "nobody serves that socket"
	case errors.Is(err, fs.ErrPermission):
		// Root has this without the capability to pass over permissions.
		public, hint = "permission denied", "a socket that is not root's needs CAP_DAC_OVERRIDE: docs/systemd.md"
	case !timeOver(err):
		public = err.Error()
	}
	return &courier.Error{
		Kind: courier.Unavailable, Public: public, Op: "reach", Subject: "the Open vSwitch database at " + c.path,
		Hint: hint, Err: err,
	}
}

// maxTries is how often a call begins anew on another connection.
const maxTries = 3

// transact carries operations out, all or none. Where the connection is lost
// the answer may be, too: they are repeated on a new one, so what is asked for
// must be such that a second time changes nothing, or is refused.
func (c *Client) transact(ctx context.Context, ops ...ovsdb.Operation) (results []ovsdb.OperationResult, err error) {
	ctx, end := observe.Span(ctx, c.tracer, observe.Name(observe.AreaOVSDB, "transact"))
	defer func() { end(err) }()
	if err := ctx.Err(); err != nil {
		return nil, c.unreachable(c.reason(err)) // once sent it could not be taken back
	}
	for range maxTries {
		s, lost := c.session(ctx)
		if lost != nil {
			return nil, lost
		}
		if results, err = s.transact(ctx, ops); err == nil {
			return results, nil
		}
		if ctx.Err() != nil || s.connected() {
			break
		}
	}
	return nil, c.unreachable(err)
}
