package chaos

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"

	"kuryr/internal/testkit"
)

// How many there are of each kind.
const (
	foreignNetworks = 60 // with a subnet each, and a port or two
	foreignPools    = 20
	foreignGroups   = 20
	foreignPairs    = 80
	foreignBridges  = 30 // each with a port
	foreignRules    = 60
	foreignRows     = 60
)

// foreignTables are the tables of rules that are planted.
var foreignTables = []string{"bridge kuryr-ports2", "inet kuryr", "ip kuryr-user"}

// plant puts everything on the site, and returns what Kuryr's configuration
// needs for it.
func (f *foreign) plant(ctx context.Context, t *testing.T, s *site) (config string, err error) {
	for _, step := range []func(context.Context, *site) error{f.plantNetworks, f.plantGroups, f.plantLinks, f.plantRules} {
		if err := step(ctx, s); err != nil {
			return "", err
		}
	}
	f.ovs = testkit.NewMachineOVS(t, s.machine)
	for _, name := range switchLinks {
		f.known[name] = true
	}
	f.plantRows(s.machine.Name)
	f.first, err = f.look(ctx, s)
	return "[ovs]\novsdb_connection = " + f.ovs.Connection() + "\n", err
}

// descriptions are near to the marks of a host, and none of its marks.
func descriptions(host string) []string {
	const intent = "7b0e6d52-3d5c-4a3e-9c3b-0f3a8f1f6a10"
	return []string{
		"",
		"kuryr",
		"kuryr:" + host + "2:" + intent,
		"kuryr:" + host[:len(host)-1] + ":" + intent,
		"kuryr:x" + host + ":" + intent,
		"kuryr:other:" + host + ":" + intent,
		"kuryr:" + host,
		"kuryr:" + host + ":",
		"kuryr::" + intent,
		" kuryr:" + host + ":" + intent,
		"Kuryr:" + host + ":" + intent,
		"see kuryr:" + host + ":" + intent,
		"kuryr-" + host + "-" + intent,
	}
}

// post makes a resource, which is foreign from then on.
func (f *foreign) post(ctx context.Context, s *site, path, key string, body object) (id string, err error) {
	var made map[string]struct{ ID string }
	if err := s.neutron.Post(ctx, path, object{key: body}, &made); err != nil {
		return "", err
	}
	f.known[made[key].ID] = true
	return made[key].ID, nil
}

func (f *foreign) plantNetworks(ctx context.Context, s *site) error {
	near := descriptions(s.machine.Name)
	for i := range foreignPools {
		cidr := fmt.Sprintf("10.%d.0.0/24", 100+i/2)
		if _, err := f.post(ctx, s, "subnetpools", "subnetpool", object{
			"name": "kuryrPool-" + cidr, "prefixes": []string{cidr}, "description": near[i%len(near)]}); err != nil {
			return err
		}
	}
	for i := range foreignNetworks {
		name, mark := fmt.Sprintf("kuryr-net-%08x", 0x1b008d1e+i), near[i%len(near)]
		network, err := f.post(ctx, s, "networks", "network", object{"name": name, "description": mark})
		if err != nil {
			return err
		}
		// Some have the CIDR of Kuryr's own networks.
		cidr := netip.MustParsePrefix([]string{"10.100.0.0/24", "10.101.1.0/24", fmt.Sprintf("10.200.%d.0/24", i)}[i%3])
		subnet, err := f.post(ctx, s, "subnets", "subnet", object{
			"network_id": network, "ip_version": 4, "cidr": cidr.String(), "name": "kuryr-subnet-" + cidr.String(), "description": mark})
		if err != nil {
			return err
		}
		if err := f.plantPorts(ctx, s, network, subnet, mark, i); err != nil {
			return err
		}
	}
	return nil
}

// plantPorts makes two ports: a virtual machine's, or an unfinished one, that
// runs on this very host, and one that looks as a container's.
func (f *foreign) plantPorts(ctx context.Context, s *site, network, subnet, mark string, i int) error {
	owner := []string{"compute:nova", "", "network:dhcp", "kuryr:container2"}[i%4]
	_, err := f.post(ctx, s, "ports", "port", object{
		"network_id": network, "name": "kuryr-port", "description": mark, "device_owner": owner, "device_id": fmt.Sprintf("%064x", i),
		"binding:host_id": s.machine.Name, "fixed_ips": []object{{"subnet_id": subnet}}})
	if err != nil {
		return err
	}
	_, err = f.post(ctx, s, "ports", "port", object{
		"network_id": network, "name": "kuryr-port", "description": mark, "device_owner": "compute:kuryr", "device_id": fmt.Sprintf("%064x", 1<<20+i),
		"binding:host_id": "another"})
	return err
}

// plantGroups makes security groups named as those for exposed ports, which
// have no mark, and some with marks of other hosts and names of no exposed
// port here: one that a host has marked is every host's.
func (f *foreign) plantGroups(ctx context.Context, s *site) error {
	for i := range foreignGroups {
		body := object{"name": fmt.Sprintf("kuryr-exposed tcp/%d", 8000+i)}
		if i >= foreignGroups/2 {
			body["description"] = fmt.Sprintf("kuryr:other-%d:7b0e6d52-3d5c-4a3e-9c3b-0f3a8f1f6a10", i)
		}
		group, err := f.post(ctx, s, "security-groups", "security_group", body)
		if err != nil {
			return err
		}
		if _, err := f.post(ctx, s, "security-group-rules", "security_group_rule", object{
			"security_group_id": group, "direction": "ingress", "protocol": "tcp", "port_range_min": 8000, "port_range_max": 8000}); err != nil {
			return err
		}
	}
	return nil
}

// plantLinks makes pairs of interfaces and bridges. A batch makes the hundreds in a
// moment.
func (f *foreign) plantLinks(ctx context.Context, s *site) error {
	var batch strings.Builder
	near := descriptions(s.machine.Name)
	add := func(name, kind string, i int) {
		f.known[name] = true
		if kind == "veth" {
			peer := "t_c" + name[3:]
			if strings.HasPrefix(name, "t_c") {
				peer = "veth" + name[3:]
			}
			f.known[peer] = true
			kind += " peer name " + peer
		}
		// Without a link-local address, whose state would change by itself.
		fmt.Fprintf(&batch, "link add %s type %s\nlink set %s addrgenmode none\n", name, kind, name)
		if alias := near[i%len(near)]; alias != "" {
			fmt.Fprintf(&batch, "link set %s alias \"%s\"\n", name, alias)
		}
	}
	for i := range foreignPairs {
		add(fmt.Sprintf([]string{"tap%08x-%02x", "t_c%08x-%02x", "qvo%08x-%02x", "kur%08x-%02x"}[i%4], 0xa0000+i, i), "veth", i)
	}
	for i := range foreignBridges {
		bridge, port := fmt.Sprintf("brq%08x-%02x", 0xb0000+i, i), fmt.Sprintf("tap%08x-%02x", 0xc0000+i, i)
		add(bridge, "bridge", i)
		add(port, "veth", i)
		fmt.Fprintf(&batch, "link set %s up\n", bridge)
		if i%2 == 0 { // the others are bridges of nobody
			fmt.Fprintf(&batch, "link set %s master %s up\n", port, bridge)
		}
		fmt.Fprintf(&batch, "address add 10.210.%d.1/24 dev %s\n", i, bridge)
	}
	file := s.machine.Path("links")
	if err := os.WriteFile(file, []byte(batch.String()), 0o600); err != nil {
		return err
	}
	_, err := s.machine.Output(ctx, "ip", "-batch", file)
	return err
}

func (f *foreign) plantRules(ctx context.Context, s *site) error {
	var rules, tables strings.Builder
	rules.WriteString("*filter\n")
	for i := range foreignRules {
		comment := []string{"kuryr", "kuryr-brq000b0000-00", "Kuryr:brq000b0001-01", "brq000b0002-02", "not kuryr:brq000b0003-03"}[i%5]
		fmt.Fprintf(&rules, "-A DOCKER-USER -s 10.220.%d.0/24 -i brq%08x-%02x -m comment --comment \"%s\" -j ACCEPT\n", i, 0xb0000+i, i, comment)
	}
	rules.WriteString("COMMIT\n")
	file := s.machine.Path("rules")
	if err := os.WriteFile(file, []byte(rules.String()), 0o600); err != nil {
		return err
	}
	if _, err := s.machine.Output(ctx, "iptables-restore", "--noflush", file); err != nil {
		return err
	}
	for i, table := range foreignTables {
		fmt.Fprintf(&tables, "table %s {\n\tset macs { type ether_addr; elements = { 02:aa:00:00:00:%02x } }\n", table, i)
		for k := range 10 {
			fmt.Fprintf(&tables, "\tchain to-%016x { iifname \"tap%08x-%02x\" accept comment \"kuryr:%s:%d\"; }\n", k, 0xa0000+4*k, 4*k, s.machine.Name, k)
		}
		tables.WriteString("}\n")
	}
	file = s.machine.Path("tables")
	if err := os.WriteFile(file, []byte(tables.String()), 0o600); err != nil {
		return err
	}
	_, err := s.machine.Output(ctx, "nft", "-f", file)
	return err
}

// plantRows makes ports of Open vSwitch: a virtual machine's, another Kuryr's,
// and some of the Python Kuryr's, which have an owner and no mark.
func (f *foreign) plantRows(host string) {
	args := []string{"--no-wait", "add-br", "br-int", "--", "set", "bridge", "br-int", "datapath_type=netdev"}
	near := descriptions(host)
	for i := range foreignRows {
		port := fmt.Sprintf("tap%08x-%02x", 0xd0000+i, i)
		args = append(args, "--", "add-port", "br-int", port, "--", "set", "Interface", port,
			fmt.Sprintf("external_ids:iface-id=7b0e6d52-3d5c-4a3e-9c3b-%012x", i), "external_ids:iface-status=active",
			"external_ids:attached-mac="+fmt.Sprintf("02:bb:00:00:00:%02x", i))
		mark := near[i%len(near)]
		switch {
		case i%3 == 0:
			args = append(args, "external_ids:owner=kuryr") // the Python Kuryr's
		case mark != "":
			args = append(args, "external_ids:owner=kuryr2", fmt.Sprintf("external_ids:kuryr-mark=%q", mark))
		}
	}
	f.ovs.VSCtl(args...)
}
