package neutron

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/tokens"

	"kuryr/internal/courier"
)

// keystone asks a cloud's Keystone for tokens.
type keystone struct {
	transport http.RoundTripper
	retries   *budget
	log       *slog.Logger
}

// keystoneToken is what Keystone says of a token.
type keystoneToken struct {
	IssuedAt  time.Time `json:"issued_at"`
	ExpiresAt time.Time `json:"expires_at"`
	Project   struct {
		ID string `json:"id"`
	} `json:"project"`
	Roles []struct {
		Name string `json:"name"`
	} `json:"roles"`
	Catalog []tokens.CatalogEntry `json:"catalog"`
}

// ask authenticates, and finds Neutron in the catalog.
func (k *keystone) ask(ctx context.Context, l login) (*grant, error) {
	if l.method == byNothing {
		base, err := url.Parse(l.override)
		return &grant{base: base, at: time.Now()}, err
	}
	api := &gophercloud.ServiceClient{Endpoint: l.keystone, Type: "identity", ProviderClient: &gophercloud.ProviderClient{
		HTTPClient: newHTTPClient(k.transport, l.cloud.Timeout),
		RetryFunc:  k.retries.retryAny,
	}}
	api.UserAgent.Prepend("kuryr")
	text, t, err := l.token(ctx, api)
	if err != nil {
		return nil, l.explain(err)
	}
	if text == "" || t.ExpiresAt.IsZero() {
		return nil, l.refuse(courier.Invalid, "it does not answer as Keystone does", hintKeystone, nil)
	}
	if t.Project.ID == "" {
		return nil, l.refuse(courier.Invalid, "the token is of no project", "set project_name and project_domain_name, or project_id", nil)
	}
	g := &grant{token: text, project: t.Project.ID, at: time.Now()}
	for _, r := range t.Roles {
		g.roles = append(g.roles, r.Name)
	}
	k.times(g, t, l.given())
	base, err := l.findNeutron(t.Catalog)
	if err != nil {
		return nil, err
	}
	g.base, err = url.Parse(base)
	return g, err
}

// given reports whether the token is used as it was given.
func (l login) given() bool { return l.method == byToken && l.auth.Scope == nil }

// token gets one from Keystone or, when one is given and nothing says what
// for, asks Keystone what that is.
func (l login) token(ctx context.Context, api *gophercloud.ServiceClient) (string, keystoneToken, error) {
	var t keystoneToken
	if l.given() {
		api.SetToken(l.auth.TokenID)
		err := tokens.Get(ctx, api, l.auth.TokenID).ExtractInto(&t)
		return l.auth.TokenID, t, err
	}
	result := tokens.Create(ctx, api, &l.auth)
	if err := result.ExtractInto(&t); err != nil {
		return "", t, err
	}
	text, err := result.ExtractTokenID()
	return text, t, err
}

// times works out by this host's clock when a token ends. How long a new one
// lives needs Keystone's clock alone; of a given one this is not known.
func (k *keystone) times(g *grant, t keystoneToken, given bool) {
	life := t.ExpiresAt.Sub(t.IssuedAt)
	if given || t.IssuedAt.IsZero() {
		life = t.ExpiresAt.Sub(g.at)
	} else if skew := g.at.Sub(t.IssuedAt); skew.Abs() > maxSkew {
		k.log.Warn("the clocks of this host and of Keystone differ", "by", skew.Truncate(time.Second))
	}
	life = max(life, authPause) // Keystone, whatever its clock, has just said that it is good
	g.expires = g.at.Add(life)
	g.renew = g.expires.Add(-min(earlyRenewal, life/4))
}

// findNeutron returns the URL of Neutron's API.
func (l login) findNeutron(catalog []tokens.CatalogEntry) (string, error) {
	if l.override != "" {
		return l.override, nil
	}
	var all []tokens.Endpoint
	for _, service := range catalog {
		if service.Type == "network" || service.Type == "networking" {
			all = append(all, service.Endpoints...)
		}
	}
	if len(all) == 0 {
		return "", l.refuse(courier.Invalid, "its catalog has no network service", "is Neutron installed there? else set endpoint_override to its URL", nil)
	}
	region := l.cloud.RegionName
	var regions, interfaces []string
	var there []tokens.Endpoint
	for _, e := range all {
		regions = append(regions, e.RegionID)
		if region == "" || e.Region == region || e.RegionID == region {
			there = append(there, e)
			interfaces = append(interfaces, e.Interface)
		}
	}
	if len(there) == 0 {
		return "", l.refuse(courier.Invalid, fmt.Sprintf("its catalog has no network service in region %s, but in: %s", line(region), listed(regions)),
			"set region_name to one of these", nil)
	}
	for _, wanted := range l.interfaces {
		for _, e := range there {
			if e.Interface == wanted {
				base, err := neutronBase(e.URL)
				if err != nil {
					return "", l.refuse(courier.Invalid, "its catalog has an address of Neutron that is no URL", "correct the catalog, or set endpoint_override", err)
				}
				return base, nil
			}
		}
	}
	return "", l.refuse(courier.Invalid, fmt.Sprintf("its catalog has no %s endpoint of the network service, but: %s",
		strings.Join(l.interfaces, " or "), listed(interfaces)), "set endpoint_type to one of these", nil)
}

func listed(all []string) string {
	return line(strings.Join(slices.Compact(slices.Sorted(slices.Values(all))), ", "))
}

const hintKeystone = "set auth_url to Keystone's URL, such as https://cloud.example.org:5000/v3"

// refuse makes the error of an authentication.
func (l login) refuse(kind courier.Kind, public, hint string, err error) error {
	return &courier.Error{Kind: kind, Op: "authenticate with", Subject: "Keystone at " + strings.TrimSuffix(l.keystone, "/"), Public: public, Hint: hint, Err: err}
}

// explain makes the error of a failed request for a token. The request itself,
// which holds the secret, is never part of gophercloud's errors, but what a
// server says may be anything.
func (l login) explain(err error) error {
	var refused gophercloud.ErrUnexpectedResponseCode
	var transport *url.Error
	if errors.As(err, &transport) {
		err = transport.Err
	}
	switch {
	case errors.As(err, &refused):
		return l.explainAnswer(refused)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return l.refuse(courier.Unavailable, "it did not answer in time", "see that Keystone answers there", nil)
	case transport != nil, connectionLost(err):
		kind, why, hint := unreached(err, "see that Keystone answers there")
		return l.refuse(kind, "it cannot be reached: "+why, hint, nil)
	}
	return l.refuse(courier.Invalid, "it does not answer as Keystone does", hintKeystone, nil)
}

// stockMessage is what Keystone says of any wrong credentials.
const stockMessage = "The request you have made requires authentication."

func (l login) explainAnswer(refused gophercloud.ErrUnexpectedResponseCode) error {
	a := readAnswer(refused)
	a.server, a.message = "Keystone", l.cloud.scrub(a.message)
	said := ""
	if a.message != "" && a.message != stockMessage {
		said = ": " + line(a.message)
	}
	switch s := a.status; {
	case s == http.StatusUnauthorized, s == http.StatusForbidden, s == http.StatusNotFound && a.kind != "" && l.method == byToken:
		public, hint := l.denied()
		return l.refuse(courier.Unauthorized, public+said, hint, a)
	case s == http.StatusTooManyRequests, s >= 500:
		return l.refuse(courier.Unavailable, fmt.Sprintf("it answers %d %s", s, http.StatusText(s)), "see Keystone's log", a)
	case s >= 300 && s < 400:
		return l.refuse(courier.Invalid, "it sends requests elsewhere ("+where(refused.ResponseHeader)+")", "set auth_url to the address that it names", a)
	case s == http.StatusBadRequest && a.kind != "":
		return l.refuse(courier.Invalid, "it does not accept the credentials"+said, "see docs/openstack.md for what each method needs", a)
	}
	return l.refuse(courier.Invalid, fmt.Sprintf("it answers %d %s, not as Keystone does", a.status, http.StatusText(a.status)), hintKeystone, a)
}

// where names the host of a redirection.
func where(h http.Header) string {
	u, err := url.Parse(h.Get("Location"))
	if err != nil || u.Host == "" {
		return "nowhere"
	}
	return line(u.Scheme + "://" + u.Host)
}

// denied says what Keystone, which does not tell, may have refused.
func (l login) denied() (public, hint string) {
	switch l.method {
	case byAppCredential:
		return "it refuses the application credential", "see whether it has expired or was deleted, and whether its secret is right"
	case byToken:
		return "it refuses the token", "it has expired or was revoked; set another one, or use a password or an application credential"
	}
	user, project := l.auth.Username, ""
	if user == "" {
		user = l.auth.UserID
	}
	if s := l.auth.Scope; s != nil {
		project = " in project " + s.ProjectName + s.ProjectID + s.TrustID
	}
	return line("it refuses user " + user + project), "check the password, the names and domains of user and project, and that the user has a role in it"
}
