package ovsdb_test

import (
	"fmt"
	"sync"
	"testing"
)

// BenchmarkPort adds and deletes a port: by this package, with ovs-vswitchd
// making it, and by ovs-vsctl, which doesn't wait for that here.
func BenchmarkPort(b *testing.B) {
	l := newLab(b)
	p := port(1)
	l.interfaces(p)
	b.Run("ovsdb", func(b *testing.B) {
		for b.Loop() {
			if _, err := l.client.AddPort(b.Context(), p); err != nil {
				b.Fatal(err)
			}
			if err := l.client.DeletePorts(b.Context(), p.Name); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("ovs-vsctl", func(b *testing.B) {
		for b.Loop() {
			l.ovs.VSCtl("--no-wait", "add-port", bridge, p.Name, "--", "set", "Interface", p.Name,
				"external_ids:iface-id="+string(p.ID), "external_ids:iface-status=active",
				fmt.Sprintf("external_ids:attached-mac=%q", p.MAC), "external_ids:vm-uuid="+p.Device)
			l.ovs.VSCtl("--no-wait", "del-port", p.Name)
		}
	})
	b.Run("ovs-vsctl, waiting", func(b *testing.B) {
		for b.Loop() {
			l.ovs.VSCtl("add-port", bridge, p.Name, "--", "set", "Interface", p.Name, "external_ids:iface-id="+string(p.ID))
			l.ovs.VSCtl("del-port", p.Name)
		}
	})
}

// BenchmarkFiftyAtOnce adds fifty ports at once, and deletes them together.
func BenchmarkFiftyAtOnce(b *testing.B) {
	l := newLab(b)
	var names []string
	for i := range 50 {
		l.interfaces(port(i))
		names = append(names, port(i).Name)
	}
	for b.Loop() {
		var all sync.WaitGroup
		for i := range 50 {
			all.Go(func() {
				if _, err := l.client.AddPort(b.Context(), port(i)); err != nil {
					b.Error(err)
				}
			})
		}
		all.Wait()
		if err := l.client.DeletePorts(b.Context(), names...); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRows adds and deletes the rows alone: the switch is dead, and
// nobody waits for it.
func BenchmarkRows(b *testing.B) {
	l := newLab(b)
	l.ovs.StopSwitch()
	p := port(1)
	for b.Loop() {
		if err := l.client.InsertRows(b.Context(), p); err != nil {
			b.Fatal(err)
		}
		if err := l.client.DeletePorts(b.Context(), p.Name); err != nil {
			b.Fatal(err)
		}
	}
}
