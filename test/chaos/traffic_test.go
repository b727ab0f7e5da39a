package chaos

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"kuryr/internal/testkit"
)

// upheaval is a part of the host's that ends and starts again under traffic.
type upheaval struct {
	name string
	do   func(context.Context, *site) error
}

// away is how long what was ended stays so.
const away = time.Second

// Two containers talk, a thousand packets a second each way and a stream,
// while all that has set up their network ends and starts again: no packet is
// lost.
func TestRestartsUnderTraffic(t *testing.T) {
	kuryr := binary(t)
	other := anotherBuild(t)
	t.Parallel()
	t.Run("with the embedded Neutron", func(t *testing.T) {
		underTraffic(t, kuryr, siteOptions{live: true, embedded: true}, []upheaval{
			{"SIGKILL of kuryr", func(ctx context.Context, s *site) error { return s.killKuryr(ctx, away) }},
			{"restart of kuryr", stopKuryr(kuryr)},
			{"another build of kuryr", stopKuryr(other)},
			{"another build of kuryr, after SIGKILL", func(ctx context.Context, s *site) error {
				s.kuryr.Kill()
				s.kuryr.Replace(kuryr)
				return s.kuryr.Start(ctx)
			}},
			{"restart of dockerd", func(ctx context.Context, s *site) error {
				if err := s.engine.Stop(); err != nil {
					return err
				}
				return s.engine.Start(ctx, s.engineOptions())
			}},
			{"SIGKILL of dockerd", func(ctx context.Context, s *site) error { return s.killEngine(ctx, away) }},
			{"SIGKILL of kuryr and dockerd", func(ctx context.Context, s *site) error {
				s.kuryr.Kill()
				started := make(chan error, 1)
				go func() { started <- s.killEngine(ctx, 0) }() // it waits for its plugin
				time.Sleep(away)
				return errors.Join(s.kuryr.Start(ctx), <-started)
			}},
			{"a third container comes and goes", comeAndGo},
		})
	})
	t.Run("with a Neutron by itself", func(t *testing.T) {
		underTraffic(t, kuryr, siteOptions{live: true}, []upheaval{
			{"SIGKILL of Neutron", func(ctx context.Context, s *site) error { return s.killServer(ctx, away) }},
			{"restart of Neutron", func(ctx context.Context, s *site) error {
				if err := s.server.Stop(); err != nil {
					return err
				}
				return s.server.Start(ctx)
			}},
			{"SIGKILL of Neutron and kuryr", func(ctx context.Context, s *site) error {
				s.kuryr.Kill()
				if err := s.killServer(ctx, away); err != nil {
					return err
				}
				return s.kuryr.Start(ctx)
			}},
			{"a third container comes and goes", comeAndGo},
		})
	})
}

// anotherBuild is the same source, linked otherwise, at another path.
func anotherBuild(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "kuryr")
	out, err := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-ldflags=-s", "-o", path, "kuryr/cmd/kuryr").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return path
}

// stopKuryr ends Kuryr in order, and starts a binary.
func stopKuryr(binary string) func(context.Context, *site) error {
	return func(ctx context.Context, s *site) error {
		if err := s.kuryr.Stop(); err != nil {
			return err
		}
		s.kuryr.Replace(binary)
		return s.kuryr.Start(ctx)
	}
}

// comeAndGo has the bridge get a port and lose it.
func comeAndGo(ctx context.Context, s *site) error {
	if err := s.runOn(ctx, "carol", sharedNet); err != nil {
		return err
	}
	return s.engine.Call(ctx, http.MethodDelete, "/containers/carol?force=1", nil, nil)
}

// runOn starts a container on a network.
func (s *site) runOn(ctx context.Context, name, network string) error {
	body := object{"Image": testkit.Image, "HostConfig": object{"NetworkMode": network}}
	if err := s.engine.Call(ctx, http.MethodPost, "/containers/create?name="+name, body, nil); err != nil {
		return err
	}
	return s.engine.Call(ctx, http.MethodPost, "/containers/"+name+"/start", nil, nil)
}

// underTraffic has two containers talk during each of the upheavals.
func underTraffic(t *testing.T, kuryr string, o siteOptions, all []upheaval) {
	t.Parallel()
	s, err := openSite(t.Context(), kuryr, o)
	if err != nil {
		t.Fatal(err)
	}
	defer s.end(t)
	flows := s.talk(t)
	defer func() {
		for _, f := range flows {
			f.end()
		}
	}()
	for _, u := range all {
		began := time.Now()
		marks := make([]mark, len(flows))
		for i, f := range flows {
			marks[i] = f.now()
		}
		err := u.do(t.Context(), s)
		if err == nil {
			err = s.wellAgain(t.Context())
		}
		if err != nil {
			t.Fatalf("%s: %v", u.name, err)
		}
		time.Sleep(away) // what a start does in the background is under way
		took := time.Since(began)
		for i, f := range flows {
			out := f.since(marks[i])
			out.assertWell(t, took)
			show(fmt.Sprintf("traffic, %s: %s", u.name, out))
		}
	}
	x, err := s.look(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := wrong("the restarts", append(x.faults(), s.reach(t.Context(), x)...)); err != nil {
		t.Error(err)
	}
}

// talk starts two containers that talk.
func (s *site) talk(t *testing.T) []*flow {
	t.Helper()
	ctx := t.Context()
	if err := s.makeShared(ctx); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"alice", "bob"} {
		if err := s.runOn(ctx, name, sharedNet); err != nil {
			t.Fatal(err)
		}
	}
	tell := &chronicle{}
	if left, err := s.settle(ctx, tell, nil); err != nil || len(left) > 0 {
		t.Fatal(err, wrong("the start", left))
	}
	b, err := s.believe(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if len(b.endpoints) != 2 || len(b.endpoints[0].addresses) != 2 || len(b.endpoints[1].addresses) != 2 {
		t.Fatalf("want two endpoints with two addresses each, have %+v", b.endpoints)
	}
	one, two := b.endpoints[0], b.endpoints[1]
	var flows []*flow
	add := func(f *flow, err error) {
		if err != nil {
			t.Fatal(err)
		}
		flows = append(flows, f)
	}
	add(startUDP(ctx, "IPv4", one, two, two.addresses[0]))
	add(startUDP(ctx, "IPv6", two, one, one.addresses[1]))
	add(startTCP(ctx, "TCP", one, two, two.addresses[0]))
	return flows
}
