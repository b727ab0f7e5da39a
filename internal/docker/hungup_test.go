package docker

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"kuryr/internal/courier"
)

// dyingDocker makes a network, and answers when its caller is gone.
type dyingDocker struct {
	*memory
	made, deleted chan struct{}
}

func (d *dyingDocker) CreateNetwork(ctx context.Context, r courier.NetworkRequest) error {
	err := d.memory.CreateNetwork(ctx, r)
	close(d.made)
	for deadline := time.Now().Add(10 * time.Second); !hungUp(ctx) && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	return err
}

func (d *dyingDocker) DeleteNetwork(ctx context.Context, id courier.EngineNetworkID) error {
	defer close(d.deleted)
	return d.memory.DeleteNetwork(ctx, id)
}

// A dockerd that is killed while its network is made never asks for it again.
func TestNetworkWhoseCallerDies(t *testing.T) {
	d := &dyingDocker{memory: newMemory(), made: make(chan struct{}), deleted: make(chan struct{})}
	s := httptest.NewServer(New(d, Options{}))
	defer s.Close()
	ctx, die := context.WithCancel(t.Context())
	defer die()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL+"/NetworkDriver.CreateNetwork", strings.NewReader(
		`{"NetworkID": "`+strings.Repeat("a", 64)+`", "Options": {}, "IPv4Data": [{"Pool": "10.0.0.0/24", "Gateway": "10.0.0.1/24"}], "IPv6Data": []}`))
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		<-d.made
		die()
	}()
	if resp, err := http.DefaultClient.Do(req); err == nil {
		resp.Body.Close()
		t.Fatalf("an answer came: %s", resp.Status)
	}
	select {
	case <-d.deleted:
	case <-time.After(10 * time.Second):
		t.Fatal("the network stays")
	}
	if len(d.networks) != 0 {
		t.Errorf("networks: %v", d.networks)
	}
}
