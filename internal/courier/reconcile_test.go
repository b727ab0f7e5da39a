package courier_test

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"kuryr/internal/courier"
)

// reconcile acts, unless dry, and returns the findings in words, sorted.
func (w *world) reconcile(o courier.ReconcileOptions) (found []string) {
	w.t.Helper()
	r, err := w.c.Reconcile(w.t.Context(), o)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, f := range r.Findings {
		found = append(found, strings.TrimSpace(fmt.Sprintf("%s %s: %s: %s %s", f.Kind, f.ID, f.Problem, f.Action, f.Error)))
	}
	slices.Sort(found)
	return found
}

var act = courier.ReconcileOptions{Act: true}

func wantFindings(t *testing.T, got []string, want ...string) {
	t.Helper()
	slices.Sort(want)
	if d := gocmp.Diff(want, got); d != "" {
		t.Errorf("findings (-want +got):\n%s", d)
	}
}

// planted are things in Neutron that look like a Kuryr's.
type planted struct {
	network courier.NetworkID
	all     []string // as findings name them
}

// plant makes one of each kind, marked with an intent.
func (w *world) plant(name string, m courier.Mark, third int) (p planted) {
	w.t.Helper()
	ctx := w.t.Context()
	must := func(err error) {
		w.t.Helper()
		if err != nil {
			w.t.Fatal(err)
		}
	}
	cidr := netip.MustParsePrefix(fmt.Sprintf("10.9.%d.0/24", third))
	sp, err := w.neutron.CreateSubnetPool(ctx, courier.SubnetPoolSpec{Name: name, Prefixes: []netip.Prefix{netip.MustParsePrefix("192.168.0.0/16")}, DefaultPrefixLen: 24, Mark: m})
	must(err)
	n, err := w.neutron.CreateNetwork(ctx, courier.NetworkSpec{Name: name, Mark: m})
	must(err)
	_, err = w.neutron.CreateSubnet(ctx, courier.SubnetSpec{Network: n.ID, Name: name, CIDR: cidr, Mark: m})
	must(err)
	port, err := w.neutron.CreatePort(ctx, courier.PortSpec{Network: n.ID, Name: "kuryr-port", Host: testHost, DeviceOwner: "compute:kuryr", Mark: m})
	must(err)
	aux, err := w.neutron.CreatePort(ctx, courier.PortSpec{Network: n.ID, Name: "kuryr-aux", DeviceOwner: "kuryr:auxiliary", Mark: m})
	must(err)
	g, err := w.neutron.CreateSecurityGroup(ctx, courier.SecurityGroupSpec{Name: "kuryr-exposed tcp/80", Mark: m})
	must(err)
	p.network = n.ID
	p.all = []string{"port " + string(port.ID), "port " + string(aux.ID), "network " + string(n.ID), "subnetpool " + string(sp.ID), "security group " + string(g.ID)}
	return p
}

// intent returns one that this world's journal could have made.
func (w *world) intent() string { return w.c.Identity() + "-1111-8111-9111-111111111111" }

// Exactly what this journal made and has no record of goes: nothing of other
// hosts, of other journals, of people, and nothing that is in use.
func TestReconcileCollectsOnlyItsOwn(t *testing.T) {
	w, e, ctx := storyWorld(t)
	net := mustNetwork(t, e, "n1", dual(41)...)
	k, err := e.start(ctx, net, "e1", "")
	if err != nil {
		t.Fatal(err)
	}
	ours := w.plant("kuryr-net", courier.Mark{Host: testHost, Intent: w.intent()}, 1)
	const other = "ffffffff-1111-8111-9111-111111111111"
	lost := w.plant("kuryr-net", courier.Mark{Host: testHost, Intent: other}, 2)
	for i, m := range []courier.Mark{
		{}, {Host: testHost + "0", Intent: w.intent()}, {Host: testHost[:len(testHost)-1], Intent: w.intent()},
		{Host: "x:" + testHost, Intent: w.intent()}, {Host: testHost, Intent: "default-pool"}, {Host: testHost, Intent: w.c.Identity()},
	} {
		w.plant("kuryr-net", m, 10+i)
	}
	w.kernel.plant("tapours", courier.Mark{Host: testHost, Intent: w.intent()}, "t_cours")
	w.kernel.plant("taplost", courier.Mark{Host: testHost, Intent: other}, "t_clost")
	w.kernel.plant("tapother", courier.Mark{Host: testHost + "0", Intent: w.intent()}, "t_cother")

	var mine, theirs []string
	for _, x := range append(ours.all, "link tapours", "binding tapours") {
		mine = append(mine, x+": this journal made it, and has no record of it any more: delete")
	}
	for _, x := range append(lost.all, "link taplost", "binding taplost") {
		theirs = append(theirs, x+": it has this host's mark, and another journal made it: none")
	}
	subnets, err := w.neutron.SubnetsOfNetwork(ctx, lost.network)
	if err != nil {
		t.Fatal(err)
	}
	theirs = append(theirs, "subnet "+string(subnets[0].ID)+": it has this host's mark, and another journal made it: none")

	before := neutronObjects(t, w.server)
	wantFindings(t, w.reconcile(courier.ReconcileOptions{}), append(slices.Clone(mine), theirs...)...)
	if d := gocmp.Diff(before, neutronObjects(t, w.server)); d != "" {
		t.Fatalf("a look has changed something:\n%s", d)
	}
	wantFindings(t, w.reconcile(act), append(slices.Clone(mine), theirs...)...)
	wantFindings(t, w.reconcile(act), theirs...)
	if n := len(before) - len(neutronObjects(t, w.server)); n != len(ours.all)+1 {
		t.Errorf("%d things are gone, want %d", n, len(ours.all)+1)
	}
	if s := w.c.Status().Reconciled; len(s.Findings) != len(theirs) || s.Mended < len(mine) || s.At.IsZero() {
		t.Errorf("the status tells %+v", s)
	}
	r, err := w.c.Reconcile(ctx, courier.ReconcileOptions{Act: true, Lost: true})
	if err != nil || len(r.Findings) != len(theirs)-1 { // the subnet goes with its network
		t.Fatalf("with what is lost: %v, %v", r.Findings, err)
	}
	wantFindings(t, w.reconcile(act))
	if got := w.kernel.left(); slices.Contains(got, "link taplost") || !slices.Contains(got, "link tapother") {
		t.Errorf("the kernel has %v", got)
	}
	e.stop(ctx, k)
}

// A record that names no subnetpool, as that of an existing subnet, is no
// record of a link.
func TestReconcileCollectsBesideAnExistingSubnet(t *testing.T) {
	w, e, ctx := storyWorld(t)
	n, err := w.neutron.CreateNetwork(ctx, courier.NetworkSpec{Name: "tenant"})
	if err != nil {
		t.Fatal(err)
	}
	s, err := w.neutron.CreateSubnet(ctx, courier.SubnetSpec{Network: n.ID, Name: "tenant", CIDR: netip.MustParsePrefix("10.91.0.0/24")})
	if err != nil {
		t.Fatal(err)
	}
	net, err := e.networkCreate(ctx, "n1", poolSpec{family: courier.IPv4, subnet: courier.Reference{ID: string(s.ID)}})
	if err != nil {
		t.Fatal(err)
	}
	w.kernel.plant("tapours", courier.Mark{Host: testHost, Intent: w.intent()}, "t_cours")
	wantFindings(t, w.reconcile(act), "link tapours: this journal made it, and has no record of it any more: delete",
		"binding tapours: this journal made it, and has no record of it any more: delete")
	e.networkRemove(ctx, net)
}

// plant makes a link on the host that is plugged.
func (k *kernel) plant(name string, m courier.Mark, peer string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.links[name] = courier.LinkSpec{HostEnd: name, ContainerEnd: peer, Alias: m.String()}
	k.bound[name] = courier.Plug{HostEnd: name, Mark: m}
}

// What a container uses stays, even where the journal knows nothing of it: its
// state directory was replaced by an older one.
func TestReconcileLeavesWhatAContainerUses(t *testing.T) {
	w, _, _ := storyWorld(t)
	m := courier.Mark{Host: testHost, Intent: w.intent()}
	p := w.plant("kuryr-net", m, 1)
	w.kernel.plant("tapours", m, "t_cours")
	w.kernel.enter("tapours")
	for _, o := range []courier.ReconcileOptions{act, {Act: true, Lost: true}} {
		for _, f := range w.reconcile(o) {
			if strings.HasPrefix(f, "port ") && !strings.HasSuffix(f, "; a container uses it: none") {
				t.Error(f)
			}
		}
		if ports, err := w.neutron.FindPorts(t.Context(), courier.PortQuery{Network: p.network}); err != nil || len(ports) != 2 {
			t.Fatalf("%d ports are left (%v)", len(ports), err)
		}
		if len(w.kernel.left()) != 2 {
			t.Errorf("the kernel has %v", w.kernel.left())
		}
	}
}

// A second port of an attachment, or of a network, is one too many.
func TestReconcileDuplicates(t *testing.T) {
	w, e, ctx := storyWorld(t)
	net := mustNetwork(t, e, "n1", dual(41)...)
	k, err := e.start(ctx, net, "e1", "")
	if err != nil {
		t.Fatal(err)
	}
	id := w.portIDs(1, "attached")[0]
	first, err := w.neutron.PortsByID(ctx, []courier.PortID{id})
	if err != nil {
		t.Fatal(err)
	}
	m, _ := courier.ParseMark(first[0].Description)
	second, err := w.neutron.CreatePort(ctx, courier.PortSpec{Network: first[0].Network, Name: "kuryr-port", Host: testHost, DeviceOwner: "compute:kuryr", Mark: m})
	if err != nil {
		t.Fatal(err)
	}
	wantFindings(t, w.reconcile(act), "port "+string(second.ID)+": a second one was made for the same step: delete")
	wantFindings(t, w.reconcile(act))
	e.stop(ctx, k)
	e.networkRemove(ctx, net)
	w.mustEmpty()
}

// What somebody has done to a running container's link and port is undone, or told.
func TestReconcileMends(t *testing.T) {
	w, e, ctx := storyWorld(t)
	net := mustNetwork(t, e, "n1", dual(41)...)
	k, err := e.start(ctx, net, "e1", "")
	if err != nil {
		t.Fatal(err)
	}
	id := w.portIDs(1, "attached")[0]
	tap := courier.HostEnd(id)
	w.kernel.enter(tap)
	wantFindings(t, w.reconcile(act))
	was := w.kernel.links[tap].Alias
	w.kernel.harm(tap)
	other := "host-9"
	if _, err := w.neutron.UpdatePort(ctx, id, courier.PortUpdate{Host: &other}); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"link " + tap + ": its alias was taken away: give it the alias again",
		"link " + tap + ": it is not, or not wholly, plugged into the layer 2: plug it again",
		"link " + tap + ": the host's end is down: set it up",
		"port " + string(id) + ": it is bound to host host-9, and a container here uses it: bind it to this host again",
	}
	wantFindings(t, w.reconcile(courier.ReconcileOptions{}), want...)
	wantFindings(t, w.reconcile(act), want...)
	wantFindings(t, w.reconcile(act))
	if !w.kernel.isUp(tap) || w.kernel.links[tap].Alias != was {
		t.Error("the link is not as it was")
	}
	if err := w.neutron.DeletePort(ctx, id); err != nil {
		t.Fatal(err)
	}
	wantFindings(t, w.reconcile(act), "port "+string(id)+": it was deleted in Neutron, and a container uses it: restart the container: none")
	if s := w.c.Status(); len(s.Reconciled.Findings) != 1 || len(s.Attachments) != 1 {
		t.Errorf("%+v", s.Reconciled)
	}
	e.stop(ctx, k)
	w.mustHave(0)
	subnets, err := w.neutron.SubnetsOfNetwork(ctx, w.c.Status().Networks[0].Neutron)
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(subnets, func(a, b courier.Subnet) int { return cmp.Compare(a.CIDR.String(), b.CIDR.String()) })
	six := subnets[1]
	if err := w.neutron.DeleteSubnet(ctx, six.ID, courier.AnyRevision); err != nil {
		t.Fatal(err)
	}
	if got := w.reconcile(act); len(got) != 1 || !strings.HasPrefix(got[0], "subnet "+string(six.ID)+": it was deleted in Neutron") {
		t.Errorf("a subnet is gone: %v", got)
	}
	e.networkRemove(ctx, net)
	w.mustEmpty()
}

// mustHave waits until there are so many attachments.
func (w *world) mustHave(n int) {
	w.t.Helper()
	eventually(w.t, fmt.Sprintf("%d attachments", n), func() bool { return len(w.c.Status().Attachments) == n })
}

// harm does to a link all that leaves it in place.
func (k *kernel) harm(l string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	s := k.links[l]
	s.Alias = ""
	k.links[l] = s
	delete(k.bound, l)
	delete(k.up, l)
}

// enter and leave move a link's other end into a sandbox, and out of it.
func (k *kernel) enter(l string) { k.mu.Lock(); defer k.mu.Unlock(); k.away[l] = true }
func (k *kernel) leave(l string) { k.mu.Lock(); defer k.mu.Unlock(); delete(k.away, l) }

// The kernel tells when a container is gone: not at once, not while it comes
// and goes, and never while its link is in a sandbox.
func TestEvidence(t *testing.T) {
	w, e, ctx := storyWorld(t)
	net := mustNetwork(t, e, "n1", dual(41)...)
	for _, name := range []string{"gone", "back", "stays"} {
		if _, err := e.start(ctx, net, name, ""); err != nil {
			t.Fatal(err)
		}
	}
	byEndpoint := map[courier.EndpointID]string{}
	for _, a := range w.c.Status().Attachments {
		byEndpoint[a.Endpoint] = a.Link
		w.kernel.enter(a.Link)
	}
	gone, back := byEndpoint["gone"], byEndpoint["back"]
	start := time.Now()
	look := func(seconds int) { w.c.LookAtKernelAt(start.Add(time.Duration(seconds) * time.Second)) }
	look(0)
	w.kernel.Delete(ctx, gone)
	w.kernel.leave(back)
	look(10) // too young: Touched
	look(20)
	look(25)
	if n := len(w.c.Status().Attachments); n != 3 {
		t.Fatalf("%d attachments after 25 s", n)
	}
	w.kernel.enter(back) // it was only moved
	look(28)
	w.kernel.leave(back)
	look(40)
	w.mustHave(2)
	if got := w.kernel.left(); slices.Contains(got, "bound "+gone) || !slices.Contains(got, "link "+back) {
		t.Errorf("the kernel has %v", got)
	}
	look(50)
	look(51)
	if n := len(w.c.Status().Attachments); n != 2 {
		t.Fatalf("%d attachments when one has been back for 11 s", n)
	}
	look(60)
	w.mustHave(1)
	for s := 70; s < 3600; s += 10 {
		look(s)
	}
	if n := len(w.c.Status().Attachments); n != 1 {
		t.Error("a living container was given up")
	}
	w.reconcile(act)
	if ports, err := w.neutron.PortsOfHost(ctx, testHost); err != nil || len(ports) != 2 { // one, and the auxiliary address
		t.Errorf("%d ports are left in Neutron (%v)", len(ports), err)
	}
}

// A journal that lost entries proves nothing by having none.
func TestReconcileAfterALoss(t *testing.T) {
	w, _, ctx := storyWorld(t)
	p := w.plant("kuryr-net", courier.Mark{Host: testHost, Intent: w.intent()}, 1)
	if err := w.journal.Write(ctx, courier.Entry{Kind: courier.KindLoss, ID: "1", Data: []byte(`{"what":"it was damaged"}`)}); err != nil {
		t.Fatal(err)
	}
	was := w.c.Identity()
	w.restart()
	if w.c.Identity() == was { // or it would be taken for garbage once the loss is forgotten
		t.Error("the damaged journal has kept its identity")
	}
	now := w.c.Identity()
	w.restart()
	if w.c.Identity() != now {
		t.Error("it gets a new identity at each start")
	}
	for _, f := range w.reconcile(act) {
		if !strings.HasSuffix(f, ": none") {
			t.Error(f)
		}
	}
	if ports, err := w.neutron.FindPorts(ctx, courier.PortQuery{Network: p.network}); err != nil || len(ports) != 2 {
		t.Fatalf("%d ports are left (%v)", len(ports), err)
	}
}

// The identity stays over restarts, and another state directory has another.
func TestIdentityStays(t *testing.T) {
	w, _, _ := storyWorld(t)
	was := w.c.Identity()
	w.restart()
	if now := w.c.Identity(); now != was || len(was) != 8 {
		t.Errorf("it was %q and is %q", was, now)
	}
	if other := w.another("host-2").c.Identity(); other == was {
		t.Errorf("another journal has the same: %q", other)
	}
}

// Watch reconciles by itself: at once, and when it is asked to.
func TestWatch(t *testing.T) {
	w, _, _ := storyWorld(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- w.c.Watch(ctx, time.Hour) }()
	compared := func(after time.Time) func() bool {
		return func() bool { return w.c.Status().Reconciled.At.After(after) }
	}
	eventually(t, "it reconciles when it starts", compared(time.Time{}))
	w.plant("kuryr-net", courier.Mark{Host: testHost, Intent: w.intent()}, 1)
	w.c.Resume()
	eventually(t, "it reconciles when the cloud is back", compared(time.Now()))
	w.mustEmpty()
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// Neutron is away: nothing is judged, and the error says so.
func TestReconcileWithoutNeutron(t *testing.T) {
	w, _, _ := storyWorld(t)
	w.kernel.plant("tapours", courier.Mark{Host: testHost, Intent: w.intent()}, "t_cours")
	w.neutronAway(true)
	if r, err := w.c.Reconcile(t.Context(), act); courier.KindOf(err) != courier.Unavailable || len(r.Findings) > 0 {
		t.Errorf("%v, %v", r, err)
	}
	if w.c.Status().Reconciled.Error == "" {
		t.Error("the status tells nothing of it")
	}
	w.neutronAway(false)
	if len(w.reconcile(act)) != 2 || len(w.kernel.left()) > 0 {
		t.Errorf("the kernel has %v", w.kernel.left())
	}
}
