package docker

import (
	"testing"

	"kuryr/internal/testkit"
)

// The engine ends and starts again, in each of the ways that it has, with
// containers on Kuryr's networks. It replays nothing to its plugins; Kuryr
// must know what is still in use.
func TestEngineRestart(t *testing.T) {
	tests := []struct {
		name string
		live bool
		end  func(*testkit.Engine) error
	}{
		{"stopped", false, (*testkit.Engine).Stop},
		{"killed", false, (*testkit.Engine).Kill},
		{"stopped with live-restore", true, (*testkit.Engine).Stop},
		{"killed with live-restore", true, (*testkit.Engine).Kill},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := newSpecialHost(t, testkit.KuryrOptions{})
			options := testkit.EngineOptions{LiveRestore: tt.live}
			if tt.live {
				h.restartEngine((*testkit.Engine).Stop, options)
			}

			n := h.network("net", "--subnet", "10.70.0.0/24", "--ipv6", "--subnet", "fd70::/64")
			n.run("alice", "--ip", "10.70.0.10")
			n.run("bob", "--ip", "10.70.0.20", "--restart", "always")
			a, b := container{h, "alice"}, container{h, "bob"}
			a.reaches("10.70.0.20")
			port := n.port("10.70.0.10").ID

			h.restartEngine(tt.end, options)
			if tt.live {
				if got := n.port("10.70.0.10").ID; got != port {
					t.Errorf("alice's port is %s, was %s, though it ran on", got, port)
				}
			} else {
				h.docker("start", "alice")
			}
			h.eventually("bob runs", func() bool { _, running := b.state(); return running })
			a.reaches("10.70.0.20")
			b.reaches(a.ip6())
			h.eventually("only alice and bob have ports", func() bool { return len(n.ports()) == 2 })

			c := n.run("carol")
			c.reaches("10.70.0.10")
			for _, gone := range []container{a, b, c} {
				gone.remove()
			}
			n.remove()
		})
	}
}

func (h *host) restartEngine(end func(*testkit.Engine) error, o testkit.EngineOptions) {
	h.t.Helper()
	if err := end(h.engine); err != nil {
		h.t.Fatal(err)
	}
	if err := h.engine.Start(h.t.Context(), o); err != nil {
		h.t.Fatal(err)
	}
}
