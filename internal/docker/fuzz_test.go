package docker

import (
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"

	"kuryr/internal/testkit/replay"
)

// FuzzServe: whatever comes, the answer is one JSON object, a known method's
// has status 200, and nothing that has no identifier reaches the courier.
func FuzzServe(f *testing.F) {
	for _, name := range []string{"20.10/06-network-create-dualstack", "20.10/07-network-create-opts-labels", "20.10/10-run-mac-publish-expose-alias-link",
		"29.7/16-null-ipam", "29.7/42-swarm", "29.7/61-gwalloccheck", "29.7/64-retry-empty-body"} {
		s, err := replay.Load(replay.Recordings(), name)
		if err != nil {
			f.Fatal(err)
		}
		for _, step := range s.Steps {
			for _, c := range step.Calls {
				f.Add(c.Method, []byte(c.Request))
			}
		}
	}
	f.Fuzz(func(t *testing.T, method string, body []byte) {
		m := furnished(t)
		var log lines
		s := New(m, Options{Log: log.logger()}).(*server)
		r := httptest.NewRequestWithContext(t.Context(), "POST", "/", strings.NewReader(string(body)))
		r.URL.Path = "/" + method
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		var answer map[string]any
		if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || answer == nil {
			t.Fatalf("%q: %q is not an object: %v", method, w.Body, err)
		}
		if _, known := s.methods[method]; known != (w.Code == 200) {
			t.Errorf("%q: status %d", method, w.Code)
		}
		if strings.Contains(log.String(), "panicked") {
			t.Errorf("%q %q panicked:\n%s", method, body, log.String())
		}
		if len(strings.TrimSpace(string(body))) == 0 && len(m.asked) > 0 {
			t.Errorf("%q: an empty body reached the courier: %v", method, m.asked)
		}
	})
}
