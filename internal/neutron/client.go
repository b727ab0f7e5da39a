package neutron

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gophercloud/gophercloud/v2"

	"kuryr/internal/courier"
)

// Options of a client.
type Options struct {
	// Endpoint is the URL of Neutron, with or without its "v2.0/". Required.
	Endpoint string
	// Transport carries the requests. nil: connections of the client's own.
	Transport http.RoundTripper
	Log       *slog.Logger // required
}

// Client is a Neutron without authentication. Its methods may be called
// concurrently.
type Client struct {
	api      *gophercloud.ServiceClient
	endpoint string // as errors name it
	// project returns the ID of the project that Kuryr works for, or "" where
	// nobody authenticates: then all is ours.
	project func() string
}

var _ courier.Neutron = (*Client)(nil)

// New returns a client; it sends no request. A malformed endpoint is Invalid.
func New(o Options) (*Client, error) {
	u, err := url.Parse(o.Endpoint)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, &courier.Error{Kind: courier.Invalid, Op: "use Neutron", Subject: "at " + o.Endpoint,
			Public: "it is not the URL of a service", Hint: "give it as http://HOST:9696", Err: err}
	}
	base := strings.TrimSuffix(u.String(), "/") + "/"
	if !strings.HasSuffix(base, "/v2.0/") {
		base += "v2.0/"
	}
	transport := o.Transport
	if transport == nil {
		transport = newTransport()
	}
	provider := &gophercloud.ProviderClient{
		HTTPClient: http.Client{
			Transport: &wire{next: transport, log: o.Log},
			// A redirect is no answer of Neutron's, and may lead anywhere.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		RetryFunc: retry,
	}
	provider.UserAgent.Prepend("kuryr")
	provider.UseTokenLock()
	return &Client{
		api:      &gophercloud.ServiceClient{ProviderClient: provider, Endpoint: base, Type: "network"},
		endpoint: base,
		project:  func() string { return projectOf(provider) },
	}, nil
}

// newTransport keeps enough idle connections for a burst of attachments; Go's
// default of two would open and close one for each of the others.
func newTransport() http.RoundTripper {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConns, t.MaxIdleConnsPerHost = 64, 64
	return t
}

// Ping makes a request that costs Neutron little, to see that it answers.
func (c *Client) Ping(ctx context.Context) error {
	_, err := c.api.Get(ctx, c.api.ServiceURL("networks")+"?limit=1&fields=id", &struct{}{}, nil)
	return c.fail(err, "reach Neutron", "at "+c.endpoint)
}

const (
	maxRetries = 3
	retryPause = 100 * time.Millisecond // doubled each time, and jittered
)

// retry is gophercloud's hook for failed requests: nil repeats it. Only what
// reads is repeated, and only when nobody answered, or somebody said to come
// back later.
func retry(ctx context.Context, method, _ string, _ *gophercloud.RequestOpts, err error, failures uint) error {
	if method != http.MethodGet || failures > maxRetries || ctx.Err() != nil {
		return err
	}
	var status gophercloud.ErrUnexpectedResponseCode
	if errors.As(err, &status) {
		if status.Actual != http.StatusTooManyRequests && status.Actual != http.StatusServiceUnavailable {
			return err
		}
	} else if !connectionLost(err) {
		return err // an answer that makes no sense
	}
	pause := retryPause << (failures - 1)
	t := time.NewTimer(pause/2 + rand.N(pause))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return err
	}
}

// connectionLost reports whether err says that the whole answer, or the rest of
// it, did not come.
func connectionLost(err error) bool {
	var unsent *url.Error
	var network net.Error
	return errors.As(err, &unsent) || errors.As(err, &network) || errors.Is(err, io.ErrUnexpectedEOF)
}
