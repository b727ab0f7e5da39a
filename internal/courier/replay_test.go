package courier_test

import (
	"bytes"
	"net/http"
	"strings"
	"testing"

	"kuryr/internal/docker"
	"kuryr/internal/testkit/replay"
)

// TestRecordedConversations replays what Docker 20.10 and 29.7 were recorded
// to say, to the Docker north over this courier: as it was, with a crash and
// restart before every call, and with everything outside of the courier
// broken during each call that Docker saw fail. Nothing may be left.
func TestRecordedConversations(t *testing.T) {
	names, err := replay.Names(replay.Recordings())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		s, err := replay.Load(replay.Recordings(), name)
		if err != nil {
			t.Fatal(err)
		}
		for _, mode := range []string{"as recorded", "restarts", "faults"} {
			t.Run(name+"/"+mode, func(t *testing.T) {
				t.Parallel()
				replayTo(t, s, name, mode)
			})
		}
	}
}

func replayTo(t *testing.T, s *replay.Scenario, name, mode string) {
	w := newWorld(t)
	north := func() http.Handler { return docker.New(w.c, docker.Options{Log: quiet}) }
	h := north()
	checks := replay.Checks{MayRefuse: func(c replay.Call) bool { return unsupported(name, c) }}
	switch mode {
	case "restarts":
		checks.Before = func(replay.Call) { w.restart(); h = north() }
	case "faults":
		checks.Fault = func(replay.Call) func() { w.breaker.open(); return w.breaker.mend }
	}
	s.Run(t, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { h.ServeHTTP(rw, r) }), checks)
	w.mustEmpty()
}

// unsupported knows the recorded calls that Kuryr refuses: options of a cloud,
// networks without IPAM, and addresses of pools that no Kuryr network has
// taken: those of another driver's network (15) and of swarm's manager (42).
func unsupported(name string, c replay.Call) bool {
	foreign := strings.Contains(name, "/15-") || strings.Contains(name, "/42-")
	return bytes.Contains(c.Request, []byte(`"neutron.`)) ||
		bytes.Contains(c.Request, []byte(`"AddressSpace":"null"`)) ||
		foreign && c.Method == "IpamDriver.RequestAddress"
}
