package neutron_test

import (
	"bytes"
	"context"
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"kuryr/internal/courier"
	"kuryr/internal/embedded/identity"
	"kuryr/internal/neutron"
	"kuryr/internal/observe"
)

const secret = "hunter2hunter2"

// lab is a cloud: a Keystone and, guarded by it, an embedded Neutron.
type lab struct {
	t       *testing.T
	neutron http.Handler
	current atomic.Pointer[http.Handler]
	first   func(w http.ResponseWriter, r *http.Request) bool // answers what it returns true for; may be nil
	catalog func(catalog []any) []any                         // changes that of tokens; may be nil
	asked   atomic.Int32                                      // for tokens
	served  atomic.Int32                                      // requests but those
	log     lockedBuffer
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func newLab(t *testing.T) *lab {
	t.Helper()
	l := &lab{t: t, neutron: openEmbedded(t)}
	l.password(secret)
	t.Cleanup(func() {
		if strings.Contains(l.log.String(), secret) {
			t.Errorf("the secret is in the log:\n%s", l.log.String())
		}
	})
	return l
}

// hashed hashes with fewer iterations than identity.HashPassword.
func hashed(password string) identity.Password {
	salt := []byte("0123456789abcdef")
	key, err := pbkdf2.Key(sha256.New, password, salt, 1, sha256.Size)
	if err != nil {
		panic(err)
	}
	p, err := identity.ParsePassword(fmt.Sprintf("pbkdf2-sha256$1$%x$%x", salt, key))
	if err != nil {
		panic(err)
	}
	return p
}

// password makes a Keystone that knows no token so far, and lets in with that
// password.
func (l *lab) password(password string) {
	l.t.Helper()
	s, err := identity.New(identity.Options{
		Users: []identity.User{
			{Name: "kuryr", Password: hashed(password), Role: identity.Admin, Projects: []string{"service", "other"}},
			{Name: "joe", Password: hashed(password), Role: identity.Member, Projects: []string{"other"}},
		},
		AppCredentials: []identity.AppCredential{{Name: "courier", Secret: hashed(password), User: "kuryr", Project: "service"}},
	})
	if err != nil {
		l.t.Fatal(err)
	}
	h := s.Handler(l.neutron)
	l.current.Store(&h)
}

// ServeHTTP implements http.Handler.
func (l *lab) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	tokens := r.URL.Path == "/v3/auth/tokens"
	if tokens {
		l.asked.Add(1)
	} else {
		l.served.Add(1)
	}
	if l.first != nil && l.first(w, r) {
		return
	}
	if !tokens || l.catalog == nil {
		(*l.current.Load()).ServeHTTP(w, r)
		return
	}
	rec := httptest.NewRecorder()
	(*l.current.Load()).ServeHTTP(rec, r)
	var body map[string]map[string]any
	if json.Unmarshal(rec.Body.Bytes(), &body) != nil || body["token"] == nil {
		l.t.Errorf("no token: %s", rec.Body)
		return
	}
	body["token"]["catalog"] = l.catalog(body["token"]["catalog"].([]any))
	w.Header().Set("X-Subject-Token", rec.Header().Get("X-Subject-Token"))
	w.WriteHeader(rec.Code)
	json.NewEncoder(w).Encode(body)
}

// byPassword are settings that let in.
func byPassword() neutron.Cloud {
	return neutron.Cloud{AuthURL: "http://cloud/v3", Username: "kuryr", Password: secret, ProjectName: "service"}
}

// client returns a client that was not checked yet, over a transport of its own.
func (l *lab) client(c func() neutron.Cloud) *neutron.Client {
	l.t.Helper()
	client, err := l.tryClient(c)
	if err != nil {
		l.t.Fatal(err)
	}
	return client
}

func (l *lab) tryClient(c func() neutron.Cloud) (*neutron.Client, error) {
	return neutron.New(neutron.Options{
		Cloud:     func() (neutron.Cloud, error) { return c(), nil },
		Transport: neutron.InProcess(l),
		Log:       slog.New(slog.NewTextHandler(io.MultiWriter(&l.log, l.t.Output()), &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
}

// ready returns a client that may be used.
func (l *lab) ready(c func() neutron.Cloud) *neutron.Client {
	l.t.Helper()
	client := l.client(c)
	if err := client.Check(l.t.Context(), testHost); err != nil {
		l.t.Fatal(err)
	}
	return client
}

// tokenOf asks for a token as anybody would.
func (l *lab) tokenOf(project string) observe.Secret {
	l.t.Helper()
	body := `{"auth":{"identity":{"methods":["password"],"password":{"user":{"id":"kuryr","password":"` + secret + `"}}},"scope":{"project":{"id":"` + project + `"}}}}`
	rec := httptest.NewRecorder()
	l.ServeHTTP(rec, httptest.NewRequest("POST", "http://cloud/v3/auth/tokens", strings.NewReader(body)))
	token := rec.Header().Get("X-Subject-Token")
	if token == "" {
		l.t.Fatalf("no token: %d %s", rec.Code, rec.Body)
	}
	return observe.Secret(token)
}

// TestEveryWayIn authenticates in every way that an operator may.
func TestEveryWayIn(t *testing.T) {
	l := newLab(t)
	for name, c := range map[string]neutron.Cloud{
		"password by name": {AuthType: "password", AuthURL: "http://cloud/v3", Username: "kuryr", Password: secret, UserDomainName: "Default",
			ProjectName: "service", ProjectDomainName: "Default"},
		"password by ID":           {AuthType: "v3password", AuthURL: "http://cloud/v3/", UserID: "kuryr", Password: secret, ProjectID: "service", UserDomainID: "ignored"},
		"URL without the version":  {AuthURL: "http://cloud", Username: "kuryr", Password: secret, ProjectName: "service", DefaultDomainID: "default"},
		"default domain by name":   {AuthURL: "http://cloud/", Username: "kuryr", Password: secret, ProjectName: "service", DefaultDomainName: "Default"},
		"application credential":   {AuthType: "v3applicationcredential", AuthURL: "http://cloud/v3", AppCredentialID: "courier", AppCredentialSecret: secret, ProjectName: "ignored"},
		"the same by name":         {AuthURL: "http://cloud/v3", AppCredentialName: "courier", AppCredentialSecret: secret, UserID: "kuryr"},
		"the same, user by name":   {AuthURL: "http://cloud/v3", AppCredentialName: "courier", AppCredentialSecret: secret, Username: "kuryr", UserDomainID: "default"},
		"token":                    {AuthType: "v3token", AuthURL: "http://cloud/v3", Token: l.tokenOf("service")},
		"token for a project":      {AuthType: "token", AuthURL: "http://cloud/v3", Token: l.tokenOf("other"), ProjectName: "service"},
		"a region and an endpoint": {AuthURL: "http://cloud", Username: "kuryr", Password: secret, ProjectName: "service", RegionName: "RegionOne", Interfaces: "private, internalURL"},
		"Neutron elsewhere":        {AuthURL: "http://cloud", Username: "kuryr", Password: secret, ProjectName: "service", RegionName: "none", EndpointOverride: "http://cloud/v2.0"},
	} {
		t.Run(name, func(t *testing.T) {
			c := l.ready(func() neutron.Cloud { return c })
			n, err := c.CreateNetwork(t.Context(), courier.NetworkSpec{Name: name, Mark: courier.Mark{Host: testHost, Intent: "way-in"}})
			if err != nil {
				t.Fatal(err)
			}
			if err := c.DeleteNetwork(t.Context(), n.ID, courier.AnyRevision); err != nil {
				t.Error(err)
			}
			if got := c.Endpoint(); got != "http://cloud/v2.0/" {
				t.Errorf("endpoint %q", got)
			}
		})
	}
	for _, s := range []string{string(l.tokenOf("service")), secret} {
		if strings.Contains(l.log.String(), s) {
			t.Error("a secret is in the log")
		}
	}
}

// neverShown fails the test when the secret is anywhere in an error.
func neverShown(t *testing.T, err error) {
	t.Helper()
	for e := err; e != nil; {
		if text := fmt.Sprintf("%v %+v %#v", e, e, e); strings.Contains(text, secret) {
			t.Errorf("the secret is in %s", text)
		}
		u, ok := e.(interface{ Unwrap() error })
		if !ok {
			return
		}
		e = u.Unwrap()
	}
}

// TestWrongSettings looks at the one line that each mistake gets.
func TestWrongSettings(t *testing.T) {
	answer := func(status int, kind, body string) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool {
			if !strings.HasPrefix(r.URL.Path, "/v3") {
				return false
			}
			w.Header().Set("Content-Type", kind)
			w.Header().Set("Location", "https://elsewhere.example/v3?password="+secret)
			w.WriteHeader(status)
			io.WriteString(w, body)
			return true
		}
	}
	only := func(path string, status int, body string) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path != path {
				return false
			}
			w.WriteHeader(status)
			io.WriteString(w, body)
			return true
		}
	}
	noNetwork := func(catalog []any) []any { return catalog[:1] }
	const html, jsonType, k = "text/html", "application/json", "cannot authenticate with Keystone at http://cloud/v3: "
	for name, tt := range map[string]struct {
		change  func(*neutron.Cloud)
		first   func(http.ResponseWriter, *http.Request) bool
		catalog func([]any) []any
		kind    courier.Kind
		want    string
		hint    string // a part of it
	}{
		"wrong password": {change: func(c *neutron.Cloud) { c.Password += "x" }, kind: courier.Unauthorized,
			want: k + "it refuses user kuryr in project service", hint: "check the password"},
		"wrong project": {change: func(c *neutron.Cloud) { c.ProjectName = "nope" }, kind: courier.Unauthorized,
			want: k + "it refuses user kuryr in project nope", hint: "names and domains"},
		"no project": {change: func(c *neutron.Cloud) { c.ProjectName = "" }, kind: courier.Invalid,
			want: k + "the token is of no project", hint: "project_name"},
		"wrong secret": {change: func(c *neutron.Cloud) {
			*c = neutron.Cloud{AuthURL: c.AuthURL, AppCredentialID: "courier", AppCredentialSecret: "x"}
		}, kind: courier.Unauthorized,
			want: k + "it refuses the application credential", hint: "expired or was deleted"},
		"wrong token": {change: func(c *neutron.Cloud) { *c = neutron.Cloud{AuthURL: c.AuthURL, Token: secret} }, kind: courier.Unauthorized,
			want: k + "it refuses the token", hint: "expired"},
		"expired password": {first: answer(401, jsonType, `{"error":{"code":401,"title":"Unauthorized","message":"The password `+secret+` is expired."}}`), kind: courier.Unauthorized,
			want: k + "it refuses user kuryr in project service: The password *** is expired", hint: "check"},
		"bad request": {first: answer(400, jsonType, `{"error":{"code":400,"title":"Bad Request","message":"Expecting to find domain in user."}}`), kind: courier.Invalid,
			want: k + "it does not accept the credentials: Expecting to find domain in user", hint: "docs/openstack.md"},
		"a web page": {first: answer(200, html, "<html>"), kind: courier.Invalid,
			want: k + "it answers 200 OK, not as Keystone does", hint: "auth_url"},
		"not found": {first: answer(404, html, "<html>"), kind: courier.Invalid,
			want: k + "it answers 404 Not Found, not as Keystone does", hint: "auth_url"},
		"a token that is none": {first: answer(201, jsonType, "[]"), kind: courier.Invalid,
			want: k + "it does not answer as Keystone does", hint: "auth_url"},
		"redirection": {first: answer(301, html, ""), kind: courier.Invalid,
			want: k + "it sends requests elsewhere (https://elsewhere.example)", hint: "auth_url"},
		"not up yet": {first: answer(503, html, "<html>"), kind: courier.Unavailable,
			want: k + "it answers 503 Service Unavailable", hint: "log"},
		"broken": {first: answer(500, jsonType, "{}"), kind: courier.Unavailable,
			want: k + "it answers 500 Internal Server Error", hint: "log"},
		"Keystone v2": {change: func(c *neutron.Cloud) { c.AuthURL = "http://cloud/v2.0/" }, kind: courier.Invalid,
			want: "cannot use the credentials: auth_url names Keystone's API v2.0, which is no more", hint: "http://cloud/v3"},
		"password in the URL": {change: func(c *neutron.Cloud) { c.AuthURL = "http://u:" + secret + "@cloud" }, kind: courier.Invalid,
			want: "cannot use the credentials: auth_url is not the URL of a service", hint: ""},
		"no user":     {change: func(c *neutron.Cloud) { c.Username = "" }, kind: courier.Invalid, want: "cannot use the credentials: the user is missing", hint: "user_id"},
		"no password": {change: func(c *neutron.Cloud) { c.Password = "" }, kind: courier.Invalid, want: "cannot use the credentials: the password is missing", hint: "OS_PASSWORD"},
		"other method": {change: func(c *neutron.Cloud) { c.AuthType = "v3oidc" }, kind: courier.Unsupported,
			want: "cannot use the credentials: authentication by v3oidc is not supported", hint: "v3applicationcredential"},
		"no network service": {catalog: noNetwork, kind: courier.Invalid,
			want: k + "its catalog has no network service", hint: "endpoint_override"},
		"wrong region": {change: func(c *neutron.Cloud) { c.RegionName = "RegionTwo" }, kind: courier.Invalid,
			want: k + "its catalog has no network service in region RegionTwo, but in: RegionOne", hint: "region_name"},
		"wrong endpoint type": {change: func(c *neutron.Cloud) { c.Interfaces = "private" }, kind: courier.Invalid,
			want: k + "its catalog has no private endpoint of the network service, but: admin, internal, public", hint: "endpoint_type"},
		"Neutron is a web page": {first: only("/v2.0/extensions", 200, "<html>"), kind: courier.Invalid,
			want: "cannot use Neutron at http://cloud/v2.0/: it does not answer as Neutron does", hint: "catalog"},
		"Neutron is not there": {first: only("/v2.0/extensions", 404, "<html>"), kind: courier.Invalid,
			want: "cannot use Neutron at http://cloud/v2.0/: it answers 404 Not Found, not as Neutron does", hint: "endpoint_override"},
		"Neutron is not up": {first: only("/v2.0/extensions", 500, "{}"), kind: courier.Unavailable,
			want: "cannot use Neutron at http://cloud/v2.0/: Neutron answered 500 Internal Server Error", hint: ""},
		"Neutron trusts another Keystone": {first: only("/v2.0/extensions", 401, "{}"), kind: courier.Unauthorized,
			want: "cannot use Neutron at http://cloud/v2.0/: Neutron answered 401 Unauthorized", hint: "keystone_authtoken"},
		"missing extensions": {first: only("/v2.0/extensions", 200, `{"extensions":[{"alias":"binding"},{"alias":"standard-attr-description"}]}`), kind: courier.Unsupported,
			want: "cannot use Neutron at http://cloud/v2.0/: it lacks the extensions standard-attr-tag, subnet_allocation", hint: "neutron.conf"},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			l.first, l.catalog = tt.first, tt.catalog
			settings := byPassword()
			if tt.change != nil {
				tt.change(&settings)
			}
			c, err := l.tryClient(func() neutron.Cloud { return settings })
			if err == nil {
				err = c.Check(t.Context(), testHost)
			}
			if err == nil || err.Error() != tt.want || courier.KindOf(err) != tt.kind || !strings.Contains(courier.HintOf(err), tt.hint) {
				t.Errorf("%v (%v, hint %q), want %s (%v, hint with %q)", err, courier.KindOf(err), courier.HintOf(err), tt.want, tt.kind, tt.hint)
			}
			neverShown(t, err)
		})
	}
}

// TestNotReadyYet wants one clear answer, at once, until the cloud is ready.
func TestNotReadyYet(t *testing.T) {
	l := newLab(t)
	var up atomic.Bool
	l.first = func(w http.ResponseWriter, _ *http.Request) bool {
		if !up.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		return !up.Load()
	}
	c := l.client(byPassword)
	create := func() error {
		_, err := c.CreateNetwork(t.Context(), courier.NetworkSpec{Name: "n"})
		return err
	}
	if err := create(); err == nil || err.Error() != "cannot create network n: not ready yet: Neutron was not reached so far" {
		t.Error(err)
	}
	if err := c.Check(t.Context(), testHost); courier.KindOf(err) != courier.Unavailable {
		t.Error(err)
	}
	served := l.asked.Load() + l.served.Load()
	err := create()
	want := "cannot create network n: not ready yet: Keystone at http://cloud/v3: it answers 503 Service Unavailable"
	if err == nil || err.Error() != want || courier.KindOf(err) != courier.Unavailable || l.asked.Load()+l.served.Load() != served {
		t.Errorf("%v, want %s without a request", err, want)
	}
	up.Store(true)
	if err := c.Check(t.Context(), testHost); err != nil {
		t.Error(err)
	}
	if err := create(); err != nil {
		t.Error(err)
	}
}

// TestRoleToBind wants a missing role to be named, and nothing to be made.
func TestRoleToBind(t *testing.T) {
	l := newLab(t)
	joe := func() neutron.Cloud {
		return neutron.Cloud{AuthURL: "http://cloud", Username: "joe", Password: secret, ProjectName: "other"}
	}
	c := l.ready(joe) // there is no network yet that could tell
	if !strings.Contains(l.log.String(), "Kuryr may lack the role") {
		t.Errorf("no warning: %s", l.log.String())
	}
	n, err := c.CreateNetwork(t.Context(), courier.NetworkSpec{Name: "n", Mark: courier.Mark{Host: testHost, Intent: "i"}})
	if err != nil {
		t.Fatal(err)
	}
	err = l.client(joe).Check(t.Context(), testHost)
	want := "cannot use Neutron at http://cloud/v2.0/: Kuryr's user may not bind ports to a host (its roles: member, reader)"
	if err == nil || err.Error() != want || courier.KindOf(err) != courier.Unauthorized || !strings.Contains(courier.HintOf(err), "role admin") {
		t.Errorf("%v (hint %q)", err, courier.HintOf(err))
	}
	_, err = c.CreatePort(t.Context(), courier.PortSpec{Network: n.ID, Host: testHost})
	if courier.KindOf(err) != courier.Unauthorized || !strings.Contains(courier.HintOf(err), "role admin") {
		t.Errorf("a port: %v (hint %q)", err, courier.HintOf(err))
	}
	admin := func() neutron.Cloud {
		return neutron.Cloud{AuthURL: "http://cloud", Username: "kuryr", Password: secret, ProjectName: "other"}
	}
	c = l.ready(admin)
	ports, err := c.PortsByMark(t.Context(), courier.Mark{})
	if err != nil || len(ports) > 0 {
		t.Errorf("ports %v: %v", ports, err)
	}
}

// TestCheckLooksAtOneNetwork, however many the project has.
func TestCheckLooksAtOneNetwork(t *testing.T) {
	l := newLab(t)
	c := l.ready(byPassword)
	for range 3 {
		if _, err := c.CreateNetwork(t.Context(), courier.NetworkSpec{Name: "n", Mark: courier.Mark{Host: testHost, Intent: "i"}}); err != nil {
			t.Fatal(err)
		}
	}
	var asked atomic.Int32
	l.first = func(_ http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, "/networks") {
			asked.Add(1)
		}
		return false
	}
	if err := l.client(byPassword).Check(t.Context(), testHost); err != nil || asked.Load() != 1 {
		t.Errorf("networks were listed by %d requests, want 1 (%v)", asked.Load(), err)
	}
}

// TestTimeout wants a request to end by the cloud's own option.
func TestTimeout(t *testing.T) {
	l := newLab(t)
	release := make(chan struct{})
	var slow atomic.Bool
	l.first = func(http.ResponseWriter, *http.Request) bool {
		if slow.Load() {
			<-release
		}
		return false
	}
	c := l.ready(func() neutron.Cloud {
		s := byPassword()
		s.Timeout = 200 * time.Millisecond
		return s
	})
	slow.Store(true)
	defer close(release)
	_, err := c.CreateNetwork(context.Background(), courier.NetworkSpec{Name: "n"})
	if want := "cannot create network n: Neutron did not answer in time"; err == nil || err.Error() != want || courier.KindOf(err) != courier.Unavailable {
		t.Errorf("%v, want %s", err, want)
	}
}
