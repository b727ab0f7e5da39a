package docker

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http/httptest"
	"strings"
	"testing"
	"unicode/utf8"

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

// FuzzScan: of what is JSON, scan says the same as who reads it token by token.
func FuzzScan(f *testing.F) {
	for _, text := range []string{`{"a":1,"A":[{"b":{},"b":null}]}`, `{"a":{"a":"\\\""},"x":"a","a":0}`, `{"\u0061":1,"a":2}`, `[[[["a","a"],-1e9,true]]]`,
		`{"K":1,"\u212a":2}`, strings.Repeat("[", maxDepth+1) + strings.Repeat("]", maxDepth+1), `"`, `{"a`, `}}],,:`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		err := scan(body)
		if !json.Valid(body) || !utf8.Valid(body) {
			return
		}
		if want := scanSlowly(body); (err != nil) != want {
			t.Errorf("%q: %v; want an error: %t", body, err, want)
		}
	})
}

// scanSlowly tells whether a key comes twice, or the nesting is too deep.
func scanSlowly(body []byte) bool {
	type object struct {
		list, value bool
		keys        map[string]bool
	}
	var open []*object
	for dec := json.NewDecoder(bytes.NewReader(body)); ; {
		token, err := dec.Token()
		if errors.Is(err, io.EOF) {
			return false
		}
		var top *object
		if len(open) > 0 {
			top = open[len(open)-1]
		}
		key, text := token.(string)
		switch {
		case token == json.Delim('}') || token == json.Delim(']'):
			open = open[:len(open)-1]
			continue
		case text && top != nil && !top.list && !top.value:
			if len(open) == 1 {
				key = strings.Map(fold, key)
			}
			if top.keys[key] || len(top.keys) == maxKeys {
				return true
			}
			top.keys[key], top.value = true, true
			continue
		}
		if top != nil {
			top.value = false
		}
		if token == json.Delim('{') || token == json.Delim('[') {
			if len(open) == maxDepth {
				return true
			}
			open = append(open, &object{list: token == json.Delim('['), keys: map[string]bool{}})
		}
	}
}
