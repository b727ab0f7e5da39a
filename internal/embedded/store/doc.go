// Package store owns the state of the embedded Neutron and its rules: which
// networks, subnets, subnetpools and ports exist, which addresses and MAC
// addresses they hold, and what Neutron 21 would refuse. It knows no HTTP.
//
// All rows are kept in memory, in typed tables with the indexes that lists
// and rules need; rows are never changed in place, so a view handed out stays
// valid without a lock. One mutex guards the tables. Each change is written
// to one bbolt file; a call returns when its change, and every change that it
// could have seen, is on disk. Callers that write at the same time share one
// commit.
//
// What is not stored: whether a port is plugged (the kernel is asked at
// start) and how a port is bound (it follows from its host).
package store
