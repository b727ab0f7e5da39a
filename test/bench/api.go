package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"time"

	"kuryr/internal/embedded"
	"kuryr/internal/testkit"
)

// api makes requests of the Networking API.
type api struct {
	ask func(*http.Request) (status int, body []byte, err error)
}

// inProcess asks a handler, with all that its answers cost but the wire.
func inProcess(h http.Handler) *api {
	return &api{ask: func(r *http.Request) (int, []byte, error) {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w.Code, w.Body.Bytes(), nil
	}}
}

// overTCP asks a server on a machine, on one connection.
func overTCP(m *testkit.Machine) *api {
	client := &http.Client{Transport: &http.Transport{DialContext: m.Dial}}
	return &api{ask: func(r *http.Request) (int, []byte, error) {
		resp, err := client.Do(r)
		if err != nil {
			return 0, nil, err
		}
		defer resp.Body.Close()
		var b bytes.Buffer
		_, err = b.ReadFrom(resp.Body)
		return resp.StatusCode, b.Bytes(), err
	}}
}

// call makes a request and reads its answer into out, unless that is nil. The
// time is the request's alone.
func (a *api) call(ctx context.Context, method, target string, body, out any) (time.Duration, error) {
	in, err := json.Marshal(body)
	if err != nil {
		return 0, err
	}
	r, err := http.NewRequestWithContext(ctx, method, "http://127.0.0.1:9696/v2.0/"+target, bytes.NewReader(in))
	if err != nil {
		return 0, err
	}
	var status int
	var answer []byte
	took, err := timed(func() (err error) { status, answer, err = a.ask(r); return err })
	switch {
	case err != nil:
		return took, err
	case status >= 300:
		return took, fmt.Errorf("%s %s: %d %.200s", method, target, status, answer)
	case out == nil:
		return took, nil
	}
	return took, json.Unmarshal(answer, out)
}

// id is what the answer about one resource has.
type id struct{ ID string }

// create makes one resource and returns its ID.
func (a *api) create(ctx context.Context, kind, collection string, attributes object) (string, time.Duration, error) {
	var made map[string]id
	took, err := a.call(ctx, "POST", collection, object{kind: attributes}, &made)
	return made[kind].ID, took, err
}

// network makes a network with room for millions of ports, of both families.
func (a *api) network(ctx context.Context) (string, error) {
	network, _, err := a.create(ctx, "network", "networks", object{})
	for version, cidr := range map[int]string{4: "10.0.0.0/8", 6: "fd00::/64"} {
		if err == nil {
			_, _, err = a.create(ctx, "subnet", "subnets", object{"network_id": network, "ip_version": version, "cidr": cidr, "enable_dhcp": false})
		}
	}
	return network, err
}

// unlimited are quotas that stand in no one's way.
var unlimited = map[string]int{"port": -1, "security_group": -1, "security_group_rule": -1}

// neutron is an embedded Neutron of this process, with its state on disk, on a machine.
type neutron struct {
	*api
	server *embedded.Server
	ended  chan error // of Run; nil: it does not run
}

func openNeutron(m *testkit.Machine, dir string, enforce bool) (*neutron, error) {
	var n neutron
	err := m.Do(func() (err error) {
		n.server, err = embedded.Open(embedded.Options{StateDir: dir, Host: m.Name, Enforce: enforce, Limits: unlimited, Log: slog.New(slog.DiscardHandler)})
		return err
	})
	if err != nil {
		return nil, err
	}
	n.api = inProcess(n.server.Handler())
	if enforce {
		n.ended = make(chan error, 1)
		go func() { n.ended <- n.server.Run(context.Background()) }()
	}
	return &n, nil
}

func (n *neutron) close() error {
	err := n.server.Close()
	if n.ended != nil {
		err = errors.Join(err, <-n.ended)
	}
	return err
}
