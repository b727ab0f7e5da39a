package chaos

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"kuryr/internal/testkit"
)

// truth is what there is, beside what the engine believes.
type truth struct {
	belief
	host     string
	networks []testkit.Resource
	subnets  []testkit.Subnet
	pools    []testkit.Resource
	groups   []testkit.Resource
	ports    []testkit.Port
	links    []kernelLink
	ruleset  string // as nft lists it
	rows     []switchPort
	switched bool // containers are plugged into Open vSwitch
	journal  testkit.Status
	bound    map[string]bool // names of the links of all ports that there are
}

type kernelLink struct {
	Name   string   `json:"ifname"`
	Alias  string   `json:"ifalias"`
	Master string   `json:"master"`
	Flags  []string `json:"flags"`
}

// look asks everybody. What is foreign is left out.
func (s *site) look(ctx context.Context) (*truth, error) {
	x := &truth{host: s.kuryr.Host, bound: map[string]bool{}}
	var err [9]error
	x.belief, err[0] = s.believe(ctx)
	x.networks, err[1] = s.neutron.Networks(ctx)
	x.subnets, err[2] = s.neutron.Subnets(ctx, "")
	x.pools, err[3] = s.neutron.SubnetPools(ctx)
	x.groups, err[4] = s.neutron.SecurityGroups(ctx)
	x.ports, err[5] = s.neutron.Ports(ctx, "")
	x.journal, err[6] = s.kuryr.Status(ctx)
	err[7] = s.lookAtKernel(ctx, x)
	if x.switched = s.ovs != nil; x.switched {
		x.rows, err[8] = s.switchPorts()
	}
	for _, p := range x.ports {
		x.bound["tap"+p.ID[:11]] = true
	}
	strange := func(r testkit.Resource) bool { return s.foreign.has(r.ID) }
	x.networks = slices.DeleteFunc(x.networks, strange)
	x.pools = slices.DeleteFunc(x.pools, strange)
	x.groups = slices.DeleteFunc(x.groups, strange)
	x.subnets = slices.DeleteFunc(x.subnets, func(n testkit.Subnet) bool { return s.foreign.has(n.ID) })
	x.ports = slices.DeleteFunc(x.ports, func(p testkit.Port) bool { return s.foreign.has(p.ID) })
	x.links = slices.DeleteFunc(x.links, func(l kernelLink) bool {
		if s.foreign.has(l.Name) {
			x.bound[l.Name] = true
		}
		return s.foreign.has(l.Name)
	})
	return x, errors.Join(err[:]...)
}

func (s *site) lookAtKernel(ctx context.Context, x *truth) (err error) {
	text, err := s.machine.Output(ctx, "ip", "-j", "link", "show")
	if err != nil {
		return err
	}
	if err := json.Unmarshal([]byte(text), &x.links); err != nil {
		return fmt.Errorf("ip -j link show: %w in %s", err, text)
	}
	x.ruleset, err = s.machine.Output(ctx, "nft", "list", "ruleset")
	return err
}

// faults are the differences, a line each.
func (x *truth) faults() []string {
	var all faultList
	x.compareNetworks(&all)
	x.comparePorts(&all)
	x.compareGroups(&all)
	x.compareLinks(&all)
	x.compareRows(&all)
	x.compareRules(&all)
	x.compareJournal(&all)
	slices.Sort(all)
	return all
}

type faultList []string

func (l *faultList) add(format string, args ...any) { *l = append(*l, fmt.Sprintf(format, args...)) }

// compareNetworks: each of the engine's networks has one of Neutron's, with one
// subnet of each CIDR; there are no others.
func (x *truth) compareNetworks(all *faultList) {
	of := map[string]string{} // the engine's network, by Neutron's
	for _, n := range x.belief.networks {
		id := x.neutronOf(n.id)
		if id == "" {
			all.add("journal: the network %s %.12s is missing", n.name, n.id)
			continue
		}
		of[id] = n.id
		if !slices.ContainsFunc(x.networks, func(r testkit.Resource) bool { return r.ID == id }) {
			all.add("Neutron: the network %s of %s is missing", id, n.name)
		}
		var cidrs []string
		for _, s := range x.subnets {
			if s.NetworkID == id {
				cidrs = append(cidrs, s.CIDR)
			}
		}
		slices.Sort(cidrs)
		want := slices.Sorted(slices.Values(n.cidrs))
		if !slices.Equal(cidrs, want) {
			all.add("Neutron: the network %s of %s has the subnets %v, the engine's has %v", id, n.name, cidrs, want)
		}
	}
	cidrs := map[string]int{}
	for _, n := range x.belief.networks {
		for _, c := range n.cidrs {
			cidrs[c]++
		}
	}
	for _, r := range x.networks {
		if of[r.ID] == "" {
			all.add("Neutron: the network %s %q %s is left", r.ID, r.Name, r.Description)
		}
	}
	for _, s := range x.subnets {
		if of[s.NetworkID] == "" {
			all.add("Neutron: the subnet %s %s of network %s is left", s.ID, s.CIDR, s.NetworkID)
		}
	}
	for _, p := range x.pools {
		cidr, ours := strings.CutPrefix(p.Name, "kuryrPool-")
		if !ours {
			continue
		}
		if cidrs[cidr]--; cidrs[cidr] < 0 {
			all.add("Neutron: the subnetpool %s %q %s is left", p.ID, p.Name, p.Description)
		}
	}
}

// neutronOf returns Neutron's network of the engine's, as the journal has it.
func (x *truth) neutronOf(network string) string {
	for _, n := range x.journal.Courier.Networks {
		if n.Docker == network {
			return n.Neutron
		}
	}
	return ""
}

// comparePorts: each endpoint has one port, with its addresses and its MAC, on
// its network; there are no others but those that are kept ready.
func (x *truth) comparePorts(all *faultList) {
	known := map[string]bool{}
	for _, e := range x.endpoints {
		known[e.id] = true
		var mine []testkit.Port
		for _, p := range x.ports {
			if p.DeviceID == e.id {
				mine = append(mine, p)
			}
		}
		if len(mine) != 1 && e.certain || len(mine) > 1 {
			all.add("Neutron: the endpoint %.12s of %s has %d ports", e.id, e.container, len(mine))
		}
		for _, p := range mine {
			x.comparePort(all, e, p)
		}
	}
	pooled := x.journal.Pooled()
	for _, p := range x.ports {
		if pooled[p.ID] {
			delete(pooled, p.ID)
			if p.Host != x.host || !strings.HasPrefix(p.Description, "kuryr:"+x.host+":") {
				all.add("Neutron: the pooled port %s is bound to %q and marked %q", p.ID, p.Host, p.Description)
			}
			continue
		}
		if !known[p.DeviceID] {
			all.add("Neutron: the port %s %s %s of %q, %s, is left", p.ID, p.MAC, p.Addresses(), p.DeviceID, p.Description)
		}
	}
	for id := range pooled {
		all.add("Neutron: the pooled port %s is missing", id)
	}
}

func (x *truth) comparePort(all *faultList, e believedEndpoint, p testkit.Port) {
	if !e.certain {
		return
	}
	status := "ACTIVE"
	if x.switched {
		status = p.Status // there is no agent that would tell
	}
	got := fmt.Sprintln(x.neutronOf(e.network), e.mac, e.addresses, x.host, status)
	is := fmt.Sprintln(p.NetworkID, p.MAC, parse(strings.Fields(p.Addresses())...), p.Host, p.Status)
	if got != is {
		all.add("Neutron: the port %s of %s is %s, the engine has %s", p.ID, e.container, strings.TrimSpace(is), strings.TrimSpace(got))
	}
	if !strings.HasPrefix(p.Description, "kuryr:"+x.host+":") {
		all.add("Neutron: the port %s of %s is marked %q", p.ID, e.container, p.Description)
	}
}

// compareGroups: a security group of Kuryr's is some port's.
func (x *truth) compareGroups(all *faultList) {
	for _, g := range x.groups {
		used := slices.ContainsFunc(x.ports, func(p testkit.Port) bool { return slices.Contains(p.Groups, g.ID) })
		if !used {
			all.add("Neutron: the security group %s %q %s is left", g.ID, g.Name, g.Description)
		}
	}
}

// compareLinks: each port has a link on its network's bridge, up and marked,
// and each bridge has a link; there are no others but the containers' ends of
// links that are kept ready, which are down.
func (x *truth) compareLinks(all *faultList) {
	bridges, taps := map[string]int{}, map[string]testkit.Port{}
	for _, p := range x.ports {
		taps["tap"+p.ID[:11]] = p
	}
	for _, l := range x.links {
		if l.Master != "" {
			bridges[l.Master]++
		}
	}
	there := map[string]bool{}
	pooled := x.journal.Pooled()
	for _, l := range x.links {
		there[l.Name] = true
		own, isEnd := strings.CutPrefix(l.Name, "t_c")
		switch p, ours := taps[l.Name]; {
		case isEnd && pooled[taps["tap"+own].ID]:
			if slices.Contains(l.Flags, "UP") {
				all.add("kernel: the end %s of a link that is kept ready is up", l.Name)
			}
		case l.Name == "lo" || l.Name == "docker0" || x.switched && slices.Contains(switchLinks, l.Name):
		case ours:
			x.compareLink(all, l, p)
		case strings.HasPrefix(l.Name, "brq"):
			if bridges[l.Name] == 0 {
				all.add("kernel: the bridge %s %s is left", l.Name, l.Alias)
			}
		default:
			all.add("kernel: the link %s %s is left", l.Name, l.Alias)
		}
	}
	for _, pool := range x.journal.Courier.PortPools {
		for _, p := range pool.Ports {
			if p.State == "pooled" && (!there["tap"+p.Port[:11]] || !there["t_c"+p.Port[:11]]) {
				all.add("kernel: the link of the pooled port %s is missing", p.Port)
			}
		}
	}
	for name, p := range taps {
		if i := slices.IndexFunc(x.endpoints, func(e believedEndpoint) bool { return e.id == p.DeviceID && e.certain }); i >= 0 && !there[name] {
			all.add("kernel: the link %s of %s is missing", name, x.endpoints[i].container)
		}
	}
}

func (x *truth) compareLink(all *faultList, l kernelLink, p testkit.Port) {
	if l.Alias != p.Description {
		all.add("kernel: the link %s is marked %q, its port %q", l.Name, l.Alias, p.Description)
	}
	want := "brq" + p.NetworkID[:11]
	if x.switched {
		want = ""
	}
	if l.Master != want || !slices.Contains(l.Flags, "UP") {
		all.add("kernel: the link %s is on %q with %v, not up on %q", l.Name, l.Master, l.Flags, want)
	}
}

// Names of links and bridges in rules.
var (
	ruleBridge = regexp.MustCompile(`(accept|jump DOCKER-USER) comment "kuryr:(brq[0-9a-f-]+)"`)
	ruleTap    = regexp.MustCompile(`"(tap[0-9a-f]{8}-[0-9a-f]{2})"`)
)

// compareRules: each bridge has one rule in DOCKER-USER, which accepts, and one
// in FORWARD, which jumps there; no rule or set names a link that is neither
// there nor to be expected.
func (x *truth) compareRules(all *faultList) {
	accepts, jumps, there := map[string]int{}, map[string]int{}, map[string]bool{}
	for _, m := range ruleBridge.FindAllStringSubmatch(x.ruleset, -1) {
		if verdict, bridge := m[1], m[2]; verdict == "accept" {
			accepts[bridge]++
		} else {
			jumps[bridge]++
		}
	}
	for _, l := range x.links {
		there[l.Name] = true
		if a, j := accepts[l.Name], jumps[l.Name]; strings.HasPrefix(l.Name, "brq") && (a != 1 || j != 1) {
			all.add("kernel: the bridge %s has %d rules in DOCKER-USER and %d in FORWARD", l.Name, a, j)
		}
	}
	maps.Copy(jumps, accepts)
	for bridge := range jumps {
		if !there[bridge] {
			all.add("kernel: the rule of the bridge %s is left", bridge)
		}
	}
	stale := map[string]bool{}
	for _, m := range ruleTap.FindAllStringSubmatch(x.ruleset, -1) {
		if !there[m[1]] && !x.bound[m[1]] && !stale[m[1]] {
			stale[m[1]] = true
			all.add("kernel: the packet filter knows %s, which is neither a link nor a port's", m[1])
		}
	}
}

// compareJournal: it has what the engine has, and nothing under way.
func (x *truth) compareJournal(all *faultList) {
	nets, known := map[string]bool{}, map[string]int{}
	for _, n := range x.belief.networks {
		nets[n.id] = true
	}
	for _, n := range x.journal.Courier.Networks {
		if !nets[n.Docker] || n.State != "ready" {
			all.add("journal: the network %.12s, %s in Neutron, is %s", n.Docker, n.Neutron, n.State)
		}
	}
	cidrs := map[string]int{}
	for _, n := range x.belief.networks {
		for _, c := range n.cidrs {
			cidrs[c]++
		}
	}
	for _, p := range x.journal.Courier.Pools {
		if cidrs[p.CIDR]--; cidrs[p.CIDR] < 0 || p.State != "ready" {
			all.add("journal: the pool %s %s is %s", p.ID, p.CIDR, p.State)
		}
	}
	for _, a := range x.journal.Courier.Attachments {
		known[a.Endpoint]++
		i := slices.IndexFunc(x.endpoints, func(e believedEndpoint) bool { return e.id == a.Endpoint })
		if i < 0 || a.State != "attached" && x.endpoints[i].certain {
			all.add("journal: the attachment %.12s, port %s, is %s", a.Endpoint, a.Port, a.State)
		}
	}
	for _, e := range x.endpoints {
		if n := known[e.id]; e.certain && n != 1 || n > 1 {
			all.add("journal: the endpoint %.12s of %s is there %d times", e.id, e.container, n)
		}
	}
	if n := x.journal.Courier.Pending; n > 0 {
		all.add("journal: %d removals are pending: %s", n, x.journal.Courier.LastError)
	}
}

// reach has containers that run show their interfaces and ping one another:
// on each network one of them all others.
func (s *site) reach(ctx context.Context, x *truth) []string {
	var all faultList
	for _, n := range x.belief.networks {
		mine := x.on(n.id)
		for i, e := range mine {
			s.compareInside(ctx, &all, e)
			if i == 0 {
				continue
			}
			for _, a := range e.addresses {
				_, err := s.machine.Output(ctx, "nsenter", fmt.Sprintf("--target=%d", mine[0].pid), "--net",
					"ping", "-n", "-q", "-c", "1", "-W", "2", a.String())
				if err != nil {
					all.add("traffic: %s does not reach %s at %s on %s", mine[0].container, e.container, a, n.name)
				}
			}
		}
	}
	return all
}

// compareInside: the container has an interface with the endpoint's MAC and
// addresses.
func (s *site) compareInside(ctx context.Context, all *faultList, e believedEndpoint) {
	links, err := s.lookInside(ctx, e.pid)
	if err != nil {
		all.add("kernel: cannot look into %s: %v", e.container, err)
		return
	}
	for _, l := range links {
		if l.MAC != e.mac {
			continue
		}
		for _, a := range e.addresses {
			if !slices.Contains(l.Addresses, insideAddress{a}) {
				all.add("kernel: %s has %v at %s, not %s", e.container, l.Addresses, e.mac, a)
			}
		}
		return
	}
	all.add("kernel: %s has no interface with %s", e.container, e.mac)
}

// lookInside lists the interfaces of a container.
func (s *site) lookInside(ctx context.Context, pid int) (links []insideLink, err error) {
	text, err := s.machine.Output(ctx, "nsenter", fmt.Sprintf("--target=%d", pid), "--net", "ip", "-j", "address", "show")
	if err != nil {
		return nil, err
	}
	return links, json.Unmarshal([]byte(text), &links)
}

type insideLink struct {
	MAC       string          `json:"address"`
	Addresses []insideAddress `json:"addr_info"`
}

type insideAddress struct {
	Local netip.Addr `json:"local"`
}
