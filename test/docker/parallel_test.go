package docker

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"kuryr/internal/testkit"
)

// Many containers at once: none fails, each has a port of its own, and when all
// end at once nothing is left.
func TestManyAtOnce(t *testing.T) {
	h := newQuietHost(t)
	n := h.network("net", "--subnet", "10.60.0.0/24")
	before := len(n.ports())
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()

	began := time.Now()
	var all sync.WaitGroup
	for i := range many {
		all.Go(func() {
			if _, err := h.engine.Docker(ctx, "run", "--rm", "--detach", "--name", fmt.Sprint("c", i), "--network", "net", testkit.Image); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	t.Logf("%d containers started in %s", many, time.Since(began).Round(time.Millisecond))

	h.eventually("each container has an ACTIVE port", func() bool {
		active := 0
		for _, p := range n.ports() {
			if p.Status == "ACTIVE" && len(p.FixedIPs) == 1 {
				active++
			}
		}
		return active == many && len(n.ports()) == before+many
	})
	first, last := container{h, "c0"}, container{h, fmt.Sprint("c", many-1)}
	first.reaches(last.ip4())

	kill := []string{"kill"}
	for i := range many {
		kill = append(kill, fmt.Sprint("c", i))
	}
	if _, err := h.engine.Docker(ctx, kill...); err != nil {
		t.Error(err)
	}
	for len(get[[]any](h, "/containers/json?all=1")) > 0 && ctx.Err() == nil {
		time.Sleep(100 * time.Millisecond) // Docker removes them in its own time
	}
	h.eventually("no container's port is left", func() bool { return len(n.ports()) == before })
	// Docker 20.10 loses count of the endpoints of a network that so many leave
	// at once, of its own bridge networks too, and then refuses to remove the
	// network. When it starts it counts anew.
	h.restartEngine((*testkit.Engine).Stop, testkit.EngineOptions{})
}

// Networks too are made and removed beside each other.
func TestManyNetworksAtOnce(t *testing.T) {
	h := newHost(t)
	var all sync.WaitGroup
	cidrs := make([]string, 8)
	for i := range cidrs {
		all.Go(func() {
			name := fmt.Sprint("net", i)
			if _, err := h.try(h.networkArgs(name)...); err != nil {
				t.Error(err)
				return
			}
			out, err := h.try("network", "inspect", "--format", "{{(index .IPAM.Config 0).Subnet}}", name)
			if err != nil {
				t.Error(err)
			}
			cidrs[i] = out
			if _, err := h.try("run", "--rm", "--network", name, testkit.Image, "true"); err != nil {
				t.Error(err)
			}
			if i%2 == 0 {
				if _, err := h.try("network", "rm", name); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	seen := map[string]string{}
	for i := 1; i < len(cidrs); i += 2 {
		if other, ok := seen[cidrs[i]]; ok {
			t.Errorf("net%d and %s both have %s", i, other, cidrs[i])
		}
		seen[cidrs[i]] = fmt.Sprint("net", i)
	}
}
