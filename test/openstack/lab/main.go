// Command lab brings up a real Keystone and Neutron on this machine, for tests
// and for whoever wants to look at one, and takes it down again:
//
//	go run ./test/openstack/lab up [--mechanism ovn] [--hosts h1,h2] [--dir DIR]
//	go run ./test/openstack/lab status
//	go run ./test/openstack/lab down
//
// All of it runs in network namespaces of its own; the machine's network is
// not touched. It needs root, and the packages of test/openstack/packages.sh.
// Package cloud says where everything is; README.md beside it, how to use it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"kuryr/test/openstack/cloud"
)

// limit is how long a lab may take to come up, on a busy machine.
const limit = 8 * time.Minute

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(os.Stderr, "error:", err)
		}
		os.Exit(1)
	}
}

// lab is one that is being brought up, looked at or taken down.
type lab struct {
	*cloud.Lab
}

func run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return errors.New("say what to do: up, status or down")
	}
	flags := flag.NewFlagSet("lab "+args[0], flag.ContinueOnError)
	dir := flags.String("dir", cloud.DefaultDir, "the lab's `directory`: state, sockets, logs, clouds.yaml")
	mechanism := flags.String("mechanism", string(cloud.OVN), "how Neutron makes networks: ovn, ovs, ovs-hybrid or linuxbridge")
	hosts := flags.String("hosts", "h1,h2", "`names` of the compute hosts")
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("what is %q? Options begin with --", flags.Arg(0))
	}
	if args[0] == proxyCommand {
		return serveTLS(ctx, *dir)
	}
	if os.Geteuid() != 0 {
		return errors.New("the lab needs root, for its network namespaces")
	}
	l, err := newLab(*dir, cloud.Mechanism(*mechanism), strings.Split(*hosts, ","))
	if err != nil {
		return err
	}
	return l.do(ctx, args[0])
}

// do runs a command, one at a time.
func (l *lab) do(ctx context.Context, command string) error {
	actions := map[string]func(context.Context) error{"up": l.up, "down": l.down, "status": l.status}
	action, ok := actions[command]
	if !ok {
		return fmt.Errorf("no such command: %s (there are up, status and down)", command)
	}
	if command == "up" {
		if err := os.MkdirAll(l.Dir, 0o700); err != nil {
			return err
		}
	}
	unlock, err := lock(l.Dir)
	if err != nil {
		return err
	}
	defer unlock()
	return action(ctx)
}

// hostName is what may be part of the name of a namespace and of a link.
var hostName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,8}$`)

func newLab(dir string, m cloud.Mechanism, hosts []string) (*lab, error) {
	if !slices.Contains(cloud.Mechanisms, m) {
		return nil, fmt.Errorf("no such mechanism: %q (there are %v)", m, cloud.Mechanisms)
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	// The path of a Unix socket has 107 bytes at most.
	if len(dir) > 40 {
		return nil, fmt.Errorf("the path %s is too long for the sockets in it: 40 bytes at most", dir)
	}
	seen := map[string]bool{cloud.Controller: true, cloud.Outside: true, cloud.Fabric: true}
	for _, h := range hosts {
		if !hostName.MatchString(h) || seen[h] {
			return nil, fmt.Errorf("%q can't be the name of a host: a letter and up to 8 more letters, digits or -, and no name twice", h)
		}
		seen[h] = true
	}
	return &lab{&cloud.Lab{Dir: dir, Mechanism: m, Hosts: hosts}}, nil
}

// lock makes this the only command that works on the lab in dir.
func lock(dir string) (unlock func(), err error) {
	f, err := os.Open(dir)
	if errors.Is(err, os.ErrNotExist) {
		return func() {}, nil // there is nothing to work on
	} else if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("another command works on the lab in %s: %w", dir, err)
	}
	return func() { f.Close() }, nil
}
