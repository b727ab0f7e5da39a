package docker

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"

	"kuryr/internal/courier"
	"kuryr/internal/observe"
)

// maxBody bounds a request's body, in bytes. Docker's largest are those of
// endpoints with ranges of published ports: some 100 bytes a port.
const maxBody = 16 << 20

// Keys of log attributes that no other room has.
const (
	keyOption = "option"
	keyPanic  = "panic"
	keyStack  = "stack"
)

// method serves one method of the protocol.
type method struct {
	op  string // what the caller wants: "create network"
	run func(ctx context.Context, body []byte, a *about) (any, error)
}

// about is what a request concerns, as far as it could be read.
type about struct{ refs []ref }

// request is what every decoded body can tell: the identifiers it must have.
type request interface{ refs() []ref }

// plain makes a method whose answer is always the same. Whatever body comes is
// ignored: Docker sends such calls without any.
func plain(op string, answer any) method {
	return method{op: op, run: func(context.Context, []byte, *about) (any, error) { return answer, nil }}
}

// with makes a method of a handler that takes a decoded request. The handler
// runs only if every identifier is there.
func with[Q request](op string, handle func(context.Context, Q) (any, error)) method {
	return method{op: op, run: func(ctx context.Context, body []byte, a *about) (any, error) {
		var q Q
		if err := decode(body, &q); err != nil {
			return nil, err
		}
		a.refs = q.refs()
		for _, r := range a.refs {
			if err := checkID(r); err != nil {
				return nil, err
			}
		}
		return handle(ctx, q)
	}}
}

// ServeHTTP implements http.Handler. The Host header and the content type are
// not looked at: Docker 20.10 leaves both empty.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := strings.TrimPrefix(r.URL.Path, "/")
	m, known := s.methods[name]
	if !known {
		name = cut(name)
	}
	switch {
	case r.Header["Origin"] != nil: // a browser's; no engine sends it
		s.refuse(w, name, http.StatusForbidden, unsupported("requests of web pages are refused"))
	case !known:
		s.refuse(w, name, http.StatusNotFound, unsupported("Kuryr has no such method"))
	case r.Method != http.MethodPost:
		w.Header().Set("Allow", http.MethodPost)
		s.refuse(w, name, http.StatusMethodNotAllowed, invalid("the HTTP method is %.20q, not POST", r.Method))
	default:
		s.serve(w, r, name, m)
	}
}

// refuse answers what is no call at all.
func (s *server) refuse(w http.ResponseWriter, name string, status int, f *flaw) {
	text := textOf(explain(f, "serve", fmt.Sprintf("%q", name)))
	s.log.Warn("refused a request", observe.Method, name, observe.Err, text)
	s.answer(w, name, status, errorResponse{Err: text, Error: text})
}

// serve carries out one call. It goes on to its end, or its own deadline, when
// Docker goes away in the middle: work is finished or undone, never left half
// way because nobody listens any more.
func (s *server) serve(w http.ResponseWriter, r *http.Request, name string, m method) {
	start := time.Now()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), s.opts.Timeout)
	defer cancel()
	ctx = context.WithValue(ctx, callerKey{}, r.Context())
	ctx, span := s.opts.Tracer.Start(ctx, observe.Name(observe.AreaDocker, name), observe.Call())
	defer span.End()
	var a about
	var answer any
	body, err := s.readBody(w, r)
	if err == nil {
		answer, err = s.run(ctx, name, m, body, &a)
	}
	span.SetAttributes(a.labels()...)
	attrs := append(a.attrs(name), slog.Float64(observe.Ms, float64(time.Since(start).Microseconds())/1000))
	if err == nil {
		s.log.LogAttrs(ctx, slog.LevelDebug, "served a call", attrs...)
		s.answer(w, name, http.StatusOK, answer)
		return
	}
	e := explain(err, m.op, a.String())
	span.RecordError(e)
	attrs = append(attrs, slog.String(observe.Kind, courier.KindOf(e).String()), slog.String(observe.Err, causes(e)))
	s.log.LogAttrs(ctx, slog.LevelWarn, "a call failed", attrs...)
	text := textOf(e)
	s.answer(w, name, http.StatusOK, errorResponse{Err: text, Error: text})
}

// callerKey is the key of a call's own context, which ends when Docker hangs up.
type callerKey struct{}

// hungUp tells whether Docker has hung up on the call that ctx is of: it, or
// its connection, has died, and nobody will get the answer.
func hungUp(ctx context.Context) bool {
	caller, ok := ctx.Value(callerKey{}).(context.Context)
	return ok && caller.Err() != nil
}

// run calls the method, and makes an error of a panic: a connection that is
// closed without an answer has Docker send the request again, with no body.
func (s *server) run(ctx context.Context, name string, m method, body []byte, a *about) (answer any, err error) {
	defer func() {
		if v := recover(); v != nil {
			s.log.LogAttrs(ctx, slog.LevelError, "a call panicked", append(a.attrs(name),
				slog.String(keyPanic, fmt.Sprint(v)), slog.String(keyStack, string(debug.Stack())))...)
			answer, err = nil, fmt.Errorf("panic: %v", v)
		}
	}()
	return m.run(ctx, body, a)
}

// answer writes an object.
func (s *server) answer(w http.ResponseWriter, name string, status int, v any) {
	w.Header().Set("Content-Type", mimetype)
	w.WriteHeader(status)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		s.log.Warn("an answer was not taken", observe.Method, name, observe.Err, err)
	}
}

// readBody reads at most maxBody bytes, in no more than a call's time.
func (s *server) readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	tooLong := invalid("the request is longer than %d bytes", maxBody)
	if r.ContentLength > maxBody {
		return nil, tooLong
	}
	conn := http.NewResponseController(w)
	// It fails only where there is no connection, as in tests.
	_ = conn.SetReadDeadline(time.Now().Add(s.opts.Timeout))
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	if err != nil {
		return nil, invalid("the request broke off").hinted("try again")
	}
	if len(body) > maxBody {
		return nil, tooLong
	}
	// The deadline must not outlive the request: Docker keeps its connections
	// and, when one is closed on it, sends again what it sent, without the body.
	// After a failure above it stays, for the server to give the rest up.
	_ = conn.SetReadDeadline(time.Time{})
	return body, nil
}

// decode reads a body that must hold one JSON object. Unknown fields are
// left to newer Dockers.
func decode(body []byte, q any) error {
	body = bytes.TrimSpace(body)
	if len(body) == 0 || string(body) == "null" {
		// What Docker sends when it tries again after a broken connection: it
		// has used its buffer up (all versions to 29.7).
		return invalid("the request is empty, as Docker's are when it repeats one after a broken connection").
			hinted("repeat the command")
	}
	if err := scan(body); err != nil {
		return err
	}
	err := json.Unmarshal(body, q)
	var wrong *json.UnmarshalTypeError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &wrong) && wrong.Field != "":
		return invalid("the request's %s can't be a JSON %.40s", wrong.Field, wrong.Value)
	case errors.As(err, &wrong):
		return invalid("the request is a JSON %.40s, not an object", wrong.Value)
	default:
		return invalid("the request is not JSON: %v", err)
	}
}

// String names the subject for a sentence like "cannot create network 4aa1af9a5359".
func (a about) String() string {
	var b strings.Builder
	for i := len(a.refs) - 1; i >= 0; i-- {
		switch r := a.refs[i]; {
		case checkID(r) != nil: // the error quotes it
		case r.field == "NetworkID" && len(a.refs) > 1:
			b.WriteString(" on network " + short(r.value))
		case r.field == "PoolID":
			b.WriteString("of pool " + short(r.value))
		default:
			b.WriteString(short(r.value))
		}
	}
	return strings.TrimSpace(b.String())
}

// attrs are the log's attributes of a call.
func (a about) attrs(name string) []slog.Attr {
	out := []slog.Attr{slog.String(observe.Method, name)}
	for _, r := range a.refs {
		switch r.field {
		case "NetworkID":
			out = append(out, slog.String(observe.EngineNetwork, short(r.value)))
		case "EndpointID":
			out = append(out, slog.String(observe.Endpoint, short(r.value)))
		case "PoolID":
			out = append(out, slog.String(observe.Pool, cut(r.value)))
		}
	}
	return out
}

// cut keeps what may be anything from filling the log and the answer.
func cut(s string) string { return fmt.Sprintf("%.60s", s) }

// labels are the trace's labels of a call.
func (a about) labels() []attribute.KeyValue {
	var out []attribute.KeyValue
	for _, r := range a.refs {
		out = append(out, attribute.String(r.field, short(r.value)))
	}
	return out
}

// short cuts an ID as Docker's own tools do. It may be anything still, before
// it is checked.
func short(id string) string { return courier.EngineNetworkID(id).Short() }
