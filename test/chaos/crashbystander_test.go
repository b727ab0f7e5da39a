package chaos

import (
	"bufio"
	"context"
	"os"
	"strings"
	"time"

	"kuryr/internal/testkit"
)

// crashBystander is two containers on a network of their own that ping each
// other for as long as the lab is there.
type crashBystander struct {
	network crashNetwork
	a, b    crashContainer
	ports   map[string]string // their status by ID
	silent  chan string
	delays  []string // packets that were not answered at once, by trial
	stop    func() error
}

// bystand starts the bystanders.
func (l *crashLab) bystand(ctx context.Context) {
	l.t.Helper()
	b := &crashBystander{network: crashNetwork{pools: []crashPool{{wish: "10.249.0.0/24"}}}, silent: make(chan string, 1000)}
	if err := l.engine.createNetwork(ctx, &b.network); err != nil {
		l.t.Fatal(err)
	}
	l.staying(&b.network)
	b.a = crashContainer{network: &b.network, sandbox: l.sandbox("alice"), ifname: "eth0"}
	b.b = crashContainer{network: &b.network, sandbox: l.sandbox("bob"), ifname: "eth0"}
	for _, c := range []*crashContainer{&b.a, &b.b} {
		if err := l.engine.start(ctx, c); err != nil {
			l.t.Fatal(err)
		}
		l.staying(&b.network, c)
	}
	target, _, _ := strings.Cut(b.b.addresses[0], "/")
	for deadline := time.Now().Add(crashSoon); ; {
		if _, err := l.machine.Output(ctx, "ip", "netns", "exec", b.a.sandbox, "ping", "-c", "1", "-W", "1", target); err == nil {
			break
		} else if time.Now().After(deadline) {
			l.t.Fatal(err)
		}
	}
	if _, err := l.settle(ctx, crashQuieter); err != nil {
		l.t.Fatal(err)
	}
	b.ports = l.portsBeside(ctx, &b.a)
	// -O tells of each packet that was not answered before the next one: lost,
	// as the sum will say, or late on a busy machine.
	cmd := l.machine.Command(ctx, "ip", "netns", "exec", b.a.sandbox, "ping", "-O", "-i", "0.2", target)
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		l.t.Fatal(err)
	}
	go func() {
		for s := bufio.NewScanner(out); s.Scan(); {
			if strings.Contains(s.Text(), "no answer") || strings.Contains(s.Text(), "packet loss") {
				b.silent <- s.Text()
			}
		}
		close(b.silent)
	}()
	b.stop = func() error {
		if err := cmd.Process.Signal(os.Interrupt); err != nil {
			return err
		}
		return cmd.Wait()
	}
	l.bystander = b
}

// portsBeside tells the status of each port of a running container's network,
// once those of containers are ACTIVE: a cloud's agent has to see them first, and a
// switch without an agent has nobody who does.
func (l *crashLab) portsBeside(ctx context.Context, c *crashContainer) map[string]string {
	l.t.Helper()
	port, err := l.portOf(ctx, c)
	if err != nil {
		l.t.Fatal(err)
	}
	for deadline := time.Now().Add(crashSoon); ; time.Sleep(100 * time.Millisecond) {
		all, waits := map[string]string{}, 0
		for _, p := range l.ports(ctx) {
			if p.NetworkID != port.NetworkID {
				continue
			}
			all[p.ID] = p.Status
			if l.ovs == nil && p.DeviceOwner == port.DeviceOwner && p.Status != "ACTIVE" {
				waits++
			}
		}
		if waits == 0 {
			return all
		}
		if time.Now().After(deadline) {
			l.t.Fatalf("%d ports of running containers are not ACTIVE: %v", waits, all)
		}
	}
}

func (l *crashLab) ports(ctx context.Context) []testkit.Port {
	l.t.Helper()
	ports, err := l.kuryr.Neutron.Ports(ctx, "")
	if err != nil {
		l.t.Error(err)
	}
	return ports
}

// undisturbed sees that the bystanders have lost nothing.
func (l *crashLab) undisturbed(ctx context.Context, trial string) {
	l.t.Helper()
	if l.bystander == nil {
		return
	}
	for quiet := false; !quiet; {
		select {
		case line := <-l.bystander.silent:
			l.bystander.delays = append(l.bystander.delays, trial+": "+line)
		default:
			quiet = true
		}
	}
	for deadline := time.Now().Add(crashSoon); ; time.Sleep(25 * time.Millisecond) {
		same := 0
		for _, p := range l.ports(ctx) {
			if status, theirs := l.bystander.ports[p.ID]; theirs && status == p.Status {
				same++
			}
		}
		if same == len(l.bystander.ports) {
			return
		}
		if time.Now().After(deadline) {
			l.t.Errorf("%s: %d of the %d ports of running containers have the status that they had", trial, same, len(l.bystander.ports))
			return
		}
	}
}

// dismiss ends the bystanders, and tells how many packets they sent, none of
// which may be lost.
func (l *crashLab) dismiss() {
	l.t.Helper()
	if l.bystander == nil {
		return
	}
	if err := l.bystander.stop(); err != nil {
		l.t.Errorf("the bystanders' ping: %v", err)
	}
	for line := range l.bystander.silent {
		if !strings.Contains(line, "packet loss") {
			continue
		}
		if !strings.Contains(line, " 0% packet loss") {
			l.t.Errorf("between two running containers: %s; %q", line, l.bystander.delays)
			continue
		}
		l.t.Logf("between two running containers: %s", line)
	}
}
