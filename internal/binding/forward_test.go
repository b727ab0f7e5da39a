package binding_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"kuryr/internal/courier"
	"kuryr/internal/testkit"
)

// soon is how long a rule may be missing after dockerd removed it.
const soon = 2 * time.Second

// container moves a port's link into a sandbox of its own, with addresses.
func (l *lab) container(p courier.Plug, i int) *testkit.NS {
	l.tb.Helper()
	sandbox := testkit.NewNS(l.tb)
	end := courier.ContainerEnd(p.Port)
	l.Run("ip", "link", "set", end, "netns", sandbox.Path())
	sandbox.Run("ip", "link", "set", end, "name", "eth0")
	sandbox.Run("ip", "addr", "add", fmt.Sprintf("192.0.2.%d/24", i), "dev", "eth0")
	sandbox.Run("ip", "addr", "add", fmt.Sprintf("2001:db8::%d/64", i), "dev", "eth0", "nodad")
	sandbox.Run("ip", "link", "set", "eth0", "up")
	return sandbox
}

// ping reports whether an address answers within about two seconds.
func ping(from *testkit.NS, address string) bool {
	_, err := from.Try("ping", "-n", "-q", "-c", "1", "-w", "2", address)
	return err == nil
}

// What the rule is for: without it Docker's firewall drops what one container
// of a network sends to another.
func TestContainersReachEachOtherPastDocker(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.dockerStarts("iptables", "ip6tables")
	one, two := plugOf(network, 1), plugOf(network, 2)
	l.mustAttach(one)
	l.mustAttach(two)
	first := l.container(one, 1)
	l.container(two, 2)
	// Neighbours are found by ARP, which passes, and ND, which does not.
	for _, c := range []struct{ tool, address string }{
		{"iptables", "192.0.2.2"},
		{"ip6tables", "2001:db8::2"},
	} {
		l.wantChain(c.tool, 0, ruleFor(brq), returnAll)
		if !ping(first, c.address) {
			t.Errorf("%s does not answer with the rule in place", c.address)
		}
		l.Run(c.tool, "-w", "-F", "DOCKER-USER")
		if ping(first, c.address) {
			t.Errorf("%s answers without the rule: the test shows nothing", c.address)
		}
	}
	l.restart()
	l.run()
	l.wantChain("iptables", soon, ruleFor(brq))
	l.wantChain("ip6tables", soon, ruleFor(brq))
	for _, address := range []string{"192.0.2.2", "2001:db8::2"} {
		if !ping(first, address) {
			t.Errorf("%s does not answer after a restart", address)
		}
	}
	// The counter shows an administrator that the rule is used.
	if out := l.Run("iptables", "-w", "-nvxL", "DOCKER-USER"); strings.Contains(out, " 0        0 ACCEPT") {
		t.Errorf("the rule counted nothing:\n%s", out)
	}
}

func TestRuleIsPutBack(t *testing.T) {
	for _, c := range []struct {
		name string
		act  func(*lab)
		want []string
	}{
		{"chain flushed", func(l *lab) { l.Run("iptables", "-w", "-F", "DOCKER-USER") },
			[]string{ruleFor(brq)}},
		{"everything flushed, and dockerd restarted", func(l *lab) {
			l.Run("nft", "flush", "ruleset")
			l.dockerStarts("iptables")
		}, []string{ruleFor(brq), returnAll}},
		{"rule deleted by iptables", func(l *lab) {
			l.Run("iptables", append([]string{"-w", "-D"}, strings.Fields(strings.ReplaceAll(ruleFor(brq)[3:], `"`, ""))...)...)
		}, []string{ruleFor(brq), returnAll}},
		{"rule doubled by hand", func(l *lab) {
			l.Run("iptables", append([]string{"-w", "-A"}, strings.Fields(strings.ReplaceAll(ruleFor(brq)[3:], `"`, ""))...)...)
		}, []string{ruleFor(brq), returnAll}},
		{"saved and restored", func(l *lab) {
			l.Run("sh", "-c", "iptables-save > \"$0\"; iptables-restore < \"$0\"", l.tb.TempDir()+"/rules")
		}, []string{ruleFor(brq), returnAll}},
		{"made void by a RETURN above", func(l *lab) { l.Run("iptables", "-w", "-I", "DOCKER-USER", "-j", "RETURN") },
			[]string{ruleFor(brq), returnAll, returnAll}},
		{"an administrator's rules above", func(l *lab) {
			l.Run("iptables", "-w", "-I", "DOCKER-USER", "-s", "192.0.2.66/32", "-j", "RETURN")
			l.Run("iptables", "-w", "-I", "DOCKER-USER", "-j", "DROP")
		}, []string{"-A DOCKER-USER -j DROP", "-A DOCKER-USER -s 192.0.2.66/32 -j RETURN", ruleFor(brq), returnAll}},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLab(t)
			l.dockerStarts("iptables")
			l.run()
			l.mustAttach(plugOf(network, 1))
			l.wantChain("iptables", 0, ruleFor(brq), returnAll)
			c.act(l)
			l.wantChain("iptables", soon, c.want...)
			// And it stays so.
			time.Sleep(100 * time.Millisecond)
			l.wantChain("iptables", 0, c.want...)
			if err := l.detach(plugOf(network, 1)); err != nil {
				t.Fatal(err)
			}
			l.wantChain("iptables", 0, slices.DeleteFunc(c.want, func(r string) bool { return r == ruleFor(brq) })...)
			if err := l.binder.Health(); err != nil {
				t.Errorf("Health: %v", err)
			}
		})
	}
}

// dockerd deletes its jump to DOCKER-USER and inserts it again. In between
// packets pass, and rules that users have there judge them, as ever.
func TestDockerMovesItsJump(t *testing.T) {
	for _, c := range []struct {
		tool, address string
		notices       time.Duration
	}{
		{"iptables", "192.0.2.2", soon},
		{"ip6tables", "2001:db8::2", soon},
		{"iptables-legacy", "192.0.2.2", 8 * time.Second}, // looked at every 5 s
		{"ip6tables-legacy", "2001:db8::2", 8 * time.Second},
	} {
		t.Run(c.tool, func(t *testing.T) {
			t.Parallel()
			l := newLab(t)
			l.dockerStarts(c.tool)
			l.run()
			one, two := plugOf(network, 1), plugOf(network, 2)
			l.mustAttach(one)
			l.mustAttach(two)
			first := l.container(one, 1)
			l.container(two, 2)
			l.wantForward(c.tool, 0, dockersJump, jumpFor(brq))

			l.Run(c.tool, "-w", "-D", "FORWARD", "-j", "DOCKER-USER")
			if !ping(first, c.address) {
				t.Errorf("%s does not answer while Docker's jump is missing", c.address)
			}
			l.Run(c.tool, "-w", "-I", "DOCKER-USER", "-d", c.address, "-j", "DROP")
			if ping(first, c.address) {
				t.Errorf("%s answers while Docker's jump is missing, though a user's rule drops it", c.address)
			}
			l.Run(c.tool, "-w", "-D", "DOCKER-USER", "-d", c.address, "-j", "DROP")
			l.wantForward(c.tool, 0, jumpFor(brq))
			l.Run(c.tool, "-w", "-I", "FORWARD", "-j", "DOCKER-USER")
			l.wantForward(c.tool, 0, dockersJump, jumpFor(brq))

			// What an administrator puts before Docker's jump goes before ours.
			l.Run(c.tool, "-w", "-A", "FORWARD", "-p", "tcp", "-j", "DROP")
			l.Run(c.tool, "-w", "-D", "FORWARD", "-j", "DOCKER-USER")
			l.Run(c.tool, "-w", "-A", "FORWARD", "-j", "DOCKER-USER")
			l.wantForward(c.tool, c.notices, "-A FORWARD -p tcp -j DROP", dockersJump, jumpFor(brq))
			l.Run(c.tool, "-w", "-D", "FORWARD", "3")
			l.wantForward(c.tool, c.notices, "-A FORWARD -p tcp -j DROP", dockersJump, jumpFor(brq))

			// One that goes while Docker's is missing leaves nothing.
			l.Run(c.tool, "-w", "-D", "FORWARD", "-j", "DOCKER-USER")
			for _, p := range []courier.Plug{one, two} {
				if err := l.detach(p); err != nil {
					t.Fatal(err)
				}
			}
			l.wantForward(c.tool, 0, "-A FORWARD -p tcp -j DROP")
			if err := l.binder.Health(); err != nil {
				t.Errorf("Health: %v", err)
			}
		})
	}
}

func TestDockerStartsAfterKuryr(t *testing.T) {
	l := newLab(t)
	l.run()
	l.mustAttach(plugOf(network, 1))
	if out, err := l.Try("nft", "list", "tables"); err != nil || out != "" {
		t.Fatalf("tables were made where there is no Docker: %s %v", out, err)
	}
	l.dockerStarts("iptables")
	l.wantChain("iptables", soon, ruleFor(brq), returnAll)
	l.dockerStarts("ip6tables")
	l.wantChain("ip6tables", soon, ruleFor(brq), returnAll)
}

// A crash can come between any two steps: the next start finds which bridges
// are in use, whoever made them, and removes what is left of others. Bridges of
// another host's Kuryr are left to it.
func TestStartTakesOver(t *testing.T) {
	l := newLab(t)
	l.dockerStarts("iptables")
	const foreign, foreignBridge = courier.NetworkID("f0f0f0f0-0000"), "brqf0f0f0f0-00"
	l.Run("ip", "link", "add", foreignBridge, "type", "bridge")
	l.mustAttach(plugOf(network, 1))
	l.mustAttach(plugOf(foreign, 2))
	named, fabric := plugOf("e0e0e0e0-0000", 3), plugOf("d0d0d0d0-0000", 4)
	named.Binding.VIFDetails = map[string]any{"bridge_name": "br-flat"}
	l.Run("ip", "link", "add", "br-flat", "type", "bridge")
	l.mustAttach(named)
	// As an executable plugs.
	fabric.Binding.VIFType = "tap"
	l.Run("ip", "link", "add", "br-fabric", "type", "bridge")
	l.mustAttach(fabric)
	l.Run("ip", "link", "set", fabric.HostEnd, "master", "br-fabric")
	for i, alias := range []string{"kuryr:node12:intent", "kuryr:ode1:intent", "kuryr"} {
		bridge, port := fmt.Sprintf("brqother%d", i), fmt.Sprintf("tapother%d", i)
		l.Run("ip", "link", "add", bridge, "type", "bridge")
		l.Run("ip", "link", "set", bridge, "alias", alias)
		l.Run("ip", "link", "add", port, "type", "veth")
		l.Run("ip", "link", "set", port, "alias", alias, "master", bridge)
	}
	l.Run("iptables", "-w", "-F", "DOCKER-USER")
	l.Run("nft", "insert rule ip filter DOCKER-USER iifname brqgone oifname brqgone counter accept comment \"kuryr:brqgone\"")
	l.Run("nft", "insert rule ip filter DOCKER-USER iifname brqgone oifname brqgone counter accept comment \"mine\"")
	l.restart()
	l.run()
	l.wantChain("iptables", soon, ruleFor(foreignBridge), ruleFor(brq), ruleFor("br-flat"),
		`-A DOCKER-USER -i brqgone -o brqgone -m comment --comment mine -j ACCEPT`)
	l.Run("iptables", "-w", "-F", "DOCKER-USER")
	l.wantChain("iptables", soon, ruleFor(foreignBridge), ruleFor(brq), ruleFor("br-flat"))
	if rules := l.Run("iptables", "-w", "-S", "FORWARD"); strings.Contains(rules, "br-fabric") {
		t.Errorf("the bridge of an executable's has a rule of ours:\n%s", rules)
	}
}

func TestLegacyTables(t *testing.T) {
	for _, tool := range []string{"iptables-legacy", "ip6tables-legacy"} {
		t.Run(tool, func(t *testing.T) {
			t.Parallel()
			l := newLab(t)
			if out, err := l.Try(tool, "-w", "-S"); err != nil {
				t.Fatalf("this kernel or machine has no %s: %v\n%s", tool, err, out)
			}
			l.dockerStarts(tool)
			l.run()
			one, two := plugOf(network, 1), plugOf(network, 2)
			l.mustAttach(one)
			l.mustAttach(two)
			l.wantChain(tool, 0, ruleFor(brq), returnAll)
			first := l.container(one, 1)
			l.container(two, 2)
			address := map[string]string{"iptables-legacy": "192.0.2.2", "ip6tables-legacy": "2001:db8::2"}[tool]
			if !ping(first, address) {
				t.Errorf("%s does not answer with the rule in place", address)
			}
			l.Run(tool, "-w", "-F", "DOCKER-USER")
			if ping(first, address) {
				t.Errorf("%s answers without the rule: the test shows nothing", address)
			}
			l.wantChain(tool, 8*time.Second, ruleFor(brq)) // it has to be looked for: every 5 s
			for _, p := range []courier.Plug{one, two} {
				if err := l.detach(p); err != nil {
					t.Fatal(err)
				}
			}
			l.wantChain(tool, 0)
			if out, err := l.Try("nft", "list", "ruleset"); err != nil || strings.Contains(out, "brq") {
				t.Errorf("a rule was made where Docker doesn't look: %s %v", out, err)
			}
		})
	}
}

// A packet passes both kinds of tables, so the rule is needed in both.
func TestBothKindsOfTables(t *testing.T) {
	l := newLab(t)
	l.dockerStarts("iptables", "iptables-legacy")
	l.mustAttach(plugOf(network, 1))
	l.wantChain("iptables-nft", 0, ruleFor(brq), returnAll)
	l.wantChain("iptables-legacy", 0, ruleFor(brq), returnAll)
	if err := l.detach(plugOf(network, 1)); err != nil {
		t.Fatal(err)
	}
	l.wantChain("iptables-nft", 0, returnAll)
	l.wantChain("iptables-legacy", 0, returnAll)
}

// Where a rule can't be set, the port isn't plugged, and health says why until
// it can be.
func TestRuleThatCanNotBeSet(t *testing.T) {
	l := newLab(t)
	l.dockerStarts("iptables-legacy")
	t.Setenv("PATH", fakeTools(t, "iptables-legacy", "#!/bin/sh\necho no luck >&2\nexit 4\n"))
	err := l.binder.Bind(t.Context(), plugOf(network, 1))
	wantKind(t, err, courier.Unavailable, "Docker's firewall", "no luck")
	if strings.Contains(err.Error(), "\n") || courier.HintOf(err) == "" {
		t.Errorf("not one line with a hint: %q", err)
	}
	if err := l.binder.Health(); err == nil || !strings.Contains(err.Error(), "no luck") {
		t.Errorf("Health: %v, want the reason", err)
	}
	t.Setenv("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
	if l.exists(brq) {
		t.Error("the bridge is left")
	}
	l.mustAttach(plugOf(network, 1))
	if err := l.binder.Health(); err != nil {
		t.Errorf("Health: %v, though the rule is set", err)
	}
	l.wantChain("iptables-legacy", 0, ruleFor(brq), returnAll)
}

func TestRunEndsWithItsContext(t *testing.T) {
	l := newLab(t)
	for range 20 {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- l.binder.Run(ctx) }()
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("Run: %v", err)
			}
		case <-time.After(5 * time.Second):
			t.Fatal("Run goes on")
		}
	}
}

func BenchmarkAttach(b *testing.B) {
	l := newLab(b)
	l.dockerStarts("iptables", "ip6tables")
	l.run()
	l.mustAttach(plugOf(network, 0)) // the network's bridge exists, as for all but its first container
	p := plugOf(network, 1)
	create := func() error { return l.attach(p) }
	remove := func() error { return l.detach(p) }
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
	b.Run("CreateBindUp", func(b *testing.B) { l.Do(func() { measure(b, create, remove) }) })
	b.Run("DeleteUnbind", func(b *testing.B) {
		if err := create(); err != nil {
			b.Fatal(err)
		}
		l.Do(func() { measure(b, remove, create) })
		if err := remove(); err != nil {
			b.Fatal(err)
		}
	})
}

// Where a Neutron agent judges frames, none is accepted before it: it comes
// behind DOCKER-USER when dockerd was started later.
func TestNeutronsFirewallJudges(t *testing.T) {
	for _, tool := range []string{"iptables", "ip6tables", "iptables-legacy"} {
		for _, chain := range []string{"neutron-linuxbri-sg-chain", "neutron-openvswi-sg-chain"} {
			t.Run(tool+" "+chain, func(t *testing.T) {
				t.Parallel()
				l := newLab(t)
				l.dockerStarts(tool)
				stop := l.run()
				l.mustAttach(plugOf(network, 1))
				l.wantChain(tool, soon, ruleFor(brq), returnAll)
				l.wantForward(tool, soon, dockersJump, jumpFor(brq))
				l.Run(tool, "-w", "-N", chain)
				l.wantChain(tool, 7*time.Second, returnAll)
				l.wantForward(tool, soon, dockersJump)
				// Nor is there one when the next port comes, or Kuryr starts.
				l.mustAttach(plugOf(network, 2))
				l.wantChain(tool, 0, returnAll)
				stop()
				l.restart()
				l.mustAttach(plugOf(network, 3))
				l.wantChain(tool, 0, returnAll)
				l.wantForward(tool, 0, dockersJump)
				l.Run(tool, "-w", "-X", chain)
				l.run()
				l.wantChain(tool, 7*time.Second, ruleFor(brq), returnAll)
				l.wantForward(tool, soon, dockersJump, jumpFor(brq))
			})
		}
	}
}

// A start beside such an agent removes the rules of a bridge of others, but
// knows of them still when the agent has gone.
func TestStartBesideNeutronsFirewall(t *testing.T) {
	for _, tool := range []string{"iptables", "iptables-legacy"} {
		t.Run(tool, func(t *testing.T) {
			t.Parallel()
			l := newLab(t)
			l.dockerStarts(tool)
			named := plugOf(network, 1)
			named.Binding.VIFDetails = map[string]any{"bridge_name": "br-flat"}
			l.Run("ip", "link", "add", "br-flat", "type", "bridge")
			l.mustAttach(named)
			l.wantChain(tool, 0, ruleFor("br-flat"), returnAll)
			l.Run(tool, "-w", "-N", "neutron-linuxbri-sg-chain")
			l.restart()
			l.run()
			l.wantChain(tool, 7*time.Second, returnAll)
			l.Run(tool, "-w", "-X", "neutron-linuxbri-sg-chain")
			l.wantChain(tool, 7*time.Second, ruleFor("br-flat"), returnAll)
		})
	}
}

// Changes close no socket: whoever removes an interface would wait for it.
func TestRulesKeepTheirSockets(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.dockerStarts("iptables", "ip6tables")
	one, two := plugOf(network, 1), plugOf("22222222-1111-4222-8333-444444444444", 2)
	l.mustAttach(one)
	before := l.NetfilterSockets()
	if len(before) != 2 {
		t.Errorf("%d sockets stay open, want the one that reads rules and the one that changes them", len(before))
	}
	l.mustAttach(two)
	if err := l.detach(one); err != nil {
		t.Fatal(err)
	}
	if after := l.NetfilterSockets(); !slices.Equal(before, after) {
		t.Errorf("sockets were %q and are %q", before, after)
	}
}
