package daemon

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"kuryr/internal/courier"
	"kuryr/internal/observe"
)

const (
	// readHeaderTimeout bounds how long a connection may take over a request's
	// first lines; intake bounds the rest of it.
	readHeaderTimeout = 10 * time.Second
	maxHeader         = 16 << 10 // bytes
	// drainMargin is added to the deadline of a call to have the time in which
	// those in flight are answered when the daemon stops.
	drainMargin = time.Second
	// silent is how long who has connected may say nothing before a stop takes
	// them for nobody who wants an answer.
	silent = time.Second
)

// server is one socket with what answers there.
type server struct {
	name     string
	engine   bool // it serves container engines
	listener net.Listener
	http     *http.Server
	retired  atomic.Bool   // nobody new is let in
	ended    chan struct{} // closed when nobody new can be let in

	mu    sync.Mutex             // guards conns
	conns map[net.Conn]connState // that are open
}

// connState is what a connection does, and since when.
type connState struct {
	state http.ConnState
	since time.Time
}

// newServer serves h on l, to no more than the given number of connections.
func newServer(name string, l net.Listener, most int, h http.Handler, log *slog.Logger) *server {
	s := &server{name: name, listener: l, ended: make(chan struct{}), conns: map[net.Conn]connState{}}
	crowd := newCrowd(name, most, log)
	s.http = &http.Server{
		Handler:           h,
		ReadHeaderTimeout: readHeaderTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		ConnState: func(c net.Conn, state http.ConnState) {
			s.note(c, state)
			crowd.changed(c, state)
		},
	}
	return s
}

// forEngines makes it a server of container engines. Each call has a connection
// to itself: to close one that Docker keeps can cross with its next call, which
// Docker then repeats without its body.
func (s *server) forEngines() {
	s.engine = true
	s.http.SetKeepAlivesEnabled(false)
}

// run serves until shutdown; it then returns nil.
func (s *server) run() error {
	defer close(s.ended)
	if err := s.http.Serve(s.listener); !s.retired.Load() && !errors.Is(err, http.ErrServerClosed) {
		return &courier.Error{Op: "serve", Subject: s.name, Public: cause(err), Err: err}
	}
	return nil
}

// note keeps what each connection does.
func (s *server) note(c net.Conn, state http.ConnState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if state == http.StateClosed || state == http.StateHijacked {
		delete(s.conns, c)
		return
	}
	s.conns[c] = connState{state, time.Now()}
}

// busy reports whether somebody waits for an answer.
func (s *server) busy() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.conns {
		if c.state == http.StateActive || c.state == http.StateNew && time.Since(c.since) < silent {
			return true
		}
	}
	return false
}

// shutdown stops listening at once, answers whoever has connected, and hangs
// up on whoever is left when ctx ends. http.Server's own Shutdown does so
// afterwards only: it hangs up on those whose request it has yet to read.
func (s *server) shutdown(ctx context.Context) error {
	s.retired.Store(true)
	if own, ok := s.listener.(*socket); ok {
		own.retire(ctx)
	}
	s.listener.Close()
	<-s.ended
	for s.busy() && ctx.Err() == nil {
		time.Sleep(time.Millisecond)
	}
	err := s.http.Shutdown(ctx)
	if err != nil {
		s.http.Close()
	}
	return err
}

// shutdownAll shuts servers down side by side, within d.
func shutdownAll(d time.Duration, log *slog.Logger, servers ...*server) {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	var wg sync.WaitGroup
	for _, s := range servers {
		wg.Go(func() {
			if err := s.shutdown(ctx); err != nil {
				log.Warn("hung up on calls that took too long", "server", s.name, observe.Err, err)
			}
		})
	}
	wg.Wait()
}
