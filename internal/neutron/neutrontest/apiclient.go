package neutrontest

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// apiSuite is one test's view of a server. It knows what it has made.
type apiSuite struct {
	*testing.T
	o    APIOptions
	http *http.Client
	made []string // paths to delete, in the order of making
}

// answer is what a server said.
type answer struct {
	status int
	header http.Header
	body   string
}

// send makes a request; header holds names and values in turn.
func (s *apiSuite) send(as Caller, method, path, body string, header ...string) answer {
	s.Helper()
	var content io.Reader
	if body != "" {
		content = strings.NewReader(body)
	}
	req, err := http.NewRequest(method, s.o.URL+path, content)
	if err != nil {
		s.Fatal(err)
	}
	req.Header.Set("Accept", "application/json") // else Neutron answers some errors as text
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	if err := s.o.Sign(req, as); err != nil {
		s.Fatalf("signing %s %s: %v", method, path, err)
	}
	resp, err := s.http.Do(req)
	if err != nil {
		s.Fatalf("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		s.Fatalf("%s %s: %v", method, path, err)
	}
	s.note(method, path, resp.StatusCode, raw)
	return answer{resp.StatusCode, resp.Header, string(raw)}
}

// note remembers what a request has made.
func (s *apiSuite) note(method, path string, status int, body []byte) {
	path, _, _ = strings.Cut(path, "?")
	if method == http.MethodPut && status == http.StatusOK && strings.HasPrefix(path, "/v2.0/quotas/") {
		s.made = append(s.made, path)
	}
	if method != http.MethodPost || status != http.StatusCreated {
		return
	}
	var made map[string]json.RawMessage
	if json.Unmarshal(body, &made) != nil {
		return
	}
	type row struct{ ID string }
	for _, raw := range made {
		var one row
		var many []row
		if json.Unmarshal(raw, &one) == nil {
			many = []row{one}
		} else if json.Unmarshal(raw, &many) != nil {
			continue
		}
		for _, r := range many {
			if r.ID != "" {
				s.made = append(s.made, strings.TrimSuffix(path, "/")+"/"+r.ID)
			}
		}
	}
}

// lacks reports whether the server has no such extension, and says so.
func (s *apiSuite) lacks(alias string) bool {
	why, lacks := s.o.Lacks[alias]
	if lacks {
		s.Logf("the extension %s is left out: %s", alias, why)
	}
	return lacks
}

// cleanUp deletes what was made, the youngest first. What stands in another's
// way goes in the next round.
func (s *apiSuite) cleanUp() {
	for range 3 {
		left := s.made
		s.made = nil
		for _, path := range slices.Backward(left) {
			a := s.send(Admin, http.MethodDelete, path, "")
			if a.status >= 300 && a.status != http.StatusNotFound {
				s.made = append([]string{path}, s.made...)
			}
		}
	}
	for _, path := range s.made {
		s.Errorf("clean-up: %s is still there", path)
	}
}

// want sends a request, checks the status and returns the decoded body.
func (s *apiSuite) want(as Caller, status int, method, path, body string) map[string]any {
	s.Helper()
	a := s.send(as, method, path, body)
	if a.status != status {
		s.Fatalf("%s %s %s: %d %s, want %d", method, path, body, a.status, a.body, status)
	}
	var out map[string]any
	if a.body != "" && a.body != "null" {
		if err := json.Unmarshal([]byte(a.body), &out); err != nil {
			s.Fatalf("%s %s: %v in %s", method, path, err, a.body)
		}
	}
	return out
}

// says checks an answer's status and a part of its body.
func (s *apiSuite) says(as Caller, status int, method, path, body, part string) {
	s.Helper()
	a := s.send(as, method, path, body)
	if a.status != status || !strings.Contains(compact(a.body), part) {
		s.Errorf("%s %s %s: %d %s, want %d ...%s...", method, path, body, a.status, a.body, status, part)
	}
}

// compact takes the spaces out of a body that Python's json writes.
func compact(body string) string {
	return strings.NewReplacer(`": `, `":`, `, "`, `,"`, `}, {`, `},{`).Replace(body)
}

// refused checks an error's status, type and a part of its message.
func (s *apiSuite) refused(as Caller, status int, typ, method, path, body, part string) {
	s.Helper()
	a := s.send(as, method, path, body)
	if a.status != status {
		s.Errorf("%s %s %s: %d %s, want %d", method, path, body, a.status, a.body, status)
		return
	}
	var e struct{ NeutronError map[string]string }
	if err := json.Unmarshal([]byte(a.body), &e); err != nil {
		s.Errorf("%s %s %s: %v in %s", method, path, body, err, a.body)
		return
	}
	if e.NeutronError["type"] != typ || !strings.Contains(e.NeutronError["message"], part) {
		s.Errorf("%s %s %s: %v, want %s ...%s...", method, path, body, e.NeutronError, typ, part)
	}
	if d, ok := e.NeutronError["detail"]; !ok || d != "" {
		s.Errorf("%s %s %s: detail is %q, %v", method, path, body, d, ok)
	}
}

// make creates a resource and returns its ID.
func (s *apiSuite) make(as Caller, collection, attributes string) string {
	s.Helper()
	return s.create(as, collection, attributes)["id"].(string)
}

// create creates a resource and returns it.
func (s *apiSuite) create(as Caller, collection, attributes string) map[string]any {
	s.Helper()
	name := one(collection)
	made := s.want(as, http.StatusCreated, http.MethodPost, "/v2.0/"+collection, `{"`+name+`":{`+attributes+`}}`)
	return made[name].(map[string]any)
}

// one is what a body calls a resource of a collection.
func one(collection string) string {
	name := key(collection)
	if name == "policies" {
		return "policy"
	}
	return strings.TrimSuffix(name, "s")
}

// key is what a body calls a collection.
func key(collection string) string {
	return strings.ReplaceAll(collection[strings.LastIndex(collection, "/")+1:], "-", "_")
}

// list returns what a query finds of the suite's own, in order.
func (s *apiSuite) list(as Caller, collection, query string) []map[string]any {
	s.Helper()
	var own []map[string]any
	for _, v := range s.want(as, http.StatusOK, http.MethodGet, "/v2.0/"+collection+"?"+query, "")[key(collection)].([]any) {
		row := v.(map[string]any)
		if slices.Contains(s.made, fmt.Sprintf("/v2.0/%s/%v", collection, row["id"])) {
			own = append(own, row)
		}
	}
	return own
}

// names lists the names of what a query finds of the suite's own, in order.
func (s *apiSuite) names(as Caller, collection, query string) string {
	s.Helper()
	var names []string
	for _, row := range s.list(as, collection, query) {
		names = append(names, fmt.Sprint(row["name"]))
	}
	return strings.Join(names, " ")
}
