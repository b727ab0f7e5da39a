package neutron

import (
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"kuryr/internal/courier"
	"kuryr/internal/observe"
)

const (
	// authTimeout bounds an authentication, which those wait for who have no token.
	authTimeout = 30 * time.Second
	// authPause is how long Keystone is left alone that refused credentials, or
	// whose fresh token Neutron refused: Keystone locks users out who try too often.
	authPause = 30 * time.Second
	// earlyRenewal is how long before its end a token is replaced; a quarter of
	// its life, if that is less.
	earlyRenewal = 2 * time.Minute
	// maxSkew is a difference of clocks worth a warning.
	maxSkew = 5 * time.Minute
)

// session gives requests to a cloud's Neutron a token and their destination:
// they are made for sessionBase. The token is renewed shortly before it ends,
// in the background, and when Neutron refuses it. However many ask for one,
// Keystone is asked once.
type session struct {
	source func() (Cloud, error)
	next   http.RoundTripper // to Neutron
	trust  *trust
	keys   *keystone
	log    *slog.Logger

	mu      sync.Mutex // guards what follows
	held    *grant     // nil: none yet, or it was given up
	pending *renewal   // nil: none is under way
	last    Cloud      // the last settings that could be read
	known   bool       // there were such
	warned  map[string]bool
	refused refusal
	works   string // the project of the last grant that was looked at
}

// project returns the ID of the project that requests are made for: of the
// token in use, or the last one. It is known once a request has been answered.
func (s *session) project() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held != nil {
		s.works = s.held.project
	}
	return s.works
}

// sessionBase is what a session's requests are made for. No request goes
// there: the name can't exist (RFC 6761).
const sessionBase = "http://neutron.invalid/v2.0/"

// grant is what an authentication gave.
type grant struct {
	token   string
	base    *url.URL // of Neutron's API, ending in /v2.0/
	project string   // ID; "": unknown
	roles   []string
	at      time.Time
	renew   time.Time // zero: never
	expires time.Time // zero: never
	proven  atomic.Bool
}

// renewal is an authentication under way.
type renewal struct {
	done  chan struct{} // closed when the rest is set
	grant *grant
	err   error
}

// refusal is that Keystone said no, and to what.
type refusal struct {
	cloud Cloud
	err   error
	at    time.Time
}

// RoundTrip implements http.RoundTripper.
func (s *session) RoundTrip(req *http.Request) (*http.Response, error) {
	g, err := s.current(req.Context())
	if err != nil {
		closeBody(req)
		return nil, err
	}
	resp, err := s.send(req, g)
	if err != nil || resp.StatusCode != http.StatusUnauthorized {
		return resp, err
	}
	again := replay(req)
	if again == nil || g.token == "" {
		return resp, nil
	}
	fresh, err := s.after(req.Context(), g)
	if err != nil {
		resp.Body.Close()
		return nil, err
	}
	if fresh == nil {
		return resp, nil
	}
	resp.Body.Close()
	return s.send(again, fresh)
}

// send sends a request with a grant.
func (s *session) send(req *http.Request, g *grant) (*http.Response, error) {
	out := req.Clone(req.Context())
	var err error
	out.URL, err = url.Parse(g.base.String() + strings.TrimPrefix(req.URL.String(), sessionBase)) // ".." may be a tag
	if err != nil {
		closeBody(req)
		return nil, err
	}
	out.Host = ""
	if g.token != "" {
		out.Header.Set("X-Auth-Token", g.token)
	}
	resp, err := s.next.RoundTrip(out)
	if err == nil && resp.StatusCode != http.StatusUnauthorized {
		g.proven.Store(true)
	}
	return resp, err
}

// current returns a grant that is in force.
func (s *session) current(ctx context.Context) (*grant, error) {
	s.mu.Lock()
	g, now := s.held, time.Now()
	if g == nil || !g.expires.IsZero() && now.After(g.expires) {
		r := s.renewal()
		s.mu.Unlock()
		return r.wait(ctx)
	}
	if !g.renew.IsZero() && now.After(g.renew) {
		g.renew = now.Add(authPause)
		s.renewal()
	}
	s.mu.Unlock()
	return g, nil
}

// after returns the grant that follows one that Neutron refused; nil: there
// is no use in another one.
func (s *session) after(ctx context.Context, refused *grant) (*grant, error) {
	s.mu.Lock()
	if s.held != nil && s.held != refused {
		defer s.mu.Unlock()
		return s.held, nil
	}
	if !refused.proven.Load() && time.Since(refused.at) < authPause {
		s.mu.Unlock()
		return nil, nil
	}
	r := s.renewal()
	s.mu.Unlock()
	return r.wait(ctx)
}

// again authenticates anew, with settings that are read anew. With an error
// the old grant stays.
func (s *session) again(ctx context.Context) (*grant, error) {
	s.mu.Lock()
	s.refused = refusal{}
	r := s.renewal()
	s.mu.Unlock()
	return r.wait(ctx)
}

// renewal returns the authentication under way, or starts one. It is nobody's
// alone, and so goes on when whoever caused it gives up. Called with mu held.
func (s *session) renewal() *renewal {
	if s.pending != nil {
		return s.pending
	}
	r := &renewal{done: make(chan struct{})}
	s.pending = r
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), authTimeout)
		defer cancel()
		r.grant, r.err = s.authenticate(ctx)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.pending = nil
		if r.err == nil {
			s.held = r.grant
		} else if s.held != nil {
			s.log.Warn("the token could not be renewed", observe.Err, r.err)
		}
		close(r.done)
	}()
	return r
}

func (r *renewal) wait(ctx context.Context) (*grant, error) {
	select {
	case <-r.done:
		return r.grant, r.err
	case <-ctx.Done():
		return nil, &courier.Error{Kind: courier.Unavailable, Op: "authenticate with", Subject: "Keystone", Public: "it did not answer in time",
			Hint: "see that Keystone answers", Err: ctx.Err()}
	}
}

// authenticate reads the settings and asks Keystone.
func (s *session) authenticate(ctx context.Context) (*grant, error) {
	cloud, err := s.read()
	if err != nil {
		return nil, err
	}
	l, err := cloud.login()
	if err != nil {
		return nil, err
	}
	if _, err := s.trust.use(cloud.tlsFiles()); err != nil {
		if s.where() == "" {
			return nil, err
		}
		s.log.Warn("the TLS files could not be read again; the last ones are used", observe.Err, err)
	}
	if err := s.recall(cloud); err != nil {
		return nil, err
	}
	g, err := s.keys.ask(ctx, l)
	if courier.KindOf(err) == courier.Unauthorized {
		s.mu.Lock()
		s.refused = refusal{cloud: cloud, err: err, at: time.Now()}
		s.mu.Unlock()
	}
	if err == nil {
		s.log.Debug("neutron: authenticated", "keystone", l.keystone, "neutron", g.base.Redacted(), "project", g.project, "roles", g.roles)
	}
	return g, err
}

// recall returns the error with which Keystone refused the same settings a
// short while ago.
func (s *session) recall(c Cloud) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refused.err != nil && s.refused.cloud == c && time.Since(s.refused.at) < authPause {
		return s.refused.err
	}
	return nil
}

// read reads the settings. Those that could be read last serve while the
// files can't be, say because they are being written.
func (s *session) read() (Cloud, error) {
	cloud, err := s.source()
	var warnings []string
	if err == nil {
		cloud, warnings, err = cloud.complete()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range warnings {
		if !s.warned[w] {
			s.warned[w] = true
			s.log.Warn("credentials", observe.Warning, w)
		}
	}
	if err != nil && s.known {
		s.log.Warn("the credentials could not be read again; the last ones are used", observe.Err, err)
		return s.last, nil
	}
	if err == nil {
		s.last, s.known = cloud, true
	}
	return cloud, err
}

// where is the URL of Neutron, as far as it is known.
func (s *session) where() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held == nil {
		return ""
	}
	return s.held.base.Redacted()
}
