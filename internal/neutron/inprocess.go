package neutron

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"runtime/debug"
)

// InProcess returns a transport that hands each request to h, as a server
// would, without a connection. A request whose context ends first fails; h may
// go on with it, as a server may whose client has hung up.
func InProcess(h http.Handler) http.RoundTripper { return inProcess{h} }

type inProcess struct{ handler http.Handler }

// RoundTrip implements http.RoundTripper.
func (t inProcess) RoundTrip(req *http.Request) (*http.Response, error) {
	if err := req.Context().Err(); err != nil {
		closeBody(req)
		return nil, err
	}
	rec, in := &recorder{header: http.Header{}}, received(req)
	done := make(chan error, 1)
	go func() {
		defer in.Body.Close()
		done <- t.serve(rec, in)
	}()
	select {
	case err := <-done:
		if err != nil {
			return nil, err
		}
		return rec.response(req), nil
	case <-req.Context().Done():
		return nil, req.Context().Err()
	}
}

// serve calls the handler. A panic of the handler's ends the request without an
// answer, as a server's would.
func (t inProcess) serve(rec *recorder, in *http.Request) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &panicked{value: p, stack: debug.Stack()}
		}
	}()
	t.handler.ServeHTTP(rec, in)
	return rec.err
}

// panicked is why an in-process server gave no answer.
type panicked struct {
	value any
	stack []byte
}

// Error implements error.
func (p *panicked) Error() string { return fmt.Sprintf("the server panicked: %v", p.value) }

// received returns the request as a server sees it.
func received(req *http.Request) *http.Request {
	in := req.Clone(req.Context())
	in.RequestURI = req.URL.RequestURI()
	in.URL.Scheme, in.URL.Host = "", ""
	if in.Host == "" {
		in.Host = req.URL.Host
	}
	if in.Body == nil {
		in.Body = http.NoBody
	}
	in.RemoteAddr = "in-process"
	return in
}

func closeBody(req *http.Request) {
	if req.Body != nil {
		req.Body.Close()
	}
}

// recorder keeps one answer. Like http.ResponseWriter it belongs to the
// handler; the transport looks at it when the handler has returned.
type recorder struct {
	header http.Header
	status int
	sent   http.Header // the header as it was when the status was written
	body   bytes.Buffer
	err    error
}

// Header implements http.ResponseWriter.
func (r *recorder) Header() http.Header { return r.header }

// WriteHeader implements http.ResponseWriter. Interim answers are dropped.
func (r *recorder) WriteHeader(status int) {
	if r.status != 0 || status < 200 {
		return
	}
	r.status, r.sent = status, r.header.Clone()
}

// Write implements http.ResponseWriter.
func (r *recorder) Write(p []byte) (int, error) {
	r.WriteHeader(http.StatusOK)
	if r.body.Len()+len(p) > maxAnswer {
		r.err = errTooLarge
	}
	if r.err != nil {
		return 0, r.err
	}
	return r.body.Write(p)
}

func (r *recorder) response(req *http.Request) *http.Response {
	r.WriteHeader(http.StatusOK)
	return &http.Response{
		Status:     fmt.Sprintf("%d %s", r.status, http.StatusText(r.status)),
		StatusCode: r.status,
		Proto:      "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header:        r.sent,
		Body:          io.NopCloser(bytes.NewReader(r.body.Bytes())),
		ContentLength: int64(r.body.Len()),
		Request:       req,
	}
}
