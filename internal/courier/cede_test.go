package courier_test

import (
	"context"
	"testing"
	"time"

	"kuryr/internal/courier"
)

// has tells whether Neutron has a port with an address.
func (w *world) has(ctx context.Context, n courier.NetworkID, address string) string {
	found, err := w.neutron.FindPorts(ctx, courier.PortQuery{Network: n, Address: addrOf(address)})
	if err != nil || len(found) != 1 {
		return "no port has " + address
	}
	return ""
}

// A container wishes for an address that a port gets which its network's pool is
// just having made: the container gets it.
func TestWishedAddressIsBeingPooled(t *testing.T) {
	for _, slow := range []string{"create ports", "create link"} {
		t.Run(slow, func(t *testing.T) {
			w := newWorld(t)
			w.change = func(o *courier.Options) {
				o.PortPool = courier.PortPool{Min: 1, Max: 1, Batch: 1, CoolDown: time.Hour, Idle: time.Hour}
			}
			w.restart()
			e, ctx := &engine{w: w}, t.Context()
			n := mustNetwork(t, e, "wished", poolSpec{cidr: "10.74.0.0/28"}) // 13 addresses, of which a pool may have one
			all := []*container{mustStart(t, e, n, "first", "")}
			w.awaitPool(n.id, func(s courier.PoolStats) bool { return s.Ready == 1 })
			others := w.takeAll(ctx)
			next, err := w.neutron.FindPorts(ctx, courier.PortQuery{ID: others[0]})
			if err != nil || len(next) != 1 {
				t.Fatal(next, err)
			}
			address, network := next[0].FixedIPs[0].Address.String(), w.c.Status().Networks[0].Neutron
			if err := w.neutron.DeletePort(ctx, others[0]); err != nil { // the pool's next has its address
				t.Fatal(err)
			}
			w.breaker.set(func() { w.breaker.mull = map[string]time.Duration{slow: 300 * time.Millisecond} })
			all = append(all, mustStart(t, e, n, "second", "")) // it has what was ready
			settled(t, func() string { return w.has(ctx, network, address) })
			all = append(all, mustStart(t, e, n, "third", "", address))
			for _, k := range all {
				e.stop(ctx, k)
			}
			for _, id := range others[1:] {
				if err := w.neutron.DeletePort(ctx, id); err != nil {
					t.Fatal(err)
				}
			}
			e.networkRemove(ctx, n)
			w.mustEmpty()
		})
	}
}

// Of two pooled ports one has the IPv4 and one the IPv6 address that a container
// wishes for, or one has its address and not its MAC: the pool gives them up.
func TestPoolCedesWhatIsWished(t *testing.T) {
	pool := smallPool
	pool.CoolDown = time.Hour
	w, e, n := pooledWorld(t, pool)
	ctx := t.Context()
	ready := w.awaitPool(n.id, func(s courier.PoolStats) bool { return s.Ready >= 2 && len(s.Ports) >= 2 }).Ports
	k, err := e.start(ctx, n, "both", "", ready[0].Addresses[0].String(), ready[1].Addresses[1].String())
	if err != nil {
		t.Fatalf("the addresses are on two ports of the pool: %v", err)
	}
	w.awaitPool(n.id, func(s courier.PoolStats) bool { return s.Ready >= 1 })
	pooled := w.readyIn(n.id)
	mac, _ := courier.ParseMAC("02:00:00:00:61:02")
	got, err := w.c.RequestAddress(ctx, courier.AddressRequest{Pool: n.pools[0].id, Address: pooled.Addresses[0], MAC: mac})
	if err != nil || got.Addr() != pooled.Addresses[0] {
		t.Fatalf("the address is on a port of the pool that has another MAC: %v, %v", got, err)
	}
	found, err := w.neutron.FindPorts(ctx, courier.PortQuery{Network: w.c.Status().Networks[0].Neutron, Address: pooled.Addresses[0]})
	if err != nil || len(found) != 1 || found[0].MAC != mac {
		t.Errorf("the port is %+v, %v", found, err)
	}
	if err := w.c.ReleaseAddress(ctx, n.pools[0].id, got.Addr()); err != nil {
		t.Fatal(err)
	}
	e.stop(ctx, k)
	e.networkRemove(ctx, n)
	w.mustEmpty()
}

// An endpoint goes while the group of its exposed ports is being made: its port
// does not go back to the pool with a group that its next endpoint did not ask for.
func TestPortThatIsBeingOpenedIsNotUsedAgain(t *testing.T) {
	w, e, n := pooledWorld(t, smallPool)
	ctx := t.Context()
	k := mustStart(t, e, n, "brief", "")
	port := w.described(k).Port
	w.awaitDevice(port, k.endpoint)
	w.breaker.set(func() { w.breaker.hold = map[string]time.Duration{"create group": 300 * time.Millisecond} })
	mustExpose(t, e, k, web)
	settled(t, func() string { return until(w.breaker, "create group", 1) })
	e.stop(ctx, k)
	w.settled()
	for _, a := range w.pool(n.id).Ports {
		if a.Port == port {
			t.Errorf("the port is in the pool: %+v", a)
		}
	}
	settled(t, func() string {
		if found, err := w.neutron.FindPorts(ctx, courier.PortQuery{ID: port}); err != nil || len(found) > 0 {
			return "the port is there"
		}
		return ""
	})
	for id, groups := range w.portGroups() {
		if groups != "default" {
			t.Errorf("port %s has the groups %s", id, groups)
		}
	}
	e.networkRemove(ctx, n)
	w.mustEmpty()
}
