// Package cli is the command line of kuryr: one file a subcommand. `serve` and
// `neutron` run the daemon's services in this process; the others read files
// or ask a running daemon through its admin socket.
//
// What a command was asked for goes to stdout. What a person should know goes
// to stderr, one line each: "error: …", below it "hint: …" where something
// helps, and "warning: …". No capital, no full stop. The exit code is 0, 1 when
// the command failed, 2 when it was not understood.
package cli
