package chaos

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"kuryr/internal/testkit"
)

// Neutron is away for long (AWAY seconds), and Kuryr is killed meanwhile. Who
// runs goes on; what stops, stops at once; what starts fails, in words. When
// Neutron is back all is settled within a minute.
func TestNeutronAway(t *testing.T) {
	long := time.Duration(setting(t, "AWAY", 20)) * time.Second
	kuryr := binary(t)
	t.Parallel()
	// With ports that are ready containers would start all the same.
	none := func(context.Context, *site) (string, error) { return testkit.NoPortPools, nil }
	s, err := openSite(t.Context(), kuryr, siteOptions{live: true, before: none})
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
	w := &worker{site: s, tell: &chronicle{}}
	for _, name := range []string{"carol", "dave", "erin"} {
		if err := s.runOn(t.Context(), name, defaultNet); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.network(t.Context()); err != nil {
		t.Fatal(err)
	}
	marks := make([]mark, len(flows))
	for i, f := range flows {
		marks[i] = f.now()
	}
	began := time.Now()
	s.server.Kill()
	at := func(part time.Duration) { time.Sleep(time.Until(began.Add(long * part / 10))) }

	s.mustAnswer(t, http.MethodPost, "/containers/carol/stop?t=1", nil)
	s.mustFail(t, "frank", callDeadline+away)
	at(3)
	s.mustAnswer(t, http.MethodDelete, "/networks/"+w.ownNet(), nil)
	s.mustFail(t, "grace", callDeadline/2) // by now it is known that there is no Neutron
	if err := s.killKuryr(t.Context(), away); err != nil {
		t.Fatal(err)
	}
	at(6)
	s.mustAnswer(t, http.MethodDelete, "/containers/dave?force=1", nil)
	s.mustAnswer(t, http.MethodPost, "/networks/"+defaultNet+"/disconnect", object{"Container": "erin"})
	s.mustFail(t, "heidi", callDeadline+away)
	at(10)
	back := time.Now()
	if err := s.server.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.wellAgain(t.Context()); err != nil {
		t.Error(err)
	}
	left, err := s.settle(t.Context(), w.tell, nil)
	if err != nil || len(left) > 0 {
		t.Errorf("%v %v\n%s", err, wrong("Neutron is back", left), w.tell.text())
	}
	took := time.Since(back)
	if took > promise {
		t.Errorf("it took %s until all was settled, want %s at most", took, promise)
	}
	show(fmt.Sprintf("Neutron away for %s: settled %s after it was back", back.Sub(began).Round(time.Second), took.Round(10*time.Millisecond)))
	for i, f := range flows {
		out := f.since(marks[i])
		out.assertWell(t, time.Since(began))
		show("Neutron away: " + out.String())
	}
}

// mustAnswer makes a request that the engine must carry out at once.
func (s *site) mustAnswer(t *testing.T, method, path string, body any) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), operationDeadline)
	defer cancel()
	began := time.Now()
	err := s.engine.Call(ctx, method, path, body, nil)
	if took := time.Since(began); err != nil || took > callDeadline-time.Second {
		t.Errorf("%s %s: %v, after %s", method, path, err, took.Round(time.Millisecond))
	}
}

// mustFail runs a container, which must fail in some time, and say why in one
// line.
func (s *site) mustFail(t *testing.T, name string, within time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), operationDeadline)
	defer cancel()
	began := time.Now()
	err := s.runOn(ctx, name, sharedNet)
	took := time.Since(began)
	if err == nil || !strings.Contains(err.Error(), "Neutron") || strings.Contains(err.Error(), "\n") {
		t.Errorf("a start without Neutron: %v; want one line about Neutron", err)
	}
	if took > within {
		t.Errorf("a start without Neutron failed after %s, want %s at most", took.Round(time.Millisecond), within)
	}
	if err := s.engine.Call(ctx, http.MethodDelete, "/containers/"+name+"?force=1", nil, nil); err != nil {
		t.Error(err)
	}
}
