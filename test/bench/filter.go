package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// The policy of the figures: as many ports, in groups with as many rules.
const (
	filterPorts  = 1000
	filterGroups = 50
	filterRules  = 10_000
)

// filter measures the packet filter under 1,000 ports and 10,000 rules.
func (b *bench) filter(ctx context.Context, rounds int) (err error) {
	pair, err := newPair(ctx, b.machine)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, pair.close(context.WithoutCancel(ctx))) }()
	dir := b.machine.Path("neutron-filter")
	n, err := openNeutron(b.machine, dir, true)
	if err != nil {
		return err
	}
	groups, err := n.policy(ctx, b.machine.Name)
	if err == nil {
		err = pair.plug(ctx, n.api)
	}
	if err == nil {
		err = b.changes(ctx, n, groups)
	}
	if err := errors.Join(err, n.close()); err != nil {
		return err
	}
	return b.traffic(ctx, pair, dir, rounds)
}

// policy makes the groups, their rules and the ports of a host; it returns the groups.
func (a *api) policy(ctx context.Context, host string) ([]string, error) {
	var groups []string
	for range filterGroups {
		group, _, err := a.create(ctx, "security_group", "security-groups", object{"name": "g"})
		if err != nil {
			return nil, err
		}
		groups = append(groups, group)
	}
	for i, group := range groups {
		var rules []object
		for r := range filterRules/filterGroups - 2 { // each has two of its own, for egress
			rules = append(rules, someRule(r, group, groups[(i+1)%len(groups)]))
		}
		if _, err := a.call(ctx, "POST", "security-group-rules", object{"security_group_rules": rules}, nil); err != nil {
			return nil, err
		}
	}
	network, err := a.network(ctx)
	if err != nil {
		return nil, err
	}
	for i := range filterGroups {
		port := object{"network_id": network, "security_groups": []string{groups[i]}, "binding:host_id": host}
		var ports []object
		for range filterPorts / filterGroups {
			ports = append(ports, port)
		}
		if _, err := a.call(ctx, "POST", "ports", object{"ports": ports}, nil); err != nil {
			return nil, err
		}
	}
	return groups, nil
}

// someRule is one of four kinds of rules.
func someRule(r int, group, other string) object {
	rule := object{"security_group_id": group, "direction": "ingress", "ethertype": "IPv4", "protocol": "tcp"}
	switch r % 4 {
	case 0:
		rule["port_range_min"], rule["port_range_max"] = 1000+r, 1000+r
	case 1:
		rule["remote_ip_prefix"] = fmt.Sprintf("172.16.0.%d/32", r)
	case 2:
		rule["protocol"], rule["remote_ip_prefix"] = "udp", "192.168.0.0/16"
		rule["port_range_min"], rule["port_range_max"] = 2000+r, 2100+r
	case 3:
		rule["ethertype"], rule["remote_group_id"] = "IPv6", other
		rule["port_range_min"], rule["port_range_max"] = 3000+r, 3000+r
	}
	return rule
}

// changes makes rules and ports, and waits each time until the kernel tells
// that another generation of rules is in force.
func (b *bench) changes(ctx context.Context, n *neutron, groups []string) error {
	kernel, err := b.watchRules()
	if err != nil {
		return err
	}
	defer kernel.Close()
	if err := settle(kernel, 500*time.Millisecond); err != nil {
		return err
	}
	var rule, port []time.Duration
	for i := range 20 {
		took, err := inForce(kernel, func() error {
			_, _, err := n.create(ctx, "security_group_rule", "security-group-rules", object{
				"security_group_id": groups[i], "direction": "ingress", "ethertype": "IPv4", "protocol": "tcp",
				"port_range_min": 5000 + i, "port_range_max": 5100 + i})
			return err
		})
		if err != nil {
			return err
		}
		rule = append(rule, took)
	}
	network, err := n.network(ctx)
	if err != nil {
		return err
	}
	for i := range 20 {
		took, err := inForce(kernel, func() error {
			_, _, err := n.create(ctx, "port", "ports", object{
				"network_id": network, "security_groups": []string{groups[i]}, "binding:host_id": b.machine.Name})
			return err
		})
		if err != nil {
			return err
		}
		port = append(port, took)
	}
	b.add(percentiles("a rule made until it is in force, 10,000 rules", "p50 < 100", rule))
	b.add(percentiles("a port made until its rules are in force, 10,000 rules", "p50 < 100", port))
	return nil
}

// watchRules listens to what changes in nftables on the machine.
func (b *bench) watchRules() (c *netlink.Conn, err error) {
	err = b.machine.Do(func() (err error) {
		if c, err = netlink.Dial(unix.NETLINK_NETFILTER, nil); err != nil {
			return err
		}
		return c.JoinGroup(unix.NFNLGRP_NFTABLES)
	})
	return c, err
}

// inForce is how long it takes from the request until rules have changed.
func inForce(kernel *netlink.Conn, change func() error) (time.Duration, error) {
	took, err := timed(func() error {
		if err := change(); err != nil {
			return err
		}
		return generation(kernel, 10*time.Second)
	})
	if err != nil {
		return took, err
	}
	return took, settle(kernel, 100*time.Millisecond)
}

// generation waits until a transaction of nftables is committed.
func generation(kernel *netlink.Conn, within time.Duration) error {
	if err := kernel.SetReadDeadline(time.Now().Add(within)); err != nil {
		return err
	}
	for {
		messages, err := kernel.Receive()
		if err != nil {
			return fmt.Errorf("no change of the rules was seen: %w", err)
		}
		for _, m := range messages {
			if m.Header.Type == unix.NFNL_SUBSYS_NFTABLES<<8|unix.NFT_MSG_NEWGEN {
				return nil
			}
		}
	}
}

// settle waits until nothing has changed for a while.
func settle(kernel *netlink.Conn, quiet time.Duration) error {
	for {
		if err := kernel.SetReadDeadline(time.Now().Add(quiet)); err != nil {
			return err
		}
		var timeout interface{ Timeout() bool }
		if _, err := kernel.Receive(); errors.As(err, &timeout) && timeout.Timeout() {
			return nil
		} else if err != nil && !errors.Is(err, unix.ENOBUFS) { // more than it could keep: it is about quiet only
			return err
		}
	}
}
