package main

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"slices"
	"time"

	"kuryr/internal/testkit"
)

// pair is two containers, each a namespace, on one bridge of a machine.
type pair struct {
	host       *testkit.Machine
	containers []*testkit.Machine
	ports      []string // IDs
	group      string   // of both ports
	server     net.Listener
	address    string
}

const (
	trafficPort = 5001
	streams     = 5        // of which the fastest counts: other work only ever makes one slower
	transfer    = 24 << 20 // bytes of each
	trips       = 400      // there and back, of which the median counts
)

func newPair(ctx context.Context, host *testkit.Machine) (*pair, error) {
	p := &pair{host: host}
	for range 2 {
		m, err := testkit.NewMachine(ctx)
		if err != nil {
			return nil, errors.Join(err, p.close(ctx))
		}
		p.containers = append(p.containers, m)
	}
	return p, nil
}

func (p *pair) close(ctx context.Context) (err error) {
	if p.server != nil {
		err = p.server.Close()
	}
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
			p.address = net.JoinHostPort(ip.Address, "5001")
			if _, err := c.Output(ctx, "ip", "addr", "add", ip.Address+"/8", "dev", "eth0"); err != nil {
				return err
			}
		}
	}
	_, err = c.Output(ctx, "ip", "link", "set", "eth0", "up")
	return err
}

// serve answers on the second container.
func (p *pair) serve(ctx context.Context) (err error) {
	if p.server, err = p.containers[1].Listen(ctx, "tcp4", p.address); err != nil {
		return err
	}
	go func() {
		for {
			c, err := p.server.Accept()
			if err != nil {
				return
			}
			go answer(c)
		}
	}()
	return nil
}

// answer takes streams, each a size and that many bytes, and tells with a byte
// that all has come.
func answer(c net.Conn) {
	defer c.Close()
	size := make([]byte, 8)
	for {
		if _, err := io.ReadFull(c, size); err != nil {
			return
		}
		if _, err := io.CopyN(struct{ io.Writer }{io.Discard}, c, int64(binary.BigEndian.Uint64(size))); err != nil {
			return
		}
		if _, err := c.Write(size[:1]); err != nil {
			return
		}
	}
}

// send sends a stream and waits until it has come.
func send(c net.Conn, size int, block []byte) (time.Duration, error) {
	return timed(func() error {
		if _, err := c.Write(binary.BigEndian.AppendUint64(nil, uint64(size))); err != nil {
			return err
		}
		for ; size > 0; size -= len(block) {
			if _, err := c.Write(block[:min(size, len(block))]); err != nil {
				return err
			}
		}
		_, err := io.ReadFull(c, make([]byte, 1))
		return err
	})
}

// measure sends streams, and then nothing but what they are told with, there
// and back.
func (p *pair) measure(ctx context.Context) (rate float64, trip time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	c, err := p.containers[0].Dial(ctx, "tcp4", p.address)
	if err != nil {
		return 0, 0, err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	block := make([]byte, 256<<10)
	for range streams {
		took, err := send(c, transfer, block)
		if err != nil {
			return 0, 0, err
		}
		rate = max(rate, transfer/1e6/took.Seconds())
	}
	var all []time.Duration
	for range trips {
		took, err := send(c, 0, block)
		if err != nil {
			return 0, 0, err
		}
		all = append(all, took)
	}
	slices.Sort(all)
	return rate, all[len(all)/2], nil
}
