package replay

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// Checks says what a run may meet besides the recorded. All fields may be nil.
type Checks struct {
	// Before is told each call before it is sent; it may put another process
	// behind the handler.
	Before func(Call)
	// Fault is told each call that Docker saw fail since the recorder was told
	// to fail it. It may make the driver fail alike, in which case an error is no
	// fault of the driver's; heal, if not nil, is called after the answer.
	// Without Fault the driver answers for itself.
	Fault func(Call) (heal func())
	// MayRefuse tells of a call, as it is sent, whether the driver may answer
	// it with an error. What depends on it is then left out.
	MayRefuse func(Call) bool
}

// Run sends the calls of the scenario to h, one after the other, then removes
// what the recorded Docker left behind, or never knew that it had. Answers
// that break the protocol are errors of t. Removals must always succeed.
func (s *Scenario) Run(t testing.TB, h http.Handler, c Checks) {
	t.Helper()
	r := &runner{t: t, handler: h, checks: c, state: newState()}
	r.learnSpaces(s)
	for _, step := range s.Steps {
		for i, call := range step.Calls {
			r.where = fmt.Sprintf("%s\n\tcall %d, %s", step.Cmd, i+1, call.Method)
			r.do(call)
		}
	}
	r.tidy()
}

// runner is one run of a scenario.
type runner struct {
	t       testing.TB
	handler http.Handler
	checks  Checks
	where   string // for messages
	*state
}

func (r *runner) errorf(format string, args ...any) {
	r.t.Helper()
	r.t.Errorf("%s:\n\t%s", r.where, fmt.Sprintf(format, args...))
}

// do sends one recorded call, in the driver's terms, and judges the answer.
func (r *runner) do(c Call) {
	r.t.Helper()
	q := map[string]any{}
	if c.Request != nil {
		if err := json.Unmarshal(c.Request, &q); err != nil {
			r.t.Fatalf("%s: recorded request: %v", r.where, err)
		}
		if !r.translate(c.Method, q) {
			return // of something that the driver refused to make
		}
		c.Request = encode(r.t, q)
	}
	if r.checks.Before != nil {
		r.checks.Before(c)
	}
	faulty := false
	if c.Note != "" && c.Failed() && r.checks.Fault != nil {
		faulty = true
		if heal := r.checks.Fault(c); heal != nil {
			defer heal()
		}
	}
	a, ok := r.send(c.Method, c.Request)
	if !ok {
		return
	}
	if a.err == "" {
		r.accepted(c, q, a)
		return
	}
	r.refused(c, a.err, faulty)
	if removal(c.Method) {
		r.forget(c.Method, q) // as Docker does
	}
}

// accepted judges and remembers a success.
func (r *runner) accepted(c Call, q map[string]any, a answer) {
	r.t.Helper()
	if c.Emptied() {
		r.errorf("an empty body was answered with %s, not with an error", a.body)
		return
	}
	r.judge(c.Method, q, a)
	if removal(c.Method) {
		r.forget(c.Method, q)
		return
	}
	r.learn(c, q, a)
}

// refused judges an error.
func (r *runner) refused(c Call, text string, faulty bool) {
	r.t.Helper()
	switch {
	case faulty, c.Emptied():
	case removal(c.Method):
		r.errorf("%s: a removal must succeed: %s", c.Request, text)
	case c.Method == "NetworkDriver.EndpointOperInfo":
		r.errorf("Docker 20.10 ends the container: %s", text)
	case c.Failed() && c.Note == "": // the recorder refused it too
	case r.checks.MayRefuse != nil && r.checks.MayRefuse(c):
	default:
		r.errorf("%s was refused: %s", c.Request, text)
	}
}

// answer is a driver's answer.
type answer struct {
	body   []byte
	fields map[string]any
	err    string // what Docker would take for an error; "": none
}

// send posts a call as Docker does: no Host, no content type, and no body but
// what there is. It reports false for an answer that is none of the protocol's.
func (r *runner) send(method string, body []byte) (answer, bool) {
	r.t.Helper()
	var rd io.Reader = http.NoBody
	if len(body) > 0 {
		rd = bytes.NewReader(body)
	}
	req := httptest.NewRequestWithContext(r.t.Context(), http.MethodPost, "/"+method, rd)
	req.Host = ""
	req.Header.Set("Accept", "application/vnd.docker.plugins.v1.2+json")
	req.Header.Set("User-Agent", "Go-http-client/1.1")
	w := httptest.NewRecorder()
	r.handler.ServeHTTP(w, req)
	a := answer{body: bytes.TrimSpace(w.Body.Bytes())}
	if w.Code != http.StatusOK {
		r.errorf("status %d: %s", w.Code, a.body)
		return a, false
	}
	if err := json.Unmarshal(a.body, &a.fields); err != nil || a.fields == nil {
		r.errorf("the answer %q is not a JSON object", a.body)
		return a, false
	}
	return a, r.readError(method, &a)
}

// readError finds the error of an answer: under both keys, so that each side
// of Docker sees it, and in one line.
func (r *runner) readError(method string, a *answer) bool {
	r.t.Helper()
	net, ipam := text(a.fields["Err"]), text(a.fields["Error"])
	if net == "" && ipam == "" {
		return true
	}
	if net != ipam {
		r.errorf("Err is %q and Error is %q", net, ipam)
	}
	if strings.ContainsAny(net+ipam, "\r\n") {
		r.errorf("the error has more than one line: %q", net)
	}
	a.err = net + ipam
	if net == ipam {
		a.err = net
	}
	return true
}

// tidy removes what is left, in Docker's order.
func (r *runner) tidy() {
	r.t.Helper()
	r.where = "afterwards"
	remove := func(method string, q map[string]any) {
		r.t.Helper()
		if a, ok := r.send(method, encode(r.t, q)); ok && a.err != "" {
			r.errorf("%s %v: %s", method, q, a.err)
		}
	}
	for id, e := range r.endpoints {
		q := map[string]any{"NetworkID": e.network.id, "EndpointID": id}
		remove("NetworkDriver.Leave", q)
		remove("NetworkDriver.DeleteEndpoint", q)
	}
	for _, p := range r.held {
		for a := range p.taken {
			remove("IpamDriver.ReleaseAddress", map[string]any{"PoolID": p.id, "Address": a.String()})
		}
		remove("IpamDriver.ReleasePool", map[string]any{"PoolID": p.id})
	}
	for id, n := range r.networks {
		if !n.removed {
			remove("NetworkDriver.DeleteNetwork", map[string]any{"NetworkID": id})
		}
	}
}

func encode(t testing.TB, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// text returns a string of a decoded JSON value, "" for anything else.
func text(v any) string {
	s, _ := v.(string)
	return s
}
