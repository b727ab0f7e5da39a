// Package identity is a minimal Keystone: the part of the Identity API v3 that
// a client needs to get from a clouds.yaml to the embedded Neutron. It issues
// tokens for a fixed list of users, shows the catalog, the projects and the
// users, and guards the Networking API.
//
// Users and projects have their names as IDs. Tokens live in memory: after a
// restart clients authenticate again, as they do when a token expires. There
// are no domains but "default", and nothing can be changed over the API.
package identity
