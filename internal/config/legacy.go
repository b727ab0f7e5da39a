package config

import (
	"slices"
	"strings"

	"kuryr/internal/observe"
)

// legacy is an option of the Python Kuryr, of oslo.log or of keystoneauth
// that has no effect here. Unless refuse says otherwise it is accepted and
// named in the one warning about such options.
type legacy struct {
	section, name string
	secret        bool
	// same reports that the value asks for what is done anyway: no warning. nil: none does.
	same func(value string) bool
	// refuse says why a value can't be ignored: nil from it, or a nil refuse: it can.
	// It is called when every option with an effect has been set.
	refuse func(value string, l *loader) *fault
}

// legacies returns every option without an effect. Names are written with
// underscores; oslo's deprecated spellings with hyphens are the same names.
func legacies() []legacy {
	list := append(peerOptions(), authOptions()...)
	for _, name := range logNames() {
		list = append(list, legacy{section: defaultSection, name: name})
	}
	return list
}

// peerOptions are those of kuryr-libnetwork and kuryr-lib themselves.
func peerOptions() []legacy {
	const d, b, n = defaultSection, "binding", "neutron"
	return []legacy{
		{section: d, name: "pybasedir"},
		{section: d, name: "deployment_type"},
		{section: d, name: "port_driver", refuse: vethOnly},
		{section: d, name: "default_port_driver", refuse: vethOnly},
		{section: d, name: "enabled_port_drivers", refuse: vethOnly},
		{section: b, name: "default_driver", refuse: vethOnly},
		{section: b, name: "driver", refuse: vethOnly},
		{section: b, name: "enabled_drivers", refuse: vethOnly},
		{section: b, name: "link_iface"},
	}
}

// authOptions are those of keystoneauth (its sessions, adapters and plugins) that are not in cloudOptions.
func authOptions() []legacy {
	const n = "neutron"
	var list []legacy
	plain := []string{
		"collect_timing", "split_loggers", "service_type", "service_name", "min_version",
		"max_version", "connect_retries", "connect_retry_delay", "status_code_retries", "status_code_retry_delay",
		"access_key", "access_token_endpoint", "access_token_type", "auth_methods", "client_id", "consumer_key", "discovery_endpoint",
		"domain_id", "domain_name", "identity_provider", "identity_provider_url", "mutual_auth", "protocol", "redirect_uri",
		"scope", "service_provider_endpoint", "service_provider_entity_id", "system_scope", "admin_tenant_name", "admin_user",
	}
	for _, name := range plain {
		list = append(list, legacy{section: n, name: name})
	}
	secrets := []string{
		"access_secret", "access_token", "admin_password", "admin_token", "authorization_code",
		"client_secret", "code", "consumer_secret", "passcode",
	}
	for _, name := range secrets {
		list = append(list, legacy{section: n, name: name, secret: true})
	}
	return list
}

// logNames are oslo.log's options but debug, with their deprecated names.
func logNames() []string {
	return []string{
		"default_log_levels", "fatal_deprecations", "instance_format", "instance_uuid_format", "log_color", "log_config", "log_config_append",
		"log_date_format", "log_dir", "log_file", "log_format", "log_rotate_interval", "log_rotate_interval_type", "log_rotation_type", "logdir",
		"logfile", "logging_context_format_string", "logging_debug_format_suffix", "logging_default_format_string",
		"logging_exception_prefix", "logging_user_identity_format", "max_logfile_count", "max_logfile_size_mb", "publish_errors",
		"rate_limit_burst", "rate_limit_except_level", "rate_limit_interval", "syslog_log_facility", "use_eventlog", "use_journal",
		"use_json", "use_stderr", "use_syslog", "use_syslog_rfc_format", "verbose", "watch_log_file",
	}
}

// vethOnly refuses lists of drivers, by module or by name, with any but veth.
func vethOnly(value string, _ *loader) *fault {
	for driver := range strings.SplitSeq(value, ",") {
		driver = strings.TrimSpace(driver)
		last := driver[strings.LastIndexByte(driver, '.')+1:]
		if last != "" && last != "veth" {
			return unsupported("the driver %q is not supported by this version", last).withHint("leave it out: veth is used")
		}
	}
	return nil
}

// redacted returns what may be shown of an ignored option's value.
func (l legacy) redacted(value string) string {
	switch {
	case value == "":
		return ""
	case l.secret:
		return observe.Hidden
	}
	return redactURL(value)
}

// redactURL hides the credentials of a URL.
func redactURL(s string) string {
	scheme, rest, ok := strings.Cut(s, "://")
	if !ok {
		return s
	}
	authority, path := rest, ""
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		authority, path = rest[:i], rest[i:]
	}
	if i := strings.LastIndexByte(authority, '@'); i >= 0 {
		return scheme + "://" + observe.Hidden + authority[i:] + path
	}
	return s
}

// findLegacy returns the option of that name, in either spelling.
func findLegacy(list []legacy, section, name string) (legacy, bool) {
	name = canonical(name)
	i := slices.IndexFunc(list, func(l legacy) bool { return sameSection(l.section, section) && l.name == name })
	if i < 0 {
		return legacy{}, false
	}
	return list[i], true
}
