// Package testkit is what Kuryr's tests stand on: pretended machines (a
// network namespace and a directory each) that run a Docker engine and a Kuryr
// of their own, a proxy that makes Neutron fail, and the check that nothing is
// left behind.
//
// It owns everything that it starts, and removes it; what an aborted run left
// is removed by the next one. It never touches the network, the Docker engine
// or the configuration of the machine that runs the tests. It needs root, and
// the programs that test/packages.sh installs.
package testkit
