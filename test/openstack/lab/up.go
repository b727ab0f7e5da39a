package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"kuryr/test/openstack/cloud"
)

// mark is the file by which a directory is known as a lab's. It holds the boot
// in which the lab was made.
const mark = "boot"

// up brings the lab up. It does what is not done yet: an interrupted or failed
// up is taken up again by the next.
func (l *lab) up(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	began := time.Now()
	if err := installed(); err != nil {
		return err
	}
	if err := l.prepare(ctx); err != nil {
		return err
	}
	if err := follow(ctx, l.plan()); err != nil {
		return err
	}
	if err := l.Save(); err != nil {
		return err
	}
	say("up, with "+string(l.Mechanism), time.Since(began))
	fmt.Printf("\nexport OS_CLIENT_CONFIG_FILE=%s OS_CLOUD=%s\nnsenter --net=/run/netns/%s openstack network list\n",
		l.Clouds(), cloud.Kuryr.User, cloud.Namespace(cloud.Controller))
	return nil
}

// installed reports whether what the lab starts is there: one program of each package.
func installed() error {
	for _, p := range []string{"keystone-manage", "uwsgi", "mariadbd", "neutron-server", "ovn-northd", "ovn-controller", "ovs-vswitchd",
		"/usr/lib/rabbitmq/bin/rabbitmq-server", "neutron-openvswitch-agent", "neutron-linuxbridge-agent", "ethtool"} {
		if _, err := exec.LookPath(p); err != nil {
			return fmt.Errorf("%w; test/openstack/packages.sh installs it", err)
		}
	}
	return nil
}

// plan is all that there is to do.
func (l *lab) plan() []step {
	steps := []step{
		{"namespaces and links", nil, l.connect},
		{"certificates, TLS proxy", []string{"namespaces and links"}, l.tlsProxy},
		{"MariaDB", []string{"namespaces and links"}, l.database},
		{"Keystone's schema", []string{"MariaDB"}, l.keystoneSchema},
		{"Keystone", []string{"Keystone's schema"}, l.keystone},
		{"users, projects, catalog", []string{"Keystone", "certificates, TLS proxy"}, l.accounts},
		{"Neutron's schema", []string{"MariaDB"}, l.neutronSchema},
		{"Neutron", []string{"Neutron's schema"}, l.neutron},
		{"hosts", []string{"namespaces and links"}, l.hosts},
		{"hosts' agents alive", []string{"Neutron", "users, projects, catalog", "hosts"}, l.agentsAlive},
	}
	need := func(name, other string) {
		i := slices.IndexFunc(steps, func(s step) bool { return s.name == name })
		steps[i].after = append(steps[i].after, other)
	}
	if l.Mechanism == cloud.OVN {
		steps = append(steps,
			step{"OVN northd and databases", []string{"namespaces and links"}, l.ovnCentral},
			step{"external network", []string{"hosts' agents alive"}, l.externalNetwork})
		need("Neutron", "OVN northd and databases")
		need("hosts", "OVN northd and databases")
		return steps
	}
	steps = append(steps,
		step{"RabbitMQ", []string{"namespaces and links"}, l.rabbit},
		step{"agents", []string{"hosts", "Neutron"}, l.agents})
	need("Neutron", "RabbitMQ")
	need("hosts' agents alive", "agents")
	return steps
}

// prepare makes the directory. It refuses one that is not a lab's, and a lab
// of another kind.
func (l *lab) prepare(ctx context.Context) error {
	boot, err := bootID()
	if err != nil {
		return err
	}
	was, err := os.ReadFile(l.path(mark))
	switch {
	case errors.Is(err, os.ErrNotExist):
		if names, err := os.ReadDir(l.Dir); err != nil || len(names) > 0 {
			return errors.Join(err, fmt.Errorf("%s has something else in it; --dir names another directory", l.Dir))
		}
	case err != nil:
		return err
	case string(was) != boot:
		// The machine has been started anew: what is left is of no use.
		if err := l.clear(ctx); err != nil {
			return err
		}
	default:
		return l.same()
	}
	for _, d := range append(l.machines(), "done", "log", "pid", "conf", "tls") {
		if err := os.MkdirAll(l.path(d), 0o700); err != nil {
			return err
		}
	}
	if err := l.same(); err != nil {
		return err
	}
	return os.WriteFile(l.path(mark), []byte(boot), 0o600)
}

// same refuses to bring up in one directory first one kind of lab and then another.
func (l *lab) same() error {
	want := fmt.Sprintf("%s %v", l.Mechanism, l.Hosts)
	file := l.path("kind")
	b, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return os.WriteFile(file, []byte(want), 0o600)
	}
	if err == nil && string(b) != want {
		err = fmt.Errorf("a lab of another kind (%s) is in %s: take it down first", b, l.Dir)
	}
	return err
}

// down ends all that runs in the lab's namespaces and removes those and the
// directory. It can't be undone, and needs no lab that is whole.
func (l *lab) down(ctx context.Context) error {
	began := time.Now()
	if err := l.clear(ctx); err != nil {
		return err
	}
	if err := os.Remove(l.Dir); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	say("down", time.Since(began))
	return nil
}

// clear removes the lab, but for its empty directory.
func (l *lab) clear(ctx context.Context) error {
	if _, err := os.Stat(l.path(mark)); err != nil {
		names, readErr := os.ReadDir(l.Dir)
		if errors.Is(readErr, os.ErrNotExist) || readErr == nil && len(names) == 0 {
			return l.end(ctx)
		}
		return fmt.Errorf("%s is not a lab's directory: %w", l.Dir, errors.Join(err, readErr))
	}
	if err := l.end(ctx); err != nil {
		return err
	}
	names, err := os.ReadDir(l.Dir)
	if err != nil {
		return err
	}
	// The mark goes last: what is interrupted can be taken up again.
	slices.SortFunc(names, func(a, b os.DirEntry) int {
		switch {
		case a.Name() == mark:
			return 1
		case b.Name() == mark:
			return -1
		}
		return 0
	})
	for _, n := range names {
		if err := os.RemoveAll(filepath.Join(l.Dir, n.Name())); err != nil {
			return err
		}
	}
	return nil
}

// end ends the processes and removes the machines.
func (l *lab) end(ctx context.Context) error {
	if err := killAll(ctx); err != nil {
		return err
	}
	files, err := namespaces()
	if err != nil {
		return err
	}
	// An engine that somebody ran on a host leaves mounts, and containers in
	// namespaces of their own.
	for _, f := range files {
		name := strings.TrimPrefix(f, namespaceDir+cloud.Namespace(""))
		if err := l.Machine(name).Close(ctx); err != nil {
			return err
		}
	}
	return nil
}
