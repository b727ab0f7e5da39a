// Command demo shows Kuryr at work with Docker, on this machine alone: two
// networks, three containers, the Neutron ports that they get, and that
// nothing is left when all is removed. It fails if anything is not as shown.
package main

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"kuryr/internal/testkit"
)

// limit is how long a demo may take at most.
const limit = 5 * time.Minute

func main() {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	ctx, stop := context.WithTimeout(ctx, limit)
	defer stop()
	s := newScreen(os.Stdout)
	began := time.Now()
	err := demo(ctx, s)
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
	}
	s.say("\n%d checks passed, %d failed, in %.1f s.", s.passed, s.failed, time.Since(began).Seconds())
	if err != nil || s.failed > 0 {
		os.Exit(1)
	}
}

// demo plays all scenes. What was started is stopped whatever happens.
func demo(ctx context.Context, s *screen) (err error) {
	st, err := setUp(ctx, s)
	if err != nil {
		return err
	}
	defer func() {
		// An interrupted demo cleans up, too.
		if e := st.tearDown(context.WithoutCancel(ctx)); e != nil && err == nil {
			err = e
		}
	}()
	before, err := st.kuryr.Take(ctx)
	if err != nil {
		return err
	}
	if err := st.build(ctx); err != nil {
		return err
	}
	st.ping(ctx)
	if err := st.showPorts(ctx); err != nil {
		return err
	}
	if err := st.showStatus(ctx); err != nil {
		return err
	}
	if err := st.remove(ctx, before); err != nil {
		return err
	}
	st.summary()
	return nil
}

// container of the demo.
type container struct {
	name, network string
	ip4, ip6      string
	mac           string
	port          string // its Neutron port
}

// build makes the networks and containers.
func (st *stage) build(ctx context.Context) error {
	st.title("Two networks and three containers")
	k := st.kuryr.Name
	commands := [][]string{
		{"network", "create", "-d", k, "--ipam-driver", k, "--subnet", "10.10.0.0/24", "--ipv6", "--subnet", "fd10::/64", "red"},
		{"network", "create", "-d", k, "--ipam-driver", k, "--ipv6", "blue"},
		{"run", "-d", "--name", "alice", "--network", "red", testkit.Image},
		{"run", "-d", "--name", "bob", "--network", "red", "--ip", "10.10.0.42", testkit.Image},
		{"run", "-d", "--name", "carol", "--network", "blue", testkit.Image},
	}
	for _, c := range commands {
		if _, err := st.docker(ctx, c...); err != nil {
			return err
		}
	}
	for i := range st.containers {
		if err := st.inspect(ctx, &st.containers[i]); err != nil {
			return err
		}
	}
	return nil
}

// inspect reads what a container really has, from inside.
func (st *stage) inspect(ctx context.Context, c *container) error {
	mac, err := st.engine.Docker(ctx, "exec", st.real(c.name), "cat", "/sys/class/net/eth0/address")
	if err != nil {
		return err
	}
	out, err := st.engine.Docker(ctx, "exec", st.real(c.name), "ip", "-o", "address", "show", "dev", "eth0", "scope", "global")
	if err != nil {
		return err
	}
	c.mac = mac
	for _, word := range strings.Fields(out) {
		p, err := netip.ParsePrefix(word)
		switch {
		case err != nil:
		case p.Addr().Is4():
			c.ip4 = p.Addr().String()
		default:
			c.ip6 = p.Addr().String()
		}
	}
	if c.ip4 == "" || c.ip6 == "" {
		return fmt.Errorf("container %s lacks an address: %q", c.name, out)
	}
	return nil
}

// ping shows who reaches whom.
func (st *stage) ping(ctx context.Context) {
	st.title("Who reaches whom")
	a, b, c := st.containers[0], st.containers[1], st.containers[2]
	tests := []struct {
		from    container
		to      container
		address string
		reaches bool
	}{
		{a, b, b.ip4, true}, {b, a, a.ip4, true}, {a, b, b.ip6, true}, {b, a, a.ip6, true},
		{a, c, c.ip4, false}, {c, a, a.ip4, false}, {a, c, c.ip6, false}, {c, a, a.ip6, false},
	}
	for _, t := range tests {
		verb := "reaches"
		if !t.reaches {
			verb = "does not reach"
		}
		what := fmt.Sprintf("%s %s %s at %s", t.from.name, verb, t.to.name, t.address)
		st.check(what, st.reaches(ctx, t.from, t.address, t.reaches) == t.reaches)
	}
}

// reaches pings. Where an answer is hoped for it tries for 5 s: an IPv6
// address is not used before the kernel knows that nobody else has it.
func (st *stage) reaches(ctx context.Context, from container, address string, hoped bool) bool {
	for deadline := time.Now().Add(5 * time.Second); ; {
		_, err := st.engine.Docker(ctx, "exec", st.real(from.name), "ping", "-c", "1", "-W", "1", address)
		if err == nil || !hoped || time.Now().After(deadline) || ctx.Err() != nil {
			return err == nil
		}
	}
}

// showPorts shows the ports behind the containers, as Neutron's API has them.
func (st *stage) showPorts(ctx context.Context) error {
	st.title("What Neutron knows")
	st.command("curl http://" + st.neutronAddress + "/v2.0/ports")
	ports, err := st.kuryr.Neutron.Ports(ctx, "")
	if err != nil {
		return err
	}
	rows := [][]string{{"PORT", "ADDRESSES", "MAC ADDRESS", "STATUS", "CONTAINER"}}
	owner := map[string]string{}
	for _, c := range st.containers {
		owner[c.mac] = c.name
	}
	for _, p := range ports {
		rows = append(rows, []string{p.ID, p.Addresses(), p.MAC, p.Status, owner[p.MAC]})
	}
	st.table(rows)
	for i := range st.containers {
		c := &st.containers[i]
		for _, p := range ports {
			if p.MAC == c.mac && p.Addresses() == c.ip4+" "+c.ip6 && p.Status == "ACTIVE" {
				c.port = p.ID
			}
		}
		st.check(c.name+" has an ACTIVE port with its MAC address and both its addresses", c.port != "")
	}
	return nil
}

// showStatus shows what an operator sees.
func (st *stage) showStatus(ctx context.Context) error {
	st.title("What kuryr status says")
	st.command("kuryr status")
	out, err := st.kuryr.CLI(ctx, "status", "--admin-socket", st.kuryr.AdminSocket())
	if err != nil {
		return err
	}
	st.say("%s", out)
	return nil
}

// remove removes all that build made, and checks that nothing is left.
func (st *stage) remove(ctx context.Context, before testkit.Inventory) error {
	st.title("Nothing is left")
	if _, err := st.docker(ctx, "rm", "-f", "alice", "bob", "carol"); err != nil {
		return err
	}
	if _, err := st.docker(ctx, "network", "rm", "red", "blue"); err != nil {
		return err
	}
	diff, err := st.kuryr.Left(ctx, before, 5*time.Second)
	if err != nil {
		return err
	}
	kinds := []struct{ what, prefix string }{
		{"network in Neutron", "network "}, {"subnet in Neutron", "subnet "}, {"address pool in Neutron", "subnetpool "},
		{"port in Neutron", "port "}, {"link or bridge on the machine", "link "}, {"firewall rule on the machine", "rule "},
		{"entry in Kuryr's journal", "journal"},
	}
	for _, k := range kinds {
		ok := true
		for _, line := range diff {
			if strings.HasPrefix(line[2:], k.prefix) {
				ok = false
				st.say("  %s", line)
			}
		}
		st.check("no "+k.what, ok)
	}
	names := "name=^" + st.real("") + "(alice|bob|carol|red|blue)$"
	containers, err1 := st.engine.Docker(ctx, "ps", "--all", "--quiet", "--filter", names)
	networks, err2 := st.engine.Docker(ctx, "network", "ls", "--quiet", "--filter", names)
	st.check("no container and no network in Docker", err1 == nil && err2 == nil && containers+networks == "")
	return nil
}

// summary shows the containers, each with its port.
func (st *stage) summary() {
	st.title("Summary")
	rows := [][]string{{"CONTAINER", "NETWORK", "IPV4", "IPV6", "MAC ADDRESS", "NEUTRON PORT"}}
	for _, c := range st.containers {
		rows = append(rows, []string{c.name, c.network, c.ip4, c.ip6, c.mac, c.port})
	}
	st.table(rows)
}
