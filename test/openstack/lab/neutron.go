package main

import (
	"context"
	"os"

	"kuryr/test/openstack/cloud"
)

const (
	// physicalNetwork is Neutron's name of the external network's switch.
	physicalNetwork = "physnet1"
	neutronPassword = "neutron-test"
)

func (l *lab) neutronSchema(ctx context.Context) error {
	files, err := l.neutronConf()
	if err != nil {
		return err
	}
	return l.schema(ctx, "neutron", append(append([]string{"neutron-db-manage"}, files...), "upgrade", "heads")...)
}

// neutron starts the Networking service.
func (l *lab) neutron(ctx context.Context) error {
	files, err := l.neutronConf()
	if err != nil {
		return err
	}
	err = l.start(daemon{name: "neutron", machine: cloud.Controller, args: append([]string{"neutron-server"}, files...)})
	if err != nil {
		return err
	}
	return l.ready(ctx, "neutron", func(ctx context.Context) error { return l.answers(ctx, cloud.NetworkURL) })
}

// neutronConf writes the configuration of server and agents, and returns it
// as arguments.
func (l *lab) neutronConf() ([]string, error) {
	if err := os.MkdirAll(l.path(cloud.Controller, "neutron"), 0o700); err != nil {
		return nil, err
	}
	var args []string
	for _, name := range []string{"neutron.conf", "ml2.ini"} {
		path, err := l.configure(name)
		if err != nil {
			return nil, err
		}
		args = append(args, "--config-file", path)
	}
	return args, nil
}
