package chaos

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"kuryr/internal/testkit"
)

// object is a JSON object.
type object map[string]any

// site is a machine with all that a container's network hangs on, each part in
// a process of its own, so that each can be killed by itself: an engine, a
// Kuryr, a Neutron, and between the last two a proxy that breaks requests.
type site struct {
	machine *testkit.Machine
	engine  *testkit.Engine
	kuryr   *testkit.Kuryr
	server  *testkit.NeutronServer
	neutron *testkit.Neutron // the server's API, past the proxy
	proxy   *testkit.FaultProxy
	ovs     *testkit.OVS      // where containers are plugged; nil: into Linux bridges
	live    bool              // the engine runs with live-restore
	before  testkit.Inventory // of the clean site
	foreign *foreign          // beside Kuryr; may be nil

	doubts sync.Map // IDs of endpoints whose disconnecting broke off
	unmade sync.Map // CIDRs of networks whose creation broke off

	// One event at a time works on a part: it is held from the kill until the
	// part runs again.
	engineTurn, kuryrTurn, serverTurn sync.Mutex
	// relaunched counts the starts of Kuryr's that ended by themselves, since
	// Neutron's first answer was a refusal; guarded by kuryrTurn.
	relaunched int
}

const (
	// callDeadline is the deadline of Kuryr's calls in these tests, in place of
	// 20 s, and lostRequest how long a request whose answer was lost may take
	// effect, in place of 120 s: faults are as short.
	callDeadline = 5 * time.Second
	lostRequest  = 2 * time.Second
	// readyIn is how long a part may take until it is ready, on a busy machine.
	readyIn = 60 * time.Second
)

// siteConfig is what these tests have in kuryr.conf.
var siteConfig = fmt.Sprintf("request_timeout = %.0f\nlost_request_timeout = %.0f", callDeadline.Seconds(), lostRequest.Seconds())

// siteOptions are of one site.
type siteOptions struct {
	live     bool // the engine runs with live-restore
	embedded bool // Neutron is Kuryr's own, with no proxy before it
	// before, if any, is called when all but Kuryr runs, and returns what its
	// configuration is to say too.
	before func(context.Context, *site) (config string, err error)
}

// openSite makes a site.
func openSite(ctx context.Context, kuryr string, o siteOptions) (s *site, err error) {
	s = &site{live: o.live}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close(context.WithoutCancel(ctx)))
		}
	}()
	if s.machine, err = testkit.NewMachine(ctx); err != nil {
		return s, err
	}
	if s.engine, err = testkit.StartEngine(ctx, s.machine, s.engineOptions()); err != nil {
		return s, err
	}
	options := testkit.KuryrOptions{Config: siteConfig}
	if !o.embedded {
		if err := s.openNeutron(ctx, kuryr); err != nil {
			return s, err
		}
		options.Neutron = s.proxy.URL
	}
	if o.before != nil {
		more, err := o.before(ctx, s)
		if err != nil {
			return s, err
		}
		options.Config += "\n" + more
	}
	if s.kuryr, err = testkit.StartKuryr(ctx, s.machine, kuryr, options); err != nil {
		return s, err
	}
	s.neutron = s.kuryr.Neutron
	s.before, err = s.kuryr.Take(ctx)
	return s, err
}

// openNeutron starts a Neutron, and a proxy before it.
func (s *site) openNeutron(ctx context.Context, kuryr string) (err error) {
	if s.server, err = testkit.StartNeutron(ctx, s.machine, kuryr); err != nil {
		return err
	}
	s.neutron = testkit.NewNeutron(s.machine, s.server.Address)
	// A Neutron that is not Kuryr's own has no default pool until an operator makes one.
	err = s.neutron.Post(ctx, "subnetpools", object{"subnetpool": object{
		"name": "kuryr", "prefixes": []string{"10.94.0.0/16"}, "default_prefixlen": 24,
	}}, nil)
	if err != nil {
		return err
	}
	s.proxy, err = testkit.NewFaultProxy(ctx, s.machine, s.server.Address)
	return err
}

func (s *site) engineOptions() testkit.EngineOptions {
	return testkit.EngineOptions{LiveRestore: s.live}
}

func (s *site) close(ctx context.Context) error {
	var errs []error
	if s.engine != nil {
		errs = append(errs, s.engine.Close(ctx))
	}
	if s.kuryr != nil {
		errs = append(errs, s.kuryr.Close())
	}
	if s.proxy != nil {
		errs = append(errs, s.proxy.Close())
	}
	if s.server != nil {
		errs = append(errs, s.server.Stop())
	}
	if s.machine != nil {
		errs = append(errs, s.machine.Close(ctx))
	}
	return errors.Join(errs...)
}

// end closes the site, at the end of a test that has it for itself. A failed
// one keeps what the logs say.
func (s *site) end(t *testing.T) {
	t.Helper()
	if t.Failed() {
		t.Logf("the end of kuryr's log:\n%s", s.kuryr.Log(60))
		s.abandon(t)
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), readyIn)
	defer cancel()
	if refused := s.removeAll(ctx); len(refused) > 0 {
		t.Errorf("in the end the engine refuses: %s", strings.Join(refused, "; "))
	}
	s.kuryr.AssertNothingLeft(t, s.before, promise)
	if err := s.close(ctx); err != nil {
		t.Error(err)
	}
}

// abandon closes a site on which something failed: of that more may fail.
func (s *site) abandon(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), readyIn)
	defer cancel()
	if s.engine != nil {
		_ = s.engine.Kill() // the machine's end is that of all that runs on it
	}
	if s.kuryr != nil {
		s.kuryr.Kill()
		if err := s.kuryr.Close(); err != nil {
			t.Error(err)
		}
	}
	if s.server != nil {
		s.server.Kill()
	}
	if s.proxy != nil {
		if err := s.proxy.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := s.machine.Close(ctx); err != nil {
		t.Error(err)
	}
}

// killKuryr kills Kuryr, and starts it again after a time.
func (s *site) killKuryr(ctx context.Context, away time.Duration) error {
	s.kuryrTurn.Lock()
	defer s.kuryrTurn.Unlock()
	s.kuryr.Kill()
	time.Sleep(away)
	return s.kuryr.Launch(ctx)
}

// killServer kills Neutron, and starts it again after a time.
func (s *site) killServer(ctx context.Context, away time.Duration) error {
	s.serverTurn.Lock()
	defer s.serverTurn.Unlock()
	s.server.Kill()
	time.Sleep(away)
	return s.server.Start(ctx)
}

// killEngine kills the engine, and starts it again after a time.
func (s *site) killEngine(ctx context.Context, away time.Duration) error {
	s.engineTurn.Lock()
	defer s.engineTurn.Unlock()
	if err := s.engine.Kill(); err != nil {
		return err
	}
	time.Sleep(away)
	return s.engine.Start(ctx, s.engineOptions())
}

// doubt notes that the disconnecting of an endpoint failed. An engine that is
// killed at it may believe in an endpoint that it has taken from the container.
func (s *site) doubt(endpoint string) { s.doubts.Store(endpoint, true) }

// awaitEngine waits while the engine is away.
func (s *site) awaitEngine() {
	for !s.engineTurn.TryLock() {
		time.Sleep(20 * time.Millisecond)
	}
	s.engineTurn.Unlock()
}

// supervise starts Kuryr again whenever it ends by itself, until ctx ends, as
// systemd would: a start at which Neutron refuses the first request ends.
func (s *site) supervise(ctx context.Context) error {
	for {
		s.kuryrTurn.Lock()
		var err error
		if s.kuryr.Ended() {
			s.relaunched++
			err = s.kuryr.Launch(ctx)
		}
		s.kuryrTurn.Unlock()
		if err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// wellAgain waits until all parts answer, with nothing in between that breaks.
func (s *site) wellAgain(ctx context.Context) error {
	for deadline := time.Now().Add(readyIn); ; time.Sleep(50 * time.Millisecond) {
		_, err := s.neutron.Networks(ctx)
		err = errors.Join(err, s.engine.Get(ctx, "/version", nil), s.kuryr.Ready(ctx))
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("not all is well again after %s: %w", readyIn, err)
		}
	}
}

// removeAll removes all containers and networks, as a user does. What the
// engine refuses is returned, a line each.
func (s *site) removeAll(ctx context.Context) (refused []string) {
	var containers []struct{ ID string }
	var networks []struct{ Name, ID, Driver string }
	note := func(err error) {
		if err != nil && !strings.Contains(err.Error(), "404") {
			refused = append(refused, err.Error())
		}
	}
	note(s.engine.Get(ctx, "/containers/json?all=1", &containers))
	for _, c := range containers {
		note(s.engine.Call(ctx, "DELETE", "/containers/"+c.ID+"?force=1", nil, nil))
	}
	note(s.engine.Get(ctx, "/networks", &networks))
	for _, n := range networks {
		if n.Driver == s.kuryr.Name {
			note(s.engine.Call(ctx, "DELETE", "/networks/"+n.ID, nil, nil))
		}
	}
	return refused
}
