package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"

	"kuryr/test/openstack/cloud"
)

// hosts starts what every compute host has: with ML2/OVN and ML2/OVS an Open
// vSwitch of its own, with ML2/OVN its controller.
func (l *lab) hosts(ctx context.Context) error {
	if !l.Mechanism.UsesOVS() {
		return nil
	}
	return l.eachHost(func(host string) error {
		if err := l.openVSwitch(ctx, host); err != nil {
			return err
		}
		if l.Mechanism == cloud.OVN {
			return l.ovnController(ctx, host)
		}
		return l.vsctl(ctx, host, "--may-exist", "add-br", "br-int", "--", "set", "bridge", "br-int", "datapath_type=netdev", "fail-mode=secure")
	})
}

// eachHost calls f for all hosts at once.
func (l *lab) eachHost(f func(host string) error) error {
	errs := make([]error, len(l.Hosts))
	var all sync.WaitGroup
	for i, h := range l.Hosts {
		all.Go(func() {
			if err := f(h); err != nil {
				errs[i] = fmt.Errorf("%s: %w", h, err)
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

// openVSwitch starts the Open vSwitch of a host, with its userspace datapath:
// the kernel's may not be there.
func (l *lab) openVSwitch(ctx context.Context, host string) error {
	database := "ovsdb-" + host
	if err := l.databaseServer(ctx, database, host, filepath.Join(l.OVSDir(host), "conf.db"), "/usr/share/openvswitch/vswitch.ovsschema",
		"p"+l.OVSDB(host)); err != nil {
		return err
	}
	if err := l.vsctl(ctx, host, "--no-wait", "init", "--", "set", "open", ".",
		"external-ids:system-id="+host, "external-ids:hostname="+host, "external-ids:rundir="+l.OVSDir(host)); err != nil {
		return err
	}
	switchd := "vswitchd-" + host
	control := filepath.Join(l.OVSDir(host), "vswitchd.ctl")
	if err := l.start(daemon{name: switchd, machine: host, env: l.ovsEnv(host),
		args: []string{"ovs-vswitchd", l.OVSDB(host), "--unixctl=" + control, "-vconsole:warn"}}); err != nil {
		return err
	}
	if err := l.ready(ctx, switchd, func(ctx context.Context) error {
		_, err := l.run(ctx, host, nil, "ovs-appctl", "--timeout=5", "--target="+control, "version")
		return err
	}); err != nil {
		return err
	}
	return l.bridges(ctx, host)
}

// bridges makes the two that lead off the host. The userspace datapath needs
// the address of its tunnels on a bridge of its own kind.
func (l *lab) bridges(ctx context.Context, host string) error {
	for _, b := range [][2]string{{"br-tunnel", tunnelLink}, {"br-ex", externalLink}} {
		if err := l.vsctl(ctx, host, "--may-exist", "add-br", b[0], "--", "set", "bridge", b[0], "datapath_type=netdev",
			"--", "--may-exist", "add-port", b[0], b[1]); err != nil {
			return err
		}
	}
	return ipOn(ctx, host, "address replace "+l.TunnelAddress(host)+"/24 dev br-tunnel", "link set br-tunnel up", "link set br-ex up")
}

// databaseServer starts an ovsdb-server on a machine, and waits for it. Its
// sockets are beside its file.
func (l *lab) databaseServer(ctx context.Context, name, machine, file, schema string, remotes ...string) error {
	dir := filepath.Dir(file)
	err := l.once(name, func() error {
		if err := errors.Join(os.RemoveAll(file), os.MkdirAll(dir, 0o700)); err != nil {
			return err
		}
		_, err := l.run(ctx, machine, nil, "ovsdb-tool", "create", file, schema)
		return err
	})
	if err != nil {
		return err
	}
	args := []string{"ovsdb-server", file, "--unixctl=" + filepath.Join(dir, name+".ctl"), "-vconsole:warn"}
	for _, r := range remotes {
		args = append(args, "--remote="+r)
	}
	if err := l.start(daemon{name: name, machine: machine, env: []string{"OVS_RUNDIR=" + dir}, args: args}); err != nil {
		return err
	}
	return l.ready(ctx, name, func(ctx context.Context) error {
		c, err := (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(dir, name+".ctl"))
		if err != nil {
			return err
		}
		return c.Close()
	})
}

func (l *lab) vsctl(ctx context.Context, host string, args ...string) error {
	_, err := l.run(ctx, host, l.ovsEnv(host), append([]string{"ovs-vsctl", "--timeout=60", "--db=" + l.OVSDB(host)}, args...)...)
	return err
}

// ovsEnv has the programs of a host's Open vSwitch look for each other in its
// own directory.
func (l *lab) ovsEnv(host string) []string {
	return []string{"OVS_RUNDIR=" + l.OVSDir(host), "OVN_RUNDIR=" + l.OVSDir(host)}
}
