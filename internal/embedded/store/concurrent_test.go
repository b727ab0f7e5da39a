package store

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"path/filepath"
	"sync"
	"testing"
)

// TestConcurrentUse lets many callers make, change, find and delete ports of
// one small subnet at once: at no time do two ports have one address, and the
// file holds in the end what memory does.
func TestConcurrentUse(t *testing.T) {
	path := filepath.Join(t.TempDir(), "neutron.db")
	s := openAt(t, Options{Path: path})
	net, subs := network(t, s, "10.0.0.0/26", "fd00::/64")
	ctx := context.Background()
	var mu sync.Mutex
	held := map[netip.Addr]string{}
	var wg sync.WaitGroup
	for worker := range 16 {
		wg.Go(func() {
			for range 60 {
				ports, err := s.CreatePorts(ctx, []PortSpec{{
					StandardSpec: StandardSpec{Description: Some(fmt.Sprint("worker ", worker))},
					NetworkID:    Some(net.ID), FixedIPs: Some([]FixedIPSpec{{SubnetID: subs[0].ID}, {SubnetID: subs[1].ID}}), HostID: Some(testHost),
				}})
				if err != nil {
					t.Error(err)
					return
				}
				p := ports[0]
				mu.Lock()
				for _, ip := range p.FixedIPs {
					if other := held[ip.Address]; other != "" {
						t.Errorf("%v is held by %s and given to %s", ip.Address, other, p.ID)
					}
					held[ip.Address] = p.ID
				}
				mu.Unlock()
				exercise(t, s, p, worker)
				mu.Lock()
				for _, ip := range p.FixedIPs {
					delete(held, ip.Address) // before it can be handed out again
				}
				mu.Unlock()
				if err := s.DeletePort(ctx, p.ID, Match{}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if left, err := s.Ports(ctx, nil, nil); err != nil || len(left) != 0 {
		t.Errorf("%d ports left, %v", len(left), err)
	}
	checkSame(t, s, path)
}

func exercise(t *testing.T, s *Store, p PortView, worker int) {
	ctx := context.Background()
	switch rand.IntN(4) {
	case 0:
		s.SetPlugged("tap"+p.ID[:11], true)
	case 1:
		if _, err := s.UpdatePort(ctx, p.ID, PortSpec{DeviceID: Some("d")}, Match{}); err != nil {
			t.Error(err)
		}
	case 2:
		mark := fmt.Sprint("worker ", worker)
		found, err := s.Ports(ctx, Query{"description": {mark}}, nil)
		if err != nil || len(found) != 1 || found[0].ID != p.ID {
			t.Errorf("by mark: %d ports, %v", len(found), err)
		}
	case 3:
		if err := s.AddTag(ctx, PortResource, p.ID, "tag"); err != nil {
			t.Error(err)
		}
	}
}
