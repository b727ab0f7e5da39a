package link_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kuryr/internal/courier"
	"kuryr/internal/testkit"
)

func TestCreate(t *testing.T) {
	ns, l := newLinks(t)
	if err := l.Create(t.Context(), spec()); err != nil {
		t.Fatal(err)
	}
	want := tap + "@" + tc + `: <BROADCAST,MULTICAST,M-DOWN> mtu 1450 group ` + ownGroup + `
link/ether MAC
veth addrgenmode none
alias kuryr:node1:7f3c`
	host := show(t, ns, tap)
	mac := strings.Fields(host[strings.Index(host, "link/ether"):])[1]
	if diff := cmp.Diff(want, strings.Replace(host, mac, "MAC", 1)); diff != "" {
		t.Errorf("host's end (-want +got):\n%s", diff)
	}
	want = tc + "@" + tap + `: <BROADCAST,MULTICAST,M-DOWN> mtu 1450 group default
link/ether fa:16:3e:01:02:03
veth addrgenmode eui64`
	if diff := cmp.Diff(want, show(t, ns, tc)); diff != "" {
		t.Errorf("container's end (-want +got):\n%s", diff)
	}
	off := map[string]int{"disable_ipv6": 1, "accept_ra": 0, "addr_gen_mode": 1}
	if diff := cmp.Diff(off, sysctls(t, ns, tap, "disable_ipv6", "accept_ra", "addr_gen_mode")); diff != "" {
		t.Errorf("host's end, net.ipv6.conf (-want +got):\n%s", diff)
	}
	raOff := map[string]int{"disable_ipv6": 0, "accept_ra": 0}
	if diff := cmp.Diff(raOff, sysctls(t, ns, tc, "disable_ipv6", "accept_ra")); diff != "" {
		t.Errorf("container's end, net.ipv6.conf (-want +got):\n%s", diff)
	}
}

func TestHostHasNoAddressOnceUp(t *testing.T) {
	ns, l := newLinks(t)
	if err := l.Create(t.Context(), spec()); err != nil {
		t.Fatal(err)
	}
	if err := l.Up(t.Context(), tap); err != nil {
		t.Fatal(err)
	}
	ns.Run("ip", "link", "set", tc, "up")
	if !strings.Contains(show(t, ns, tap), "UP,LOWER_UP") {
		t.Fatalf("the link has no carrier:\n%s", show(t, ns, tap))
	}
	if out := ns.Run("ip", "-o", "addr", "show", "dev", tap); out != "" {
		t.Errorf("the host has an address on the tenant's network:\n%s", out)
	}
}

// The kernel's defaults of MTU and MAC hold where the spec names none, and an
// MTU that IPv6 can't use (under 1280) is no error.
func TestCreateDefaults(t *testing.T) {
	ns, l := newLinks(t)
	s := spec()
	s.MTU, s.MAC = 0, courier.MAC{}
	if err := l.Create(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	if got := show(t, ns, tc); !strings.Contains(got, "mtu 1500") {
		t.Errorf("want mtu 1500:\n%s", got)
	}
	if err := l.Delete(t.Context(), tap); err != nil {
		t.Fatal(err)
	}
	s.MTU = 1000
	if err := l.Create(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	// IPv6 appears with the larger MTU, and must not be the host's.
	s.MTU = 1500
	if err := l.Create(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	if got := sysctls(t, ns, tap, "disable_ipv6")["disable_ipv6"]; got != 1 {
		t.Errorf("disable_ipv6 = %d on the host's end after its MTU rose, want 1", got)
	}
}

func TestCreateAgainPutsRight(t *testing.T) {
	ns, l := newLinks(t)
	for range 2 {
		if err := l.Create(t.Context(), spec()); err != nil {
			t.Fatal(err)
		}
	}
	before := show(t, ns, tap) + show(t, ns, tc)
	ns.Run("ip", "link", "set", tap, "mtu", "1300")
	ns.Run("ip", "link", "set", tc, "mtu", "1400", "address", "02:00:00:00:00:09")
	if err := l.Create(t.Context(), spec()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, show(t, ns, tap)+show(t, ns, tc)); diff != "" {
		t.Errorf("not put right (-want +got):\n%s", diff)
	}
}

func TestCreateAgainWithContainerEndInSandbox(t *testing.T) {
	ns, l := newLinks(t)
	sandbox := testkit.NewNS(t)
	if err := l.Create(t.Context(), spec()); err != nil {
		t.Fatal(err)
	}
	ns.Run("ip", "link", "set", tc, "netns", sandbox.Path())
	sandbox.Run("ip", "link", "set", tc, "name", "eth0")
	s := spec()
	s.MTU = 1400
	if err := l.Create(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	if got := show(t, ns, tap); !strings.Contains(got, tap+"@other-namespace: ") || !strings.Contains(got, "mtu 1400") {
		t.Errorf("the pair was not kept, or has not the new MTU:\n%s", got)
	}
	if got := show(t, sandbox, "eth0"); !strings.Contains(got, "mtu 1450") {
		t.Errorf("the engine's end was changed:\n%s", got)
	}
	if err := l.Delete(t.Context(), tap); err != nil {
		t.Fatal(err)
	}
	if exists(ns, tap) || exists(sandbox, "eth0") {
		t.Error("an end of the pair is left")
	}
}

func TestCreateFinishesWhatACrashInterrupted(t *testing.T) {
	ns, l := newLinks(t)
	ns.Run("ip", "link", "add", tap, "group", ownGroup, "type", "veth", "peer", "name", tc)
	if err := l.Create(t.Context(), spec()); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"mtu 1450", "addrgenmode none", "alias kuryr:node1:7f3c"} {
		if got := show(t, ns, tap); !strings.Contains(got, want) {
			t.Errorf("want %q:\n%s", want, got)
		}
	}
	if got := show(t, ns, tc); !strings.Contains(got, "link/ether fa:16:3e:01:02:03") {
		t.Errorf("want the MAC of the port:\n%s", got)
	}
	if got := sysctls(t, ns, tc, "accept_ra")["accept_ra"]; got != 0 {
		t.Errorf("accept_ra = %d on the container's end, want 0", got)
	}
}

func TestCreateConflicts(t *testing.T) {
	for name, c := range map[string]struct {
		made  []string // by ip link
		words string
	}{
		"another attachment's": {[]string{"add " + tap + " type veth peer name " + tc, "set " + tap + " alias kuryr:node1:other"}, "kuryr:node1:other"},
		"another program's":    {[]string{"add " + tap + " type veth peer name " + tc}, "no alias"},
		"not a pair":           {[]string{"add " + tap + " type bridge", "set " + tap + " alias kuryr:node1:7f3c"}, "not a link"},
		"container's end only": {[]string{"add other type veth peer name " + tc}, tc + " exists already"},
		"another peer":         {[]string{"add " + tap + " type veth peer name other", "set " + tap + " alias kuryr:node1:7f3c"}, "other end is other"},
	} {
		t.Run(name, func(t *testing.T) {
			ns, l := newLinks(t)
			for _, args := range c.made {
				ns.Run("ip", append([]string{"link"}, strings.Fields(args)...)...)
			}
			before := ns.Run("ip", "-d", "link")
			wantKind(t, l.Create(t.Context(), spec()), courier.Conflict, "cannot create link "+tap+": ", c.words)
			if diff := cmp.Diff(before, ns.Run("ip", "-d", "link")); diff != "" {
				t.Errorf("interfaces were changed (-before +after):\n%s", diff)
			}
		})
	}
}

func TestCreateRefuses(t *testing.T) {
	ns, l := newLinks(t)
	for name, c := range map[string]struct {
		change func(*courier.LinkSpec)
		words  string
	}{
		"MTU too large": {func(s *courier.LinkSpec) { s.MTU = 65536 }, "an MTU of 65536 is not possible (68 to 65535)"},
		"MTU too small": {func(s *courier.LinkSpec) { s.MTU = 67 }, "an MTU of 67"},
		"negative MTU":  {func(s *courier.LinkSpec) { s.MTU = -1 }, "an MTU of -1"},
		"long name":     {func(s *courier.LinkSpec) { s.HostEnd = "sixteen-letters-" }, "sixteen-letters-"},
		"no name":       {func(s *courier.LinkSpec) { s.ContainerEnd = "" }, `"" is not an interface name`},
		"directory":     {func(s *courier.LinkSpec) { s.ContainerEnd = ".." }, `".." is not`},
		"pattern":       {func(s *courier.LinkSpec) { s.HostEnd = "tap%d" }, `"tap%d" is not`},
		"path":          {func(s *courier.LinkSpec) { s.ContainerEnd = "../all" }, `"../all" is not`},
		"no mark":       {func(s *courier.LinkSpec) { s.Alias = "docker" }, "docker"},
		"long alias":    {func(s *courier.LinkSpec) { s.Alias = "kuryr:" + strings.Repeat("x", 250) }, "255"},
	} {
		t.Run(name, func(t *testing.T) {
			s := spec()
			c.change(&s)
			wantKind(t, l.Create(t.Context(), s), courier.Invalid, c.words)
		})
	}
	if out := ns.Run("ip", "-o", "link"); strings.Count(out, "\n") != 1 {
		t.Errorf("interfaces were made:\n%s", out)
	}
}

func TestUpWithoutLink(t *testing.T) {
	_, l := newLinks(t)
	wantKind(t, l.Up(t.Context(), tap), courier.NotFound, "cannot set up link "+tap+": there is no such interface")
}

// A link of the Python Kuryr's has no alias; with ours it can be deleted.
func TestAdopt(t *testing.T) {
	for name, c := range map[string]struct {
		made    []string
		refused string
	}{
		"nothing there":     {nil, ""},
		"without an alias":  {[]string{"add " + tap + " type veth peer name " + tc, "set " + tap + " up"}, ""},
		"one of ours":       {[]string{"add " + tap + " type veth peer name " + tc, "set " + tap + " alias kuryr:node1:7f3c"}, ""},
		"another alias":     {[]string{"add " + tap + " type veth peer name " + tc, "set " + tap + " alias mine"}, "mine"},
		"no pair of links":  {[]string{"add " + tap + " type bridge"}, "another program's"},
		"a name of its own": {[]string{"add other type veth peer name " + tc}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			ns, l := newLinks(t)
			for _, args := range c.made {
				ns.Run("ip", append([]string{"link"}, strings.Fields(args)...)...)
			}
			err := l.Adopt(t.Context(), tap, "kuryr:node1:adopted")
			if c.refused != "" {
				wantKind(t, err, courier.Conflict, "cannot adopt link "+tap+": ", c.refused)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if err := l.Delete(t.Context(), tap); err != nil || exists(ns, tap) {
				t.Errorf("deleted after it was adopted: %v", err)
			}
		})
	}
	_, l := newLinks(t)
	wantKind(t, l.Adopt(t.Context(), tap, "no mark"), courier.Invalid, "alias")
}

func TestDelete(t *testing.T) {
	for name, c := range map[string]struct {
		made    []string // by ip link
		refused string   // what the error says; "": deleted, or gone before
	}{
		"nothing there":        {nil, ""},
		"a link of ours":       {[]string{"add " + tap + " type veth peer name " + tc, "set " + tap + " alias kuryr:node1:7f3c up"}, ""},
		"an interrupted one":   {[]string{"add " + tap + " group " + ownGroup + " type veth peer name " + tc}, ""},
		"another program's":    {[]string{"add " + tap + " type veth peer name " + tc}, "another program's"},
		"another alias":        {[]string{"add " + tap + " type veth peer name " + tc, "set " + tap + " alias kuryrlike"}, "kuryrlike"},
		"ours in name only":    {[]string{"add " + tap + " group " + ownGroup + " type veth peer name " + tc, "set " + tap + " alias mine"}, "mine"},
		"a bridge in its name": {[]string{"add " + tap + " type bridge", "set " + tap + " alias kuryr:node1:7f3c"}, "not a link"},
	} {
		t.Run(name, func(t *testing.T) {
			ns, l := newLinks(t)
			for _, args := range c.made {
				ns.Run("ip", append([]string{"link"}, strings.Fields(args)...)...)
			}
			err := l.Delete(t.Context(), tap)
			if c.refused != "" {
				wantKind(t, err, courier.Conflict, "cannot delete link "+tap+": ", c.refused)
				if !exists(ns, tap) {
					t.Error("deleted all the same")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if exists(ns, tap) || exists(ns, tc) {
				t.Error("an end of the pair is left")
			}
		})
	}
}

func TestManyAtOnce(t *testing.T) {
	ns, l := newLinks(t)
	const n = 64
	each := func(do func(s courier.LinkSpec) error) {
		t.Helper()
		var wg sync.WaitGroup
		for i := range n {
			s := spec()
			s.HostEnd, s.ContainerEnd = fmt.Sprintf("tap%d", i), fmt.Sprintf("t_c%d", i)
			wg.Go(func() {
				if err := do(s); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	}
	each(func(s courier.LinkSpec) error { return l.Create(t.Context(), s) })
	if got := strings.Count(ns.Run("ip", "-o", "link"), "\n"); got != 2*n+1 {
		t.Errorf("%d interfaces, want %d", got, 2*n+1)
	}
	each(func(s courier.LinkSpec) error { return l.Up(t.Context(), s.HostEnd) })
	each(func(s courier.LinkSpec) error { return l.Delete(t.Context(), s.HostEnd) })
	if got := ns.Run("ip", "-o", "link"); strings.Count(got, "\n") != 1 {
		t.Errorf("interfaces are left:\n%s", got)
	}
}

func TestNothingIsDoneForAnEndedContext(t *testing.T) {
	ns, l := newLinks(t)
	if err := l.Create(t.Context(), spec()); err != nil {
		t.Fatal(err)
	}
	ended, cancel := context.WithTimeout(t.Context(), -time.Second)
	defer cancel()
	other := spec()
	other.HostEnd, other.ContainerEnd = "tap1", "t_c1"
	for name, err := range map[string]error{
		"Create": l.Create(ended, other),
		"Up":     l.Up(ended, tap),
		"Delete": l.Delete(ended, tap),
	} {
		t.Run(name, func(t *testing.T) { wantKind(t, err, courier.Unavailable, "no time was left") })
	}
	if exists(ns, "tap1") || !exists(ns, tap) || strings.Contains(show(t, ns, tap), "UP") {
		t.Errorf("something was done:\n%s", ns.Run("ip", "link"))
	}
}

// As in the daemon, whose threads all are in the namespace.
func BenchmarkPair(b *testing.B) {
	ns, l := newLinks(b)
	measure := func(b *testing.B, timed, untimed func() error) {
		for b.Loop() {
			if err := timed(); err != nil {
				b.Fatal(err)
			}
			b.StopTimer()
			if err := untimed(); err != nil {
				b.Fatal(err)
			}
			b.StartTimer()
		}
	}
	create := func() error { return l.Create(b.Context(), spec()) }
	remove := func() error { return l.Delete(b.Context(), tap) }
	b.Run("Create", func(b *testing.B) { ns.Do(func() { measure(b, create, remove) }) })
	b.Run("Delete", func(b *testing.B) {
		if err := create(); err != nil {
			b.Fatal(err)
		}
		ns.Do(func() { measure(b, remove, create) })
	})
}
