package testkit

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// FaultProxy stands before a Neutron and makes chosen requests fail.
type FaultProxy struct {
	URL string // of the proxied API, as the machine reaches it

	upstream  string // host:port
	scheme    string // of both sides
	transport *http.Transport
	server    *http.Server
	served    chan struct{}  // closed when the server has ended
	late      sync.WaitGroup // requests that are on their way without a client
	open      atomic.Int64   // requests that have a client and no answer yet

	mu      sync.Mutex // guards what follows
	decide  func(Call) Fault
	calls   []Call
	rewrite func([]byte) []byte
}

// Call is one request that reached the proxy.
type Call struct {
	N      int // counted from 1 since the last Watch
	Method string
	Path   string // without query
}

// String returns the call as "POST /v2.0/ports".
func (c Call) String() string { return c.Method + " " + c.Path }

// Fault is what becomes of a request.
type Fault struct {
	Kind   FaultKind
	Status int           // of an Answer
	Delay  time.Duration // before anything else happens; of a BreakLate, before the effect
}

// FaultKind says how a request fails.
type FaultKind int

// The kinds of faults.
const (
	Pass        FaultKind = iota // it does not
	Answer                       // an error answer, without effect
	BreakBefore                  // the connection breaks, without effect
	BreakAfter                   // the connection breaks once Neutron has done it
	BreakWithin                  // the same, in the middle of its answer
	BreakLate                    // the connection breaks at once, and Neutron does it later
)

// NewFaultProxy starts a proxy on the machine for the API at an address of
// the machine. All passes until Watch says otherwise.
func NewFaultProxy(ctx context.Context, m *Machine, upstream string) (*FaultProxy, error) {
	return newFaultProxy(ctx, m, upstream, nil, nil)
}

// NewTLSFaultProxy is NewFaultProxy over TLS on both sides: as a server to its
// clients, and as a client of the API.
func NewTLSFaultProxy(ctx context.Context, m *Machine, upstream string, server, client *tls.Config) (*FaultProxy, error) {
	return newFaultProxy(ctx, m, upstream, server, client)
}

func newFaultProxy(ctx context.Context, m *Machine, upstream string, server, client *tls.Config) (*FaultProxy, error) {
	l, err := m.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &FaultProxy{
		upstream:  upstream,
		scheme:    "http",
		transport: &http.Transport{DialContext: m.Dial, TLSClientConfig: client},
		served:    make(chan struct{}),
	}
	if server != nil {
		p.scheme, l = "https", tls.NewListener(l, server)
	}
	p.URL = p.scheme + "://" + l.Addr().String() + "/v2.0/"
	p.server = &http.Server{Handler: p}
	go func() {
		defer close(p.served)
		// Serve returns when Close closes the listener; there is no other error.
		_ = p.server.Serve(l)
	}()
	return p, nil
}

// Close stops the proxy.
func (p *FaultProxy) Close() error {
	err := p.server.Close()
	<-p.served
	p.settle()
	p.transport.CloseIdleConnections()
	return err
}

// Watch forgets the calls counted so far and lets decide judge those that
// follow; nil lets all pass.
func (p *FaultProxy) Watch(decide func(Call) Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.decide, p.calls = decide, nil
}

// Rewrite has f change the answers that Neutron gives from now on.
func (p *FaultProxy) Rewrite(f func([]byte) []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rewrite = f
}

// Calls returns the calls since the last Watch.
func (p *FaultProxy) Calls() []Call {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]Call(nil), p.calls...)
}

// Open returns how many requests have come and not been answered yet.
func (p *FaultProxy) Open() int { return int(p.open.Load()) }

func (p *FaultProxy) judge(r *http.Request) Fault {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := Call{N: len(p.calls) + 1, Method: r.Method, Path: r.URL.Path}
	p.calls = append(p.calls, c)
	if p.decide == nil {
		return Fault{}
	}
	return p.decide(c)
}

// ServeHTTP implements http.Handler.
func (p *FaultProxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.open.Add(1)
	defer p.open.Add(-1)
	f := p.judge(r)
	if f.Kind == BreakLate {
		p.forwardLater(r, f.Delay)
		panic(http.ErrAbortHandler)
	}
	select {
	case <-time.After(f.Delay):
	case <-r.Context().Done():
		return
	}
	switch f.Kind {
	case Answer:
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(f.Status)
		// The client may be gone; it is the one that matters.
		_, _ = io.WriteString(w, `{"NeutronError": {"type": "Fault", "message": "fault injected\nby the test", "detail": ""}}`)
	case BreakBefore:
		panic(http.ErrAbortHandler)
	case BreakAfter:
		if resp, err := p.forward(r); err == nil {
			resp.Body.Close()
		}
		panic(http.ErrAbortHandler)
	case BreakWithin:
		p.passHalf(w, r)
		panic(http.ErrAbortHandler)
	default:
		p.pass(w, r)
	}
}

func (p *FaultProxy) pass(w http.ResponseWriter, r *http.Request) {
	resp, err := p.forward(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer resp.Body.Close()
	for k, v := range resp.Header {
		w.Header()[k] = v
	}
	body := io.Reader(resp.Body)
	p.mu.Lock()
	rewrite := p.rewrite
	p.mu.Unlock()
	if rewrite != nil {
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		w.Header().Del("Content-Length")
		body = bytes.NewReader(rewrite(text))
	}
	w.WriteHeader(resp.StatusCode)
	_, _ = io.Copy(w, body)
}

// passHalf sends what announces itself as the whole answer, and half of it.
func (p *FaultProxy) passHalf(w http.ResponseWriter, r *http.Request) {
	resp, err := p.forward(r)
	if err != nil {
		return
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || len(body) < 2 {
		return
	}
	w.Header().Set("Content-Type", resp.Header.Get("Content-Type"))
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(resp.StatusCode)
	// What counts is that no more comes.
	_, _ = w.Write(body[:len(body)/2])
	_ = http.NewResponseController(w).Flush()
}

// forwardLater carries a request to Neutron after its client has been told that
// it is lost.
func (p *FaultProxy) forwardLater(r *http.Request, delay time.Duration) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	late := r.Clone(context.WithoutCancel(r.Context()))
	late.Body = io.NopCloser(bytes.NewReader(body))
	p.mu.Lock()
	defer p.mu.Unlock()
	p.late.Go(func() {
		time.Sleep(delay)
		if resp, err := p.forward(late); err == nil {
			resp.Body.Close()
		}
	})
}

// settle waits for the requests that go on without a client. Who calls it knows
// that they have come.
func (p *FaultProxy) settle() {
	p.mu.Lock()
	//lint:ignore SA2001 a request that has come is counted with the lock held
	p.mu.Unlock()
	p.late.Wait()
}

func (p *FaultProxy) forward(r *http.Request) (*http.Response, error) {
	// What Neutron began it finishes, whether or not the client waits.
	out := r.Clone(context.WithoutCancel(r.Context()))
	out.URL.Scheme, out.URL.Host = p.scheme, p.upstream
	out.RequestURI = ""
	return p.transport.RoundTrip(out)
}

// FailNth fails the nth call, if want says so of its method and path; n counts
// only the calls that want accepts. A nil want accepts all.
func FailNth(n int, f Fault, want func(Call) bool) func(Call) Fault {
	seen := 0
	return func(c Call) Fault {
		if want != nil && !want(c) {
			return Fault{}
		}
		if seen++; seen == n {
			return f
		}
		return Fault{}
	}
}

// FailFrom makes the nth call fail in one way and all that follow in another:
// Neutron dies, and stays dead.
func FailFrom(n int, first, rest Fault) func(Call) Fault {
	return func(c Call) Fault {
		switch {
		case c.N < n:
			return Fault{}
		case c.N == n:
			return first
		default:
			return rest
		}
	}
}

// To accepts calls of a method whose path ends with suffix.
func To(method, suffix string) func(Call) bool {
	return func(c Call) bool { return c.Method == method && strings.HasSuffix(c.Path, suffix) }
}
