package neutron

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/gophercloud/gophercloud/v2"

	"kuryr/internal/courier"
)

// limit lets a number of requests be in flight; others wait for their turn.
type limit struct {
	next  http.RoundTripper
	slots chan struct{} // nil: there is no limit
}

func newLimit(next http.RoundTripper, n int) *limit {
	l := &limit{next: next}
	if n > 0 {
		l.slots = make(chan struct{}, n)
	}
	return l
}

// RoundTrip implements http.RoundTripper. The turn ends with the answer's
// header: Neutron has done its work by then.
func (l *limit) RoundTrip(req *http.Request) (*http.Response, error) {
	if l.slots != nil {
		select {
		case l.slots <- struct{}{}:
			defer func() { <-l.slots }()
		case <-req.Context().Done():
			closeBody(req)
			return nil, req.Context().Err()
		}
	}
	return l.next.RoundTrip(req)
}

const (
	maxRetries    = 3
	retryPause    = 100 * time.Millisecond // doubled each time, and jittered
	maxRetryAfter = time.Minute            // the longest wish of a server that is granted
)

// retry is gophercloud's hook for failed requests: nil repeats it. What reads
// is repeated when nobody answered, or somebody said to come back later; what
// writes only when it was turned away before anybody looked at it (429), with
// the time to come back (Retry-After).
func retry(ctx context.Context, method, _ string, _ *gophercloud.RequestOpts, err error, failures uint) error {
	return retryIf(ctx, method == http.MethodGet, err, failures)
}

// retryAny is retry for requests that may be repeated whatever their method.
func retryAny(ctx context.Context, _, _ string, _ *gophercloud.RequestOpts, err error, failures uint) error {
	return retryIf(ctx, true, err, failures)
}

func retryIf(ctx context.Context, harmless bool, err error, failures uint) error {
	var ours *courier.Error
	if failures > maxRetries || ctx.Err() != nil || errors.Is(err, context.DeadlineExceeded) || errors.As(err, &ours) {
		return err
	}
	pause := retryPause << (failures - 1)
	pause = pause/2 + rand.N(pause)
	var status gophercloud.ErrUnexpectedResponseCode
	switch {
	case errors.As(err, &status):
		wish := retryAfter(status.ResponseHeader, time.Now())
		busy := status.Actual == http.StatusTooManyRequests
		if !(busy && wish > 0) && !(harmless && (busy || status.Actual == http.StatusServiceUnavailable)) {
			return err
		}
		pause = max(pause, wish)
	case !harmless || !connectionLost(err) || handshakeFailed(err): // or an answer that makes no sense
		return err
	}
	if deadline, ok := ctx.Deadline(); pause > maxRetryAfter || ok && time.Until(deadline) <= pause {
		return err // who waits is told now, not when it is too late
	}
	t := time.NewTimer(pause)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return err
	}
}

// retryAfter reads how long a server wants to be left alone (RFC 9110, 10.2.3).
func retryAfter(h http.Header, now time.Time) time.Duration {
	text := h.Get("Retry-After")
	if n, err := strconv.ParseUint(text, 10, 31); err == nil {
		return time.Duration(n) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil && at.After(now) {
		return at.Sub(now)
	}
	return 0
}

// connectionLost reports whether err says that the whole answer, or the rest of
// it, did not come.
func connectionLost(err error) bool {
	var unsent *url.Error
	var network net.Error
	return errors.As(err, &unsent) || errors.As(err, &network) || errors.Is(err, io.ErrUnexpectedEOF)
}
