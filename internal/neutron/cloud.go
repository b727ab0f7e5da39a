package neutron

import (
	"strings"
	"time"

	"kuryr/internal/courier"
	"kuryr/internal/observe"
)

// Cloud is how a cloud's Keystone and Neutron are reached, as an operator
// says it. What is empty is taken from clouds.yaml, if the cloud has a Name there.
type Cloud struct {
	Name string // in clouds.yaml; "": none is read
	File string // path of clouds.yaml; "": where OpenStack's clients look for it

	AuthType string // keystoneauth's; "": what the credentials are good for
	AuthURL  string // Keystone's

	Username, UserID                   string
	Password                           observe.Secret
	UserDomainID, UserDomainName       string
	ProjectID, ProjectName             string
	ProjectDomainID, ProjectDomainName string
	DefaultDomainID, DefaultDomainName string
	TrustID                            string
	AppCredentialID, AppCredentialName string
	AppCredentialSecret, Token         observe.Secret
	RegionName                         string
	Interfaces                         string        // of the catalog: one or, comma-separated, several in order of preference
	EndpointOverride                   string        // Neutron's URL, in the place of the catalog's
	CAFile, CertFile, KeyFile          string        // PEM
	Insecure                           bool          // no check of servers' certificates
	Timeout                            time.Duration // of each request; 0: none
	MaxRequests                        int           // in flight at once; 0: any number
}

// over returns c with what is empty in it filled from base. Of a pair, such as
// a project's ID and name, one alone stands for both.
func (c Cloud) over(base Cloud) Cloud {
	or(&c.AuthType, base.AuthType)
	or(&c.AuthURL, base.AuthURL)
	either(&c.Username, &c.UserID, base.Username, base.UserID)
	or(&c.Password, base.Password)
	either(&c.UserDomainID, &c.UserDomainName, base.UserDomainID, base.UserDomainName)
	either(&c.ProjectID, &c.ProjectName, base.ProjectID, base.ProjectName)
	either(&c.ProjectDomainID, &c.ProjectDomainName, base.ProjectDomainID, base.ProjectDomainName)
	either(&c.DefaultDomainID, &c.DefaultDomainName, base.DefaultDomainID, base.DefaultDomainName)
	or(&c.TrustID, base.TrustID)
	either(&c.AppCredentialID, &c.AppCredentialName, base.AppCredentialID, base.AppCredentialName)
	or(&c.AppCredentialSecret, base.AppCredentialSecret)
	or(&c.Token, base.Token)
	or(&c.RegionName, base.RegionName)
	or(&c.Interfaces, base.Interfaces)
	or(&c.EndpointOverride, base.EndpointOverride)
	or(&c.CAFile, base.CAFile)
	either(&c.CertFile, &c.KeyFile, base.CertFile, base.KeyFile)
	c.Insecure = c.Insecure || base.Insecure
	return c
}

func or[T ~string](field *T, base T) {
	if *field == "" {
		*field = base
	}
}

func either(a, b *string, baseA, baseB string) {
	if *a == "" && *b == "" {
		*a, *b = baseA, baseB
	}
}

// The ways to authenticate.
const (
	byPassword      = "password"
	byAppCredential = "v3applicationcredential"
	byToken         = "token"
	byNothing       = "none"
)

// method returns the way to authenticate: the one that is named, or the one
// that the credentials are good for.
func (c Cloud) method() string {
	switch {
	case c.AuthType != "":
		if kind := strings.TrimPrefix(c.AuthType, "v3"); kind == byPassword || kind == byToken {
			return kind
		}
		return c.AuthType
	case c.AppCredentialID != "" || c.AppCredentialName != "":
		return byAppCredential
	case c.Token != "" && c.Password == "":
		return byToken
	}
	return byPassword
}

// subject is how errors name the cloud's settings.
func (c Cloud) subject() string {
	if c.Name != "" {
		return "cloud " + c.Name
	}
	return "the credentials"
}

// refuse is the error of settings that can't be used.
func (c Cloud) refuse(public, hint string) error {
	return &courier.Error{Kind: courier.Invalid, Op: "use", Subject: c.subject(), Public: public, Hint: hint}
}

// scrub takes the cloud's secrets out of a text.
func (c Cloud) scrub(text string) string {
	for _, s := range []observe.Secret{c.Password, c.AppCredentialSecret, c.Token} {
		if s != "" {
			text = strings.ReplaceAll(text, string(s), observe.Hidden)
		}
	}
	return text
}
