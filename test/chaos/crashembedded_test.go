//go:build !openstack

package chaos

import (
	"testing"
	"time"

	"kuryr/internal/crash"
	"kuryr/internal/testkit"
)

// The southbound of this build: the embedded Neutron of each Kuryr.

const (
	// crashWait bounds one operation with its crash and what follows at once.
	crashWait = 60 * time.Second
	// crashQuiet is how long Kuryr has to pass no point to be taken for idle:
	// nothing that is to follow waits for longer, but for what lingers or expires.
	crashQuiet = 50 * time.Millisecond
	// crashQuieter is the same where a point is waited for that was passed before.
	crashQuieter = 500 * time.Millisecond
	// crashMoment is how long a check waits before what is left counts as left to
	// time: most of what a crash leaves goes within milliseconds of the start.
	crashMoment = 400 * time.Millisecond
	// crashSoon is how long what must be there may be missing after a start.
	crashSoon = 10 * time.Second
	// crashPromise is Kuryr's: so long after everything is back nothing is left.
	// Some more for a busy machine.
	crashPromise = 60*time.Second + 15*time.Second
	// crashLost is how long Kuryr looks for what a request may have made whose
	// answer it did not live to hear: these take effect at once, or not at all.
	crashLost = "lost_request_timeout = 5\n"
	// crashAnswer is how long Neutron may take for an answer: until then Kuryr is
	// not idle.
	crashAnswer = crashQuiet
	// crashOnce has Kuryr killed once at a point that is passed several times.
	crashOnce = false
	// crashAgain is how often an operation is done again for which Neutron was too
	// late: never, since it is a process on this machine that does little else.
	crashAgain = 0
	// crashPoll is how long a check waits before it looks again.
	crashPoll = 50 * time.Millisecond
	// crashSpare is how many resources there are of which each trial needs another one.
	crashSpare = 200
)

// crashAsked tells whether some operation has to pass a point.
func crashAsked(crash.Point) bool { return true }

// newCrashMachine makes a machine for a lab.
func newCrashMachine(t *testing.T) *testkit.Machine {
	t.Helper()
	m, err := testkit.NewMachine(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// dockersChains makes dockerd's chains, without dockerd.
func (l *crashLab) dockersChains() {
	for _, tool := range []string{"iptables", "ip6tables"} {
		l.dockersChain(tool)
	}
}

// settleOn makes o the options of a Kuryr on this southbound.
func (l *crashLab) settleOn(binary string, op crashOperation, o *testkit.KuryrOptions) {
	o.Config = crashLost + o.Config
	if op.ovs == nil {
		return
	}
	l.ovs = l.newCrashSwitch(binary, op.ovs, o)
	l.vsctl = l.ovs.ovs.VSCtl
}

// promiseToLeave has nothing to do: machine and Neutron go with the lab.
func (l *crashLab) promiseToLeave() {}

// crashExtras are crashes of another kind, beside those of the operations.
func crashExtras(t *testing.T, binary string) {
	t.Run("under Docker", func(t *testing.T) {
		t.Parallel()
		crashUnderDocker(t, binary)
	})
}

// crashNever are effects that no operation here has, and why.
var crashNever = map[crash.Effect]string{
	crash.NeutronPostForwarding:   "the embedded Neutron has no floating IPs",
	crash.NeutronDeleteForwarding: "the embedded Neutron has no floating IPs",
	crash.BindingProgram:          "the embedded Neutron binds no vif_type that an executable is for; internal/binding's tests run one",
	crash.BridgeRelease:           "a link is deleted before it would be unplugged; this is for one that somebody put back",
}

var crashOperations = []crashOperation{
	{name: "network create", setUp: func(l *crashLab) crashTrial {
		return l.networkCreate(func() *crashNetwork { return &crashNetwork{pools: []crashPool{{wish: l.cidr()}}} })
	}},
	{name: "network create of two families", setUp: func(l *crashLab) crashTrial {
		return l.networkCreate(func() *crashNetwork { return &crashNetwork{pools: []crashPool{{wish: l.cidr()}, {wish: l.cidr6()}}} })
	}},
	{name: "network rm", setUp: func(l *crashLab) crashTrial {
		return l.networkRemove(func() *crashNetwork { return &crashNetwork{pools: []crashPool{{wish: l.cidr()}, {wish: l.cidr6()}}} })
	}},
	{name: "container start", setUp: func(l *crashLab) crashTrial {
		return l.alone(l.containerStart)
	}},
	{name: "container stop", setUp: func(l *crashLab) crashTrial {
		return l.alone(l.containerStop)
	}},
	{name: "stop of several containers", at: crashOn("gather", "delete group"), setUp: (*crashLab).severalStop},
	{name: "network connect", setUp: func(l *crashLab) crashTrial {
		return l.containerStart(l.carol(&l.bystander.network))
	}},
	{name: "network disconnect", setUp: func(l *crashLab) crashTrial {
		return l.containerStop(l.carol(&l.bystander.network))
	}},
	{name: "container restart", setUp: func(l *crashLab) crashTrial {
		return l.containerRestart(l.carol(&l.bystander.network))
	}},
	{name: "network rm right after its container", setUp: (*crashLab).networkRemoveAfter},
	{name: "bridge without ports", lasts: 7 * time.Second, at: crashOn("bridge delete", "binding"), setUp: (*crashLab).idleBridge},
	{name: "start of a container that exposes ports", lasts: time.Second, setUp: func(l *crashLab) crashTrial {
		return l.exposing(l.containerStart)
	}},
	{name: "stop of a container that exposes ports", lasts: 4 * time.Second, at: crashOn("security-group", "PUT ports"), setUp: func(l *crashLab) crashTrial {
		return l.exposing(l.containerStop)
	}},
	{name: "network create and rm on an existing network", setUp: (*crashLab).adoptedNetwork},
	{name: "network create and rm on a common network", setUp: (*crashLab).commonNetwork},
	{name: "start and stop with an existing port", at: crashButOn("bridge", "binding"), setUp: (*crashLab).adoptedPort},
	{name: "network create with tags", config: compatConfig, setUp: func(l *crashLab) crashTrial {
		return l.networkCreate(func() *crashNetwork { return &crashNetwork{pools: []crashPool{{wish: l.cidr()}}} })
	}},
	{name: "container start with tags", config: compatConfig, at: crashOn("tags"), setUp: func(l *crashLab) crashTrial {
		return l.containerStart(l.carol(&l.bystander.network))
	}},
	{name: "stop of what the Python Kuryr started", config: compatConfig, at: crashOn("adopt", "tags", "DELETE", "bridge delete"), setUp: (*crashLab).inherited},
	{name: "start over a link that is there", at: crashOn("link"), setUp: (*crashLab).linkThere},
	{name: "container start beside iptables-legacy", at: crashOn("binding"), setUp: (*crashLab).legacyStart},
	{name: "stop of the only container", lonely: true, lasts: 7 * time.Second, at: crashOn("filter remove"), setUp: func(l *crashLab) crashTrial {
		return l.alone(l.containerStop)
	}},
	{name: "stop beside the linuxbridge agent", lonely: true, lasts: 7 * time.Second, at: crashOn("hand over"), setUp: (*crashLab).agentStop},
	{name: "network create and rm with tags on an existing network", config: compatConfig, at: crashOn("tags"), setUp: (*crashLab).adoptedNetwork},
	{name: "container start on Open vSwitch", ovs: crashPlain, at: crashOn("link", "ovsdb"), setUp: func(l *crashLab) crashTrial {
		return l.containerStart(l.carol(&l.bystander.network))
	}},
	{name: "container stop on Open vSwitch", ovs: crashPlain, setUp: func(l *crashLab) crashTrial {
		return l.containerStop(l.carol(&l.bystander.network))
	}},
	{name: "container start with a hybrid plug", ovs: crashHybrid, at: crashOn("link", "ovsdb", "binding"), setUp: func(l *crashLab) crashTrial {
		return l.containerStart(l.carol(&l.bystander.network))
	}},
	{name: "container stop with a hybrid plug", ovs: crashHybrid, setUp: func(l *crashLab) crashTrial {
		return l.containerStop(l.carol(&l.bystander.network))
	}},
	{name: "port pool filled", pools: true, lonely: true, lasts: time.Second, setUp: (*crashLab).poolFilled},
	{name: "container start from a port pool", pools: true, lonely: true, lasts: 2 * time.Second, setUp: (*crashLab).pooledStart},
	{name: "container start from a port pool on Open vSwitch", pools: true, lonely: true, lasts: 2 * time.Second, ovs: crashPlain, at: crashOn("ovsdb name"), setUp: (*crashLab).pooledStart},
	{name: "container stop into a port pool", pools: true, lonely: true, lasts: 3 * time.Second, setUp: (*crashLab).pooledStop},
	{name: "kuryr gc", at: crashOn("link", "bridge", "filter"), setUp: (*crashLab).gc},
	{name: "kuryr gc on Open vSwitch", ovs: crashPlain, setUp: (*crashLab).gc},
	{name: "kuryr reconcile", setUp: (*crashLab).reconcileBridge},
	{name: "kuryr reconcile on Open vSwitch", ovs: crashPlain, setUp: (*crashLab).reconcileSwitch},
	{name: "kuryr reconcile with a hybrid plug", ovs: crashHybrid, setUp: (*crashLab).reconcileSwitch},
	{name: "kuryr start", setUp: (*crashLab).kuryrStart},
	{name: "kuryr start in the middle of a network create", setUp: func(l *crashLab) crashTrial {
		return l.recovery(crash.NeutronPostSubnet.After(), l.networkCreate(func() *crashNetwork {
			return &crashNetwork{pools: []crashPool{{wish: l.cidr()}, {wish: l.cidr6()}}}
		}))
	}},
	{name: "kuryr start in the middle of a container start", setUp: func(l *crashLab) crashTrial {
		return l.recovery(crash.BridgeEnslave.After(), l.containerStart(l.carol(&l.bystander.network)))
	}},
	{name: "kuryr start in the middle of a container stop", setUp: func(l *crashLab) crashTrial {
		return l.recovery(crash.LinkDelete.Before(), l.containerStop(l.carol(&l.bystander.network)))
	}},
	{name: "kuryr start after a torn write", at: crashOn("journal"), setUp: (*crashLab).tornWrite},
	{name: "journal compaction", at: crashOn("journal allocate", "journal new", "journal rename", "journal directory"), setUp: (*crashLab).compaction},
	{name: "kuryr start without a journal", at: crashOn("journal"), setUp: (*crashLab).firstStart},
}
