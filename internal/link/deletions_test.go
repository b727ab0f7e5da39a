package link_test

import (
	"context"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"

	"kuryr/internal/courier"
	"kuryr/internal/link"
	"kuryr/internal/testkit"
)

var removalGroup = strconv.Itoa(link.RemovalGroup)

// together deletes links at the same time, so that none of them begins before
// all have been asked for; meanwhile is done in between. It returns the answers.
func together(t *testing.T, l *link.Links, names []string, meanwhile func()) []error {
	t.Helper()
	waiting, release := l.HoldDeletions()
	answers := make([]error, len(names))
	var all sync.WaitGroup
	for i, name := range names {
		all.Go(func() { answers[i] = l.Delete(t.Context(), name) })
	}
	until(t, func() bool { return waiting() == len(names) })
	if meanwhile != nil {
		meanwhile()
	}
	release()
	all.Wait()
	return answers
}

func until(t *testing.T, done func() bool) {
	t.Helper()
	for begin := time.Now(); !done(); time.Sleep(time.Millisecond) {
		if time.Since(begin) > 10*time.Second {
			t.Fatal("waited for 10 s")
		}
	}
}

// pairs makes so many pairs that are up and plugged into a bridge.
func pairs(t *testing.T, l *link.Links, n int) []string {
	t.Helper()
	bridge, err := l.EnsureBridge(t.Context(), link.BridgeSpec{Name: brq, Alias: "kuryr:net"})
	if err != nil {
		t.Fatal(err)
	}
	names := make([]string, n)
	for i := range names {
		s := numbered(i)
		names[i] = s.HostEnd
		if err := l.Create(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		if err := l.Enslave(t.Context(), bridge, s.HostEnd); err != nil {
			t.Fatal(err)
		}
		if err := l.Up(t.Context(), s.HostEnd); err != nil {
			t.Fatal(err)
		}
	}
	return names
}

// groupsSeen tells, once stop is called, which interfaces were in the group.
func groupsSeen(t *testing.T, ns *testkit.NS) (stop func() map[string]bool) {
	t.Helper()
	updates, done := make(chan netlink.LinkUpdate, 1000), make(chan struct{})
	handle, err := netns.GetFromPath(ns.Path())
	if err != nil {
		t.Fatal(err)
	}
	defer handle.Close()
	err = netlink.LinkSubscribeWithOptions(updates, done, netlink.LinkSubscribeOptions{
		Namespace: &handle, ReceiveBufferSize: 16 << 20, ReceiveBufferForceSize: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	return func() map[string]bool {
		ns.Run("ip", "link", "add", "last0", "type", "bridge")
		ns.Run("ip", "link", "del", "last0")
		seen := map[string]bool{}
		for u := range updates {
			if u.Attrs().Name == "last0" {
				break
			}
			if u.Attrs().Group == link.RemovalGroup {
				seen[u.Attrs().Name] = true
			}
		}
		close(done)
		return seen
	}
}

func noErrors(t *testing.T, names []string, answers []error) {
	t.Helper()
	for i, err := range answers {
		if err != nil {
			t.Errorf("%s: %v", names[i], err)
		}
	}
}

func wantGone(t *testing.T, ns *testkit.NS, names ...string) {
	t.Helper()
	for _, name := range names {
		if exists(ns, name) {
			t.Errorf("%s is still there", name)
		}
	}
}

// Pairs of all kinds that are deleted at the same time go by one request; what
// is beside them stays.
func TestDeleteTogether(t *testing.T) {
	ns, l := newLinks(t)
	names := pairs(t, l, 130) // more than one request has room for
	sandbox := testkit.NewNS(t)
	ns.Run("ip", "link", "set", "t_c1", "netns", sandbox.Path(), "name", "eth0")
	ns.Run("ip", "link", "set", names[2], "nomaster", "down")
	ns.Run("ip", "link", "set", names[3], "alias", "") // a Create that a crash interrupted
	ns.Run("ip", "link", "add", "other0", "type", "veth", "peer", "name", "other1")
	stays := numbered(1000)
	if err := l.Create(t.Context(), stays); err != nil {
		t.Fatal(err)
	}
	seen := groupsSeen(t, ns)
	noErrors(t, names, together(t, l, names, nil))
	wantGone(t, ns, names...)
	wantGone(t, sandbox, "eth0")
	for _, name := range []string{"other0", "other1", stays.HostEnd, stays.ContainerEnd, brq} {
		if !exists(ns, name) {
			t.Errorf("%s is gone", name)
		}
	}
	gathered := seen()
	for _, name := range names {
		if !gathered[name] {
			t.Errorf("%s was not removed with the others", name)
		}
	}
	if len(gathered) != len(names) {
		t.Errorf("in the group were %d interfaces, want the %d", len(gathered), len(names))
	}
}

// One that is deleted alone goes by a request of its own.
func TestDeleteAlone(t *testing.T) {
	ns, l := newLinks(t)
	names := pairs(t, l, 2)
	seen := groupsSeen(t, ns)
	for _, name := range names {
		if err := l.Delete(t.Context(), name); err != nil {
			t.Error(err)
		}
	}
	wantGone(t, ns, names...)
	if gathered := seen(); len(gathered) > 0 {
		t.Errorf("they were moved to another group: %v", gathered)
	}
}

// What somebody else put into the group stays, whatever it is, and the pairs go
// all the same.
func TestDeleteSparesStrangersInTheGroup(t *testing.T) {
	for kind, add := range map[string][]string{
		"a bridge":        {"link", "add", "other0", "group", removalGroup, "type", "bridge"},
		"another's pair":  {"link", "add", "other0", "group", removalGroup, "type", "veth", "peer", "name", "other1"},
		"the far end too": {"link", "add", "other0", "type", "veth", "peer", "name", "other1", "group", removalGroup},
	} {
		t.Run(kind, func(t *testing.T) {
			ns, l := newLinks(t)
			names := pairs(t, l, 5)
			noErrors(t, names, together(t, l, names, func() { ns.Run("ip", add...) }))
			wantGone(t, ns, names...)
			if !exists(ns, "other0") {
				t.Error("another program's interface is gone")
			}
		})
	}
}

// A pair of ours that a crash left in the group is not removed with others'
// either: that is for its own removal, or for who looks for what is left.
func TestDeleteLeavesWhatACrashLeft(t *testing.T) {
	ns, l := newLinks(t)
	names := pairs(t, l, 4)
	ns.Run("ip", "link", "set", names[3], "group", removalGroup)
	noErrors(t, names[:3], together(t, l, names[:3], nil))
	wantGone(t, ns, names[:3]...)
	if !exists(ns, names[3]) {
		t.Fatal("it is gone")
	}
	ns.Run("ip", "link", "set", names[3], "alias", "") // it is ours by the group alone
	all, err := l.Pairs(t.Context())
	if err != nil || len(all) != 1 || !all[0].Ours {
		t.Errorf("pairs are %v (%v), want one of ours", all, err)
	}
	if err := l.Create(t.Context(), numbered(3)); err != nil {
		t.Fatal(err)
	}
	if got := ns.Run("ip", "link", "show", "group", removalGroup); got != "" {
		t.Errorf("it is wanted again, and still in the group:\n%s", got)
	}
	ns.Run("ip", "link", "set", names[3], "group", removalGroup)
	if err := l.Delete(t.Context(), names[3]); err != nil {
		t.Error(err)
	}
	wantGone(t, ns, names[3])
}

// One that goes by itself meanwhile is no error for anybody; one pair may be
// asked for twice.
func TestDeleteTogetherWithWhatIsGone(t *testing.T) {
	ns, l := newLinks(t)
	names := pairs(t, l, 5)
	names = append(names, names[1])
	noErrors(t, names, together(t, l, names, func() { ns.Run("ip", "link", "del", names[0]) }))
	wantGone(t, ns, names...)
	names = pairs(t, l, 3)
	noErrors(t, names, together(t, l, names, func() {
		for _, name := range names {
			ns.Run("ip", "link", "del", name)
		}
	}))
}

// Who does not wait any longer gets his answer; his pair stays.
func TestDeleteTogetherWithoutOne(t *testing.T) {
	ns, l := newLinks(t)
	names := pairs(t, l, 4)
	waiting, release := l.HoldDeletions()
	var all sync.WaitGroup
	for _, name := range names[1:] {
		all.Go(func() {
			if err := l.Delete(t.Context(), name); err != nil {
				t.Error(err)
			}
		})
	}
	until(t, func() bool { return waiting() == 3 })
	ctx, cancel := context.WithCancel(t.Context())
	impatient := make(chan error)
	go func() { impatient <- l.Delete(ctx, names[0]) }()
	until(t, func() bool { return waiting() == 4 })
	cancel()
	wantKind(t, <-impatient, courier.Unavailable, names[0], "no time was left")
	release()
	all.Wait()
	wantGone(t, ns, names[1:]...)
	if !exists(ns, names[0]) {
		t.Error("the link of the one who gave up is gone")
	}
	if err := l.Delete(t.Context(), names[0]); err != nil { // the deleter goes on
		t.Error(err)
	}
}

// What is no pair of ours is refused at once, and the others don't notice.
func TestDeleteTogetherRefuses(t *testing.T) {
	ns, l := newLinks(t)
	names := pairs(t, l, 3)
	ns.Run("ip", "link", "add", tap, "group", ownGroup, "type", "bridge")
	ns.Run("ip", "link", "add", "other0", "type", "veth", "peer", "name", "other1")
	noErrors(t, names, together(t, l, names, func() {
		wantKind(t, l.Delete(t.Context(), tap), courier.Conflict, "it is a bridge, not a link")
		wantKind(t, l.Delete(t.Context(), "other0"), courier.Conflict, "another program's")
	}))
	wantGone(t, ns, names...)
	for _, name := range []string{tap, "other0"} {
		if !exists(ns, name) {
			t.Errorf("%s is gone", name)
		}
	}
}

// Pairs come and go by many hands; nobody's is removed but those that were asked for.
func TestDeleteAmongCreates(t *testing.T) {
	ns, l := newLinks(t)
	kept := pairs(t, l, 3)
	var all sync.WaitGroup
	for worker := range 16 {
		all.Go(func() {
			for i := range 12 {
				s := numbered(100 + 100*worker + i)
				if err := l.Create(t.Context(), s); err != nil {
					t.Error(err)
				}
				if err := l.Delete(t.Context(), s.HostEnd); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	left, err := l.Pairs(t.Context())
	if err != nil || len(left) != len(kept) {
		t.Errorf("%d pairs are left (%v), want the %d that nobody deleted", len(left), err, len(kept))
	}
	wantGone(t, ns, "tap100")
}
