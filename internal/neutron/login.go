package neutron

import (
	"net/url"
	"slices"
	"strings"

	"github.com/gophercloud/gophercloud/v2"

	"kuryr/internal/courier"
)

// login is a Cloud that was checked: what Keystone is asked with, and how
// Neutron is found in its answer.
type login struct {
	cloud      Cloud
	method     string
	keystone   string // URL of Keystone's v3 API, ending in /v3/; "" without authentication
	auth       gophercloud.AuthOptions
	interfaces []string
	override   string // URL of Neutron's v2.0 API, ending in /v2.0/; "": as the catalog says
}

// defaultDomain is the ID of the domain that every Keystone has, and that
// OpenStack's own client falls back to.
const defaultDomain = "default"

// login checks the settings, after complete.
func (c Cloud) login() (l login, err error) {
	l = login{cloud: c, method: c.method(), interfaces: c.interfaces()}
	if c.EndpointOverride != "" {
		if l.override, err = neutronBase(c.EndpointOverride); err != nil {
			return l, err
		}
	}
	if l.method == byNothing {
		if l.override == "" {
			return l, c.refuse("without authentication it needs endpoint_override", "set endpoint_override to Neutron's URL")
		}
		return l, nil
	}
	if l.keystone, err = c.keystoneBase(); err != nil {
		return l, err
	}
	switch l.method {
	case byPassword:
		return l, c.passwordAuth(&l.auth)
	case byAppCredential:
		return l, c.appCredentialAuth(&l.auth)
	case byToken:
		return l, c.tokenAuth(&l.auth)
	}
	return l, &courier.Error{Kind: courier.Unsupported, Op: "use", Subject: c.subject(),
		Public: "authentication by " + line(c.AuthType) + " is not supported", Hint: "use password, v3applicationcredential, token or none"}
}

func (c Cloud) interfaces() (all []string) {
	for one := range strings.SplitSeq(c.Interfaces, ",") {
		if one = strings.TrimSuffix(strings.TrimSpace(one), "URL"); one != "" {
			all = append(all, one)
		}
	}
	if len(all) == 0 {
		return []string{"public"}
	}
	return all
}

// keystoneBase returns the URL of the v3 API of the Keystone at auth_url, which
// may name the API's version or not.
func (c Cloud) keystoneBase() (string, error) {
	const hint = "it is Keystone's URL, such as https://cloud.example.org:5000/v3"
	u, err := url.Parse(c.AuthURL)
	switch {
	case c.AuthURL == "":
		return "", c.refuse("auth_url is missing", hint)
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return "", c.refuse("auth_url is not the URL of a service", hint) // not quoted: it may hold a password
	}
	base := strings.TrimRight(u.String(), "/")
	switch {
	case strings.HasSuffix(base, "/v3"):
		return base + "/", nil
	case strings.HasSuffix(base, "/v2.0"):
		return "", c.refuse("auth_url names Keystone's API v2.0, which is no more", "set it to "+strings.TrimSuffix(base, "v2.0")+"v3")
	}
	return base + "/v3/", nil
}

// passwordAuth checks and translates the settings of a user with a password.
func (c Cloud) passwordAuth(a *gophercloud.AuthOptions) error {
	if c.Password == "" {
		return c.refuse("the password is missing", "set password, or OS_PASSWORD")
	}
	a.Password = string(c.Password)
	if err := c.user(a); err != nil {
		return err
	}
	a.Scope = c.scope()
	return nil
}

func (c Cloud) appCredentialAuth(a *gophercloud.AuthOptions) error {
	if c.AppCredentialSecret == "" {
		return c.refuse("application_credential_secret is missing", "it is shown once, when the application credential is made")
	}
	a.ApplicationCredentialSecret = string(c.AppCredentialSecret)
	if a.ApplicationCredentialID = c.AppCredentialID; a.ApplicationCredentialID != "" {
		return nil
	}
	if a.ApplicationCredentialName = c.AppCredentialName; a.ApplicationCredentialName == "" {
		return c.refuse("application_credential_id is missing", "set it, or application_credential_name with the user's")
	}
	return c.user(a)
}

func (c Cloud) tokenAuth(a *gophercloud.AuthOptions) error {
	if c.Token == "" {
		return c.refuse("the token is missing", "set token, or OS_TOKEN")
	}
	a.TokenID, a.Scope = string(c.Token), c.scope()
	return nil
}

// user names the user. An ID needs no domain, and gophercloud takes none with it.
func (c Cloud) user(a *gophercloud.AuthOptions) error {
	if a.UserID = c.UserID; a.UserID != "" {
		return nil
	}
	if a.Username = c.Username; a.Username == "" {
		return c.refuse("the user is missing", "set username and user_domain_name, or user_id")
	}
	a.DomainID, a.DomainName = firstDomain([2]string{c.UserDomainID, c.UserDomainName}, [2]string{c.DefaultDomainID, c.DefaultDomainName})
	return nil
}

// scope is what the token is for; nil: Keystone decides.
func (c Cloud) scope() *gophercloud.AuthScope {
	switch {
	case c.TrustID != "":
		return &gophercloud.AuthScope{TrustID: c.TrustID}
	case c.ProjectID != "":
		return &gophercloud.AuthScope{ProjectID: c.ProjectID}
	case c.ProjectName != "":
		s := &gophercloud.AuthScope{ProjectName: c.ProjectName}
		s.DomainID, s.DomainName = firstDomain([2]string{c.ProjectDomainID, c.ProjectDomainName},
			[2]string{c.DefaultDomainID, c.DefaultDomainName}, [2]string{c.UserDomainID, c.UserDomainName})
		return s
	}
	return nil
}

// firstDomain returns the ID or else the name of the first domain that has one.
func firstDomain(candidates ...[2]string) (id, name string) {
	i := slices.IndexFunc(candidates, func(d [2]string) bool { return d[0] != "" || d[1] != "" })
	switch {
	case i < 0:
		return defaultDomain, ""
	case candidates[i][0] != "":
		return candidates[i][0], ""
	}
	return "", candidates[i][1]
}

// neutronBase returns the URL of the v2.0 API of the Neutron at an endpoint,
// which may name the API's version or not.
func neutronBase(endpoint string) (string, error) {
	u, err := url.Parse(endpoint)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return "", &courier.Error{Kind: courier.Invalid, Op: "use Neutron", Subject: "at " + shown(u, endpoint),
			Public: "it is not the URL of a service", Hint: "give it as http://HOST:9696"}
	}
	base := strings.TrimSuffix(u.String(), "/") + "/"
	if !strings.HasSuffix(base, "/v2.0/") {
		base += "v2.0/"
	}
	return base, nil
}

// shown is a URL as errors may show it: without a password.
func shown(u *url.URL, text string) string {
	switch {
	case u != nil:
		return line(u.Redacted())
	case strings.Contains(text, "@"):
		return "an address"
	}
	return line(text)
}
