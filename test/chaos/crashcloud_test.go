//go:build openstack

package chaos

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"kuryr/internal/crash"
	"kuryr/internal/testkit"
	"kuryr/test/openstack/cloud"
)

// The southbound of this build: the lab's Keystone and Neutron, with ML2/OVN.
// Each operation has a compute host to itself, and leaves it as it was.

const (
	// crashWait bounds one operation with its crash and what follows at once.
	crashWait = 3 * time.Minute
	// crashQuiet is how long Kuryr has to pass no point to be taken for idle. It
	// may read from Neutron meanwhile, which takes 30 to 500 ms.
	crashQuiet = time.Second
	// crashQuieter is the same where a point is waited for that was passed before.
	crashQuieter = 2 * time.Second
	// crashAnswer is how long Neutron may take for an answer: until then Kuryr is
	// not idle.
	crashAnswer = 15 * time.Second
	// crashMoment is how long a check waits before what is left counts as left to
	// time: a network is gone after some requests.
	crashMoment = 4 * time.Second
	// crashSoon is how long what must be there may be missing after a start: OVN
	// has ports ACTIVE again after seconds.
	crashSoon = 30 * time.Second
	// crashPromise is Kuryr's: so long after everything is back nothing is left,
	// and the backlog is settled at the cloud's own pace.
	crashPromise = 60*time.Second + 60*time.Second
	// crashOnce has Kuryr killed once at a point that is passed several times.
	crashOnce = true
	// crashSpare is how many resources there are of which each trial needs another
	// one. A trial takes five seconds and more, and what it may leave to time a minute.
	crashSpare = 16
	// crashAgain is how often an operation is done again for which Neutron was too late.
	crashAgain = 3
	// crashPoll is how long a check waits before it looks again: each look is some
	// requests to Neutron, which has enough to do.
	crashPoll = 500 * time.Millisecond
)

// crashAsked tells whether some operation has to pass a point: those of which
// the cloud and its switch hear. Kuryr's journal, Docker's firewall and Linux
// bridges are the same on any Neutron.
func crashAsked(p crash.Point) bool {
	return crashOn("neutron", "ovsdb")(p)
}

// crashNever are effects that no operation here has, and why.
var crashNever = map[crash.Effect]string{
	crash.NeutronPostForwarding:   "no operation here has a floating IP",
	crash.NeutronDeleteForwarding: "no operation here has a floating IP",
}

// crashOperations are those that are another thing where Neutron is another
// process, slower, and has an agent on the host.
var crashOperations = []crashOperation{
	{name: "network create", at: crashOutside, setUp: func(l *crashLab) crashTrial {
		return l.networkCreate(func() *crashNetwork { return &crashNetwork{pools: []crashPool{{wish: l.cidr()}}} })
	}},
	{name: "network create of two families", at: crashOutside, setUp: func(l *crashLab) crashTrial {
		return l.networkCreate(func() *crashNetwork { return &crashNetwork{pools: []crashPool{{wish: l.cidr()}, {wish: l.cidr6()}}} })
	}},
	{name: "network rm", at: crashOutside, setUp: func(l *crashLab) crashTrial {
		return l.networkRemove(func() *crashNetwork { return &crashNetwork{pools: []crashPool{{wish: l.cidr()}, {wish: l.cidr6()}}} })
	}},
	{name: "container start", setUp: func(l *crashLab) crashTrial {
		return l.alone(l.containerStart)
	}},
	{name: "container stop", at: crashOutside, setUp: func(l *crashLab) crashTrial {
		return l.alone(l.containerStop)
	}},
	{name: "network connect", at: crashOutside, setUp: func(l *crashLab) crashTrial {
		return l.containerStart(l.carol(&l.bystander.network))
	}},
	{name: "network disconnect", at: crashOutside, setUp: func(l *crashLab) crashTrial {
		return l.containerStop(l.carol(&l.bystander.network))
	}},
	{name: "start of a container that exposes ports", at: crashOn("security-group", "PUT ports"), setUp: func(l *crashLab) crashTrial {
		return l.exposing(l.containerStart)
	}},
	{name: "stop of a container that exposes ports", lasts: 5 * time.Second, at: crashOn("security-group", "PUT ports"), setUp: func(l *crashLab) crashTrial {
		return l.exposing(l.containerStop)
	}},
	{name: "network create and rm on an existing network", at: crashOutside, setUp: (*crashLab).adoptedNetwork},
	{name: "start and stop with an existing port", at: crashOutside, setUp: (*crashLab).adoptedPort},
	{name: "port pool filled", pools: true, lonely: true, at: crashOutside, setUp: (*crashLab).poolFilled},
	{name: "container start from a port pool", pools: true, lonely: true, lasts: 3 * time.Second, at: crashOutside, setUp: (*crashLab).pooledStart},
	{name: "container stop into a port pool", pools: true, lonely: true, lasts: 4 * time.Second, at: crashOutside, setUp: (*crashLab).pooledStop},
	{name: "kuryr gc", at: crashOutside, setUp: (*crashLab).gc},
	{name: "kuryr reconcile", at: crashOutside, setUp: (*crashLab).reconcileSwitch},
	{name: "kuryr start", setUp: (*crashLab).kuryrStart},
	{name: "kuryr start in the middle of a network create", at: crashOutside, setUp: func(l *crashLab) crashTrial {
		return l.recovery(crash.NeutronPostSubnet.After(), l.networkCreate(func() *crashNetwork {
			return &crashNetwork{pools: []crashPool{{wish: l.cidr()}, {wish: l.cidr6()}}}
		}))
	}},
	{name: "kuryr start in the middle of a container start", at: crashOutside, setUp: func(l *crashLab) crashTrial {
		return l.recovery(crash.OVSInsert.After(), l.containerStart(l.carol(&l.bystander.network)))
	}},
}

// crashOutside chooses what Neutron, Open vSwitch and the kernel's links hear
// of. What is written to the journal between two of these is killed at where a
// container or Kuryr starts alone, and on the embedded Neutron everywhere.
func crashOutside(p crash.Point) bool {
	return crashOn("neutron", "ovsdb", "link add", "link alias", "link delete")(p)
}

// compute are the lab's compute hosts that no operation has at the moment: the
// one thing that operations share.
var compute struct {
	once sync.Once
	free chan string
}

// newCrashMachine takes a compute host, once one is free.
func newCrashMachine(t *testing.T) *testkit.Machine {
	t.Helper()
	lab, _ := cloud.NeedLab(t, cloud.Kuryr)
	if lab.Mechanism != cloud.OVN {
		t.Fatalf("the lab is up with %s, and these operations are ML2/OVN's: make openstack-down, make openstack-up", lab.Mechanism)
	}
	compute.once.Do(func() {
		compute.free = make(chan string, len(lab.Hosts))
		for _, h := range lab.Hosts {
			compute.free <- h
		}
	})
	name := <-compute.free
	t.Cleanup(func() { compute.free <- name })
	m, err := lab.Guest(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// settleOn makes o the options of a Kuryr on this southbound.
func (l *crashLab) settleOn(_ string, _ crashOperation, o *testkit.KuryrOptions) {
	l.t.Helper()
	lab, api := cloud.NeedLab(l.t, cloud.Kuryr)
	name := strings.TrimPrefix(l.machine.Name, cloud.Namespace(""))
	o.Name = "kuryr-" + name
	o.Cloud = lab.Southbound(name, l.machine, api.Token())
	// Hosts have security groups in common.
	l.exposes = 1000 * (1 + slices.Index(lab.Hosts, name))
	l.vsctl = func(args ...string) string {
		return l.run("ovs-vsctl", append([]string{"--db=" + o.Cloud.OVSDB}, args...)...)
	}
}

// dockersChains makes dockerd's chains, without dockerd, unless a dockerd has
// been there.
func (l *crashLab) dockersChains() {
	for _, tool := range []string{"iptables", "ip6tables"} {
		if _, err := l.machine.Output(l.t.Context(), tool, "-n", "-L", "DOCKER-USER"); err != nil {
			l.dockersChain(tool)
		}
	}
}

// promiseToLeave has all removed in the end that the lab has made for its
// trials, of which nothing may be left then.
func (l *crashLab) promiseToLeave() {
	empty, err := l.take(l.t.Context())
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { l.leave(empty) })
}

func (l *crashLab) leave(empty testkit.Inventory) {
	ctx, cancel := context.WithTimeout(context.Background(), crashPromise+crashWait)
	defer cancel()
	died, err := l.revive()
	if err == nil && !died && l.kuryr.Ended() { // a trial that failed may have killed it
		err = l.restart()
	}
	if err != nil {
		l.t.Errorf("in the end: %v", err)
	}
	for _, remove := range slices.Backward(l.stays) {
		if err := remove(ctx); err != nil {
			l.t.Errorf("in the end: %v", err)
		}
	}
	diff, err := l.kuryr.Left(ctx, empty, crashPromise)
	if err != nil || len(diff) > 0 {
		l.t.Errorf("%s after everything was removed, this is left (+) or missing (-): %v %q", crashPromise, err, diff)
	}
	if err := l.groupsGo(ctx); err != nil {
		l.t.Error(err)
	}
	for _, path := range slices.Backward(l.tenant) {
		if err := l.kuryr.Neutron.Delete(ctx, path); err != nil {
			l.t.Errorf("what was there before Kuryr is not there any more, or in use: %v", err)
		}
	}
}

// groupsGo waits until this host's security groups are gone, which an inventory
// of a cloud leaves out.
func (l *crashLab) groupsGo(ctx context.Context) error {
	for deadline := time.Now().Add(crashPromise); ; time.Sleep(500 * time.Millisecond) {
		groups, err := l.kuryr.Neutron.SecurityGroups(ctx)
		groups = slices.DeleteFunc(groups, func(g testkit.Resource) bool {
			return !strings.HasPrefix(g.Description, "kuryr:"+l.kuryr.Host+":")
		})
		if err == nil && len(groups) == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s after everything was removed there are security groups: %v %+v", crashPromise, err, groups)
		}
	}
}

// crashExtras has none: how a real engine behaves does not depend on the cloud.
func crashExtras(*testing.T, string) {}
