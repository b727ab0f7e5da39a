// Package embedded is a Neutron server inside Kuryr: the Networking API v2.0
// over one durable file, with this host as its only hypervisor.
//
// It models networks, subnets, subnetpools, ports and security groups (package
// store), answers as Neutron 21 does (package api), and learns from the kernel
// which ports are plugged. A network is a layer-2 segment of this host: there
// is no router and no DHCP server. Unless port security is enforced every port
// says that it is unprotected, and nothing can be set that would promise more.
package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"sync"

	"kuryr/internal/embedded/api"
	"kuryr/internal/embedded/dataplane"
	"kuryr/internal/embedded/store"
	"kuryr/internal/link"
)

// stateFile is the state's file in the state folder.
const stateFile = "neutron.db"

// Options of a Server.
type Options struct {
	StateDir string // required; made if it is not there
	Host     string // required: ports with this binding:host_id are bound
	// Enforce says that the data plane enforces port security on this host.
	// Without it ports are unprotected, say so, and can't be set otherwise.
	Enforce bool
	Limits  map[string]int // default quotas by resource, in place of Neutron's; -1: no limit
	MTU     int            // of networks that ask for none, in bytes; 0: 1500
	Log     *slog.Logger   // required
}

// Server is an embedded Neutron. It is safe for concurrent use.
type Server struct {
	store *store.Store
	api   *api.API
	links *link.Links
	agent *dataplane.Agent

	mu      sync.Mutex // Run does not begin while Close does
	running sync.WaitGroup
	stop    context.Context // ends when the server is closed
	halt    context.CancelFunc
	close   func() error
}

// Open opens the state, or makes an empty one, and looks at the network
// namespace of the calling thread. One process at a time can have the state
// open.
func Open(o Options) (*Server, error) {
	if o.StateDir == "" || o.Host == "" || o.Log == nil {
		return nil, errors.New("the embedded Neutron needs a state folder, a host and a logger")
	}
	if err := os.MkdirAll(o.StateDir, 0o700); err != nil {
		return nil, fmt.Errorf("cannot make the state folder of the embedded Neutron: %w", err)
	}
	so, err := o.store()
	if err != nil {
		return nil, err
	}
	state, err := store.Open(so)
	if err != nil {
		return nil, fmt.Errorf("cannot open the state of the embedded Neutron: %w", err)
	}
	links, err := link.New(link.Options{Log: o.Log})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("the embedded Neutron cannot see the links of this host: %w", err), state.Close())
	}
	s := &Server{
		store: state,
		api:   api.New(state, api.Options{Log: o.Log}),
		links: links,
		agent: dataplane.New(links, state, dataplane.Options{Log: o.Log, Enforce: o.Enforce}),
	}
	s.stop, s.halt = context.WithCancel(context.Background())
	s.close = sync.OnceValue(s.shut)
	return s, nil
}

// Handler serves the API. It trusts whoever reaches it, and what their headers
// say of them: package identity can stand before it.
func (s *Server) Handler() http.Handler { return s.api }

// Run keeps the status of ports as the kernel has their links, until ctx ends
// or the server is closed; it returns nil then. It may run once.
func (s *Server) Run(ctx context.Context) error {
	if !s.begin() {
		return nil
	}
	defer s.running.Done()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.stop, cancel)()
	return s.agent.Run(ctx)
}

// Health returns why port security is not in force as the API tells it, or nil.
func (s *Server) Health() error { return s.agent.Health() }

// begin counts a Run, unless the server is closed.
func (s *Server) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stop.Err() != nil {
		return false
	}
	s.running.Add(1)
	return true
}

// Close ends Run, writes what is under way and closes the state. Requests that
// come later are refused. It is idempotent.
func (s *Server) Close() error { return s.close() }

func (s *Server) shut() error {
	s.mu.Lock()
	s.halt()
	s.mu.Unlock()
	s.running.Wait()
	s.links.Close()
	return s.store.Close()
}
