// Package api is the HTTP face of the embedded Neutron: the Networking API
// v2.0 as Neutron 21 speaks it, for the resources that package store models.
// It decodes, validates and encodes; what may be and what may not is the
// store's to say.
//
// Each resource has one table of attributes. From it follow what a request
// may contain, its defaults, what an answer contains, and by what a list can
// be filtered and sorted.
//
// Port security and security groups are there where the host enforces them.
// Elsewhere port_security_enabled is false and can only be set to false,
// security_groups is empty and can only be set to empty, and vif_details says
// port_filter false: nothing here claims a protection that is not there.
package api
