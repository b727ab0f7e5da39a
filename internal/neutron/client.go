package neutron

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"kuryr/internal/courier"
)

// Options of a client.
type Options struct {
	// Endpoint is the URL of a Neutron without authentication, with or without
	// its "v2.0/". Required without a Cloud.
	Endpoint string
	// Transport carries the requests. nil: connections of the client's own, with
	// a Cloud's TLS files.
	Transport http.RoundTripper
	// Cloud returns the settings of a cloud, which are asked for again at each
	// authentication. nil: there is none.
	Cloud func() (Cloud, error)
	// Tracer starts a span for each request; nil: nobody does.
	Tracer trace.Tracer
	Log    *slog.Logger // required
}

// wire is the way out to a server.
func (o Options) wire(next http.RoundTripper, server string) *wire {
	w := &wire{next: next, log: o.Log, tracer: o.Tracer, server: server}
	if w.tracer == nil {
		w.tracer = noop.Tracer{}
	}
	return w
}

// Client is a Neutron. Its methods may be called concurrently.
type Client struct {
	api      *gophercloud.ServiceClient
	checking *gophercloud.ServiceClient // of Check, which needs no open gate
	probing  *gophercloud.ServiceClient // of Watch, likewise, and asks once
	session  *session                   // nil: there is no cloud
	gate     *gate                      // nil likewise
	breaker  *breaker                   // nil likewise
	endpoint string                     // without a cloud
	// project returns the ID of the project that Kuryr works for, or "" where
	// nobody authenticates: then all is ours.
	project func() string
}

var _ courier.Neutron = (*Client)(nil)

// New returns a client; it sends no request. A malformed endpoint is Invalid.
func New(o Options) (*Client, error) {
	if o.Cloud != nil {
		return newCloudClient(o)
	}
	base, err := neutronBase(o.Endpoint)
	if err != nil {
		return nil, err
	}
	transport := o.Transport
	if transport == nil {
		transport = newTransport()
	}
	retries := newBudget()
	way := &meter{next: o.wire(transport, "neutron"), breaker: newBreaker(o.Log), budget: retries}
	return &Client{
		api:      newService(base, newHTTPClient(way, 0), retries),
		endpoint: base,
		project:  func() string { return "" },
	}, nil
}

// newCloudClient returns a client of a cloud. Its settings are read now, so
// that what is wrong with them is told at once.
func newCloudClient(o Options) (*Client, error) {
	t := &trust{}
	var way http.RoundTripper = t
	if o.Transport != nil {
		way = o.Transport
	}
	away, retries := newBreaker(o.Log), newBudget()
	s := &session{source: o.Cloud, trust: t, log: o.Log, warned: map[string]bool{}}
	s.keys = &keystone{log: o.Log, retries: retries,
		transport: &meter{next: o.wire(way, "keystone"), breaker: away, budget: retries, keystone: true}}
	cloud, err := s.read()
	if err != nil {
		return nil, err
	}
	if _, err := cloud.login(); err != nil {
		return nil, err
	}
	if _, err := t.use(cloud.tlsFiles()); err != nil {
		return nil, err
	}
	s.next = newLimit(&meter{next: o.wire(way, "neutron"), breaker: away, budget: retries}, cloud.MaxRequests)
	g := &gate{next: &door{next: s, breaker: away}}
	return &Client{
		api:      newService(sessionBase, newHTTPClient(g, cloud.Timeout), retries),
		checking: newService(sessionBase, newHTTPClient(s, cloud.Timeout), retries),
		probing:  newService(sessionBase, newHTTPClient(s, cloud.Timeout), nil),
		session:  s,
		gate:     g,
		breaker:  away,
		project:  s.project,
	}, nil
}

// newService returns what gophercloud needs. Without retries each request is made once.
func newService(base string, client http.Client, retries *budget) *gophercloud.ServiceClient {
	provider := &gophercloud.ProviderClient{HTTPClient: client}
	if retries != nil {
		provider.RetryFunc = retries.retry
	}
	provider.UserAgent.Prepend("kuryr")
	provider.UseTokenLock()
	return &gophercloud.ServiceClient{ProviderClient: provider, Endpoint: base, Type: "network"}
}

// newHTTPClient follows no redirections: one is no answer of OpenStack's, and
// may lead anywhere.
func newHTTPClient(t http.RoundTripper, timeout time.Duration) http.Client {
	return http.Client{Transport: t, Timeout: timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// Endpoint is the URL of Neutron; "" as long as a cloud has not told it.
func (c *Client) Endpoint() string {
	if c.session != nil {
		return c.session.where()
	}
	return c.endpoint
}

// newTransport keeps enough idle connections for a burst of attachments; Go's
// default of two would open and close one for each of the others.
func newTransport() *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConns, t.MaxIdleConnsPerHost = 64, 64
	return t
}

// at names the place of Neutron, as far as it is known.
func (c *Client) at() string {
	if url := c.Endpoint(); url != "" {
		return "at " + url
	}
	return ""
}

// Ping makes a request that costs Neutron little, to see that it answers.
func (c *Client) Ping(ctx context.Context) error {
	_, err := c.api.Get(ctx, c.api.ServiceURL("networks")+"?limit=1&fields=id", &struct{}{}, nil)
	return c.fail(err, "reach Neutron", c.at())
}
