package testkit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"kuryr/internal/courier"
)

// Inventory is what Kuryr and its Neutron have made on a machine, one line a
// thing, sorted: links, firewall rules, Neutron's resources and the journal's
// entries. Two inventories of the same state are equal.
type Inventory []string

// Take looks at everything that Kuryr may leave behind.
func (k *Kuryr) Take(ctx context.Context) (Inventory, error) {
	var all Inventory
	for _, look := range []func(context.Context) ([]string, error){k.links, k.rules, k.rows, k.resources, k.journal} {
		lines, err := look(ctx)
		if err != nil {
			return nil, err
		}
		all = append(all, lines...)
	}
	slices.Sort(all)
	return all, nil
}

// Diff returns the lines that differ, those new in now with a "+" and those
// that are gone with a "-".
func (before Inventory) Diff(now Inventory) []string {
	var diff []string
	for _, line := range now {
		if !slices.Contains(before, line) {
			diff = append(diff, "+ "+line)
		}
	}
	for _, line := range before {
		if !slices.Contains(now, line) {
			diff = append(diff, "- "+line)
		}
	}
	return diff
}

// Left waits until the machine is as it was before, and returns how it still
// differs when time is up.
func (k *Kuryr) Left(ctx context.Context, before Inventory, patience time.Duration) ([]string, error) {
	for deadline := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
		now, err := k.Take(ctx)
		diff := before.Diff(now)
		if err == nil && len(diff) == 0 || time.Now().After(deadline) {
			return diff, err
		}
	}
}

// AssertNothingLeft fails the test unless the machine is as it was before,
// within the given time.
func (k *Kuryr) AssertNothingLeft(t testing.TB, before Inventory, patience time.Duration) {
	t.Helper()
	// A context of its own: the test's is over when its clean-up runs.
	ctx, cancel := context.WithTimeout(context.Background(), patience+10*time.Second)
	defer cancel()
	diff, err := k.Left(ctx, before, patience)
	if err != nil {
		t.Errorf("cannot tell what is left: %v", err)
	}
	if len(diff) > 0 {
		t.Errorf("after %s this is left (+) or missing (-):\n\t%s", patience, strings.Join(diff, "\n\t"))
	}
}

// kuryrLink matches the names of links that Kuryr makes.
var kuryrLink = regexp.MustCompile(`^(tap|t_c|brq)`)

// links lists the machine's links, in the words of `ip`: all of them, or
// those with Kuryr's names on the real machine, where others live.
func (k *Kuryr) links(ctx context.Context) ([]string, error) {
	all, err := k.listLinks(ctx)
	if err != nil {
		return nil, err
	}
	var lines []string
	for _, l := range all {
		agents := k.cloud != nil && k.cloud.BridgeAgent && l.byBridgeAgent()
		if (!k.Machine.real || kuryrLink.MatchString(l.Name)) && !agents {
			lines = append(lines, "link "+l.Name)
		}
	}
	return lines, nil
}

func (k *Kuryr) listLinks(ctx context.Context) (all []link, err error) {
	out, err := k.Machine.Output(ctx, "ip", "-details", "-json", "link", "show")
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal([]byte(out), &all); err != nil {
		return nil, fmt.Errorf("ip says %w", err)
	}
	return all, nil
}

// idleFor is longer than Kuryr lets a bridge stay that has lost its last port.
const idleFor = 6 * time.Second

// AwaitIdle waits until no bridge of Kuryr's is without a port: one that is
// about to go belongs in no inventory that others are compared with.
func (k *Kuryr) AwaitIdle(ctx context.Context) error {
	for deadline := time.Now().Add(idleFor); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		all, err := k.listLinks(ctx)
		if err != nil {
			return err
		}
		ports := map[string]int{}
		for _, l := range all {
			ports[l.Master]++
		}
		if !slices.ContainsFunc(all, func(l link) bool {
			return l.Info.Kind == "bridge" && strings.HasPrefix(l.Alias, courier.MarkPrefix) && ports[l.Name] == 0
		}) {
			return nil
		}
	}
	return nil // it stays: that is for a comparison to tell
}

// link is one in the words of `ip`.
type link struct {
	Name   string `json:"ifname"`
	Alias  string `json:"ifalias"`
	Group  string `json:"group"`
	Master string `json:"master"`
	Info   struct {
		Kind string `json:"info_kind"`
	} `json:"linkinfo"`
}

// byBridgeAgent tells whether Neutron's linuxbridge agent made a link: a bridge
// or a tunnel of a network, which the agent removes some time after the last
// port of the network has gone, or with the network. What Kuryr makes has an
// alias and, before that, a group of its own.
func (l link) byBridgeAgent() bool {
	named := l.Info.Kind == "bridge" && strings.HasPrefix(l.Name, "brq") ||
		l.Info.Kind == "vxlan" && strings.HasPrefix(l.Name, "vxlan-")
	return named && l.Alias == "" && l.Group == "default"
}

var counters = regexp.MustCompile(`counter packets \d+ bytes \d+ `)

// rules lists the rules in Docker's chain for users, Kuryr's in FORWARD, and all
// tables that are named after Kuryr, in the words of `nft`.
func (k *Kuryr) rules(ctx context.Context) ([]string, error) {
	out, err := k.Machine.Output(ctx, "nft", "list", "ruleset")
	if err != nil {
		return nil, err
	}
	var lines []string
	table, chain := "", ""
	for line := range strings.Lines(elements.ReplaceAllStringFunc(out, oneALine)) {
		line = strings.TrimSpace(counters.ReplaceAllString(line, ""))
		kind, name, opens := blockOf(line)
		switch {
		case opens && kind == "table":
			table, chain = name, ""
		case opens:
			chain = name
		case line == "" || line == "}":
		case chain == "DOCKER-USER" || strings.Contains(table, "kuryr"),
			chain == "FORWARD" && strings.Contains(line, ` comment "`+courier.MarkPrefix):
			lines = append(lines, fmt.Sprintf("rule %s %s: %s", table, chain, line))
		}
	}
	return lines, nil
}

// elements matches those of a set or a map, over as many lines as nft takes.
var elements = regexp.MustCompile(`elements = \{[^{}]*\}`)

// oneALine has each element on a line of its own: how they share lines depends
// on how many there are.
func oneALine(list string) string {
	inner := strings.TrimSuffix(strings.TrimPrefix(list, "elements = {"), "}")
	var all []string
	for e := range strings.SplitSeq(inner, ",") {
		all = append(all, "element "+strings.Join(strings.Fields(e), " "))
	}
	return strings.Join(all, "\n")
}

// blockOf reads the line that begins a table, chain, set or map.
func blockOf(line string) (kind, name string, opens bool) {
	kind, name, _ = strings.Cut(strings.TrimSuffix(line, " {"), " ")
	switch kind {
	case "table", "chain", "set", "map":
		return kind, name, strings.HasSuffix(line, " {")
	}
	return "", "", false
}

// rows lists the ports of Open vSwitch that are named as those of containers
// are, if the machine has one.
func (k *Kuryr) rows(ctx context.Context) ([]string, error) {
	if k.cloud == nil || k.cloud.OVSDB == "" {
		return nil, nil
	}
	out, err := k.Machine.Output(ctx, "ovs-vsctl", "--db="+k.cloud.OVSDB, "--bare", "--columns=name", "list", "Port")
	if err != nil {
		return nil, err
	}
	var lines []string
	for _, name := range strings.Fields(out) {
		if ovsPort.MatchString(name) {
			lines = append(lines, "ovs port "+name)
		}
	}
	return lines, nil
}

var ovsPort = regexp.MustCompile(`^(tap|qvo)`)

// mine reports whether a resource with that description counts: where Neutron
// is a cloud's, only what this host's Kuryr has marked does.
func (k *Kuryr) mine(description string) bool {
	return k.cloud == nil || strings.HasPrefix(description, "kuryr:"+k.Host+":")
}

// resources lists what is in Neutron.
func (k *Kuryr) resources(ctx context.Context) ([]string, error) {
	networks, err1 := k.Neutron.Networks(ctx)
	pools, err2 := k.Neutron.SubnetPools(ctx)
	subnets, err3 := k.Neutron.Subnets(ctx, "")
	ports, err4 := k.Neutron.Ports(ctx, "")
	groups, err5 := k.Neutron.SecurityGroups(ctx)
	if err := errors.Join(err1, err2, err3, err4, err5); err != nil {
		return nil, err
	}
	var lines []string
	for _, g := range groups {
		// Those without a mark are the tests' own. Hosts of a cloud have them in
		// common: the last that uses one removes it.
		if k.cloud == nil && strings.HasPrefix(g.Description, "kuryr:") {
			lines = append(lines, fmt.Sprintf("security group %s %q %s", g.ID, g.Name, g.Description))
		}
	}
	for _, n := range networks {
		if !k.mine(n.Description) {
			continue
		}
		lines = append(lines, fmt.Sprintf("network %s %q %s", n.ID, n.Name, n.Description))
	}
	for _, p := range pools {
		// The default pools come with the first network that needs them, and stay.
		if p.Name == "kuryr" || p.Name == "kuryr6" || !k.mine(p.Description) {
			continue
		}
		lines = append(lines, fmt.Sprintf("subnetpool %s %q %s", p.ID, p.Name, p.Description))
	}
	for _, s := range subnets {
		if !k.mine(s.Description) {
			continue
		}
		lines = append(lines, fmt.Sprintf("subnet %s %s of network %s", s.ID, s.CIDR, s.NetworkID))
	}
	for _, p := range ports {
		if !k.mine(p.Description) {
			continue
		}
		lines = append(lines, fmt.Sprintf("port %s %q %s %s of network %s, %s", p.ID, p.Name, p.MAC, p.Addresses(), p.NetworkID, p.Description))
	}
	return lines, nil
}

// journal lists what the daemon believes to own.
func (k *Kuryr) journal(ctx context.Context) ([]string, error) {
	s, err := k.Status(ctx)
	if err != nil {
		return nil, err
	}
	var lines []string
	for _, n := range s.Courier.Networks {
		lines = append(lines, fmt.Sprintf("journal: network %.12s, %s in Neutron, %s", n.Docker, n.Neutron, n.State))
	}
	for _, p := range s.Courier.Pools {
		lines = append(lines, fmt.Sprintf("journal: pool %s %s, %s", p.ID, p.CIDR, p.State))
	}
	for _, a := range s.Courier.Attachments {
		lines = append(lines, fmt.Sprintf("journal: attachment %.12s, port %s, %s", a.Endpoint, a.Port, a.State))
	}
	if s.Courier.Pending > 0 {
		lines = append(lines, fmt.Sprintf("journal: %d removals pending; the last error: %s", s.Courier.Pending, s.Courier.LastError))
	}
	return lines, nil
}
