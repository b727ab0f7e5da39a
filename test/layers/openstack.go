package main

import (
	"context"
	"os"

	"kuryr/test/openstack/cloud"
)

// openstack tests on the lab that is up. The conformance suites run on every
// mechanism. Of the Docker suite ML2/OVN gets all there is; the others differ
// from it in how a port is plugged, and the lab has no router on them: there
// ports are made, plugged, secured and reached, on one host and across hosts.
func openstack(ctx context.Context) (result, error) {
	lab, err := cloud.Open(cloud.DefaultDir)
	if err != nil {
		return result{}, err
	}
	// The suites look for the lab that this variable names.
	if err := os.Setenv(cloud.Variable, lab.Dir); err != nil {
		return result{}, err
	}
	docker := []string{"-timeout=25m", "-tags=openstack", "./test/docker"}
	if lab.Mechanism != cloud.OVN {
		docker = append(docker, "-run="+plugging)
	}
	proof, err := goTest(ctx, "-timeout=25m", "./test/openstack/...")
	if err != nil || !proof.ok() {
		return proof, err // nothing works on a lab that doesn't
	}
	containers, err := goTest(ctx, docker...)
	return proof.and(containers), err
}

// plugging names the tests of test/docker that every mechanism passes.
const plugging = "^(TestTwoHosts|TestPortMatchesContainer|TestDualStack|TestConnectDisconnect|TestRestartFixed|TestSecurityGroups|TestSpoofedSource)$"
