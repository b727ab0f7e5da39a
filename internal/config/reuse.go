package config

// reuseOptions are about what exists in Neutron already.
func reuseOptions() []Option {
	const section = "neutron"
	return []Option{{
		Section: section, Name: "allowed_options", Value: "NAMES", Default: "safe",
		Doc: "The `neutron.` options that users of Docker may give with `-o`, `--ipam-opt` and `--driver-opt`, with commas between them. " +
			"`neutron.port.*` stands for all that start so, `*` for all, and `safe` for all but those with which a container may send from addresses that " +
			"are not its own: `neutron.port.port_security` and `neutron.port.allowed_address_pairs`. What they name is looked up in Kuryr's own project and in what is shared with it.",
		field: func(c *Config) any { return &c.AllowedOptions }, check: optionPatterns,
	}, {
		Section: section, Name: "compat_tags", Value: "BOOLEAN", Default: "false",
		Doc:   "Write the tags of the Python Kuryr too, so that it can take this host over again. It costs a request for each container.",
		field: func(c *Config) any { return &c.CompatTags },
	}}
}
