// Package link makes and removes the kernel's interfaces: the pairs that carry
// attachments, and the Linux bridges that bindings plug them into. It is the
// only importer of the netlink library.
//
// It owns what an interface is (kind, names, MAC, MTU, alias, IPv6 settings),
// how interfaces are told apart from other programs', and the watch over them.
// It never gives an interface an address, never decides which bridge a link
// belongs to, and never starts a process.
//
// Every Links works in the network namespace that its New was called in, from
// whatever goroutine and thread it is used: netlink through sockets opened
// there, /proc/sys/net from a thread that is there.
//
// # Marks
//
// An interface is ours when its alias starts with courier.MarkPrefix. The
// kernel takes no alias in the request that makes an interface (it ignores
// IFLA_IFALIAS there, Linux 6.18), so that request sets an interface group of
// our own instead (ownGroup), and the alias is written last, once all settings
// are in force. So after a crash at any instant:
//
//   - group and alias: complete; kept or deleted as the alias says;
//   - the group and no alias: an interrupted Create, safe to finish or delete;
//   - neither: another program's, never touched.
//
// Right before pairs are removed they are in a second group (removalGroup), which
// means the same.
package link
