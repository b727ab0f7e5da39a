package identity_test

import (
	"crypto/sha256"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"kuryr/internal/embedded/identity"
)

// cloud is a Service in front of a handler that says who it was asked by.
type cloud struct {
	t   *testing.T
	h   http.Handler
	now time.Time
}

func newCloud(t *testing.T) *cloud {
	t.Helper()
	c := &cloud{t: t, now: time.Date(2026, 11, 23, 2, 0, 0, 0, time.UTC)}
	secret, err := identity.HashPassword("secret")
	if err != nil {
		t.Fatal(err)
	}
	s, err := identity.New(identity.Options{
		Projects: []identity.Project{{ID: "p1", Name: "one"}, {ID: "p2", Name: "two"}},
		Users: []identity.User{
			{Name: "boss", Password: secret, Projects: []string{"p1", "p2"}, Roles: []string{"admin", "member"}},
			{Name: "joe", Password: secret, Projects: []string{"p2"}, Roles: []string{"member"}},
		},
		Now: func() time.Time { return c.now },
	})
	if err != nil {
		t.Fatal(err)
	}
	c.h = s.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte(r.Header.Get("X-Project-Id") + " " + r.Header.Get("X-Roles")))
	}))
	return c
}

func (c *cloud) send(method, path, body string, headers ...string) *httptest.ResponseRecorder {
	req := httptest.NewRequest(method, path, strings.NewReader(body))
	req.Host = "127.0.0.1:9696"
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	rec := httptest.NewRecorder()
	c.h.ServeHTTP(rec, req)
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

func TestTokens(t *testing.T) {
	c := newCloud(t)
	for _, body := range []string{
		login("boss", "wrong", scoped("one")), login("nobody", "secret", ""), login("joe", "secret", scoped("one")),
		login("joe", "secret", scoped("nope")), login("joe", "", ""),
		`{"auth":{"identity":{"methods":["token"],"token":{"id":"x"}}}}`, `{}`,
	} {
		rec := c.send("POST", "/v3/auth/tokens", body)
		if rec.Code != 401 || !strings.Contains(rec.Body.String(), `"message":"The request you have made requires authentication."`) ||
			rec.Header().Get("WWW-Authenticate") != `Keystone uri="http://127.0.0.1:9696/v3"` {
			t.Errorf("%s: %d %s", body, rec.Code, rec.Body)
		}
	}
	if rec := c.send("POST", "/v3/auth/tokens", "{"); rec.Code != 400 {
		t.Errorf("half a body: %d", rec.Code)
	}
	boss := c.token(login("boss", "secret", scoped("one")))
	joe := c.token(login("joe", "secret", "")) // of the only project
	again := c.token(`{"auth":{"identity":{"methods":["token"],"token":{"id":"` + boss + `"}}` + scoped("two") + `}}`)
	unscoped := c.token(login("boss", "secret", `,"scope":"unscoped"`))
	for _, tt := range []struct {
		token  string
		status int
		want   string
	}{
		{boss, 200, "p1 admin,member"}, {joe, 200, "p2 member"}, {again, 200, "p2 admin,member"},
		{unscoped, 401, "Unauthorized"}, {"", 401, "Unauthorized"}, {"x", 401, "Unauthorized"},
	} {
		rec := c.send("GET", "/v2.0/networks", "", "X-Auth-Token", tt.token, "X-Roles", "admin", "X-Project-Id", "p9")
		if rec.Code != tt.status || !strings.Contains(rec.Body.String(), tt.want) {
			t.Errorf("with token %q: %d %s, want %d %s", tt.token, rec.Code, rec.Body, tt.status, tt.want)
		}
	}
	if rec := c.send("GET", "/", "", "X-Roles", "admin"); rec.Code != 200 || rec.Body.String() != " " {
		t.Errorf("discovery: %d %q", rec.Code, rec.Body)
	}
	if rec := c.send("GET", "/v3/auth/tokens", "", "X-Auth-Token", joe, "X-Subject-Token", boss); rec.Code != 404 {
		t.Errorf("a member looks at an administrator's token: %d", rec.Code)
	}
	if rec := c.send("DELETE", "/v3/auth/tokens", "", "X-Auth-Token", boss, "X-Subject-Token", joe); rec.Code != 204 {
		t.Errorf("revocation: %d", rec.Code)
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

func TestCatalog(t *testing.T) {
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
	if k.Project.ID != "p2" || len(k.Roles) != 1 || k.Expires != "2026-11-23T03:00:00.000000Z" || len(k.Catalog) != 2 ||
		k.Catalog[1].Type != "network" || len(k.Catalog[1].Endpoints) != 3 ||
		k.Catalog[1].Endpoints[2].URL != "http://127.0.0.1:9696" || k.Catalog[1].Endpoints[2].Region != "RegionOne" {
		t.Errorf("the token is %s", rec.Body)
	}
	token := rec.Header().Get("X-Subject-Token")
	for path, want := range map[string]string{
		"/v3": `"id":"v3.14"`, "/v3/auth/catalog": `"type":"network"`, "/v3/projects": `"name":"two"`,
		"/v3/auth/projects": `"name":"two"`, "/v3/projects/p2": `"name":"two"`, "/v3/projects/p1": "Could not find project: p1.",
		"/v3/nonesuch": "Not Found",
	} {
		body := c.send("GET", path, "", "X-Auth-Token", token).Body.String()
		if !strings.Contains(body, want) || strings.Contains(body, `"name":"one"`) {
			t.Errorf("%s: %s", path, body)
		}
	}
}

func TestStaticToken(t *testing.T) {
	h := identity.StaticToken(sha256.Sum256([]byte("sesame")), http.NotFoundHandler())
	for token, want := range map[string]int{"sesame": 404, "": 401, "sesam": 401} {
		req := httptest.NewRequest("GET", "/v2.0/networks", nil)
		req.Header.Set("X-Auth-Token", token)
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, req)
		if rec.Code != want {
			t.Errorf("token %q: %d, want %d", token, rec.Code, want)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	for _, o := range []identity.Options{
		{Users: []identity.User{{Name: "a", Password: "plain"}}},
		{Users: []identity.User{{Name: "a", Password: "pbkdf2-sha256$1$00$00", Projects: []string{"x"}}}},
	} {
		if _, err := identity.New(o); err == nil {
			t.Errorf("%+v is accepted", o)
		}
	}
}
