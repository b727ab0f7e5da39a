package courier_test

import (
	"context"
	"net/netip"

	"kuryr/internal/courier"
)

func broken[T any](ctx context.Context, b *breaker, what string, f func() (T, error)) (T, error) {
	var out T
	err := b.do(ctx, what, func() (err error) { out, err = f(); return err })
	if err != nil {
		var zero T
		return zero, err
	}
	return out, nil
}

type brokenNeutron struct {
	n courier.Neutron
	b *breaker
}

func (x brokenNeutron) CreateNetwork(ctx context.Context, s courier.NetworkSpec) (courier.Network, error) {
	return broken(ctx, x.b, "create network", func() (courier.Network, error) { return x.n.CreateNetwork(ctx, s) })
}

func (x brokenNeutron) DeleteNetwork(ctx context.Context, id courier.NetworkID, revision int) error {
	return x.b.do(ctx, "delete network", func() error { return x.n.DeleteNetwork(ctx, id, revision) })
}

func (x brokenNeutron) DeleteSubnet(ctx context.Context, id courier.SubnetID, revision int) error {
	return x.b.do(ctx, "delete subnet", func() error { return x.n.DeleteSubnet(ctx, id, revision) })
}

func (x brokenNeutron) NetworksByTags(ctx context.Context, tags ...string) ([]courier.Network, error) {
	return broken(ctx, x.b, "list networks by tags", func() ([]courier.Network, error) { return x.n.NetworksByTags(ctx, tags...) })
}

func (x brokenNeutron) SubnetPoolsByTags(ctx context.Context, tags ...string) ([]courier.SubnetPool, error) {
	return broken(ctx, x.b, "list subnetpools by tags", func() ([]courier.SubnetPool, error) { return x.n.SubnetPoolsByTags(ctx, tags...) })
}

func (x brokenNeutron) SubnetsByTags(ctx context.Context, tags ...string) ([]courier.Subnet, error) {
	return broken(ctx, x.b, "list subnets by tags", func() ([]courier.Subnet, error) { return x.n.SubnetsByTags(ctx, tags...) })
}

func (x brokenNeutron) FindNetworks(ctx context.Context, r courier.Reference) ([]courier.Network, error) {
	return broken(ctx, x.b, "find network", func() ([]courier.Network, error) { return x.n.FindNetworks(ctx, r) })
}

func (x brokenNeutron) FindSubnets(ctx context.Context, r courier.Reference) ([]courier.Subnet, error) {
	return broken(ctx, x.b, "find subnet", func() ([]courier.Subnet, error) { return x.n.FindSubnets(ctx, r) })
}

func (x brokenNeutron) FindSubnetPools(ctx context.Context, r courier.Reference) ([]courier.SubnetPool, error) {
	return broken(ctx, x.b, "find subnetpool", func() ([]courier.SubnetPool, error) { return x.n.FindSubnetPools(ctx, r) })
}

func (x brokenNeutron) DefaultSubnetPools(ctx context.Context, f courier.Family) ([]courier.SubnetPool, error) {
	return broken(ctx, x.b, "find default subnetpool", func() ([]courier.SubnetPool, error) { return x.n.DefaultSubnetPools(ctx, f) })
}

func (x brokenNeutron) FindPorts(ctx context.Context, q courier.PortQuery) ([]courier.Port, error) {
	return broken(ctx, x.b, "find port", func() ([]courier.Port, error) { return x.n.FindPorts(ctx, q) })
}

func (x brokenNeutron) FindSecurityGroups(ctx context.Context, r []courier.Reference) ([]courier.SecurityGroup, error) {
	return broken(ctx, x.b, "find security groups", func() ([]courier.SecurityGroup, error) { return x.n.FindSecurityGroups(ctx, r) })
}

func (x brokenNeutron) FindQoSPolicies(ctx context.Context, r courier.Reference) ([]courier.QoSPolicy, error) {
	return broken(ctx, x.b, "find QoS policy", func() ([]courier.QoSPolicy, error) { return x.n.FindQoSPolicies(ctx, r) })
}

func (x brokenNeutron) Tag(ctx context.Context, r courier.Resource, tag string) error {
	return x.b.do(ctx, "tag "+string(r.Kind), func() error { return x.n.Tag(ctx, r, tag) })
}

func (x brokenNeutron) Untag(ctx context.Context, r courier.Resource, tag string) error {
	return x.b.do(ctx, "untag "+string(r.Kind), func() error { return x.n.Untag(ctx, r, tag) })
}

func (x brokenNeutron) SetTags(ctx context.Context, r courier.Resource, tags []string) error {
	return x.b.do(ctx, "set tags of "+string(r.Kind), func() error { return x.n.SetTags(ctx, r, tags) })
}

func (x brokenNeutron) NetworksByMark(ctx context.Context, m courier.Mark) ([]courier.Network, error) {
	return broken(ctx, x.b, "list networks", func() ([]courier.Network, error) { return x.n.NetworksByMark(ctx, m) })
}

func (x brokenNeutron) CreateSubnet(ctx context.Context, s courier.SubnetSpec) (courier.Subnet, error) {
	return broken(ctx, x.b, "create subnet", func() (courier.Subnet, error) { return x.n.CreateSubnet(ctx, s) })
}

func (x brokenNeutron) SubnetsOfNetwork(ctx context.Context, id courier.NetworkID) ([]courier.Subnet, error) {
	return broken(ctx, x.b, "list subnets", func() ([]courier.Subnet, error) { return x.n.SubnetsOfNetwork(ctx, id) })
}

func (x brokenNeutron) SubnetsOfNetworks(ctx context.Context, ids []courier.NetworkID) ([]courier.Subnet, error) {
	return broken(ctx, x.b, "list subnets of networks", func() ([]courier.Subnet, error) { return x.n.SubnetsOfNetworks(ctx, ids) })
}

func (x brokenNeutron) SubnetsOfPool(ctx context.Context, id courier.SubnetPoolID) ([]courier.Subnet, error) {
	return broken(ctx, x.b, "list subnets of pool", func() ([]courier.Subnet, error) { return x.n.SubnetsOfPool(ctx, id) })
}

func (x brokenNeutron) CreateSubnetPool(ctx context.Context, s courier.SubnetPoolSpec) (courier.SubnetPool, error) {
	return broken(ctx, x.b, "create subnetpool", func() (courier.SubnetPool, error) { return x.n.CreateSubnetPool(ctx, s) })
}

func (x brokenNeutron) DeleteSubnetPool(ctx context.Context, id courier.SubnetPoolID) error {
	return x.b.do(ctx, "delete subnetpool", func() error { return x.n.DeleteSubnetPool(ctx, id) })
}

func (x brokenNeutron) SubnetPoolsByMark(ctx context.Context, m courier.Mark) ([]courier.SubnetPool, error) {
	return broken(ctx, x.b, "list subnetpools", func() ([]courier.SubnetPool, error) { return x.n.SubnetPoolsByMark(ctx, m) })
}

func (x brokenNeutron) CreatePort(ctx context.Context, s courier.PortSpec) (courier.Port, error) {
	return broken(ctx, x.b, "create port", func() (courier.Port, error) { return x.n.CreatePort(ctx, s) })
}

func (x brokenNeutron) CreatePorts(ctx context.Context, s []courier.PortSpec) ([]courier.Port, error) {
	return broken(ctx, x.b, "create ports", func() ([]courier.Port, error) { return x.n.CreatePorts(ctx, s) })
}

func (x brokenNeutron) UpdatePort(ctx context.Context, id courier.PortID, u courier.PortUpdate) (courier.Port, error) {
	return broken(ctx, x.b, "update port", func() (courier.Port, error) { return x.n.UpdatePort(ctx, id, u) })
}

func (x brokenNeutron) DeletePort(ctx context.Context, id courier.PortID) error {
	return x.b.do(ctx, "delete port", func() error { return x.n.DeletePort(ctx, id) })
}

func (x brokenNeutron) PortsByMark(ctx context.Context, m courier.Mark) ([]courier.Port, error) {
	return broken(ctx, x.b, "list ports", func() ([]courier.Port, error) { return x.n.PortsByMark(ctx, m) })
}

func (x brokenNeutron) PortStatuses(ctx context.Context, ids []courier.PortID) (map[courier.PortID]string, error) {
	return broken(ctx, x.b, "list statuses", func() (map[courier.PortID]string, error) { return x.n.PortStatuses(ctx, ids) })
}

func (x brokenNeutron) AgentsOfHost(ctx context.Context, host string) ([]courier.Agent, error) {
	return broken(ctx, x.b, "list agents", func() ([]courier.Agent, error) { return x.n.AgentsOfHost(ctx, host) })
}

func (x brokenNeutron) CreateSecurityGroup(ctx context.Context, s courier.SecurityGroupSpec) (courier.SecurityGroup, error) {
	sent := context.WithoutCancel(ctx) // what is late does not depend on who waits for it
	return broken(ctx, x.b, "create group", func() (courier.SecurityGroup, error) { return x.n.CreateSecurityGroup(sent, s) })
}

func (x brokenNeutron) DeleteSecurityGroup(ctx context.Context, id courier.SecurityGroupID) error {
	return x.b.do(ctx, "delete group", func() error { return x.n.DeleteSecurityGroup(ctx, id) })
}

func (x brokenNeutron) SecurityGroupsByName(ctx context.Context, n string) ([]courier.SecurityGroup, error) {
	return broken(ctx, x.b, "find group", func() ([]courier.SecurityGroup, error) { return x.n.SecurityGroupsByName(ctx, n) })
}

func (x brokenNeutron) OpenPorts(ctx context.Context, id courier.SecurityGroupID, o []courier.Opening, m courier.Mark) error {
	return x.b.do(ctx, "create rules", func() error { return x.n.OpenPorts(ctx, id, o, m) })
}

func (x brokenNeutron) DeleteSecurityGroupRule(ctx context.Context, id courier.SecurityGroupRuleID) error {
	return x.b.do(ctx, "delete rule", func() error { return x.n.DeleteSecurityGroupRule(ctx, id) })
}

func (x brokenNeutron) PortSecurity(ctx context.Context, id courier.PortID) (courier.PortSecurity, error) {
	return broken(ctx, x.b, "show port", func() (courier.PortSecurity, error) { return x.n.PortSecurity(ctx, id) })
}

func (x brokenNeutron) SetSecurityGroups(ctx context.Context, was courier.PortSecurity, now []courier.SecurityGroupID) error {
	return x.b.do(ctx, "set groups", func() error { return x.n.SetSecurityGroups(ctx, was, now) })
}

func (x brokenNeutron) FloatingIPsByAddress(ctx context.Context, a netip.Addr) ([]courier.FloatingIPID, error) {
	return broken(ctx, x.b, "find floating IP", func() ([]courier.FloatingIPID, error) { return x.n.FloatingIPsByAddress(ctx, a) })
}

func (x brokenNeutron) PortForwardingsOf(ctx context.Context, id courier.FloatingIPID, p courier.PortID) ([]courier.PortForwarding, error) {
	return broken(ctx, x.b, "list forwardings", func() ([]courier.PortForwarding, error) { return x.n.PortForwardingsOf(ctx, id, p) })
}

func (x brokenNeutron) CreatePortForwarding(ctx context.Context, id courier.FloatingIPID, s courier.PortForwardingSpec) error {
	return x.b.do(ctx, "create forwarding", func() error { return x.n.CreatePortForwarding(ctx, id, s) })
}

func (x brokenNeutron) DeletePortForwarding(ctx context.Context, id courier.FloatingIPID, f courier.PortForwardingID) error {
	return x.b.do(ctx, "delete forwarding", func() error { return x.n.DeletePortForwarding(ctx, id, f) })
}

func (x brokenNeutron) NetworksOfHost(ctx context.Context, host string) ([]courier.Network, error) {
	return broken(ctx, x.b, "list a host's networks", func() ([]courier.Network, error) { return x.n.NetworksOfHost(ctx, host) })
}

func (x brokenNeutron) SubnetsOfHost(ctx context.Context, host string) ([]courier.Subnet, error) {
	return broken(ctx, x.b, "list a host's subnets", func() ([]courier.Subnet, error) { return x.n.SubnetsOfHost(ctx, host) })
}

func (x brokenNeutron) SubnetPoolsOfHost(ctx context.Context, host string) ([]courier.SubnetPool, error) {
	return broken(ctx, x.b, "list a host's subnetpools", func() ([]courier.SubnetPool, error) { return x.n.SubnetPoolsOfHost(ctx, host) })
}

func (x brokenNeutron) PortsOfHost(ctx context.Context, host string) ([]courier.Port, error) {
	return broken(ctx, x.b, "list a host's ports", func() ([]courier.Port, error) { return x.n.PortsOfHost(ctx, host) })
}

func (x brokenNeutron) PortsByID(ctx context.Context, ids []courier.PortID) ([]courier.Port, error) {
	return broken(ctx, x.b, "list ports by ID", func() ([]courier.Port, error) { return x.n.PortsByID(ctx, ids) })
}

func (x brokenNeutron) SecurityGroupsOfHost(ctx context.Context, host string) ([]courier.SecurityGroup, error) {
	return broken(ctx, x.b, "list a host's groups", func() ([]courier.SecurityGroup, error) { return x.n.SecurityGroupsOfHost(ctx, host) })
}

type brokenLinker struct {
	k *kernel
	b *breaker
}

func (x brokenLinker) Create(ctx context.Context, s courier.LinkSpec) error {
	return x.b.do(ctx, "create link", func() error { return x.k.Create(ctx, s) })
}

func (x brokenLinker) Up(ctx context.Context, l string) error {
	return x.b.do(ctx, "set link up", func() error { return x.k.Up(ctx, l) })
}

func (x brokenLinker) Delete(ctx context.Context, l string) error {
	return x.b.do(ctx, "delete link", func() error { return x.k.Delete(ctx, l) })
}

func (x brokenLinker) Adopt(ctx context.Context, l, alias string) error {
	return x.b.do(ctx, "adopt link", func() error { return x.k.Adopt(ctx, l, alias) })
}

func (x brokenLinker) Pairs(ctx context.Context) ([]courier.Pair, error) {
	return broken(ctx, x.b, "list links", func() ([]courier.Pair, error) { return x.k.Pairs(ctx) })
}

type brokenBinder struct {
	k *kernel
	b *breaker
}

func (x brokenBinder) Check(p courier.PortID, b courier.Binding) error { return x.k.Check(p, b) }

func (x brokenBinder) FailsOpen(b courier.Binding) bool { return x.k.FailsOpen(b) }

func (x brokenBinder) Bind(ctx context.Context, p courier.Plug) error {
	return x.b.do(ctx, "bind", func() error { return x.k.Bind(ctx, p) })
}

func (x brokenBinder) Unbind(ctx context.Context, p courier.Plug) error {
	return x.b.do(ctx, "unbind", func() error { return x.k.Unbind(ctx, p) })
}

func (x brokenBinder) Anonymous(b courier.Binding) bool { return x.k.Anonymous(b) }

func (x brokenBinder) Name(ctx context.Context, p courier.Plug) error {
	return x.b.do(ctx, "bind name", func() error { return x.k.Name(ctx, p) })
}

func (x brokenBinder) Dissolve(ctx context.Context, n courier.NetworkID, inherited bool) error {
	return x.b.do(ctx, "dissolve", func() error { return x.k.Dissolve(ctx, n, inherited) })
}

func (x brokenBinder) Unplugged(ctx context.Context, p []courier.Plug) ([]courier.Plug, error) {
	return broken(ctx, x.b, "look for unbound links", func() ([]courier.Plug, error) { return x.k.Unplugged(ctx, p) })
}

func (x brokenBinder) Plugged(ctx context.Context) ([]courier.Plug, error) {
	return broken(ctx, x.b, "list bound links", func() ([]courier.Plug, error) { return x.k.Plugged(ctx) })
}

type brokenJournal struct {
	j courier.Journal
	b *breaker
}

func (x brokenJournal) Load(ctx context.Context) ([]courier.Entry, error) { return x.j.Load(ctx) }

func (x brokenJournal) Write(ctx context.Context, e ...courier.Entry) error {
	return x.b.do(ctx, "journal", func() error { return x.j.Write(ctx, e...) })
}

func (x brokenJournal) Note(ctx context.Context, e ...courier.Entry) error {
	return x.b.do(ctx, "journal note", func() error { return x.j.Note(ctx, e...) })
}
