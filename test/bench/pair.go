package main

import (
	"context"
	"errors"
	"net"
	"strconv"

	"kuryr/internal/testkit"
)

// pair is two containers, each a namespace, on one bridge of a machine.
type pair struct {
	wire
	host       *testkit.Machine
	containers []*testkit.Machine
	ports      []string // IDs
	group      string   // of both ports
}

func newPair(ctx context.Context, host *testkit.Machine) (*pair, error) {
	p := &pair{host: host}
	for i := range p.ends {
		m, err := testkit.NewMachine(ctx)
		if err != nil {
			return nil, errors.Join(err, p.close(ctx))
		}
		p.containers, p.ends[i] = append(p.containers, m), m
	}
	return p, nil
}

func (p *pair) close(ctx context.Context) error {
	err := p.wire.close()
	for _, m := range p.containers {
		err = errors.Join(err, m.Close(ctx))
	}
	return err
}

// plug gives the containers ports of one group, which lets TCP in, and links
// to the network's bridge, named and marked as Kuryr does.
func (p *pair) plug(ctx context.Context, a *api) error {
	network, err := a.network(ctx)
	if err != nil {
		return err
	}
	group, _, err := a.create(ctx, "security_group", "security-groups", object{"name": "web"})
	if err != nil {
		return err
	}
	_, _, err = a.create(ctx, "security_group_rule", "security-group-rules", object{"security_group_id": group, "direction": "ingress",
		"ethertype": "IPv4", "protocol": "tcp", "port_range_min": trafficPort, "port_range_max": trafficPort})
	if err != nil {
		return err
	}
	p.group = group
	bridge := "brq" + network[:11]
	if err := p.ip(ctx, "link", "add", bridge, "group", ownGroup, "type", "bridge", "mcast_snooping", "0"); err != nil {
		return err
	}
	if err := p.ip(ctx, "link", "set", bridge, "up", "alias", "kuryr:"+network); err != nil {
		return err
	}
	for _, c := range p.containers {
		if err := p.plugOne(ctx, a, c, network, group, bridge); err != nil {
			return err
		}
	}
	return p.serve(ctx)
}

// ownGroup is the interface group of Kuryr's links (link.Group).
const ownGroup = "1802859129"

func (p *pair) ip(ctx context.Context, args ...string) error {
	_, err := p.host.Output(ctx, "ip", args...)
	return err
}

func (p *pair) plugOne(ctx context.Context, a *api, c *testkit.Machine, network, group, bridge string) error {
	var made struct {
		Port struct {
			ID       string
			MAC      string `json:"mac_address"`
			FixedIPs []struct {
				Address string `json:"ip_address"`
			} `json:"fixed_ips"`
		}
	}
	_, err := a.call(ctx, "POST", "ports", object{"port": object{
		"network_id": network, "security_groups": []string{group}, "binding:host_id": p.host.Name}}, &made)
	if err != nil {
		return err
	}
	p.ports = append(p.ports, made.Port.ID)
	tap := "tap" + made.Port.ID[:11]
	if err := p.ip(ctx, "link", "add", tap, "group", ownGroup, "type", "veth", "peer", "name", "eth0",
		"address", made.Port.MAC, "netns", c.Name); err != nil {
		return err
	}
	if err := p.ip(ctx, "link", "set", tap, "alias", "kuryr:"+made.Port.ID, "master", bridge, "up"); err != nil {
		return err
	}
	for _, ip := range made.Port.FixedIPs {
		if addr := net.ParseIP(ip.Address); addr.To4() != nil {
			p.address = net.JoinHostPort(ip.Address, strconv.Itoa(trafficPort))
			if _, err := c.Output(ctx, "ip", "addr", "add", ip.Address+"/8", "dev", "eth0"); err != nil {
				return err
			}
		}
	}
	_, err = c.Output(ctx, "ip", "link", "set", "eth0", "up")
	return err
}
