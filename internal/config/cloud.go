package config

import (
	"slices"
	"strings"
	"time"

	"kuryr/internal/observe"
)

// Cloud is how a real Neutron is reached: keystoneauth's options. What is
// empty is taken from clouds.yaml, if the cloud has a Name there.
type Cloud struct {
	Name string // in clouds.yaml; "": none is read
	File string // path of clouds.yaml; "": where OpenStack's clients look for it

	AuthType string // "": what the credentials below are good for
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
	Timeout                            time.Duration // of each request
	MaxRequests                        int           // in flight at once
}

// Real reports whether a real Neutron is to be used, and not the embedded one.
func (c Cloud) Real() bool { return c.Name != "" || c.AuthType != "" || c.AuthURL != "" }

// effect says where an option has one.
type effect int

const (
	always    effect = iota
	withCloud        // on a real Neutron only
	withAuth         // on one that wants credentials only; auth_section moves it
)

// cloudOptions are about the way to a real Neutron.
func cloudOptions() []Option {
	return slices.Concat(choiceOptions(), userOptions(), tokenOptions(), wayOptions())
}

const neutronSection = "neutron"

// choiceOptions decide whether there is a cloud, and which.
func choiceOptions() []Option {
	return []Option{{
		Section: neutronSection, Name: "cloud", Env: "OS_CLOUD", Flag: "cloud", Value: "NAME", DefaultNote: "no `clouds.yaml` is read",
		Doc:   "Cloud of `clouds.yaml` to use. Options that are set here, in the environment or by flags win over what the file says of it.",
		field: func(c *Config) any { return &c.Cloud.Name }, check: plainText,
	}, {
		Section: neutronSection, Name: "clouds_file", Env: "OS_CLIENT_CONFIG_FILE", Value: "FILE",
		DefaultNote: "`clouds.yaml` in the working directory, `~/.config/openstack` or `/etc/openstack`",
		Doc:         "Path of `clouds.yaml`. A `secure.yaml` beside it is read too.",
		field:       func(c *Config) any { return &c.Cloud.File }, check: plainText, effect: withCloud,
	}, {
		Section: neutronSection, Name: "auth_section", Value: "SECTION", DefaultNote: "`neutron`",
		Doc:   "Section of the file that holds `auth_type`, `auth_url` and the credentials.",
		field: func(c *Config) any { return &c.AuthSection }, check: plainText,
	}, {
		Section: neutronSection, Name: "auth_type", Aliases: []string{"auth_plugin"}, Env: "OS_AUTH_TYPE", EnvAliases: []string{"OS_AUTH_PLUGIN"},
		Value: strings.Join(authTypes, "|"), DefaultNote: "what fits the credentials; the embedded Neutron without `cloud` and `auth_url`",
		Doc: "How to authenticate. `none` uses the Neutron at `endpoint_override` without authentication; " +
			"the others ask the Keystone at `auth_url` for tokens.",
		field: func(c *Config) any { return &c.Cloud.AuthType }, check: authType, moved: true,
	}, {
		Section: neutronSection, Name: "auth_url", Env: "OS_AUTH_URL", Value: "URL", DefaultNote: "none",
		Doc:   "URL of Keystone, such as `https://cloud.example.org:5000/v3`.",
		field: func(c *Config) any { return &c.Cloud.AuthURL }, check: endpoint, effect: withAuth, moved: true,
	}}
}

// userOptions are of the password method, and of what tokens are for.
func userOptions() []Option {
	list := []Option{
		{Name: "username", Aliases: []string{"user_name"}, Env: "OS_USERNAME", EnvAliases: []string{"OS_USER_NAME"}, Value: "NAME",
			Doc: "User by name.", field: func(c *Config) any { return &c.Cloud.Username }},
		{Name: "user_id", Env: "OS_USER_ID", Value: "ID",
			Doc: "The user by ID, which needs no domain.", field: func(c *Config) any { return &c.Cloud.UserID }},
		{Name: "password", Env: "OS_PASSWORD", Value: "SECRET",
			Doc: "The user's password.", field: func(c *Config) any { return &c.Cloud.Password }},
		{Name: "user_domain_id", Env: "OS_USER_DOMAIN_ID", Value: "ID",
			Doc: "Domain of the user, by ID.", field: func(c *Config) any { return &c.Cloud.UserDomainID }},
		{Name: "user_domain_name", Env: "OS_USER_DOMAIN_NAME", Value: "NAME",
			Doc: "Domain of the user, by name.", field: func(c *Config) any { return &c.Cloud.UserDomainName }},
		{Name: "project_id", Aliases: []string{"tenant_id"}, Env: "OS_PROJECT_ID", EnvAliases: []string{"OS_TENANT_ID"}, Value: "ID",
			Doc: "Project that Kuryr works in, by ID.", field: func(c *Config) any { return &c.Cloud.ProjectID }},
		{Name: "project_name", Aliases: []string{"tenant_name"}, Env: "OS_PROJECT_NAME", EnvAliases: []string{"OS_TENANT_NAME"}, Value: "NAME",
			Doc: "Project that Kuryr works in, by name.", field: func(c *Config) any { return &c.Cloud.ProjectName }},
		{Name: "project_domain_id", Env: "OS_PROJECT_DOMAIN_ID", Value: "ID",
			Doc: "Domain of the project, by ID.", field: func(c *Config) any { return &c.Cloud.ProjectDomainID }},
		{Name: "project_domain_name", Env: "OS_PROJECT_DOMAIN_NAME", Value: "NAME",
			Doc: "Domain of the project, by name.", field: func(c *Config) any { return &c.Cloud.ProjectDomainName }},
		{Name: "default_domain_id", Env: "OS_DEFAULT_DOMAIN", EnvAliases: []string{"OS_DEFAULT_DOMAIN_ID"}, Value: "ID", DefaultNote: "`default`",
			Doc: "Domain of the user and of the project, by ID, where nothing else is said of them.", field: func(c *Config) any { return &c.Cloud.DefaultDomainID }},
		{Name: "default_domain_name", Env: "OS_DEFAULT_DOMAIN_NAME", Value: "NAME",
			Doc: "Such a domain, by name.", field: func(c *Config) any { return &c.Cloud.DefaultDomainName }},
		{Name: "trust_id", Env: "OS_TRUST_ID", Value: "ID",
			Doc: "Trust that is used in the place of a project.", field: func(c *Config) any { return &c.Cloud.TrustID }},
	}
	return credentials(list)
}

// tokenOptions are of the other methods.
func tokenOptions() []Option {
	return credentials([]Option{
		{Name: "application_credential_id", Env: "OS_APPLICATION_CREDENTIAL_ID", Value: "ID",
			Doc: "Application credential, by ID. It knows its user and project.", field: func(c *Config) any { return &c.Cloud.AppCredentialID }},
		{Name: "application_credential_name", Env: "OS_APPLICATION_CREDENTIAL_NAME", Value: "NAME",
			Doc: "Application credential by name, which needs a user too.", field: func(c *Config) any { return &c.Cloud.AppCredentialName }},
		{Name: "application_credential_secret", Env: "OS_APPLICATION_CREDENTIAL_SECRET", Value: "SECRET",
			Doc: "Secret of the application credential.", field: func(c *Config) any { return &c.Cloud.AppCredentialSecret }},
		{Name: "token", Env: "OS_TOKEN", EnvAliases: []string{"OS_AUTH_TOKEN"}, Value: "SECRET",
			Doc: "A token of Keystone's. It can't be renewed when it expires.", field: func(c *Config) any { return &c.Cloud.Token }},
	})
}

// credentials fills in what the options of credentials have in common.
func credentials(list []Option) []Option {
	for i := range list {
		o := &list[i]
		o.Section, o.effect, o.moved = neutronSection, withAuth, true
		if o.DefaultNote == "" {
			o.DefaultNote = "none"
		}
		if !o.Secret() {
			o.check = plainText
		}
	}
	return list
}

// wayOptions are about the connections to the cloud's services.
func wayOptions() []Option {
	list := []Option{
		{Name: "region_name", Env: "OS_REGION_NAME", Value: "NAME", DefaultNote: "the first of the catalog",
			Doc: "Region of the catalog.", field: func(c *Config) any { return &c.Cloud.RegionName }, check: plainText},
		{Name: "endpoint_type", Aliases: []string{"valid_interfaces"}, Env: "OS_INTERFACE", EnvAliases: []string{"OS_ENDPOINT_TYPE"},
			Value: "public|internal|admin", DefaultNote: "public",
			Doc:   "Which of Neutron's endpoints in the catalog to use; several, separated by commas, are tried in their order. `publicURL` and the like are the same.",
			field: func(c *Config) any { return &c.Cloud.Interfaces }, check: interfaces},
		{Name: "endpoint_override", Aliases: []string{"endpoint", "url"}, Env: "OS_NETWORK_ENDPOINT_OVERRIDE", Value: "URL", DefaultNote: "the catalog's",
			Doc:   "URL of Neutron, such as `http://127.0.0.1:9696`, in the place of the catalog's.",
			field: func(c *Config) any { return &c.Cloud.EndpointOverride }, check: endpoint, effect: always},
		{Name: "cafile", Env: "OS_CACERT", Value: "FILE", DefaultNote: "the system's authorities",
			Doc: "Authorities (PEM) of the certificates of Keystone and Neutron.", field: func(c *Config) any { return &c.Cloud.CAFile }, check: plainText},
		{Name: "certfile", Env: "OS_CERT", Value: "FILE", DefaultNote: "none",
			Doc: "Certificate (PEM) that Kuryr shows to them.", field: func(c *Config) any { return &c.Cloud.CertFile }, check: plainText},
		{Name: "keyfile", Env: "OS_KEY", Value: "FILE", DefaultNote: "none",
			Doc: "Key (PEM) of `certfile`.", field: func(c *Config) any { return &c.Cloud.KeyFile }, check: plainText},
		{Name: "insecure", Env: "OS_INSECURE", Value: "BOOLEAN", Default: "false",
			Doc: "Do not check their certificates. Whoever is in between may then read the password.", field: func(c *Config) any { return &c.Cloud.Insecure }},
		{Name: "timeout", Value: "SECONDS", Default: "120",
			Doc: "How long one request to Keystone or Neutron may take, 1 to 300 seconds. Calls of the engine end at `request_timeout` in any case.", field: func(c *Config) any { return &c.Cloud.Timeout }},
		{Name: "max_requests", Value: "NUMBER", Default: "32",
			Doc: "How many requests to Neutron may be in flight at once, 1 to 1000. Others wait.", field: func(c *Config) any { return &c.Cloud.MaxRequests }},
	}
	for i := range list {
		list[i].Section = neutronSection
		if list[i].Name != "endpoint_override" {
			list[i].effect = withCloud
		}
	}
	return list
}

// plainText refuses what can't be part of a line, a path or a request.
func plainText(s string) *fault {
	if strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return invalid("it has control characters in it")
	}
	return nil
}

var authTypes = []string{"password", "v3password", "v3applicationcredential", "token", "v3token", "none"}

// authType checks keystoneauth's auth_type.
func authType(s string) *fault {
	switch {
	case s == "" || slices.Contains(authTypes, s):
		return nil
	case strings.HasPrefix(s, "v2"):
		return unsupported("Keystone's API v2.0 is not supported by this version").withHint("set auth_type = password: it speaks v3")
	}
	return unsupported("authentication by %q is not supported by this version", s).withHint("use one of " + strings.Join(authTypes, ", "))
}

// interfaces checks the list of kinds of endpoints.
func interfaces(s string) *fault {
	if s == "" {
		return nil
	}
	for one := range strings.SplitSeq(s, ",") {
		switch strings.TrimSuffix(strings.TrimSpace(one), "URL") {
		case "public", "internal", "admin":
		default:
			return invalid("%q is not one of: public, internal, admin", strings.TrimSpace(one))
		}
	}
	return nil
}

// checkCloud checks what no option's own check can. Credentials that lead
// nowhere are refused, lest what was meant for a cloud goes to the embedded Neutron.
func (l *loader) checkCloud() {
	c := &l.config.Cloud
	if l.refused[key(neutronSection, "auth_type")] || l.refused[key(neutronSection, "auth_url")] {
		return
	}
	if s := l.config.AuthSection; s != "" && !slices.ContainsFunc(l.entries, func(e entry) bool { return sameSection(e.section, s) }) {
		l.refuseSet(neutronSection, "auth_section", invalid("the file has no section [%s]", s))
		return
	}
	switch {
	case c.AuthType == "none" && c.Name == "" && c.EndpointOverride == "" && !l.refused[key(neutronSection, "endpoint_override")]:
		l.refuseSet(neutronSection, "auth_type", invalid("it needs endpoint_override").
			withHint("set endpoint_override to the Neutron's URL, or leave both out to use the embedded Neutron"))
	case c.AuthType != "" && c.AuthType != "none" && c.Name == "" && c.AuthURL == "":
		l.refuseSet(neutronSection, "auth_type", invalid("it needs auth_url").
			withHint("set auth_url to Keystone's URL, or cloud to a name in clouds.yaml"))
	case !c.Real() && c.EndpointOverride != "":
		l.refuseSet(neutronSection, "endpoint_override", invalid("it needs auth_type, auth_url or cloud").
			withHint("set auth_type = none if that Neutron asks for no authentication, or leave both out to use the embedded Neutron"))
	case !c.Real():
		l.refuseStray()
	}
	if c.Real() && l.config.NeutronListen != "" {
		l.refuseSet(defaultSection, "neutron_listen",
			invalid("the embedded Neutron does not run when a real one is used").withHint("leave it out, or auth_type, auth_url and cloud"))
	}
	if (c.CertFile == "") != (c.KeyFile == "") {
		name, other := "certfile", "keyfile"
		if c.CertFile == "" {
			name, other = other, name
		}
		l.refuseSet(neutronSection, name, invalid("it needs %s", other))
	}
}

// refuseStray refuses the first credential that is set though there is no cloud.
func (l *loader) refuseStray() {
	for _, o := range l.options {
		if o.effect == withAuth && show(o.field(&l.config)) != "" {
			l.refuseSet(o.Section, o.Name, invalid("it needs auth_url, or cloud").
				withHint("set auth_url to Keystone's URL, or leave all credentials out to use the embedded Neutron"))
			return
		}
	}
}

// idle reports whether an option that was set has no effect.
func (l *loader) idle(o Option) bool {
	switch c := l.config.Cloud; o.effect {
	case withCloud:
		return !c.Real()
	case withAuth:
		return c.AuthType == "none"
	}
	return false
}

// warnReadable warns of a file with secrets that others can read.
func (l *loader) warnReadable() {
	for _, s := range l.report.Settings {
		if s.Origin.Kind == FromFile && s.Value == observe.Hidden && l.mode&0o004 != 0 {
			l.report.Warnings = append(l.report.Warnings, "every user of this host can read "+l.report.File+
				", which holds a secret (["+s.Section+"] "+s.Option+"): chmod 640 it")
			return
		}
	}
}
