// Package neutrontest holds what every Neutron must pass: the embedded one in
// process and over TCP, and a real one.
//
// Run is the acceptance suite of courier.Neutron. It asks for nothing but what
// that promises, and makes resources under marks of its own. RunAPI is the
// conformance suite of the API itself, in plain HTTP: a recorded session with a
// real Neutron, and more that was tried on one. Both remove what they made.
package neutrontest

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"kuryr/internal/courier"
)

// Options of the suite.
type Options struct {
	// Host is one on which Neutron can bind ports. Required.
	Host string
	// Timeout of each request. 0: a minute.
	Timeout time.Duration
	// KeepsAddresses says that a bulk of ports that failed may keep addresses,
	// as the real Neutron's does.
	KeepsAddresses bool
}

// Run runs the suite. open is called once for each test.
func Run(t *testing.T, open func(t *testing.T) courier.Neutron, o Options) {
	if o.Host == "" {
		t.Fatal("neutrontest: no host was given")
	}
	if o.Timeout == 0 {
		o.Timeout = time.Minute
	}
	for _, tt := range []struct {
		name string
		test func(*suite)
	}{
		{"network", (*suite).network},
		{"network in use", (*suite).networkInUse},
		{"marks", (*suite).marks},
		{"subnetpool", (*suite).subnetPool},
		{"subnetpool in use", (*suite).subnetPoolInUse},
		{"subnetpool with short prefixes", (*suite).shortPrefixes},
		{"tags", (*suite).tags},
		{"subnet", (*suite).subnet},
		{"subnet without gateway", (*suite).noGateway},
		{"allocation pools", (*suite).allocationPools},
		{"IPv6 subnet", (*suite).ipv6},
		{"same CIDR in two pools", (*suite).sameCIDRTwice},
		{"refused subnets", (*suite).refusedSubnets},
		{"port", (*suite).port},
		{"dual stack port", (*suite).dualStack},
		{"port with wishes", (*suite).wishes},
		{"port conflicts", (*suite).portConflicts},
		{"exhausted subnet", (*suite).exhausted},
		{"binding", (*suite).binding},
		{"statuses", (*suite).statuses},
		{"agents", (*suite).agents},
		{"bulk", (*suite).bulk},
		{"bulk all or nothing", (*suite).bulkAllOrNothing},
		{"port update", (*suite).portUpdate},
		{"ports at once", (*suite).portsAtOnce},
		{"one address wished by many", (*suite).oneAddressForMany},
		{"find", (*suite).find},
		{"find ports", (*suite).findPorts},
		{"tags of all kinds", (*suite).allTags},
		{"revisions", (*suite).revisions},
		{"security group", (*suite).securityGroup},
		{"open ports", (*suite).openPorts},
		{"security groups of ports", (*suite).groupsOfPorts},
		{"belongings", (*suite).belongings},
		{"what is gone", (*suite).gone},
		{"deadline", (*suite).deadline},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.test(&suite{T: t, n: open(t), o: o})
		})
	}
}

// suite is one test's view of a Neutron. Its helpers fail the test at the first
// error, and remove what they have made when it ends.
type suite struct {
	*testing.T
	n courier.Neutron
	o Options
}

func (s *suite) ctx() context.Context {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.Context()), s.o.Timeout)
	s.Cleanup(cancel)
	return ctx
}

// mark is a new one each time, of the host: a Kuryr that runs there would take
// what carries it for its own.
func (s *suite) mark() courier.Mark { return courier.Mark{Host: s.o.Host, Intent: uuid.NewString()} }

// check fails the test when err is not nil.
func (s *suite) check(err error) {
	s.Helper()
	if err != nil {
		s.Fatalf("%v (%v)", err, courier.KindOf(err))
	}
}

// want fails the test unless err is of this kind, and one line for a person.
func (s *suite) want(kind courier.Kind, err error) {
	s.Helper()
	if err == nil {
		s.Fatalf("no error, want %v", kind)
	}
	if got := courier.KindOf(err); got != kind {
		s.Errorf("%v: %v, want %v", err, got, kind)
	}
	if text := err.Error(); !strings.HasPrefix(text, "cannot ") || strings.ContainsAny(text, "\n{}") || len(text) > 600 {
		s.Errorf("not one line for a person: %s", text)
	}
}

// remove deletes when the test ends; what is gone by then is no error.
func (s *suite) remove(del func(context.Context) error) {
	s.Cleanup(func() {
		if err := del(s.ctx()); err != nil && courier.KindOf(err) != courier.NotFound {
			s.Errorf("clean-up: %v", err)
		}
	})
}

func (s *suite) makeNetwork() courier.Network {
	s.Helper()
	n, err := s.n.CreateNetwork(s.ctx(), courier.NetworkSpec{Name: "neutrontest", Mark: s.mark()})
	s.check(err)
	s.removeNetwork(n.ID)
	return n
}

func (s *suite) removeNetwork(id courier.NetworkID) {
	s.remove(func(ctx context.Context) error { return s.n.DeleteNetwork(ctx, id, courier.AnyRevision) })
}

// makePool comes before makeNetwork, since what was made last is removed first.
func (s *suite) makePool(prefix string, bits int) courier.SubnetPool {
	s.Helper()
	p, err := s.n.CreateSubnetPool(s.ctx(), courier.SubnetPoolSpec{
		Name: "neutrontest-" + prefix, Prefixes: []netip.Prefix{netip.MustParsePrefix(prefix)}, DefaultPrefixLen: bits, Mark: s.mark()})
	s.check(err)
	s.remove(func(ctx context.Context) error { return s.n.DeleteSubnetPool(ctx, p.ID) })
	return p
}

// makeSubnet makes one with a gateway at its first address.
func (s *suite) makeSubnet(n courier.NetworkID, cidr string) courier.Subnet {
	s.Helper()
	p := netip.MustParsePrefix(cidr)
	sub, err := s.n.CreateSubnet(s.ctx(), courier.SubnetSpec{
		Network: n, Name: "neutrontest", CIDR: p, Gateway: p.Addr().Next(), Mark: s.mark()})
	s.check(err)
	return sub
}

func (s *suite) makePort(spec courier.PortSpec) courier.Port {
	s.Helper()
	p, err := s.tryPort(spec)
	s.check(err)
	return p
}

func (s *suite) tryPort(spec courier.PortSpec) (courier.Port, error) {
	if spec.Mark == (courier.Mark{}) {
		spec.Mark = s.mark()
	}
	p, err := s.n.CreatePort(s.ctx(), spec)
	if err == nil {
		s.removePort(p.ID)
	}
	return p, err
}

func (s *suite) removePort(id courier.PortID) {
	s.remove(func(ctx context.Context) error { return s.n.DeletePort(ctx, id) })
}

// addresses tells a port's addresses in words.
func addresses(p courier.Port) string {
	var all []string
	for _, ip := range p.FixedIPs {
		all = append(all, ip.Address.String())
	}
	return strings.Join(all, " ")
}

// at wishes for one address on a subnet.
func at(sub courier.Subnet, address string) []courier.FixedIP {
	return []courier.FixedIP{{Subnet: sub.ID, Address: netip.MustParseAddr(address)}}
}

// poolOf names a subnetpool as what can be tagged.
func poolOf(id courier.SubnetPoolID) courier.Resource {
	return courier.Resource{Kind: courier.SubnetPoolResource, ID: string(id)}
}

// missing is a well-formed ID of nothing.
func missing[T ~string]() T { return T(uuid.NewString()) }

func (s *suite) equal(what string, got, want any) {
	s.Helper()
	if g, w := fmt.Sprint(got), fmt.Sprint(want); g != w {
		s.Errorf("%s: %s, want %s", what, g, w)
	}
}
