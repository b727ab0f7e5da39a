package daemon

import (
	"bytes"
	"encoding/json"
	"net/http"
	"testing"
)

// post asks the admin API to do something.
func (p *process) post(path string) (int, string) {
	p.h.t.Helper()
	resp, err := p.admin.Post("http://kuryr"+path, "", nil)
	if err != nil {
		p.h.t.Fatal(err)
	}
	defer resp.Body.Close()
	var b bytes.Buffer
	if _, err := b.ReadFrom(resp.Body); err != nil {
		p.h.t.Fatal(err)
	}
	return resp.StatusCode, b.String()
}

// TestReconcileOverTheAdminSocket: it compares when it is asked to, by POST
// only, and by nobody's web page.
func TestReconcileOverTheAdminSocket(t *testing.T) {
	h := newHost(t)
	p := h.start()
	code, body := p.post("/v1/reconcile?act=true")
	var r Reconciliation
	if err := json.Unmarshal([]byte(body), &r); err != nil || code != http.StatusOK || !r.Acted || r.Findings == nil || len(r.Findings) > 0 || r.Error != "" {
		t.Errorf("reconcile: %d %s (%v)", code, body, err)
	}
	if code, body := p.post("/v1/reconcile?act=perhaps"); code != http.StatusBadRequest {
		t.Errorf("act=perhaps: %d %s", code, body)
	}
	if code, _ := p.get("/v1/reconcile"); code != http.StatusMethodNotAllowed {
		t.Errorf("GET: %d", code)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://kuryr/v1/reconcile?act=true", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Origin", "http://evil.example")
	resp, err := p.admin.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusForbidden {
		t.Errorf("a web page: %s", resp.Status)
	}
	if s := p.status().Courier.Reconciled; s.At.IsZero() || s.Error != "" {
		t.Errorf("the status tells %+v", s)
	}
	p.stop()
}
