package ovsdb

import (
	"context"
	"fmt"
	"maps"
	"strings"

	"github.com/ovn-kubernetes/libovsdb/ovsdb"

	"kuryr/internal/courier"
	"kuryr/internal/crash"
)

// Keys of external_ids. The first four are those that Nova sets (os-vif), and
// that Neutron's agent and OVN's controller look for; the fifth is the Python
// Kuryr's.
const (
	keyIfaceID     = "iface-id"
	keyIfaceStatus = "iface-status"
	keyMAC         = "attached-mac"
	keyDevice      = "vm-uuid"
	keyOwner       = "owner"
	keyMark        = "kuryr-mark"

	owner = "kuryr"
)

// Port is a port of a bridge, with the one interface of the same name.
type Port struct {
	Bridge string // not told by Ports
	Name   string // of the kernel's interface
	ID     courier.PortID
	MAC    courier.MAC // of the container's end
	Device string      // what the port is for, as device_id names it; Nova: the virtual machine
	Mark   courier.Mark
}

func (p Port) externalIDs() map[string]string {
	ids := map[string]string{
		keyIfaceID: string(p.ID), keyIfaceStatus: "active", keyMAC: p.MAC.String(),
		keyOwner: owner, keyMark: p.Mark.String(),
	}
	if p.Device != "" {
		ids[keyDevice] = p.Device
	}
	return ids
}

// Bridge is what is to be known of a bridge that a port was added to.
type Bridge struct {
	// Userspace tells that frames are carried by ovs-vswitchd itself
	// (datapath_type netdev), not by the kernel.
	Userspace bool
}

// AddPort adds a port to a bridge, and returns once ovs-vswitchd has made it.
// One that is there already is kept, another of that name is replaced if it is
// ours, and is a Conflict if it isn't. What fails leaves nothing.
func (c *Client) AddPort(ctx context.Context, p Port) (Bridge, error) {
	subject := fmt.Sprintf("port %s to bridge %s", p.Name, p.Bridge)
	if err := ctx.Err(); err != nil {
		return Bridge{}, because("add", subject, c.unreachable(err))
	}
	b, uuid, err := c.insert(ctx, p, nil)
	if taken(err) {
		b, uuid, err = c.insertOver(ctx, p)
	}
	if err == nil {
		err = c.wait(ctx, uuid)
	}
	if courier.KindOf(err) == courier.Unavailable {
		err = c.takeBack(ctx, p.Name, err)
	}
	if err != nil {
		return Bridge{}, because("add", subject, err)
	}
	return b, nil
}

// takeBack removes what a failed AddPort has, or may have, made. A request
// whose answer was not waited for takes effect all the same.
func (c *Client) takeBack(ctx context.Context, name string, why error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoPatience)
	defer cancel()
	if err := c.DeletePorts(ctx, name); err != nil && courier.KindOf(err) != courier.Conflict {
		return fmt.Errorf("%w (and it could not be taken back: %w)", why, err)
	}
	return why
}

// insertOver is insert where the name is taken.
func (c *Client) insertOver(ctx context.Context, p Port) (Bridge, string, error) {
	all, err := c.find(ctx, p.Name)
	if err != nil {
		return Bridge{}, "", err
	}
	if len(all) == 0 { // removed just now
		return c.insert(ctx, p, nil)
	}
	old := all[0]
	if !old.ours() {
		return Bridge{}, "", &courier.Error{Kind: courier.Conflict, Op: "add", Subject: "port " + p.Name,
			Public: "Open vSwitch has a port of that name already, which is not Kuryr's (external_ids:owner)",
			Hint:   "if nothing uses it any more, remove it with: ovs-vsctl del-port " + p.Name}
	}
	if old.says(p.externalIDs()) {
		results, err := c.transact(ctx, selectBridge(p.Bridge, holds(old.port)))
		if err := failed(results, err); err != nil {
			return Bridge{}, "", err
		}
		if len(results[0].Rows) == 1 {
			return readBridge(results[0].Rows[0]), old.iface, nil
		}
	}
	return c.insert(ctx, p, &old)
}

// insert makes the rows in one transaction, in which an old port goes.
func (c *Client) insert(ctx context.Context, p Port, old *found) (Bridge, string, error) {
	ids := writeMap(p.externalIDs())
	const portName, ifaceName = "newport", "newiface"
	ops := []ovsdb.Operation{
		bridgeExists(p.Bridge),
		selectBridge(p.Bridge),
		{Op: ovsdb.OperationInsert, Table: "Interface", UUIDName: ifaceName,
			Row: ovsdb.Row{"name": p.Name, "external_ids": ids}},
		{Op: ovsdb.OperationInsert, Table: "Port", UUIDName: portName,
			Row: ovsdb.Row{"name": p.Name, "external_ids": ids, "interfaces": ovsdb.UUID{GoUUID: ifaceName}}},
		// A mutation: to set the whole list would undo what others do meanwhile.
		changePorts(named(p.Bridge), ovsdb.MutateOperationInsert, portName),
	}
	if old != nil {
		ops = append(ops, old.removal())
	}
	crash.Before(crash.OVSInsert)
	results, err := c.transact(ctx, ops...)
	crash.After(crash.OVSInsert)
	if err := failed(results, err); err != nil {
		if len(results) > 0 && results[0].Error != "" {
			err = &courier.Error{Kind: courier.NotFound, Op: "find", Subject: "bridge " + p.Bridge,
				Public: "Open vSwitch has no bridge " + p.Bridge, Err: err,
				Hint: "see ovs-vsctl list-br; Neutron's agent, or OVN's controller, makes it ([ovs] integration_bridge where Neutron names none)"}
		}
		return Bridge{}, "", err
	}
	return readBridge(results[1].Rows[0]), results[2].UUID.GoUUID, nil
}

// DeletePorts removes ports by their names, all or none. Those that are gone
// are no error; with one that isn't ours it is a Conflict, and none goes.
func (c *Client) DeletePorts(ctx context.Context, names ...string) error {
	subject := "port " + strings.Join(names, ", ")
	all, err := c.find(ctx, names...)
	if err != nil {
		return because("remove", subject, err)
	}
	var ops []ovsdb.Operation
	for _, f := range all {
		if !f.ours() {
			return &courier.Error{Kind: courier.Conflict, Op: "remove", Subject: "port " + f.name + " from Open vSwitch",
				Public: "it is not Kuryr's (external_ids:owner)",
				Hint:   "if nothing uses it any more, remove it with: ovs-vsctl del-port " + f.name}
		}
		ops = append(ops, f.removal())
	}
	if len(ops) == 0 {
		return nil
	}
	crash.Before(crash.OVSRemove)
	defer crash.After(crash.OVSRemove)
	return because("remove", subject, failed(c.transact(ctx, ops...)))
}

// Ports returns all ports of Kuryr's, those of the Python Kuryr with a zero
// Mark.
func (c *Client) Ports(ctx context.Context) ([]Port, error) {
	results, err := c.transact(ctx, ovsdb.Operation{
		Op: ovsdb.OperationSelect, Table: "Interface", Columns: []string{"name", "external_ids"},
		Where: []ovsdb.Condition{ours()},
	})
	if err := failed(results, err); err != nil {
		return nil, because("list", "Kuryr's ports of Open vSwitch", err)
	}
	var ports []Port
	for _, row := range results[0].Rows {
		ids := readMap(row["external_ids"])
		p := Port{ID: courier.PortID(ids[keyIfaceID]), Device: ids[keyDevice]}
		p.Name, _ = row["name"].(string)
		p.MAC, _ = courier.ParseMAC(ids[keyMAC])
		p.Mark, _ = courier.ParseMark(ids[keyMark])
		ports = append(ports, p)
	}
	return ports, nil
}

// wait returns when ovs-vswitchd has made the interface, or why it hasn't.
func (c *Client) wait(ctx context.Context, uuid string) error {
	ctx, cancel := context.WithTimeout(ctx, switchPatience)
	defer cancel()
	for {
		s, err := c.session(ctx)
		if err != nil {
			return err
		}
		row, changed := s.row(uuid)
		if row.err != "" {
			return &courier.Error{Kind: courier.Unavailable, Op: "make", Subject: "the interface",
				Public: "ovs-vswitchd could not take it up: " + row.err,
				Hint:   "ovs-vswitchd has to run in the network namespace that kuryr runs in; see its log"}
		}
		if row.ofport > 0 {
			return nil
		}
		select {
		case <-changed:
		case <-s.over:
		case <-ctx.Done():
			return &courier.Error{Kind: courier.Unavailable, Op: "wait", Subject: "for ovs-vswitchd",
				Public: "ovs-vswitchd has not taken it up in time", Err: ctx.Err(),
				Hint: "see that ovs-vswitchd runs (ovs-appctl version), and its log"}
		}
	}
}

// found is a port, and the interface of its name, as the database has them.
type found struct {
	name        string
	port        string // UUIDs
	iface       string // "": there is none of the port's name
	externalIDs map[string]string
}

func (f found) ours() bool { return f.iface != "" && f.externalIDs[keyOwner] == owner }

// says reports whether the interface has all of ids; Neutron's agent and OVN's
// controller add some of their own.
func (f found) says(ids map[string]string) bool {
	have := maps.Clone(f.externalIDs)
	maps.Copy(have, ids)
	return maps.Equal(have, f.externalIDs)
}

// removal takes the port off its bridge. Rows that nothing refers to go by
// themselves; and a UUID is never given twice, so nobody else's port can go.
func (f found) removal() ovsdb.Operation {
	return changePorts(holds(f.port), ovsdb.MutateOperationDelete, f.port)
}

// find looks ports up by their names.
func (c *Client) find(ctx context.Context, names ...string) ([]found, error) {
	var ops []ovsdb.Operation
	for _, n := range names {
		where := []ovsdb.Condition{named(n)}
		ops = append(ops,
			ovsdb.Operation{Op: ovsdb.OperationSelect, Table: "Port", Where: where, Columns: []string{"_uuid", "interfaces"}},
			ovsdb.Operation{Op: ovsdb.OperationSelect, Table: "Interface", Where: where, Columns: []string{"_uuid", "external_ids"}})
	}
	results, err := c.transact(ctx, ops...)
	if err := failed(results, err); err != nil {
		return nil, err
	}
	var all []found
	for i, n := range names {
		ports, ifaces := results[2*i].Rows, results[2*i+1].Rows
		if len(ports) == 0 {
			continue
		}
		f := found{name: n, port: readUUID(ports[0]["_uuid"])}
		if len(ifaces) == 1 && readUUID(ports[0]["interfaces"]) == readUUID(ifaces[0]["_uuid"]) {
			f.iface, f.externalIDs = readUUID(ifaces[0]["_uuid"]), readMap(ifaces[0]["external_ids"])
		}
		all = append(all, f)
	}
	return all, nil
}
