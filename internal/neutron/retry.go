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
	"sync"
	"time"

	"github.com/gophercloud/gophercloud/v2"

	"kuryr/internal/courier"
)

const (
	maxRetries    = 3
	retryPause    = 100 * time.Millisecond // doubled each time, and jittered
	maxRetryAfter = time.Minute            // the longest wish of a server that is granted
)

// How many retries there may be beyond what answers have earned, and how many
// answers earn one: an ill cloud gets a tenth more than what it is asked, not
// four times as much.
const (
	retryStock      = 10.0
	retriesAnAnswer = 0.1
)

// budget bounds the retries of all requests to one cloud.
type budget struct {
	mu    sync.Mutex
	stock float64 // retries that may be made now; guarded by mu
}

func newBudget() *budget { return &budget{stock: retryStock} }

// spend takes one retry out, if there is one.
func (b *budget) spend() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.stock < 1 {
		return false
	}
	b.stock--
	return true
}

// earn puts in what an answer is worth.
func (b *budget) earn() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stock = min(b.stock+retriesAnAnswer, retryStock)
}

// retry is gophercloud's hook for failed requests: nil repeats it. What may be
// repeated without harm is so when nobody answered, or somebody said to come
// back later; anything else only when it was turned away before anybody looked
// at it (429), with the time to come back (Retry-After), or never got there.
//
// A PUT that wants a revision is not harmless: the first may have made the
// next one, and the second would be told of a conflict with itself.
func (b *budget) retry(ctx context.Context, method, _ string, o *gophercloud.RequestOpts, err error, failures uint) error {
	harmless := method == http.MethodGet || method == http.MethodDelete ||
		method == http.MethodPut && (o == nil || o.MoreHeaders["If-Match"] == "")
	return b.retryIf(ctx, harmless, err, failures)
}

// retryAny is retry for requests that may be repeated whatever their method.
func (b *budget) retryAny(ctx context.Context, _, _ string, _ *gophercloud.RequestOpts, err error, failures uint) error {
	return b.retryIf(ctx, true, err, failures)
}

func (b *budget) retryIf(ctx context.Context, harmless bool, err error, failures uint) error {
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
		if !(busy && wish > 0) && !(harmless && (busy || ill(status.Actual))) {
			return err
		}
		pause = max(pause, wish)
	case unsent(err):
	case !harmless || !connectionLost(err) || handshakeFailed(err): // or an answer that makes no sense
		return err
	}
	if deadline, ok := ctx.Deadline(); pause > maxRetryAfter || ok && time.Until(deadline) <= pause {
		return err // who waits is told now, not when it is too late
	}
	if !b.spend() {
		return err
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

// ill reports whether a status says that whoever should have answered did not.
func ill(status int) bool {
	return status == http.StatusBadGateway || status == http.StatusServiceUnavailable || status == http.StatusGatewayTimeout
}

// unsent reports whether err says that there was no connection to send anything on.
func unsent(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
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
