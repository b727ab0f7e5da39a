// Package neutron is the courier's Neutron over gophercloud, of which it is the
// only importer. It speaks to any server of the Networking API v2.0: a real
// Neutron over HTTP, or the embedded one through InProcess.
//
// It owns the translation of the courier's types to the API's and back, the
// kinds of errors that Neutron's answers mean, and the repetition of requests
// that only read. It keeps no state but a token, and never repeats a request
// that may have had an effect: what to do about a lost answer is the courier's
// to decide.
//
// With a Cloud it authenticates with Keystone. What a request passes on its way,
// one RoundTripper each: gate (the cloud was reached once), session (token and
// address), limit (requests in flight), wire (log), trust (TLS). Of all this
// the methods know nothing.
//
// Answers are not trusted: identifiers, addresses and sizes are checked before
// anything else in Kuryr sees them.
package neutron
