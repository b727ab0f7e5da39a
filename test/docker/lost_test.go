//go:build !openstack

package docker

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kuryr/internal/testkit"
)

// The journal is damaged, or gone, when Kuryr comes back. Containers do not
// notice, all that Docker asks for is done, and nothing is left in the end.
func TestJournalIsLost(t *testing.T) {
	for _, tt := range []struct {
		name  string
		spoil func(path string) error
		told  string // in a notice; "": there is none
	}{
		{"damaged in the middle", func(path string) error {
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			half := bytes.LastIndex(b[:bytes.LastIndex(b, []byte("KFRM"))/2], []byte("KFRM"))
			copy(b[half+20:], "a block of another file, written here by a disk")
			return os.WriteFile(path, b, 0o600)
		}, "it is damaged at offset"},
		{"first block zeroed", func(path string) error {
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			clear(b[:512])
			return os.WriteFile(path, b, 0o600)
		}, "it does not start as a journal of Kuryr's does"},
		{"removed", os.Remove, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := newSpecialHost(t, testkit.KuryrOptions{})
			wide := h.network("wide", "--subnet", "10.83.0.0/24", "--ipv6", "--subnet", "fd83::/64")
			cut := h.network("cut")
			alice, bob, carol := wide.run("alice"), wide.run("bob"), cut.run("carol")
			talk, bob4, bob6 := alice.streamTo(bob), bob.ip4(), bob.ip6()
			h.docker("network", "connect", "cut", "bob")
			h.kuryr.Kill()
			if err := tt.spoil(filepath.Join(h.machine.Path("state"), "journal", "entries")); err != nil {
				t.Fatal(err)
			}
			if err := h.kuryr.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			h.toldOfLoss(tt.told)
			if got := h.docker("inspect", "--format", "{{.NetworkSettings.Networks.wide.IPAddress}}", "alice"); strings.TrimSpace(got) != alice.ip4() {
				t.Errorf("docker inspect tells %q, alice has %s", got, alice.ip4())
			}
			dave := wide.run("dave") // its first call names a pool that is not known
			dave.reaches(alice.ip4())
			dave.reaches(bob6)
			cut.run("erin").reaches(carol.ip4())
			h.docker("network", "disconnect", "cut", "bob")
			h.docker("restart", "--time", "1", "carol")
			carol.remove()
			dave.remove()
			time.Sleep(time.Second) // so that the flow outlives what happens in the background
			talk.uninterrupted()
			if err := h.kuryr.Restart(t.Context()); err != nil {
				t.Fatal(err)
			}
			alice.reaches(bob4)
			h.removeAll()
			h.kuryr.AssertNothingLeft(t, h.before, gone)
		})
	}
}

// toldOfLoss wants a notice with these words, and the damaged file kept.
func (h *host) toldOfLoss(words string) {
	h.t.Helper()
	s, err := h.kuryr.Status(h.t.Context())
	if err != nil {
		h.t.Fatal(err)
	}
	kept, err := filepath.Glob(filepath.Join(h.machine.Path("state"), "journal", "entries.damaged-*"))
	if err != nil {
		h.t.Fatal(err)
	}
	told := strings.Join(s.Notices, "\n")
	if words != "" && (!strings.Contains(told, words) || len(kept) != 1 || !strings.Contains(told, kept[0])) {
		h.t.Errorf("the notices are %q, want one of %q; kept are %q", told, words, kept)
	}
	// The reconciler may have looked already, and tell whose the links are.
	if words == "" && (strings.Contains(told, "damaged") || len(kept) > 0) {
		h.t.Errorf("the notices are %q; kept are %q", told, kept)
	}
}
