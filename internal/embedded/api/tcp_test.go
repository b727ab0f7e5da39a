package api_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// connection is one TCP connection to a server, to say things that a client
// library would not.
type connection struct {
	t *testing.T
	net.Conn
	in *bufio.Reader
}

func dial(t *testing.T, addr string) *connection {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return &connection{t, c, bufio.NewReader(c)}
}

// say sends a request's text and returns the answer and its body.
func (c *connection) say(method, text string) (*http.Response, string) {
	c.t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		c.t.Fatal(err)
	}
	resp, err := http.ReadResponse(c.in, &http.Request{Method: method})
	if err != nil {
		c.t.Fatalf("%s: %v", strings.SplitN(text, "\r\n", 2)[0], err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	resp.Body.Close()
	return resp, string(body)
}

// TestOnTheWire checks what HTTP leaves to a server: one connection for many
// requests, bodies in chunks, methods and content types of all sorts.
func TestOnTheWire(t *testing.T) {
	h, _ := newServer(t)
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	c := dial(t, s.Listener.Addr().String())
	chunked := func(body string) string {
		return fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n%x\r\n%s\r\n0\r\n\r\n", 5, body[:5], len(body)-5, body[5:])
	}
	whole := func(body string) string { return fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(body), body) }
	body := `{"network":{"name":"n"}}`
	for _, tt := range []struct {
		name, method, path, rest string
		status                   int
		part                     string
	}{
		{"length", "POST", "/v2.0/networks", whole(body), 201, `"name":"n"`},
		{"chunks", "POST", "/v2.0/networks", chunked(body), 201, `"name":"n"`},
		{"no content type", "POST", "/v2.0/networks", whole(body), 201, `"name":"n"`},
		{"a form's content type", "POST", "/v2.0/networks", "Content-Type: application/x-www-form-urlencoded\r\n" + whole(body), 201, `"name":"n"`},
		{"no body", "POST", "/v2.0/networks", "Content-Length: 0\r\n\r\n", 400, "Unable to find 'network' in request body"},
		{"not JSON", "POST", "/v2.0/networks", whole("name=n"), 400, "Body contains invalid data"},
		{"not UTF-8", "POST", "/v2.0/networks", whole("{\"network\":{\"name\":\"\xff\"}}"), 400, "Body contains invalid data"},
		{"HEAD", "HEAD", "/v2.0/networks", "\r\n", 405, ""},
		{"PATCH", "PATCH", "/v2.0/networks", whole("{}"), 405, "HTTPMethodNotAllowed"},
		{"TRACE", "TRACE", "/v2.0/networks", "\r\n", 405, "HTTPMethodNotAllowed"},
		{"a GET's body", "GET", "/v2.0/networks?limit=1&fields=name", whole(body), 200, `{"networks":[{"name":`},
		{"escaped path", "GET", "/v2.0/networks/..%2Fports", "\r\n", 404, "Network ../ports could not be found."},
		{"still the same connection", "GET", "/v2.0/", "\r\n", 200, `"resources"`},
	} {
		resp, got := c.say(tt.method, fmt.Sprintf("%s %s HTTP/1.1\r\nHost: x\r\n%s", tt.method, tt.path, tt.rest))
		if resp.StatusCode != tt.status || !strings.Contains(got, tt.part) {
			t.Errorf("%s: %d %s, want %d ...%s...", tt.name, resp.StatusCode, got, tt.status, tt.part)
		}
		if tt.method == "HEAD" && got != "" {
			t.Errorf("%s: a body %q", tt.name, got)
		}
		if resp.ContentLength < 0 {
			t.Errorf("%s: the answer has no length", tt.name)
		}
		if id := resp.Header.Get("X-Openstack-Request-Id"); !strings.HasPrefix(id, "req-") {
			t.Errorf("%s: its request ID is %q", tt.name, id)
		}
	}
}

// TestTooLargeOnTheWire checks that a body over the bound is refused in words,
// whether its length is told or not.
func TestTooLargeOnTheWire(t *testing.T) {
	h, _ := newServer(t)
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	body := `{"network":{"name":"` + strings.Repeat("x", 11<<20) + `"}}`
	for _, r := range []io.Reader{strings.NewReader(body), struct{ io.Reader }{strings.NewReader(body)}} {
		resp, err := http.Post(s.URL+"/v2.0/networks", "application/json", r)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusRequestEntityTooLarge || !strings.Contains(string(got), "Request is too large.") {
			t.Errorf("%d %s %v", resp.StatusCode, got, err)
		}
	}
}
