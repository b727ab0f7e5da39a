package daemon

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"kuryr/internal/courier"
	"kuryr/internal/journal"
)

// Status is what the admin API tells at /v1/status.
type Status struct {
	Version   string         `json:"version"`
	Host      string         `json:"host"`
	StartedAt time.Time      `json:"started_at"`
	Neutron   NeutronStatus  `json:"neutron"`
	Health    []Condition    `json:"health"`
	Notices   []string       `json:"notices"`
	Journal   journal.Size   `json:"journal"`
	Courier   courier.Status `json:"courier"`
}

// NeutronStatus tells which Neutron is used.
type NeutronStatus struct {
	Kind     string `json:"kind"`               // "embedded" or "real"
	Endpoint string `json:"endpoint,omitempty"` // "": in process only, or not known yet
}

// admin serves the admin API.
//
//	GET /healthz    200 while the process answers
//	GET /readyz     200 when all conditions are well, else 503 and a line for each that is not
//	GET /v1/status  a Status
//	GET /v1/traces  the last slow calls: a list of observe.Trace, the newest first
//	GET /metrics    in Prometheus' text format
//	GET /debug/pprof/  Go's profiles (net/http/pprof)
//	GET, PUT, DELETE /v1/drain  a DrainStatus, after the host is drained, or no longer
//	POST /v1/reconcile  compares now, and answers a Reconciliation; act=true
//	                    mends and collects, lost=true also what is lost
func (d *daemon) admin() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", d.readyz)
	mux.HandleFunc("GET /v1/status", d.status)
	mux.HandleFunc("GET /v1/traces", d.traces)
	mux.Handle("GET /metrics", d.telemetry.Handler())
	addProfiles(mux)
	for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodDelete} {
		mux.HandleFunc(method+" /v1/drain", d.serveDrain)
	}
	mux.HandleFunc("POST /v1/reconcile", d.reconcile)
	return noWebPages(mux)
}

func (d *daemon) readyz(w http.ResponseWriter, r *http.Request) {
	var failed []Condition
	for _, c := range d.conditions(r.Context()) {
		if !c.OK {
			failed = append(failed, c)
		}
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if len(failed) == 0 {
		fmt.Fprintln(w, "ok")
		return
	}
	w.WriteHeader(http.StatusServiceUnavailable)
	for _, c := range failed {
		fmt.Fprintf(w, "%s: %s\n", c.Name, c.Detail)
	}
}

func (d *daemon) traces(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(d.telemetry.Slow()) // who has hung up needs no answer
}

func (d *daemon) status(w http.ResponseWriter, r *http.Request) {
	s := Status{
		Version:   d.opt.Version,
		Host:      d.cfg.Host,
		StartedAt: d.started,
		Neutron:   NeutronStatus{Kind: d.kind},
		Health:    d.conditions(r.Context()),
		Journal:   d.journal.Size(),
		Courier:   d.courier.Status(),
	}
	switch {
	case d.kind == "real":
		s.Neutron.Endpoint = d.neutron.Endpoint()
	case d.cfg.NeutronListen != "":
		s.Neutron.Endpoint = "http://" + d.cfg.NeutronListen
	}
	s.Notices = s.notices()
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(s) // who has hung up needs no answer
}
