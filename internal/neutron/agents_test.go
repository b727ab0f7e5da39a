package neutron_test

import (
	"io"
	"net/http"
	"testing"
	"time"

	"kuryr/internal/courier"
	"kuryr/internal/neutron"
)

// TestAgentsHeartbeat reads times as Neutron's agents and as OVN's have them.
func TestAgentsHeartbeat(t *testing.T) {
	answer := ""
	c := newClient(t, neutron.Options{Endpoint: "http://cloud", Transport: neutron.InProcess(http.HandlerFunc(
		func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			io.WriteString(w, answer)
		}))})
	at := time.Date(2026, 11, 26, 10, 17, 48, 0, time.UTC)
	for text, want := range map[string]time.Time{
		"2026-11-26 10:17:48":              at,
		"2026-11-26 10:17:48.385000+00:00": at.Add(385 * time.Millisecond),
		"2026-11-26 10:17:48+00:00":        at,
		"yesterday":                        {},
		"":                                 {},
	} {
		answer = `{"agents":[{"agent_type":"OVN Controller agent","alive":true,"heartbeat_timestamp":"` + text + `"}]}`
		all, err := c.AgentsOfHost(t.Context(), "h1")
		if err != nil || len(all) != 1 {
			t.Fatalf("%q: %v, %v", text, all, err)
		}
		all[0].Heartbeat = all[0].Heartbeat.UTC()
		if w := (courier.Agent{Type: "OVN Controller agent", Alive: true, Heartbeat: want}); all[0] != w {
			t.Errorf("%q: %+v, want %+v", text, all[0], w)
		}
	}
}
