package identity_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"kuryr/internal/embedded/identity"
)

// hash is that of "secret", and cheap to check.
const hash = "pbkdf2-sha256$1$00$a332ce1b72f557ce96ae0c4fa502f385b171d729bcd3d39a51111c03b86352bb"

func secret() identity.Password {
	p, err := identity.ParsePassword(hash)
	if err != nil {
		panic(err)
	}
	return p
}

// newService knows an administrator of two projects, and a member of one.
func newService(t testing.TB, now func() time.Time) *identity.Service {
	t.Helper()
	credentials := []identity.AppCredential{{Name: "courier", Secret: secret(), User: "joe", Project: "two"}}
	s, err := identity.New(identity.Options{Now: now, AppCredentials: credentials, Users: []identity.User{
		{Name: "boss", Password: secret(), Role: identity.Admin, Projects: []string{"one", "two"}},
		{Name: "joe", Password: secret(), Role: identity.Member, Projects: []string{"two"}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// echo answers with who asks, as the guard says it.
var echo = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	for _, name := range []string{"X-User-Id", "X-Project-Id", "X-Tenant-Id", "X-Roles"} {
		_, _ = w.Write([]byte("/" + strings.Join(r.Header.Values(name), "+")))
	}
})

// cloud is a Service in front of an API.
type cloud struct {
	t   *testing.T
	h   http.Handler
	now time.Time
}

func newCloud(t *testing.T) *cloud {
	t.Helper()
	c := &cloud{t: t, now: time.Date(2026, 11, 23, 2, 0, 0, 0, time.UTC)}
	c.h = newService(t, func() time.Time { return c.now }).Handler(echo)
	return c
}

func (c *cloud) send(method, path, body string, headers ...string) *httptest.ResponseRecorder {
	return send(c.h, method, path, body, headers...)
}

func send(h http.Handler, method, path, body string, headers ...string) *httptest.ResponseRecorder {
	req := httptest.NewRequest(method, path, strings.NewReader(body))
	req.Host = "127.0.0.1:9696"
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, req)
	return rec
}

func login(user, password, scope string) string {
	return `{"auth":{"identity":{"methods":["password"],"password":{"user":{"name":"` + user +
		`","domain":{"id":"default"},"password":"` + password + `"}}}` + scope + `}}`
}

func scoped(project string) string {
	return `,"scope":{"project":{"name":"` + project + `","domain":{"name":"Default"}}}`
}

// token authenticates and returns the token.
func (c *cloud) token(body string) string {
	c.t.Helper()
	rec := c.send("POST", "/v3/auth/tokens", body)
	if rec.Code != http.StatusCreated {
		c.t.Fatalf("%s: %d %s", body, rec.Code, rec.Body)
	}
	return rec.Header().Get("X-Subject-Token")
}

func TestAuthenticationRefuses(t *testing.T) {
	c := newCloud(t)
	for _, body := range []string{
		login("boss", "wrong", scoped("one")), login("nobody", "secret", ""), login("joe", "secret", scoped("one")),
		login("joe", "secret", scoped("nope")), login("joe", "secret", scoped("")), login("joe", "", ""), login("", "", ""),
		strings.Replace(login("joe", "secret", ""), "default", "other", 1),
		login("boss", "secret", `,"scope":{"system":{"all":true}}`), login("boss", "secret", `,"scope":{"domain":{"id":"default"}}`),
		login("boss", "secret", `,"scope":5`),
		`{"auth":{"identity":{"methods":["token"],"token":{"id":"x"}}}}`, `{}`, `null`,
		strings.Replace(login("joe", "secret", ""), `["password"]`, `["password","totp"]`, 1),
		strings.Replace(login("joe", "secret", ""), `["password"]`, `[]`, 1),
	} {
		rec := c.send("POST", "/v3/auth/tokens", body)
		if rec.Code != 401 || !strings.Contains(rec.Body.String(), `"message":"The request you have made requires authentication."`) ||
			rec.Header().Get("WWW-Authenticate") != `Keystone uri="http://127.0.0.1:9696/v3"` {
			t.Errorf("%s: %d %s", body, rec.Code, rec.Body)
		}
	}
	for _, body := range []string{"", "{", "[]", `{"auth":` + strings.Repeat(" ", 70_000) + `{}}`} {
		if rec := c.send("POST", "/v3/auth/tokens", body); rec.Code != 400 {
			t.Errorf("%.20q: %d", body, rec.Code)
		}
	}
}

func TestTokens(t *testing.T) {
	c := newCloud(t)
	boss := c.token(login("boss", "secret", scoped("one")))
	joe := c.token(login("joe", "secret", "")) // of the only project
	again := c.token(`{"auth":{"identity":{"methods":["token"],"token":{"id":"` + boss + `"}}` + scoped("two") + `}}`)
	byID := c.token(strings.Replace(login("boss", "secret", `,"scope":{"project":{"id":"two"}}`), `"name":"boss"`, `"id":"boss"`, 1))
	unscoped := c.token(login("boss", "secret", `,"scope":"unscoped"`))
	undecided := c.token(login("boss", "secret", "")) // two projects
	for _, tt := range []struct {
		token  string
		status int
		want   string
	}{
		{boss, 200, "/boss/one//reader,member,admin"}, {joe, 200, "/joe/two//reader,member"},
		{again, 200, "/boss/two//reader,member,admin"}, {byID, 200, "/boss/two//reader,member,admin"},
		{unscoped, 401, "Unauthorized"}, {undecided, 401, "Unauthorized"}, {"", 401, "Unauthorized"}, {"x", 401, "Unauthorized"},
	} {
		rec := c.send("GET", "/v2.0/networks", "", "X-Auth-Token", tt.token,
			"X-Roles", "admin", "X-Project-Id", "p9", "X-Tenant-Id", "p9", "X-User-Id", "u9")
		if rec.Code != tt.status || !strings.Contains(rec.Body.String(), tt.want) {
			t.Errorf("with token %q: %d %s, want %d %s", tt.token, rec.Code, rec.Body, tt.status, tt.want)
		}
		if tt.status == 401 && rec.Header().Get("WWW-Authenticate") != `Keystone uri="http://127.0.0.1:9696"` {
			t.Errorf("with token %q: %q", tt.token, rec.Header())
		}
	}
	for _, tt := range []struct {
		method, asker, subject string
		status                 int
	}{
		{"GET", joe, joe, 200}, {"HEAD", joe, joe, 200}, {"GET", boss, joe, 200}, {"GET", unscoped, unscoped, 200},
		{"GET", joe, boss, 404}, {"DELETE", joe, boss, 404}, {"GET", joe, "x", 404}, {"GET", "x", joe, 401},
		{"DELETE", boss, joe, 204}, {"DELETE", boss, joe, 404}, {"GET", joe, joe, 401},
	} {
		rec := c.send(tt.method, "/v3/auth/tokens", "", "X-Auth-Token", tt.asker, "X-Subject-Token", tt.subject)
		if rec.Code != tt.status {
			t.Errorf("%s of %q by %q: %d %s, want %d", tt.method, tt.subject, tt.asker, rec.Code, rec.Body, tt.status)
		}
		if rec.Code == 200 && rec.Header().Get("X-Subject-Token") != tt.subject {
			t.Errorf("the answer is about %q", rec.Header())
		}
	}
	if rec := c.send("GET", "/v2.0/networks", "", "X-Auth-Token", joe); rec.Code != 401 {
		t.Errorf("a revoked token: %d", rec.Code)
	}
	c.now = c.now.Add(time.Hour)
	for _, old := range []string{boss, again} {
		if rec := c.send("GET", "/v2.0/networks", "", "X-Auth-Token", old); rec.Code != 401 {
			t.Errorf("an expired token: %d", rec.Code)
		}
	}
}

func TestApplicationCredentials(t *testing.T) {
	c := newCloud(t)
	ask := func(credential, scope string) string {
		return `{"auth":{"identity":{"methods":["application_credential"],"application_credential":` + credential + `}` + scope + `}}`
	}
	for _, credential := range []string{
		`{"id":"courier","secret":"secret"}`, `{"name":"courier","secret":"secret","user":{"id":"joe"}}`,
		`{"name":"courier","secret":"secret","user":{"name":"joe","domain":{"name":"Default"}}}`,
	} {
		rec := c.send("GET", "/v2.0/networks", "", "X-Auth-Token", c.token(ask(credential, "")))
		if rec.Code != 200 || !strings.HasPrefix(rec.Body.String(), "/joe/two/") {
			t.Errorf("%s: %d %s", credential, rec.Code, rec.Body)
		}
	}
	for _, body := range []string{
		ask(`{"id":"courier","secret":"wrong"}`, ""), ask(`{"id":"other","secret":"secret"}`, ""), ask(`{"id":"courier","secret":"secret"}`, scoped("two")),
		ask(`{"name":"courier","secret":"secret","user":{"id":"boss"}}`, ""), ask(`{"name":"courier","secret":"secret"}`, ""), ask(`{}`, ""),
	} {
		if rec := c.send("POST", "/v3/auth/tokens", body); rec.Code != 401 {
			t.Errorf("%s: %d", body, rec.Code)
		}
	}
	_, err := identity.New(identity.Options{
		Users:          []identity.User{{Name: "a", Password: secret(), Role: identity.Member, Projects: []string{"p"}}},
		AppCredentials: []identity.AppCredential{{Name: "c", Secret: secret(), User: "a", Project: "q"}},
	})
	if err == nil {
		t.Error("an application credential for a project that is not the user's is accepted")
	}
}

func TestDescribedToken(t *testing.T) {
	c := newCloud(t)
	rec := c.send("POST", "/v3/auth/tokens", login("joe", "secret", scoped("two")))
	var got struct {
		Token struct {
			Project struct{ ID, Name string }
			Roles   []struct{ Name string }
			Expires string `json:"expires_at"`
			Catalog []struct {
				Type      string
				Endpoints []struct{ Interface, URL, Region string }
			}
		}
	}
	if err := json.Unmarshal(rec.Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	k := got.Token
	if k.Project.ID != "two" || len(k.Roles) != 2 || k.Expires != "2026-11-23T03:00:00.000000Z" || len(k.Catalog) != 2 ||
		k.Catalog[1].Type != "network" || len(k.Catalog[1].Endpoints) != 3 ||
		k.Catalog[1].Endpoints[2].URL != "http://127.0.0.1:9696" || k.Catalog[1].Endpoints[2].Region != "RegionOne" {
		t.Errorf("the token is %s", rec.Body)
	}
}

// TestLookingAround has each user ask for everything there is to see.
func TestLookingAround(t *testing.T) {
	c := newCloud(t)
	boss, joe := c.token(login("boss", "secret", scoped("one"))), c.token(login("joe", "secret", ""))
	for _, tt := range []struct {
		path, token   string
		status        int
		want, without string
	}{
		{"/", "", 300, `"id":"v3.14"`, "networks"}, {"/", "", 300, `"id":"v2.0"`, "networks"},
		{"/v3", "", 200, `"id":"v3.14"`, "v2.0"}, {"/v3/", "", 200, `"id":"v3.14"`, "v2.0"},
		{"/v3/auth/catalog", joe, 200, `"type":"network"`, "boss"}, {"/v3/auth/catalog", "", 401, "Unauthorized", "network"},
		{"/v3/projects", joe, 200, `"name":"two"`, `"name":"one"`}, {"/v3/projects", boss, 200, `"name":"one"`, "nothing"},
		{"/v3/projects?name=one", boss, 200, `"name":"one"`, `"name":"two"`}, {"/v3/projects?name=one", joe, 200, `"projects":[]`, `"name":"one"`},
		{"/v3/projects", "", 401, "Unauthorized", "two"},
		{"/v3/auth/projects", joe, 200, `"name":"two"`, `"name":"one"`}, {"/v3/auth/projects", "", 401, "Unauthorized", "two"},
		{"/v3/projects/two", joe, 200, `"name":"two"`, "one"}, {"/v3/projects/one", joe, 404, "Could not find project: one.", "id"},
		{"/v3/projects/nope", boss, 404, "Could not find project: nope.", "id"}, {"/v3/projects/two", "", 401, "Unauthorized", "two"},
		{"/v3/users/joe", joe, 200, `"name":"joe"`, "boss"}, {"/v3/users/boss", joe, 404, "Could not find user: boss.", "id"},
		{"/v3/users/joe", boss, 200, `"name":"joe"`, "boss"}, {"/v3/users/joe", "", 401, "Unauthorized", "joe"},
		{"/v3/users", joe, 200, `"name":"joe"`, "boss"}, {"/v3/users", boss, 200, `"name":"joe"`, "pbkdf2"},
		{"/v3/users?name=joe", boss, 200, `"name":"joe"`, "boss"}, {"/v3/users", "", 401, "Unauthorized", "joe"},
		{"/v3/users/joe/projects", joe, 200, `"name":"two"`, "one"}, {"/v3/users/boss/projects", joe, 404, "Could not find user: boss.", "one"},
		{"/v3/nonesuch", boss, 404, "Not Found", "token"},
	} {
		rec := c.send("GET", tt.path, "", "X-Auth-Token", tt.token)
		if body := rec.Body.String(); rec.Code != tt.status || !strings.Contains(body, tt.want) || strings.Contains(body, tt.without) {
			t.Errorf("%s: %d %s, want %d with %s and without %s", tt.path, rec.Code, body, tt.status, tt.want, tt.without)
		}
	}
}

func TestStaticToken(t *testing.T) {
	h := identity.StaticToken([]byte("sesame"), echo)
	for _, tt := range []struct {
		method, path, token string
		headers             []string
		status              int
		want                string
	}{
		{"GET", "/v2.0/networks", "sesame", nil, 200, "////"},
		{"GET", "/v2.0/networks", "sesame", []string{"X-Project-Id", "p1", "X-Tenant-Id", "p2", "X-Roles", "member", "X-User-Id", "u"}, 200, "//p1//"},
		{"GET", "/v2.0/networks", "", nil, 401, "requires authentication"},
		{"GET", "/v2.0/networks", "sesam", nil, 401, "requires authentication"},
		{"GET", "/", "", []string{"X-Roles", "admin"}, 200, "////"},
		{"HEAD", "/", "", nil, 200, ""},
		{"POST", "/", "", nil, 401, "requires authentication"},
		{"GET", "//", "", nil, 401, "requires authentication"},
	} {
		rec := send(h, tt.method, tt.path, "", append([]string{"X-Auth-Token", tt.token}, tt.headers...)...)
		if rec.Code != tt.status || !strings.Contains(rec.Body.String(), tt.want) || rec.Header().Get("WWW-Authenticate") != "" {
			t.Errorf("%s %s with token %q: %d %s, want %d %s", tt.method, tt.path, tt.token, rec.Code, rec.Body, tt.status, tt.want)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	user := func(name, role string, projects ...string) identity.User {
		return identity.User{Name: name, Password: secret(), Role: role, Projects: projects}
	}
	for _, users := range [][]identity.User{
		nil, {user("a", "member")}, {user("a", "reader", "p")}, {user("", "member", "p")}, {user("a", "member", "p/../q")},
		{user("a", "member", "p"), user("a", "admin", "p")},
	} {
		if _, err := identity.New(identity.Options{Users: users}); err == nil {
			t.Errorf("%+v is accepted", users)
		}
	}
}
