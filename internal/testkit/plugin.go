package testkit

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
)

// Plugin speaks Docker's plugin protocol to a daemon, as the engine does, for
// tests that must stand between two calls.
type Plugin struct{ client *http.Client }

// NewPlugin is a client of the plugin behind a Unix socket.
func NewPlugin(socket string) *Plugin { return &Plugin{client: UnixClient(socket)} }

// Close drops the idle connections.
func (p *Plugin) Close() { p.client.CloseIdleConnections() }

// Call posts a call such as "NetworkDriver.Join". A nil request is sent as an
// empty body, as the engine's retry does. An answer that carries an error,
// in either of Docker's two keys, is an error.
func (p *Plugin) Call(ctx context.Context, method string, request, answer any) error {
	var body bytes.Buffer
	if request != nil {
		if err := json.NewEncoder(&body).Encode(request); err != nil {
			return err
		}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://plugin/"+method, &body)
	if err != nil {
		return err
	}
	req.Header.Set("Accept", "application/vnd.docker.plugins.v1.2+json")
	resp, err := p.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	var failure struct{ Err, Error string }
	if err := json.Unmarshal(text, &failure); err != nil {
		return fmt.Errorf("%s: %s: %w in %q", method, resp.Status, err, text)
	}
	if failure.Err != "" || failure.Error != "" || resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s: %s", method, resp.Status, text)
	}
	if answer == nil {
		return nil
	}
	return json.Unmarshal(text, answer)
}
