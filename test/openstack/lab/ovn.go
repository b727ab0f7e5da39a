package main

import (
	"context"
	"path/filepath"

	"kuryr/test/openstack/cloud"
)

// The two databases of OVN, for Neutron and for the hosts.
const (
	northbound = "tcp:" + cloud.ControllerAddress + ":6641"
	southbound = "tcp:" + cloud.ControllerAddress + ":6642"
)

// ovnCentral starts OVN's databases and northd, which translates between them.
func (l *lab) ovnCentral(ctx context.Context) error {
	dir := l.path(cloud.Controller, "ovn")
	for _, d := range []struct{ name, ctl, port string }{{"nb", "ovn-nbctl", "6641"}, {"sb", "ovn-sbctl", "6642"}} {
		socket := "unix:" + filepath.Join(dir, "ovn"+d.name+"_db.sock")
		if err := l.databaseServer(ctx, "ovn-"+d.name, cloud.Controller, filepath.Join(dir, d.name, "ovn.db"),
			"/usr/share/ovn/ovn-"+d.name+".ovsschema", "p"+socket, "ptcp:"+d.port+":"+cloud.ControllerAddress); err != nil {
			return err
		}
		if _, err := l.run(ctx, cloud.Controller, nil, d.ctl, "--timeout=60", "--db="+socket, "init"); err != nil {
			return err
		}
	}
	return l.start(daemon{name: "ovn-northd", machine: cloud.Controller, env: []string{"OVN_RUNDIR=" + dir, "OVS_RUNDIR=" + dir},
		args: []string{"ovn-northd", "--ovnnb-db=" + northbound, "--ovnsb-db=" + southbound, "--unixctl=" + filepath.Join(dir, "northd.ctl"), "-vconsole:warn"}})
}

// ovnController starts a host's controller, and waits until OVN knows the host
// as a chassis.
func (l *lab) ovnController(ctx context.Context, host string) error {
	const mappings, options = "ovn-bridge-mappings=" + physicalNetwork + ":br-ex", "ovn-cms-options=enable-chassis-as-gw"
	if err := l.vsctl(ctx, host, "set", "open", ".",
		"external-ids:ovn-remote="+southbound,
		"external-ids:ovn-encap-type=geneve",
		"external-ids:ovn-encap-ip="+l.TunnelAddress(host),
		"external-ids:ovn-bridge-datapath-type=netdev",
		"external-ids:ovn-monitor-all=true",
		"external-ids:"+mappings,
		"external-ids:"+options); err != nil {
		return err
	}
	name := "ovn-controller-" + host
	if err := l.start(daemon{name: name, machine: host, env: l.ovsEnv(host),
		args: []string{"ovn-controller", l.OVSDB(host), "-vconsole:warn"}}); err != nil {
		return err
	}
	// Neutron 21 reads of a chassis in external_ids what OVN 23.03 writes to
	// other_config only.
	return l.ready(ctx, name, func(ctx context.Context) error {
		_, err := l.run(ctx, cloud.Controller, nil, "ovn-sbctl", "--timeout=60", "--db="+southbound,
			"set", "chassis", host, "external_ids:"+mappings, "external_ids:"+options)
		return err
	})
}
