// Package observe sets up what tells an operator how Kuryr fares: the log and
// the names of its attributes, metrics (Prometheus) and traces (OpenTelemetry's
// API). It knows no other room, and has no state of its own: a logger is made
// once, in cli, a Telemetry once, in daemon, and handed down.
package observe
