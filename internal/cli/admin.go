package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"

	"kuryr/internal/courier"
)

// Limits of a call of the admin API, which is answered from memory.
const (
	adminTimeout = 10 * time.Second
	adminMaxBody = 64 << 20 // bytes
)

// adminGet asks the daemon behind a Unix socket for a resource of its admin API.
func adminGet(ctx context.Context, socket, path string) ([]byte, error) {
	return adminCall(ctx, socket, http.MethodGet, path)
}

// adminCall makes a request without a body, and returns what is answered.
func adminCall(ctx context.Context, socket, method, path string) ([]byte, error) {
	return adminWait(ctx, socket, method, path, adminTimeout)
}

// adminWait is adminCall of what may take a while.
func adminWait(ctx context.Context, socket, method, path string, patience time.Duration) ([]byte, error) {
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}}
	defer transport.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, "http://kuryr"+path, nil)
	if err != nil {
		return nil, &courier.Error{Kind: courier.Internal, Op: "ask", Subject: "kuryr at " + socket, Err: err}
	}
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return nil, unreachable(socket, patience, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, adminMaxBody))
	if err != nil {
		return nil, unreachable(socket, patience, err)
	}
	if resp.StatusCode == http.StatusInternalServerError {
		return nil, &courier.Error{Kind: courier.Internal, Op: "have it done by", Subject: "kuryr at " + socket, Public: printable(strings.TrimSpace(string(body)))}
	}
	if resp.StatusCode != http.StatusOK {
		path, _, _ := strings.Cut(path, "?")
		return nil, &courier.Error{Kind: courier.Internal, Op: "ask", Subject: "kuryr at " + socket,
			Public: fmt.Sprintf("%s answered %s", path, resp.Status), Hint: "does another version of kuryr run there?"}
	}
	return body, nil
}

// unreachable says why there was no answer, without the layers of the HTTP client.
func unreachable(socket string, patience time.Duration, err error) error {
	e := &courier.Error{Kind: courier.Unavailable, Op: "reach", Subject: "kuryr at " + socket, Err: err, Hint: `is "kuryr serve" running?`}
	var errno syscall.Errno
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		e.Public, e.Hint = fmt.Sprintf("no answer within %s", patience), `see its log: it may wait for Neutron or the kernel`
	case errors.As(err, &errno):
		e.Public = errno.Error()
		if errno == syscall.EACCES {
			e.Hint = "run it as root, or as a member of the socket's group"
		}
	}
	return e
}
