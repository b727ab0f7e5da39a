// Package config turns kuryr.conf, the environment and the command line into
// one typed Config.
//
// The file is in oslo.config's INI dialect and carries the option names of
// the Python kuryr-libnetwork, so that a host can switch without editing it.
// One table (options.go) names every option that has an effect: reading,
// defaults, flags, `kuryr config show` and docs/configuration.md all follow it.
// A second one (legacy.go) names those that lost their meaning, which are
// accepted with one warning, and those whose promise this version can't keep,
// which are refused.
//
// The package reads one file and nothing else: it keeps a cloud's name and
// never looks for the cloud, or opens a socket. Secrets are never part of an
// error, a warning or a Report.
package config
