package main

import (
	"context"
	"fmt"
	"time"

	"kuryr/internal/testkit"
)

// poolOf is what kuryr.conf has for so many ports that are kept ready for each
// network, and rest for some seconds; with 0 ports, Kuryr's own defaults.
func poolOf(ready, rest int) string {
	if ready == 0 {
		return ""
	}
	return fmt.Sprintf("[vif_pool]\nports_pool_min = %d\nports_pool_max = %d\nports_pool_cooldown = %d\n", ready, max(ready, 64), rest)
}

// poolFilled waits until Kuryr has so many ports ready for its one network.
func poolFilled(ctx context.Context, k *testkit.Kuryr, ready int) error {
	var last int
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		s, err := k.Status(ctx)
		if err != nil {
			return err
		}
		for _, p := range s.Courier.PortPools {
			if last = p.Ready; last >= ready {
				return nil
			}
		}
	}
	return fmt.Errorf("the pool has %d ports ready after 2 minutes, not %d", last, ready)
}

// fillPool waits until Kuryr has so many ports ready for the lab's network. It
// keeps none for a network that has had no container yet.
func (l *lab) fillPool(ctx context.Context, ready int) error {
	if ready == 0 {
		return nil
	}
	s, err := l.kuryr.Status(ctx)
	if err != nil {
		return err
	}
	if len(s.Courier.PortPools) == 0 {
		if _, err := l.engine.Docker(ctx, "run", "--rm", "--network", onKuryr, testkit.Image, "true"); err != nil {
			return err
		}
	}
	return poolFilled(ctx, l.kuryr, ready)
}

// removalsOver waits until nothing of the last containers is left to remove.
func (l *lab) removalsOver(ctx context.Context) error {
	var pending int
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		s, err := l.kuryr.Status(ctx)
		if err != nil {
			return err
		}
		if pending = s.Courier.Pending; pending == 0 {
			return nil
		}
	}
	return fmt.Errorf("%d removals are pending after 2 minutes", pending)
}
