package neutrontest

import (
	"bufio"
	"bytes"
	"embed"
	"encoding/json"
	"maps"
	"net/http"
	"regexp"
	"strings"
	"testing"
)

// recording is what a real Neutron answered.
//
//go:embed testdata
var recording embed.FS

// What the recording calls what is each server's own.
const (
	recordedURL     = "http://127.0.0.1:9696"
	recordedProject = "99ccf9d6f1de4c649c4da7b700f05e46"
	recordedOther   = "95768c15522e42e2ae191601ec445fd9"
	recordedHost    = "h1"
	recordedDomain  = "lab.example."
	recordedVIF     = "bridge"
)

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
	*apiSuite
	ours    map[string]string // recorded ID, MAC and the like -> this server's
	differs map[string]string
}

// line is a line of the session's file.
type line struct {
	name      string
	as        Caller
	condition string // revision that If-Match names
	form      bool   // compare the form of the answer only
	crowd     bool   // it lists everything
	plugged   bool   // the port is plugged before
}

func parseLine(text string) line {
	words := strings.Fields(text)
	l := line{name: words[0], as: Admin}
	for _, w := range words[1:] {
		switch name, value, _ := strings.Cut(w, "="); name {
		case "If-Match":
			l.condition = value
		case "as":
			l.as = Caller(value)
		case "form":
			l.form = true
		case "all":
			l.crowd = true
		case "plugged":
			l.plugged = true
		}
	}
	return l
}

// recorded replays the recording.
func (s *apiSuite) recorded() {
	script, err := recording.ReadFile("testdata/session.txt")
	if err != nil {
		s.Fatal(err)
	}
	r := &session{apiSuite: s, differs: maps.Clone(differs), ours: map[string]string{
		recordedURL: s.o.URL, recordedProject: s.o.Project, recordedOther: s.o.OtherProject,
		`"` + recordedHost + `"`: `"` + s.o.Host + `"`,
	}}
	maps.Copy(r.differs, s.o.Differs)
	outer := s.T
	for lines := bufio.NewScanner(bytes.NewReader(script)); lines.Scan(); {
		text := strings.TrimSpace(lines.Text())
		switch {
		case text == "" || text[0] == '#':
		case text[0] == '>':
			r.between(text)
		default:
			l := parseLine(text)
			if r.leftOut(l) {
				continue
			}
			outer.Run(l.name, func(t *testing.T) {
				s.T = t
				r.replay(l)
			})
			s.T = outer
		}
	}
}

func (s *session) leftOut(l line) bool {
	if why, out := s.o.LeftOut[l.name]; out {
		s.Logf("%s is left out: %s", l.name, why)
		return true
	}
	if l.plugged && s.o.Plug == nil {
		s.Logf("%s is left out: nothing plugs ports", l.name)
		return true
	}
	return false
}

// between does what was not recorded: "> METHOD PATH [BODY ID]"; ID is what
// the recording calls the result.
func (s *session) between(text string) {
	words := strings.Fields(text[1:])
	method, path := words[0], words[1]
	if method == "DELETE-PORTS" {
		s.deletePorts(path)
		return
	}
	var body, id string
	if len(words) > 2 {
		id = words[len(words)-1]
		_, body, _ = strings.Cut(text, path+" ")
		body = strings.TrimSuffix(body, id)
	}
	a := s.send(Admin, method, s.translate(path), s.translate(body))
	if a.status >= 300 {
		s.Fatalf("%s: %d %s", text, a.status, a.body)
	}
	if id != "" {
		s.ours[id] = regexp.MustCompile(`"id": ?"([^"]+)"`).FindStringSubmatch(a.body)[1]
	}
}

func (s *session) deletePorts(network string) {
	found := s.want(Admin, http.StatusOK, http.MethodGet, "/v2.0/ports?network_id="+s.translate(network), "")
	for _, p := range found["ports"].([]any) {
		s.send(Admin, http.MethodDelete, "/v2.0/ports/"+p.(map[string]any)["id"].(string), "")
	}
}

// translate replaces the recording's names in a text.
func (s *session) translate(text string) string {
	for theirs, ours := range s.ours {
		text = strings.ReplaceAll(text, theirs, "\x00"+ours+"\x00")
	}
	return strings.ReplaceAll(text, "\x00", "")
}

func readCapture(t *testing.T, name string) (c capture) {
	t.Helper()
	raw, err := recording.ReadFile("testdata/captures/" + name + ".json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &c); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return c
}

var requestIDForm = regexp.MustCompile(`^req-[0-9a-f-]{36}$`)

// replay sends a recorded request and compares the answers.
func (s *session) replay(l line) {
	c := readCapture(s.T, l.name)
	path := s.translate(c.Request.Path)
	if l.plugged {
		s.o.Plug(s.T, path[strings.LastIndex(path, "/")+1:])
	}
	var header []string
	if l.condition != "" {
		header = []string{"If-Match", "revision_number=" + l.condition}
	}
	a := s.send(l.as, c.Request.Method, path, s.requestBody(c), header...)
	if a.status != c.Response.Status {
		s.Fatalf("status %d, Neutron answers %d\n%s", a.status, c.Response.Status, a.body)
	}
	if id := a.header.Get("X-Openstack-Request-Id"); path != "/" && !requestIDForm.MatchString(id) {
		s.Errorf("X-Openstack-Request-Id is %q", id)
	}
	if want, isText := c.Response.Body.(string); isText {
		if a.body != want {
			s.Errorf("body %q, Neutron answers %q", a.body, want)
		}
		return
	}
	if got := a.header.Get("Content-Type"); got != "application/json" {
		s.Errorf("Content-Type is %q", got)
	}
	var got any
	if err := json.Unmarshal([]byte(a.body), &got); err != nil {
		s.Fatalf("%v in %s", err, a.body)
	}
	if l.form || l.crowd && s.o.Crowded {
		s.compareForm("", got, c.Response.Body)
		return
	}
	s.compare("", got, c.Response.Body)
}

func (s *session) requestBody(c capture) string {
	switch b := c.Request.Body.(type) {
	case nil:
		return ""
	case string:
		return b
	default:
		j, err := json.Marshal(b)
		if err != nil {
			s.Fatal(err)
		}
		return s.translate(string(j))
	}
}
