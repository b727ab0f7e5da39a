package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"kuryr/test/openstack/cloud"
)

// Links of the machines: one a network.
const (
	managementLink = "mgmt0"
	tunnelLink     = "tun0"
	externalLink   = "ext0"
)

// cable joins a machine to a switch.
type cable struct {
	machine, link string
	addresses     []string // of the machine's end
	bridge        string   // the switch
}

// machines of the lab, all but the one with the switches.
func (l *lab) machines() []string {
	return append([]string{cloud.Controller, cloud.Outside}, l.Hosts...)
}

// cables of the lab.
func (l *lab) cables() []cable {
	all := []cable{
		{cloud.Controller, managementLink, []string{cloud.ControllerAddress + "/24"}, "management"},
		{cloud.Outside, externalLink, []string{cloud.OutsideAddress + "/24", cloud.OutsideAddress6 + "/64"}, "external"},
	}
	for _, h := range l.Hosts {
		tunnel := cable{h, tunnelLink, nil, "tunnels"}
		if !l.Mechanism.UsesOVS() {
			// An Open vSwitch has it on a bridge of its own.
			tunnel.addresses = []string{l.TunnelAddress(h) + "/24"}
		}
		all = append(all,
			cable{h, managementLink, []string{l.ManagementAddress(h) + "/24"}, "management"},
			tunnel,
			cable{h, externalLink, nil, "external"})
	}
	return all
}

// connect makes the namespaces, the switches and the cables between.
func (l *lab) connect(ctx context.Context) error {
	return l.once("network", func() error {
		if pids, err := processes(); err != nil || len(pids) > 0 {
			return errors.Join(err, fmt.Errorf("another lab runs on this machine (%d processes in the namespaces %s): take it down first",
				len(pids), cloud.Namespace("*")))
		}
		// What an interrupted up left.
		if err := disconnect(ctx); err != nil {
			return err
		}
		for _, m := range append(l.machines(), cloud.Fabric) {
			if err := ip(ctx, "netns add "+cloud.Namespace(m)); err != nil {
				return err
			}
			if err := ipOn(ctx, m, "link set lo up"); err != nil {
				return err
			}
		}
		for _, b := range []string{"management", "tunnels", "external"} {
			if err := ipOn(ctx, cloud.Fabric, "link add "+b+" type bridge", "link set "+b+" up"); err != nil {
				return err
			}
		}
		for i, c := range l.cables() {
			if err := l.plug(ctx, c, fmt.Sprintf("port%d", i)); err != nil {
				return err
			}
		}
		return nil
	})
}

// plug lays one cable, whose end at the switch has the name port.
func (l *lab) plug(ctx context.Context, c cable, port string) error {
	err := ipOn(ctx, cloud.Fabric,
		"link add "+port+" type veth peer name "+c.link+" netns "+cloud.Namespace(c.machine),
		"link set "+port+" master "+c.bridge+" up")
	if err != nil {
		return err
	}
	lines := []string{"link set " + c.link + " up"}
	for _, a := range c.addresses {
		line := "address add " + a + " dev " + c.link
		if strings.Contains(a, ":") {
			line += " nodad"
		}
		lines = append(lines, line)
	}
	if err := ipOn(ctx, c.machine, lines...); err != nil {
		return err
	}
	// Open vSwitch's userspace datapath passes packets on as they come, and
	// the kernel leaves checksums for a network card to fill in.
	_, err = l.run(ctx, c.machine, nil, "ethtool", "-K", c.link, "tx", "off")
	return err
}

// disconnect removes the namespaces, and with them all links.
func disconnect(ctx context.Context) error {
	names, err := namespaces()
	if err != nil {
		return err
	}
	for _, n := range names {
		if err := ip(ctx, "netns del "+filepath.Base(n)); err != nil {
			return err
		}
	}
	return nil
}

// namespaces lists the files of the lab's namespaces that there are.
func namespaces() ([]string, error) { return filepath.Glob(namespaceDir + cloud.Namespace("*")) }

const namespaceDir = "/run/netns/"

func ip(ctx context.Context, lines ...string) error { return batch(ctx, nil, lines) }

func ipOn(ctx context.Context, machine string, lines ...string) error {
	return batch(ctx, []string{"-n", cloud.Namespace(machine)}, lines)
}

func batch(ctx context.Context, flags, lines []string) error {
	cmd := exec.CommandContext(ctx, "ip", append(flags, "-batch", "-")...)
	cmd.Stdin = strings.NewReader(strings.Join(lines, "\n") + "\n")
	cmd.Env = environment
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("ip %s: %w: %s", strings.Join(lines, "; "), err, strings.TrimSpace(string(out)))
	}
	return nil
}

// bootID tells one run of the kernel from the next: namespaces and processes
// do not outlive it.
func bootID() (string, error) {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(b)), err
}
