package neutron

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"kuryr/internal/crash"
	"kuryr/internal/observe"
)

// maxAnswer bounds what is read of an answer, in bytes. A list of 10,000 ports
// takes about 12 MiB.
const maxAnswer = 64 << 20

var errTooLarge = errors.New("the answer is larger than 64 MiB")

// requestIDHeader carries an ID that Neutron keeps in its log as the global
// request ID (oslo.middleware), and gives one of its own in the answer.
const requestIDHeader = "X-Openstack-Request-Id"

// wire is what every request passes on its way out: it gets an ID, is logged
// at debug level, and its answer is bounded.
type wire struct {
	next   http.RoundTripper
	log    *slog.Logger
	tracer trace.Tracer
	server string // as the log names it
}

// RoundTrip implements http.RoundTripper.
func (w *wire) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx, span := w.tracer.Start(req.Context(), observe.Name(observe.AreaNeutron, req.Method+" "+resourceOf(req.URL.Path)))
	defer span.End()
	req = req.Clone(ctx)
	id := "req-" + uuid.NewString()
	span.SetAttributes(attribute.String("path", req.URL.RequestURI()), attribute.String("request", id))
	req.Header.Set(requestIDHeader, id)
	start := time.Now()
	e, changes := effectOf(req)
	if changes {
		crash.Before(e)
	}
	resp, err := w.next.RoundTrip(req)
	if changes {
		crash.After(e)
	}
	attrs := []any{"server", w.server, observe.Request, id, observe.Method, req.Method, observe.Path, req.URL.RequestURI(),
		observe.Ms, float64(time.Since(start).Microseconds()) / 1000}
	if err != nil {
		span.RecordError(err)
		if p := (*panicked)(nil); errors.As(err, &p) {
			w.log.ErrorContext(req.Context(), "neutron: the server panicked", append(attrs, "panic", p.value, "stack", string(p.stack))...)
		}
		w.log.DebugContext(req.Context(), "no answer", append(attrs, observe.Err, err)...)
		return nil, err
	}
	w.log.DebugContext(req.Context(), "answer",
		append(attrs, observe.Status, resp.StatusCode, "neutron_request", resp.Header.Get(requestIDHeader))...)
	span.SetAttributes(attribute.String("neutron_request", resp.Header.Get(requestIDHeader)))
	if resp.StatusCode >= http.StatusBadRequest {
		span.RecordError(errors.New(resp.Status))
	}
	resp.Body = &bounded{ReadCloser: resp.Body, left: maxAnswer + 1}
	return resp, nil
}

// effectOf names the effect that a request may have: its method, and which
// collection it is about. It is of use to builds that can be killed only.
func effectOf(req *http.Request) (e crash.Effect, changes bool) {
	if !crash.Enabled || req.Method == http.MethodGet {
		return "", false
	}
	// ".../ports", ".../ports/ID", ".../ports/ID/tags", ".../ports/ID/tags/TAG"
	_, path, found := strings.Cut(req.URL.EscapedPath(), "/v2.0/")
	if !found {
		return "", false // Keystone's
	}
	words := strings.Split(path, "/")
	return crash.Effect("neutron " + req.Method + " " + words[(len(words)-1)/2*2]), true
}

// resourceOf is what a request is counted as: the collection that its path
// names, with what hangs on one of its resources, and no ID.
func resourceOf(path string) string {
	_, rest, ok := strings.Cut(path, "/v2.0/")
	if !ok {
		_, rest, ok = strings.Cut(path, "/v3/") // Keystone's
	}
	words := strings.Split(rest, "/")
	switch {
	case !ok || rest == "":
		return "versions"
	case len(words) > 2 && (words[2] == "tags" || words[2] == "port_forwardings"):
		return words[0] + "/" + words[2]
	}
	return words[0]
}

// bounded fails a read past its limit.
type bounded struct {
	io.ReadCloser
	left int64
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errTooLarge
	}
	if int64(len(p)) > b.left {
		p = p[:b.left]
	}
	n, err := b.ReadCloser.Read(p)
	b.left -= int64(n)
	return n, err
}
