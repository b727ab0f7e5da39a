package crash

// Effects of the journal on its files.
const (
	// JournalAllocate makes the file longer, ahead of its tail.
	JournalAllocate Effect = "journal allocate"
	// JournalFrame writes a frame at the tail; no sync yet.
	JournalFrame Effect = "journal frame"
	// JournalSync brings the frames to the disk.
	JournalSync Effect = "journal sync"
	// JournalCut removes, at the start, a frame that was not written to its end.
	JournalCut Effect = "journal cut"
	// JournalNewFile writes the file that is to take the old one's place.
	JournalNewFile Effect = "journal new file"
	// JournalNewSync brings that file to the disk.
	JournalNewSync Effect = "journal new sync"
	// JournalRename puts it in place.
	JournalRename Effect = "journal rename"
	// JournalDirSync brings the change of names to the disk.
	JournalDirSync Effect = "journal directory sync"
)

// Effects of Kuryr's on a Neutron: its requests, by method and collection.
// (The client names them itself, by what it is about to send.)
const (
	NeutronPostNetwork      Effect = "neutron POST networks"
	NeutronDeleteNetwork    Effect = "neutron DELETE networks"
	NeutronPostSubnet       Effect = "neutron POST subnets"
	NeutronDeleteSubnet     Effect = "neutron DELETE subnets"
	NeutronPostSubnetPool   Effect = "neutron POST subnetpools"
	NeutronDeleteSubnetPool Effect = "neutron DELETE subnetpools"
	NeutronPostPort         Effect = "neutron POST ports"
	NeutronPutPort          Effect = "neutron PUT ports"
	NeutronDeletePort       Effect = "neutron DELETE ports"
	NeutronPostGroup        Effect = "neutron POST security-groups"
	NeutronDeleteGroup      Effect = "neutron DELETE security-groups"
	NeutronPostRule         Effect = "neutron POST security-group-rules"
	NeutronDeleteRule       Effect = "neutron DELETE security-group-rules"
	NeutronPostForwarding   Effect = "neutron POST port_forwardings"
	NeutronDeleteForwarding Effect = "neutron DELETE port_forwardings"
	NeutronPutTag           Effect = "neutron PUT tags"
	NeutronDeleteTag        Effect = "neutron DELETE tags"
)

// Effects on the kernel's interfaces.
const (
	// LinkAdd makes a pair, both ends down.
	LinkAdd Effect = "link add"
	// LinkIPv6 writes one of an interface's IPv6 settings.
	LinkIPv6 Effect = "link ipv6"
	// LinkAlias gives a pair its mark, which says that it is complete.
	LinkAlias Effect = "link alias"
	// LinkRepair puts right the MTU or the MAC of a pair that was there.
	LinkRepair Effect = "link repair"
	// LinkUp sets an interface up, or down where there is no filter.
	LinkUp Effect = "link up"
	// LinkDelete removes a pair.
	LinkDelete Effect = "link delete"
	// LinkGather moves pairs into the group that is removed next.
	LinkGather Effect = "link gather"
	// LinkDeleteGroup removes the pairs that are in it.
	LinkDeleteGroup Effect = "link delete group"
	// LinkChecksum has an interface's sender compute checksums.
	LinkChecksum Effect = "link checksum"
	// LinkFlows forgets flows of the connection tracking.
	LinkFlows Effect = "link flows"
	// LinkAdopt marks a pair that the Python Kuryr made.
	LinkAdopt Effect = "link adopt"
	// BridgeAdd makes a bridge, down.
	BridgeAdd Effect = "link bridge add"
	// BridgeMTU fixes its MTU.
	BridgeMTU Effect = "link bridge mtu"
	// BridgeFinish gives it its mark and sets it up.
	BridgeFinish Effect = "link bridge finish"
	// BridgeEnslave makes an interface its port.
	BridgeEnslave Effect = "link bridge enslave"
	// BridgeRelease takes the port off it.
	BridgeRelease Effect = "link bridge release"
	// BridgeDelete removes it.
	BridgeDelete Effect = "link bridge delete"
	// BridgeAdopt marks one that the Python Kuryr made.
	BridgeAdopt Effect = "link bridge adopt"
	// BridgeHandOver takes the mark off one that only the linuxbridge agent uses still.
	BridgeHandOver Effect = "link bridge hand over"
)

// Effects on Docker's firewall, and of executables that plug.
const (
	// BindingRules changes DOCKER-USER and FORWARD, in one transaction.
	BindingRules Effect = "binding rules"
	// BindingLegacyRule changes one rule of iptables-legacy.
	BindingLegacyRule Effect = "binding legacy rule"
	// BindingProgram runs an operator's executable for a vif_type.
	BindingProgram Effect = "binding program"
)

// Effects on Open vSwitch's database, each a transaction.
const (
	// OVSInsert makes a port.
	OVSInsert Effect = "ovsdb insert"
	// OVSName tells what ports are for that are there already.
	OVSName Effect = "ovsdb name"
	// OVSRemove removes ports.
	OVSRemove Effect = "ovsdb remove"
)

// Effects of the embedded Neutron.
const (
	// EmbeddedCommit writes transactions to its file.
	EmbeddedCommit Effect = "embedded commit"
	// EmbeddedFilter changes the packet filter, in one transaction.
	EmbeddedFilter Effect = "embedded filter"
	// EmbeddedFilterRemove removes the filter's tables.
	EmbeddedFilterRemove Effect = "embedded filter remove"
)

// Effects of the daemon on its sockets.
const (
	// DaemonStale removes the file of a socket that nobody serves.
	DaemonStale Effect = "daemon stale socket"
	// DaemonBind makes a socket's file.
	DaemonBind Effect = "daemon bind"
	// DaemonRestrict sets who may connect.
	DaemonRestrict Effect = "daemon restrict"
)

// Effects returns all effects.
func Effects() []Effect {
	return []Effect{
		JournalAllocate, JournalFrame, JournalSync, JournalCut, JournalNewFile, JournalNewSync, JournalRename, JournalDirSync,
		NeutronPostNetwork, NeutronDeleteNetwork, NeutronPostSubnet, NeutronDeleteSubnet, NeutronPostSubnetPool, NeutronDeleteSubnetPool,
		NeutronPostPort, NeutronPutPort, NeutronDeletePort, NeutronPostGroup, NeutronDeleteGroup, NeutronPostRule, NeutronDeleteRule,
		NeutronPostForwarding, NeutronDeleteForwarding, NeutronPutTag, NeutronDeleteTag,
		LinkAdd, LinkIPv6, LinkAlias, LinkRepair, LinkUp, LinkDelete, LinkGather, LinkDeleteGroup, LinkChecksum, LinkFlows, LinkAdopt,
		BridgeAdd, BridgeMTU, BridgeFinish, BridgeEnslave, BridgeRelease, BridgeDelete, BridgeAdopt, BridgeHandOver,
		BindingRules, BindingLegacyRule, BindingProgram,
		OVSInsert, OVSName, OVSRemove,
		EmbeddedCommit, EmbeddedFilter, EmbeddedFilterRemove,
		DaemonStale, DaemonBind, DaemonRestrict,
	}
}
