package chaos

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"kuryr/internal/courier"
	"kuryr/internal/journal"
	"kuryr/internal/testkit"
)

// Operations on what was there before Kuryr.

// existing makes a resource of Neutron's, and returns its ID.
func (l *crashLab) existing(path, kind string, f crashObject) string {
	l.t.Helper()
	var answer map[string]struct{ ID string }
	if err := l.kuryr.Neutron.Post(l.t.Context(), path, crashObject{kind: f}, &answer); err != nil {
		l.t.Fatal(err)
	}
	l.tenant = append(l.tenant, path+"/"+answer[kind].ID)
	return answer[kind].ID
}

// createAndRemove is both in one, so that Kuryr dies in either.
func (l *crashLab) createAndRemove(make func() *crashNetwork) crashTrial {
	return crashTrial{do: func(ctx context.Context) error {
		n := make()
		if err := l.engine.createNetwork(ctx, n); err != nil {
			return err
		}
		return l.engine.removeNetwork(ctx, n)
	}}
}

// adoptedNetwork uses a network and a subnet that are there, and adds a subnet.
// Each trial has a subnet of its own: a pool of its CIDR that a crash has left
// to time is waited for.
func (l *crashLab) adoptedNetwork() crashTrial {
	id := l.existing("networks", "network", crashObject{"name": "tenant"})
	for i := range crashSpare {
		l.existing("subnets", "subnet", crashObject{"network_id": id, "ip_version": 4, "cidr": fmt.Sprintf("10.200.%d.0/24", i)})
	}
	next := -1
	return l.createAndRemove(func() *crashNetwork {
		next = (next + 1) % crashSpare
		return &crashNetwork{options: crashObject{"neutron.net.uuid": id}, pools: []crashPool{{wish: fmt.Sprintf("10.200.%d.0/24", next)}, {wish: l.cidr6()}}}
	})
}

// commonNetwork is on one that another network of the engine's is on, too.
func (l *crashLab) commonNetwork() crashTrial {
	options := crashObject{"neutron.net.create_name": "blue-everywhere"}
	first := &crashNetwork{options: options, pools: []crashPool{{wish: l.cidr()}}}
	if err := l.engine.createNetwork(l.t.Context(), first); err != nil {
		l.t.Fatal(err)
	}
	l.staying(first)
	return l.createAndRemove(func() *crashNetwork {
		return &crashNetwork{options: options, pools: []crashPool{{wish: l.cidr()}}}
	})
}

// adoptedPort is a container with the address of a port that is there, another
// one in each trial: an address whose answer was lost is kept for its endpoint
// for a while.
func (l *crashLab) adoptedPort() crashTrial {
	id := l.existing("networks", "network", crashObject{"name": "tenant"})
	subnet := l.existing("subnets", "subnet", crashObject{"network_id": id, "ip_version": 4, "cidr": "10.200.0.0/24", "name": "tenant-4"})
	for i := range crashSpare {
		l.existing("ports", "port", crashObject{"network_id": id, "name": "mine",
			"fixed_ips": []crashObject{{"subnet_id": subnet, "ip_address": fmt.Sprintf("10.200.0.%d", 10+i)}}})
	}
	n := &crashNetwork{options: crashObject{"neutron.net.uuid": id}, pools: []crashPool{{wish: "10.200.0.0/24"}}}
	if err := l.engine.createNetwork(l.t.Context(), n); err != nil {
		l.t.Fatal(err)
	}
	l.staying(n)
	c, next := l.carol(n), -1
	return crashTrial{
		prepare: func(context.Context) error {
			next = (next + 1) % crashSpare
			c.address = fmt.Sprintf("10.200.0.%d", 10+next)
			return nil
		},
		do: func(ctx context.Context) error {
			if err := l.engine.start(ctx, c); err != nil {
				return err
			}
			return l.engine.stop(ctx, c)
		},
	}
}

// inherited is the removal of a container and a network that Kuryr knows by
// their names and tags only: the journal's entries and all marks are gone, as
// if the Python Kuryr had made them.
func (l *crashLab) inherited() crashTrial {
	c := l.carol(nil)
	return crashTrial{
		prepare: func(ctx context.Context) error {
			known, err := l.journaled(nil)
			if err != nil {
				return err
			}
			c.network = &crashNetwork{pools: []crashPool{{wish: l.cidr()}}}
			if err := l.engine.createNetwork(ctx, c.network); err != nil {
				return err
			}
			if err := l.engine.start(ctx, c); err != nil {
				return err
			}
			return l.forgetMarks(ctx, c, known)
		},
		do: func(ctx context.Context) error {
			return errors.Join(l.engine.stop(ctx, c), l.engine.removeNetwork(ctx, c.network))
		},
	}
}

// journaled returns the journal's entries but for some. Kuryr is restarted for that.
func (l *crashLab) journaled(but []courier.Entry) (entries []courier.Entry, err error) {
	err = l.withJournal(func(j *journal.Journal) error {
		entries, err = j.Load(l.t.Context())
		return err
	})
	return slices.DeleteFunc(entries, func(e courier.Entry) bool {
		return slices.ContainsFunc(but, func(known courier.Entry) bool { return known.ID == e.ID })
	}), err
}

// editJournal kills Kuryr, and works on the journal that it leaves.
func (l *crashLab) editJournal(work func(*journal.Journal) error) error {
	l.kuryr.Kill()
	j, err := journal.Open(l.machine.Path("state/journal/entries"), journal.Options{Log: discard(), MinGarbage: 1 << 40})
	if err != nil {
		return err
	}
	return errors.Join(work(j), j.Close())
}

// withJournal does the same, and starts Kuryr again.
func (l *crashLab) withJournal(work func(*journal.Journal) error) error {
	if err := l.editJournal(work); err != nil {
		return err
	}
	return l.restart()
}

// forgetMarks takes away what tells Kuryr's resources from the Python Kuryr's.
func (l *crashLab) forgetMarks(ctx context.Context, c *crashContainer, known []courier.Entry) error {
	ports := l.ports(ctx)
	i := slices.IndexFunc(ports, func(p testkit.Port) bool { return strings.HasPrefix(c.addresses[0], p.Addresses()+"/") })
	if i < 0 {
		return errors.New("the container's port is not to be found")
	}
	port := ports[i]
	subnets, err := l.kuryr.Neutron.Subnets(ctx, port.NetworkID)
	if err != nil {
		return err
	}
	marked := map[string]string{"ports/" + port.ID: "port", "networks/" + port.NetworkID: "network", "subnetpools/" + c.network.pools[0].id: "subnetpool"}
	for _, s := range subnets {
		marked["subnets/"+s.ID] = "subnet"
	}
	for path, kind := range marked {
		if err := l.kuryr.Neutron.Put(ctx, path, crashObject{kind: crashObject{"description": ""}}); err != nil {
			return err
		}
	}
	fresh, err := l.journaled(known)
	if err != nil {
		return err
	}
	return l.withJournal(func(j *journal.Journal) error {
		// Not before: a Kuryr that runs puts an alias back.
		for _, name := range []string{courier.HostEnd(courier.PortID(port.ID)), courier.BridgeName(courier.NetworkID(port.NetworkID))} {
			l.run("ip", "link", "set", name, "alias", "")
		}
		for i := range fresh {
			fresh[i].Data = nil
		}
		return j.Write(ctx, fresh...)
	})
}

// linkThere finds the container's link there already, unfinished and with
// another MTU and MAC: a crash may leave one half of it, an operator the other.
func (l *crashLab) linkThere() crashTrial {
	c := l.carol(&l.bystander.network)
	trial := l.containerStart(c)
	l.engine.reserved = func(ctx context.Context, c *crashContainer) error {
		if c.sandbox != l.machine.Name+"-carol" {
			return nil
		}
		for _, p := range l.ports(ctx) {
			if strings.HasPrefix(c.addresses[0], p.Addresses()+"/") {
				id := courier.PortID(p.ID)
				return l.engine.ip(ctx, []string{"link", "add", courier.HostEnd(id), "mtu", "1400", "group", strconv.Itoa(0x6b757279),
					"type", "veth", "peer", "name", courier.ContainerEnd(id), "mtu", "1400"})
			}
		}
		return errors.New("the reserved port is not to be found")
	}
	return trial
}
