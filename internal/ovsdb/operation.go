package ovsdb

import (
	"errors"
	"fmt"
	"strings"

	"github.com/ovn-kubernetes/libovsdb/ovsdb"

	"kuryr/internal/courier"
)

// The words of OVSDB's protocol (RFC 7047) that this package speaks.

func named(name string) ovsdb.Condition {
	return ovsdb.NewCondition("name", ovsdb.ConditionEqual, name)
}

// holds is met by the bridge that has the port.
func holds(port string) ovsdb.Condition {
	return ovsdb.NewCondition("ports", ovsdb.ConditionIncludes, ovsdb.UUID{GoUUID: port})
}

// ours is met by Kuryr's interfaces.
func ours() ovsdb.Condition {
	return ovsdb.NewCondition("external_ids", ovsdb.ConditionIncludes, writeMap(map[string]string{keyOwner: owner}))
}

// bridgeExists fails a transaction unless there is such a bridge. To change
// one that isn't there would be no failure.
func bridgeExists(name string) ovsdb.Operation {
	now := 0
	return ovsdb.Operation{Op: ovsdb.OperationWait, Table: "Bridge", Timeout: &now, Until: string(ovsdb.WaitConditionEqual),
		Where: []ovsdb.Condition{named(name)}, Columns: []string{"name"}, Rows: []ovsdb.Row{{"name": name}}}
}

func selectBridge(name string, and ...ovsdb.Condition) ovsdb.Operation {
	return ovsdb.Operation{Op: ovsdb.OperationSelect, Table: "Bridge",
		Where: append(and, named(name)), Columns: []string{"datapath_type"}}
}

func readBridge(row ovsdb.Row) Bridge { return Bridge{Userspace: row["datapath_type"] == "netdev"} }

func changePorts(where ovsdb.Condition, how ovsdb.Mutator, port string) ovsdb.Operation {
	return ovsdb.Operation{Op: ovsdb.OperationMutate, Table: "Bridge", Where: []ovsdb.Condition{where},
		Mutations: []ovsdb.Mutation{{Column: "ports", Mutator: how, Value: ovsdb.UUID{GoUUID: port}}}}
}

func readUUID(v any) string {
	id, _ := v.(ovsdb.UUID)
	return id.GoUUID
}

func writeMap(m map[string]string) ovsdb.OvsMap {
	out := ovsdb.OvsMap{GoMap: make(map[any]any, len(m))}
	for k, v := range m {
		out.GoMap[k] = v
	}
	return out
}

func readMap(v any) map[string]string {
	m, _ := v.(ovsdb.OvsMap)
	out := make(map[string]string, len(m.GoMap))
	for k, v := range m.GoMap {
		key, _ := k.(string)
		out[key], _ = v.(string)
	}
	return out
}

// refusal is why the database refused a transaction.
type refusal struct{ what, details string }

// Error implements error.
func (r refusal) Error() string {
	if r.details == "" {
		return r.what
	}
	return r.what + ": " + r.details
}

// failed returns why a transaction wasn't carried out: for want of an answer
// (err), or by the answer.
func failed(results []ovsdb.OperationResult, err error) error {
	if err != nil {
		return err
	}
	// The last of the operations may be followed by why they could not be
	// committed.
	for _, r := range results {
		if r.Error != "" {
			return refusal{r.Error, r.Details}
		}
	}
	return nil
}

// taken reports whether err says that there is a row of that name already.
func taken(err error) bool {
	var r refusal
	return errors.As(err, &r) && r.what == "constraint violation" && strings.Contains(r.details, "index")
}

// because gives an error the words of the domain; nil stays nil.
func because(op, subject string, err error) error {
	if err == nil {
		return nil
	}
	e := &courier.Error{Kind: courier.KindOf(err), Op: op, Subject: subject, Hint: courier.HintOf(err), Err: err}
	var r refusal
	var cause *courier.Error
	switch {
	case errors.As(err, &r) && e.Kind == courier.Internal:
		e.Public = fmt.Sprintf("the Open vSwitch database refused it: %v", r)
	case errors.As(err, &cause):
		e.Public = cause.Public
		if cause.Kind == courier.Unavailable && cause.Op == "reach" {
			e.Public = cause.Subject + " can't be reached: " + cause.Public
		}
	}
	return e
}
