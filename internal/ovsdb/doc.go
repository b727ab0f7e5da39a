// Package ovsdb adds and removes ports of Open vSwitch's bridges, through the
// local database that ovs-vswitchd follows. It is the only importer of the
// OVSDB library, and starts no process.
//
// It owns the rows of Port and Interface that it makes, and how they are told
// apart from others'. It never changes a bridge but for its list of ports, and
// never deletes a row that isn't Kuryr's. It reads Bridge, Port and Interface,
// of these the few columns that it needs.
//
// # Marks
//
// An interface is ours when its external_ids say owner=kuryr, as those of the
// Python Kuryr do too. What this package makes carries courier.Mark besides,
// under the key "kuryr-mark": which host made it and why.
package ovsdb
