package daemon

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"kuryr/internal/courier"
)

// ReconcileTimeout bounds a comparison that somebody waits for: a cloud may
// have much to be deleted.
const ReconcileTimeout = 10 * time.Minute

// Reconciliation is what the admin API answers at /v1/reconcile.
type Reconciliation struct {
	courier.Report
	Error string `json:"error,omitempty"` // why it could not be finished
	Hint  string `json:"hint,omitempty"`
}

func (d *daemon) reconcile(w http.ResponseWriter, r *http.Request) {
	var o courier.ReconcileOptions
	for name, into := range map[string]*bool{"act": &o.Act, "lost": &o.Lost} {
		value := r.URL.Query().Get(name)
		if value == "" {
			continue
		}
		var err error
		if *into, err = strconv.ParseBool(value); err != nil {
			http.Error(w, name+" is neither true nor false", http.StatusBadRequest)
			return
		}
	}
	// Who hangs up has not taken anything back.
	ctx, cancel := context.WithTimeout(d.background, ReconcileTimeout)
	defer cancel()
	report, err := d.courier.Reconcile(ctx, o)
	answer := Reconciliation{Report: report}
	if answer.Findings == nil {
		answer.Findings = []courier.Finding{}
	}
	if err != nil {
		answer.Error, answer.Hint = err.Error(), courier.HintOf(err)
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(answer) // who has hung up needs no answer
}
