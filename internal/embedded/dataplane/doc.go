// Package dataplane is the embedded Neutron's layer 2 on this host. It stands
// where a real Neutron has its agents: it tells which ports are plugged, and
// puts security groups and port security in force on them.
//
// It adds and removes no interface: Kuryr's bindings plug the ports. What it
// enforces, it enforces in tables of nftables of its own (tableName), so that a
// drop there is final and what other programs' tables say stays as it is. Each
// change of the policy is one transaction; the tables outlive the process, and
// the next one takes them over. docs/decisions/0005-packet-filter.md says how
// the tables are built, and why.
//
//	policy.go   what the store tells
//	agent.go    the loop: policy, interfaces and the kernel's notices come in
//	filter.go   transactions, and what is in force
//	compile.go  a policy becomes a ruleset …
//	guard.go    … what a port may send (its own MAC, IP, ARP, ND; no RA)
//	shape.go    … rules of groups, as sets
//	kind.go     … and how the kernel tells the state of a flow
//	flows.go    flows that are no longer permitted
package dataplane
