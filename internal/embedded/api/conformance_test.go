package api_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// differs lists, by attribute, where this server's answers are meant to differ
// from the recording's. Their presence is compared all the same.
var differs = map[string]string{
	"provider:network_type":    "a network is a bridge of this host, not a tunnel",
	"provider:segmentation_id": "a network is a bridge of this host, not a tunnel",
	"subnet_id":                "Neutron serves subnets by their random IDs, this server by age",
	"fqdn":                     "the recording's server had dns_domain set",
	"revision_number":          "Neutron counts inner changes, of segments and bindings",
	"created_at":               "time",
	"updated_at":               "time",
	"tenant_id":                "the project is another one",
	"project_id":               "the project is another one",
}

// unstable are attributes that the recording's server shows in some answers only.
var unstable = map[string]string{
	"is_default":       "in answers to POST of networks, which have no such attribute",
	"standard_attr_id": "shown of the rules within a group, a number of Neutron's database",
	"resource_request": "missing in answers to POST of ports",
	"bound_drivers":    "missing in answers to POST and PUT of ports",
}

type capture struct {
	Request struct {
		Method, Path string
		Body         any
	}
	Response struct {
		Status int
		Body   any
	}
}

// session replays a recorded session and knows what became of its IDs.
type session struct {
	t       *testing.T
	handler http.Handler
	project string // who asks; "": an administrator
	roles   string
	ours    map[string]string // recorded ID, address or MAC -> this server's
}

// TestRecordedSession holds the API against a real Neutron's answers.
func TestRecordedSession(t *testing.T) {
	f, err := os.Open("testdata/session.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	s := &session{t: t, handler: newAPI(t, "h1", 1450), ours: map[string]string{}}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		line := strings.TrimSpace(lines.Text())
		switch {
		case line == "" || line[0] == '#':
		case line[0] == '>':
			s.project, s.roles = "", ""
			s.between(strings.Fields(line[1:]), line)
		default:
			words := strings.Fields(line)
			name, condition := words[0], ""
			s.project, s.roles = "", ""
			for _, w := range words[1:] {
				switch key, value, _ := strings.Cut(w, "="); key {
				case "If-Match":
					condition = value
				case "as":
					s.project, s.roles, _ = strings.Cut(value, "/")
					if s.project == "PROJECT" {
						s.project = "" // the server's own
					}
				}
			}
			t.Run(name, func(t *testing.T) {
				s.t = t
				s.replay(name, condition)
			})
			s.t = t
		}
	}
}

// between does what was not recorded: "> METHOD PATH [BODY ID]"; ID is what
// the recording calls the result.
func (s *session) between(words []string, line string) {
	method, path := words[0], words[1]
	if method == "DELETE-PORTS" {
		s.deletePorts(path)
		return
	}
	var body, id string
	if len(words) > 2 {
		id = words[len(words)-1]
		_, body, _ = strings.Cut(line, path+" ")
		body = strings.TrimSuffix(body, id)
	}
	rec := s.send(method, path, body, "")
	if rec.Code >= 300 {
		s.t.Fatalf("%s: %d %s", line, rec.Code, rec.Body)
	}
	if id != "" {
		s.ours[id] = regexp.MustCompile(`"id":"([^"]+)"`).FindStringSubmatch(rec.Body.String())[1]
	}
}

func (s *session) deletePorts(network string) {
	var list struct{ Ports []struct{ ID string } }
	rec := s.send("GET", "/v2.0/ports?network_id="+network, "", "")
	if err := json.Unmarshal(rec.Body.Bytes(), &list); err != nil {
		s.t.Fatal(err)
	}
	for _, p := range list.Ports {
		s.send("DELETE", "/v2.0/ports/"+p.ID, "", "")
	}
}

func (s *session) send(method, path, body, condition string) *httptest.ResponseRecorder {
	req := httptest.NewRequest(method, s.translate(path), strings.NewReader(s.translate(body)))
	req.Host = "127.0.0.1:9696"
	if condition != "" {
		req.Header.Set("If-Match", "revision_number="+condition)
	}
	if s.project != "" {
		req.Header.Set("X-Project-Id", s.project)
	}
	if s.roles != "" {
		req.Header.Set("X-Roles", s.roles)
	}
	rec := httptest.NewRecorder()
	s.handler.ServeHTTP(rec, req)
	return rec
}

// translate replaces the recording's names in a text.
func (s *session) translate(text string) string {
	for theirs, ours := range s.ours {
		text = strings.ReplaceAll(text, theirs, "\x00"+ours+"\x00")
	}
	return strings.ReplaceAll(text, "\x00", "")
}

func (s *session) replay(name, condition string) {
	raw, err := os.ReadFile(filepath.Join("testdata", "captures", name+".json"))
	if err != nil {
		s.t.Fatal(err)
	}
	var c capture
	if err := json.Unmarshal(raw, &c); err != nil {
		s.t.Fatal(err)
	}
	body := ""
	switch b := c.Request.Body.(type) {
	case nil:
	case string:
		body = b
	default:
		j, _ := json.Marshal(b)
		body = string(j)
	}
	rec := s.send(c.Request.Method, c.Request.Path, body, condition)
	if rec.Code != c.Response.Status {
		s.t.Fatalf("status %d, Neutron answers %d\n%s", rec.Code, c.Response.Status, rec.Body)
	}
	if !regexp.MustCompile(`^req-[0-9a-f-]{36}$`).MatchString(rec.Header().Get("X-Openstack-Request-Id")) {
		s.t.Errorf("X-Openstack-Request-Id is %q", rec.Header().Get("X-Openstack-Request-Id"))
	}
	if want, isText := c.Response.Body.(string); isText {
		if got := rec.Body.String(); got != want {
			s.t.Errorf("body %q, Neutron answers %q", got, want)
		}
		return
	}
	if got := rec.Header().Get("Content-Type"); got != "application/json" {
		s.t.Errorf("Content-Type is %q", got)
	}
	var got any
	if err := json.Unmarshal(rec.Body.Bytes(), &got); err != nil {
		s.t.Fatalf("%v in %s", err, rec.Body)
	}
	s.compare("", got, c.Response.Body)
}

var (
	uuidForm     = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)
	macForm      = regexp.MustCompile(`^fa:16:3e(:[0-9a-f]{2}){3}$`)
	firstNetwork = regexp.MustCompile(`^(host-)?10[.-]70[.-]\d+[.-]\d+$`)
	revisionsIn  = regexp.MustCompile(`Constrained to \d+, but current revision is \d+`)
)

// compare holds an answer against the recorded one, and learns what the
// recording's generated values are here.
func (s *session) compare(at string, got, want any) {
	switch want := want.(type) {
	case map[string]any:
		s.compareObjects(at, got, want)
	case []any:
		list, ok := got.([]any)
		if !ok || len(list) != len(want) {
			s.t.Errorf("%s: %v, Neutron answers %v", at, got, want)
			return
		}
		if want = s.pair(list, want); want == nil {
			s.t.Errorf("%s: other members than Neutron's", at)
			return
		}
		for i := range want {
			s.compare(fmt.Sprintf("%s[%d]", at, i), list[i], want[i])
		}
	case string:
		s.compareTexts(at, got, want)
	default:
		if got != want {
			s.t.Errorf("%s: %v, Neutron answers %v", at, got, want)
		}
	}
}

func (s *session) compareObjects(at string, got any, want map[string]any) {
	o, ok := got.(map[string]any)
	if !ok {
		s.t.Errorf("%s: %v, Neutron answers an object", at, got)
		return
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		v, there := o[name]
		switch {
		case !there && unstable[name] == "":
			s.t.Errorf("%s.%s is missing", at, name)
		case there && differs[name] == "":
			s.compare(at+"."+name, v, want[name])
		}
	}
	for name := range o {
		if _, there := want[name]; !there && unstable[name] == "" {
			s.t.Errorf("%s.%s is not in Neutron's answer", at, name)
		}
	}
}

func (s *session) compareTexts(at string, got any, want string) {
	text, ok := got.(string)
	if !ok {
		s.t.Errorf("%s: %v, Neutron answers %q", at, got, want)
		return
	}
	generated := uuidForm.MatchString(want) && uuidForm.MatchString(text) ||
		macForm.MatchString(want) && macForm.MatchString(text)
	if _, known := s.ours[want]; generated && !known && want != text {
		s.ours[want] = text
	}
	wanted := s.translate(want)
	if drawn := regexp.MustCompile(`^((host-)?10[.-]70[.-]9[.-])\d+$`); drawn.MatchString(want) {
		// On the first network addresses were drawn at random.
		wanted, text = drawn.ReplaceAllString(want, "10.70.x.y"), firstNetwork.ReplaceAllString(text, "10.70.x.y")
	}
	if strings.HasSuffix(at, ".message") {
		text, wanted = idsSorted(text), idsSorted(wanted)
		text, wanted = revisionsIn.ReplaceAllString(text, "R"), revisionsIn.ReplaceAllString(wanted, "R")
	}
	if text != wanted {
		s.t.Errorf("%s: %q, Neutron answers %q", at, text, wanted)
	}
}

// idsSorted sorts the list of ports in NetworkInUse, which Neutron does not.
func idsSorted(message string) string {
	head, ids, ok := strings.Cut(message, "id for these ports is: ")
	if !ok {
		return message
	}
	list := strings.Split(strings.TrimSuffix(ids, "."), ",")
	slices.Sort(list)
	return head + strings.Join(list, ",")
}

// pair orders a recorded list as the answer is. Members with known IDs go
// together; the order by ID is another one here, since IDs are random.
func (s *session) pair(got, want []any) []any {
	idOf := func(v any) string {
		switch v := v.(type) {
		case map[string]any:
			id, _ := v["id"].(string)
			return id
		case string:
			if uuidForm.MatchString(v) {
				return v
			}
		}
		return ""
	}
	out := make([]any, len(got))
	var rest []any
	for _, w := range want {
		i := slices.IndexFunc(got, func(g any) bool { return idOf(g) != "" && idOf(g) == s.ours[idOf(w)] })
		if i < 0 {
			rest = append(rest, w)
			continue
		}
		out[i] = w
	}
	for i := range out {
		if out[i] == nil && len(rest) > 0 {
			if s.known(idOf(rest[0])) {
				return nil // the recording lists one that the answer lacks
			}
			out[i], rest = rest[0], rest[1:]
		}
	}
	return out
}

func (s *session) known(id string) bool {
	_, ok := s.ours[id]
	return id != "" && ok
}

// TestExtensionsAreNeutrons compares what the server says of its extensions
// with Neutron's list.
func TestExtensionsAreNeutrons(t *testing.T) {
	raw, err := os.ReadFile("testdata/extensions.json")
	if err != nil {
		t.Fatal(err)
	}
	var want, got struct{ Extensions []map[string]any }
	if err := json.Unmarshal(raw, &want); err != nil {
		t.Fatal(err)
	}
	theirs := map[any]map[string]any{}
	for _, e := range want.Extensions {
		theirs[e["alias"]] = e
	}
	rec := httptest.NewRecorder()
	newAPI(t, "h1", 0).ServeHTTP(rec, httptest.NewRequest("GET", "/v2.0/extensions", nil))
	if err := json.Unmarshal(rec.Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Extensions) == 0 {
		t.Fatal("no extensions")
	}
	for _, e := range got.Extensions {
		w := theirs[e["alias"]]
		for _, k := range []string{"name", "description", "updated", "links"} {
			if k == "name" && e["alias"] == "standard-attr-tag" {
				continue // names the resources that have tags, of which there are fewer here
			}
			if fmt.Sprint(e[k]) != fmt.Sprint(w[k]) {
				t.Errorf("%v: %s is %v, Neutron answers %v", e["alias"], k, e[k], w[k])
			}
		}
	}
}
