package dataplane_test

import (
	"context"
	"io"
	"net/netip"
	"slices"
	"testing"
	"time"

	"kuryr/internal/embedded/dataplane"
)

// TestScale changes a policy of 1,000 ports and 10,000 rules.
func TestScale(t *testing.T) {
	w := newWorld(t)
	w.group("extra", rule(proto(6), ports(1, 1)))
	w.host(networkA, 1, "extra")
	begin := time.Now()
	w.publish(w.big(1000, 50, 10000))
	t.Logf("all of it at first: %s", time.Since(begin))
	for _, c := range []struct {
		name   string
		change func(i int, s *dataplane.State)
	}{
		{"a rule more", func(i int, s *dataplane.State) {
			g := s.Groups["extra"]
			g.Rules = append(slices.Clone(g.Rules), rule(proto(6), ports(100+i, 150+i)))
			s.Groups["extra"] = g
		}},
		{"a rule more in a group of many", func(i int, s *dataplane.State) {
			id := s.Ports[0].Groups[0]
			g := s.Groups[id]
			g.Rules = append(slices.Clone(g.Rules), rule(proto(6), ports(100+i, 100+i)))
			s.Groups[id] = g
		}},
		{"a port less", func(i int, s *dataplane.State) { s.Ports = s.Ports[i+1:] }},
		{"another address", func(i int, s *dataplane.State) {
			s.Ports[i].Addresses = []netip.Addr{v4(9000 + i)}
		}},
	} {
		var took []time.Duration
		for i := range 7 {
			s := w.big(1000, 50, 10000)
			c.change(i, &s)
			w.policy.set(s)
			begin := time.Now()
			if err := w.agent.Apply(context.Background()); err != nil {
				t.Fatal(err)
			}
			took = append(took, time.Since(begin))
		}
		slices.Sort(took)
		median := took[len(took)/2]
		t.Logf("%s: median %s, slowest %s", c.name, median, took[len(took)-1])
		if median > 100*time.Millisecond {
			t.Errorf("%s takes %s, more than 100 ms", c.name, median)
		}
	}
}

// BenchmarkThroughput sends TCP from a container to another: without port
// security, with it, and with 10,000 rules and 1,000 ports besides.
func BenchmarkThroughput(b *testing.B) {
	for _, c := range []struct {
		name string
		set  func(w *world, x, y *host)
	}{
		{"no-table", func(w *world, _, _ *host) { w.stop(); w.ns.Run("nft", "flush", "ruleset") }},
		{"port-security-off", func(w *world, x, y *host) { x.port.Security, y.port.Security = false, false; w.apply() }},
		{"rules", func(w *world, _, _ *host) { w.apply() }},
		{"10000-rules", func(w *world, _, _ *host) { w.publish(w.big(1000, 50, 10000)) }},
	} {
		b.Run(c.name, func(b *testing.B) {
			w := newWorld(b)
			w.group("out", rule(egress))
			w.group("in", rule(proto(6), ports(80, 80)))
			x, y := w.host(networkA, 1, "out"), w.host(networkA, 2, "in")
			x.address()
			y.address()
			c.set(w, x, y)
			s := connect(b, x, y, 80)
			const size = 1 << 20
			b.SetBytes(size)
			go func() {
				buffer := make([]byte, size)
				for range b.N {
					if _, err := s.client.Write(buffer); err != nil {
						return
					}
				}
			}()
			b.ResetTimer()
			if _, err := io.CopyN(io.Discard, s.server, int64(b.N)*size); err != nil {
				b.Fatal(err)
			}
		})
		b.Run(c.name+"/round-trip", func(b *testing.B) {
			w := newWorld(b)
			w.group("out", rule(egress))
			w.group("in", rule(proto(6), ports(80, 80)))
			x, y := w.host(networkA, 1, "out"), w.host(networkA, 2, "in")
			x.address()
			y.address()
			c.set(w, x, y)
			s := connect(b, x, y, 80)
			for b.Loop() {
				if !s.works(time.Second) {
					b.Fatal("broken")
				}
			}
		})
	}
}
