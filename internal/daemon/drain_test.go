package daemon

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// drainCall is kuryr drain.
func (p *process) drainCall(method string) (status int, body string) {
	p.h.t.Helper()
	req, err := http.NewRequest(method, "http://kuryr/v1/drain", nil)
	if err != nil {
		p.h.t.Fatal(err)
	}
	resp, err := p.admin.Do(req)
	if err != nil {
		p.h.t.Fatal(err)
	}
	defer resp.Body.Close()
	var b strings.Builder
	if err := resp.Write(&b); err != nil {
		p.h.t.Fatal(err)
	}
	_, body, _ = strings.Cut(b.String(), "\r\n\r\n")
	return resp.StatusCode, body
}

func TestDrainLasts(t *testing.T) {
	h := newHost(t)
	p := h.start()
	for range 2 {
		if status, body := p.drainCall(http.MethodPut); status != http.StatusOK || !strings.Contains(body, `"drained":true,"since":"`) {
			t.Errorf("drained: %d %s", status, body)
		}
	}
	p.kill()
	p = h.start()
	if _, body := p.drainCall(http.MethodGet); !strings.Contains(body, `"drained":true`) {
		t.Errorf("after a crash: %s", body)
	}
	for range 2 {
		if status, body := p.drainCall(http.MethodDelete); status != http.StatusOK || !strings.Contains(body, `"drained":false`) {
			t.Errorf("not any more: %d %s", status, body)
		}
	}
	p.kill()
	p = h.start()
	if _, body := p.drainCall(http.MethodGet); !strings.Contains(body, `"drained":false`) {
		t.Errorf("after a crash: %s", body)
	}
}

// What can't be kept over a restart does not come into force.
func TestDrainThatCannotBeNoted(t *testing.T) {
	h := newHost(t)
	p := h.start()
	file := filepath.Join(h.cfg.StateDir, "drained")
	if err := os.Mkdir(file, 0o700); err != nil {
		t.Fatal(err)
	}
	if status, body := p.drainCall(http.MethodPut); status != http.StatusInternalServerError || !strings.Contains(body, "cannot note in "+file+": is a directory\n") {
		t.Errorf("%d %s", status, body)
	}
	if _, body := p.drainCall(http.MethodGet); !strings.Contains(body, `"drained":false`) {
		t.Errorf("it came into force: %s", body)
	}
}
