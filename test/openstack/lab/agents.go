package main

import (
	"context"
	_ "embed"
	"errors"
	"os"
	"path/filepath"

	"kuryr/test/openstack/cloud"
)

const rabbitPassword = "rabbit-test"

// rabbit starts the broker between Neutron's server and its agents.
func (l *lab) rabbit(ctx context.Context) error {
	conf, err := l.configure("rabbitmq.conf")
	if err != nil {
		return err
	}
	home := l.path(cloud.Controller, "rabbitmq")
	if err := os.MkdirAll(home, 0o700); err != nil {
		return err
	}
	plugins := filepath.Join(home, "plugins")
	if err := os.WriteFile(plugins, []byte("[].\n"), 0o600); err != nil {
		return err
	}
	err = l.start(daemon{name: "rabbitmq", machine: cloud.Controller, args: []string{"/usr/lib/rabbitmq/bin/rabbitmq-server"},
		env: []string{"HOME=" + home, "RABBITMQ_NODENAME=lab@localhost", "RABBITMQ_CONFIG_FILE=" + conf,
			"RABBITMQ_MNESIA_BASE=" + filepath.Join(home, "mnesia"), "RABBITMQ_LOG_BASE=" + filepath.Join(home, "log"),
			"RABBITMQ_PID_FILE=" + filepath.Join(home, "pid"), "RABBITMQ_ENABLED_PLUGINS_FILE=" + plugins,
			// One scheduler that does not spin: the broker has little to do.
			"RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=+S 1:1 +sbwt none", "ERL_EPMD_ADDRESS=127.0.0.1"}})
	if err != nil {
		return err
	}
	return l.ready(ctx, "rabbitmq", func(ctx context.Context) error {
		c, err := l.Machine(cloud.Controller).Dial(ctx, "tcp", cloud.ControllerAddress+":5672")
		if err != nil {
			return err
		}
		return c.Close()
	})
}

// ebtables is a program in the place of the machine's own.
//
//go:embed bin/ebtables
var ebtables []byte

// agents starts the layer 2 agent of each host. They need the server's answer
// when they start, and wait long before they ask again.
func (l *lab) agents(context.Context) error {
	program, conf := "neutron-openvswitch-agent", "ovs-agent.ini"
	if l.Mechanism == cloud.LinuxBridge {
		program, conf = "neutron-linuxbridge-agent", "linuxbridge-agent.ini"
		bin := l.path(cloud.Controller, "bin")
		if err := errors.Join(os.MkdirAll(bin, 0o700), os.WriteFile(filepath.Join(bin, "ebtables"), ebtables, 0o700)); err != nil {
			return err
		}
	}
	return l.eachHost(func(host string) error {
		own, err := l.configureHost(conf, host)
		if err != nil {
			return err
		}
		d := daemon{name: "agent-" + host, machine: host, env: l.ovsEnv(host),
			args: []string{program, "--config-file", l.path("conf", "neutron.conf"), "--config-file", own}}
		if l.Mechanism == cloud.LinuxBridge {
			// It looks for links in /sys, which must be that of the host.
			d.args = append([]string{"ip", "netns", "exec", cloud.Namespace(host)}, d.args...)
			d.env = []string{"PATH=" + l.path(cloud.Controller, "bin") + ":" + path}
		}
		return l.start(d)
	})
}
