package binding

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Others' rules can hold anything; whatever the kernel tells must not stop us.
func FuzzParseRule(f *testing.F) {
	f.Add([]byte{2, 0, 0, 0})
	f.Add([]byte("\x02\x00\x00\x00\x0c\x00\x03\x00\x00\x00\x00\x00\x00\x00\x00\x07\x0c\x00\x07\x00\x00\xffkuryr"))
	f.Add([]byte("\x02\x00\x00\x00\x14\x00\x04\x80\x10\x00\x01\x80\x0b\x00\x01\x00counter\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := parseRule(data)
		if bridge, ours := r.bridge(); err == nil && ours && bridge == "" {
			t.Error("a rule of ours for no bridge")
		}
	})
}

func TestComment(t *testing.T) {
	for _, c := range []struct{ data, want string }{
		{"", ""},
		{"\x00\x05abc\x00\x00", "abc"},
		{"\x01\x02xy\x00\x04abc\x00", "abc"}, // after another entry
		{"\x00\x09abc", ""},                  // longer than there is
		{"\x00", ""},
		{"\x01\x01", ""},
	} {
		if got := comment([]byte(c.data)); got != c.want {
			t.Errorf("comment(%q) = %q, want %q", c.data, got, c.want)
		}
	}
}

func TestParseListing(t *testing.T) {
	const listing = `-N DOCKER-USER
-A DOCKER-USER -i brq1 -o brq1 -m comment --comment "kuryr:brq1" -j ACCEPT
-A DOCKER-USER -i brq2 -o brq2 -m comment --comment kuryr:brq2 -j ACCEPT
-A DOCKER-USER -i brq3 -m comment --comment "kuryr:brq3" -j ACCEPT
-A DOCKER-USER -s 10.0.0.0/8 -m comment --comment "a b" -j RETURN
-A DOCKER-USER
-A DOCKER-USER -j RETURN
-A DOCKER-USER -i brq4 -o brq4 -m comment --comment "kuryr:brq4" -j DOCKER-USER
-A DOCKER-USER -j DOCKER-USER
`
	want := []rule{
		{comment: "kuryr:brq1"},
		{comment: "kuryr:brq2"},
		{}, // not as we make it: -D would not find it
		{comment: "a"},
		{}, // counts, and has its place
		{returnAll: true},
		{}, // it is for FORWARD
		{jumpAll: true},
	}
	if diff := cmp.Diff(want, parseListing([]byte(listing), acceptSpec), cmp.AllowUnexported(rule{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestPlan(t *testing.T) {
	ours := func(handle uint64, bridge string) rule { return rule{handle: handle, comment: "kuryr:" + bridge} }
	wanted := map[string]bool{"a": true, "b": true}
	for name, c := range map[string]struct {
		rules  []rule
		remove []uint64
		insert []string
	}{
		"empty":            {nil, nil, []string{"a", "b"}},
		"all there":        {[]rule{ours(1, "b"), ours(2, "a"), {handle: 3, returnAll: true}}, nil, nil},
		"one twice":        {[]rule{ours(1, "b"), ours(2, "a"), ours(3, "a")}, []uint64{3}, nil},
		"below RETURN":     {[]rule{ours(1, "b"), {handle: 2, returnAll: true}, ours(3, "a")}, []uint64{3}, []string{"a"}},
		"a bridge is gone": {[]rule{ours(1, "gone"), ours(2, "a"), ours(3, "b")}, []uint64{1}, nil},
		"another daemon's": {[]rule{ours(1, "exists"), ours(2, "a"), ours(3, "b")}, nil, nil},
		"not ours":         {[]rule{{handle: 1, comment: "gone"}, {handle: 2, comment: "kuryr:"}, ours(3, "a"), ours(4, "b")}, nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			p := planFor(c.rules, wanted, func(bridge string) bool { return bridge == "gone" })
			var removed []uint64
			for _, r := range p.remove {
				removed = append(removed, r.handle)
			}
			if diff := cmp.Diff(c.remove, removed); diff != "" {
				t.Errorf("remove (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(c.insert, p.insert); diff != "" {
				t.Errorf("insert (-want +got):\n%s", diff)
			}
		})
	}
}

func TestPlanJumps(t *testing.T) {
	ours := func(handle uint64, bridge string) rule { return rule{handle: handle, comment: "kuryr:" + bridge} }
	wanted := map[string]bool{"a": true, "b": true}
	docker, other := rule{handle: 99, jumpAll: true}, rule{handle: 98}
	for name, c := range map[string]struct {
		rules  []rule
		jump   int
		remove []uint64
		insert []string
	}{
		"empty":                     {nil, -1, nil, nil},
		"Docker's is there":         {[]rule{other, docker}, 1, nil, []string{"a", "b"}},
		"all there":                 {[]rule{docker, other, ours(1, "b"), ours(2, "a")}, 0, nil, nil},
		"Docker's is being moved":   {[]rule{ours(1, "b"), other}, -1, nil, nil},
		"Docker's was moved behind": {[]rule{ours(1, "a"), docker, ours(2, "b")}, 1, []uint64{1}, []string{"a"}},
		"on both sides":             {[]rule{ours(1, "a"), docker, ours(2, "b"), ours(3, "a")}, 1, []uint64{1}, nil},
		"one twice":                 {[]rule{docker, ours(1, "a"), ours(2, "b"), ours(3, "a")}, 0, []uint64{3}, nil},
		"a bridge is gone":          {[]rule{docker, ours(1, "gone"), ours(2, "a"), ours(3, "b")}, 0, []uint64{1}, nil},
		"gone, and no Docker":       {[]rule{ours(1, "gone"), ours(2, "a")}, -1, []uint64{1}, nil},
		"another daemon's":          {[]rule{ours(1, "exists"), docker, ours(2, "a"), ours(3, "b")}, 1, nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			p := planJumps(c.rules, wanted, func(bridge string) bool { return bridge == "gone" })
			var removed []uint64
			for _, r := range p.remove {
				removed = append(removed, r.handle)
			}
			if diff := cmp.Diff(c.remove, removed); diff != "" {
				t.Errorf("remove (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(c.insert, p.insert); diff != "" {
				t.Errorf("insert (-want +got):\n%s", diff)
			}
			if p.jump != c.jump {
				t.Errorf("Docker's jump is at %d, want %d", p.jump, c.jump)
			}
		})
	}
}
