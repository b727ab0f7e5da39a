// Package daemon is the composition root: it makes the rooms, joins them, and
// owns the process's life from the state directory's lock to the last answer.
// It owns the sockets, their modes, the admin API and what it tells of health.
// It knows no rule of networks, ports or links; those are the rooms'.
//
// The Docker socket appears last, when everything that a past process held is
// restored, and goes first, before what is in flight is answered.
package daemon
