package ovsdb

import (
	"context"

	"github.com/ovn-kubernetes/libovsdb/ovsdb"

	"kuryr/internal/courier"
	"kuryr/internal/crash"
)

// NamePort tells what a port of Kuryr's is for, as device_id names it. The port
// itself, and what goes through it, is not touched. One that is not there, or is
// another's, is left.
func (c *Client) NamePort(ctx context.Context, name string, id courier.PortID, device string) error {
	where := []ovsdb.Condition{named(name), isPort(id)}
	crash.Before(crash.OVSName)
	results, err := c.transact(ctx, setDevice("Interface", where, device), setDevice("Port", where, device))
	crash.After(crash.OVSName)
	return because("name", "port "+name, failed(results, err))
}

// isPort is met by Kuryr's rows for a port of Neutron's.
func isPort(id courier.PortID) ovsdb.Condition {
	return ovsdb.NewCondition("external_ids", ovsdb.ConditionIncludes, writeMap(map[string]string{keyOwner: owner, keyIfaceID: string(id)}))
}

// setDevice replaces the key in the rows of a table: to insert one that is there
// changes nothing.
func setDevice(table string, where []ovsdb.Condition, device string) ovsdb.Operation {
	return ovsdb.Operation{Op: ovsdb.OperationMutate, Table: table, Where: where, Mutations: []ovsdb.Mutation{
		{Column: "external_ids", Mutator: ovsdb.MutateOperationDelete, Value: ovsdb.OvsSet{GoSet: []any{keyDevice}}},
		{Column: "external_ids", Mutator: ovsdb.MutateOperationInsert, Value: writeMap(map[string]string{keyDevice: device})},
	}}
}
